// SPDX-License-Identifier: GPL-2.0
/*
 * A task in code of a patch that no transition is about: a kernel thread, which the callback behind the transition starts. The first one
 * sleeps there, the second one computes, until SIGTERM comes.
 */

#include <linux/err.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/printk.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>

#include <lpatch/patch.h>

static int sleeps(void *unused)
{
	allow_signal(SIGTERM);
	printk(KERN_INFO "stays: task %d sleeps\n", current->pid);
	while (!signal_pending(current))
		schedule_timeout_interruptible(MAX_SCHEDULE_TIMEOUT);
	return 0;
}

static int computes(void *unused)
{
	allow_signal(SIGTERM);
	printk(KERN_INFO "stays: task %d computes\n", current->pid);
	while (!signal_pending(current))
		cpu_relax();
	return 0;
}

static void after_unpatch(const struct lpatch_object *obj)
{
	static int (*const stay[])(void *unused) = { sleeps, computes };
	static unsigned int times;

	if (times < ARRAY_SIZE(stay) && IS_ERR(kthread_run(stay[times++], NULL, "stays")))
		printk(KERN_ERR "stays: no thread\n");
}

static int stays_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, saved_command_line);
	seq_puts(m, " stays=1\n");
	return 0;
}

LPATCH_FUNC(vmlinux, cmdline_proc_show, stays_cmdline_proc_show);

LPATCH_POST_UNPATCH(vmlinux, after_unpatch);

LPATCH_NAME("stays");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("threads stay in it when it is disabled");
