// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/loadavg counts its readers and names data of every kind.
 *
 * New data: a variable that is written (.data), one that starts at zero (.bss), constants, strings,
 * and pointers to them. From vmlinux: nr_running() is not exported, uptime_proc_show() is static in
 * another file, nr_threads is a variable.
 */

#include <linux/sched/stat.h>
#include <linux/seq_file.h>

#include <lpatch/patch.h>

extern int uptime_proc_show(struct seq_file *m, void *v);

#define HISTORY 4

static unsigned int reads = 100;
static unsigned int history[HISTORY];
static const unsigned int primes[] = { 2, 3, 5, 7, 11, 13, 17, 19 };
static const char *names[] = { "even", "odd" };

/* Both are written, so neither becomes a constant; names[] is an array of pointers into .rodata. */
static noinline unsigned int remember(void)
{
	unsigned int sum = 0;
	int i;

	history[reads % HISTORY] = reads;
	reads++;
	for (i = 0; i < HISTORY; i++)
		sum += history[i];
	return sum;
}

static int lpatch_loadavg_proc_show(struct seq_file *m, void *v)
{
	unsigned int sum = remember();

	seq_printf(m, "lpatch reads %u sum %u %s prime %u running %d threads %d uptime ",
		   reads, sum, READ_ONCE(names[reads % 2]), primes[reads % ARRAY_SIZE(primes)],
		   nr_running() > 0, nr_threads > 0);
	return uptime_proc_show(m, v);
}

LPATCH_FUNC(vmlinux, loadavg_proc_show, lpatch_loadavg_proc_show);

LPATCH_NAME("data");
LPATCH_VERSION("1.0");
LPATCH_DESCRIPTION("new data of every kind, and calls into vmlinux, seen in /proc/loadavg");
