// SPDX-License-Identifier: GPL-2.0
/*
 * How late timer interrupts come: for so long a CPU had interrupts off, at least. /proc/latency is the way in.
 *
 * A read gives, for each CPU that was measured, a line
 *	cpu N samples N worst NS
 *
 * A write is one command:
 *	start US	begins anew: on every CPU that is online a timer, every so many microseconds, 10 to 1000000
 *	stop		ends that; what was measured stays
 *	irqs_off US	the writer has interrupts off for so long, at most 100000: what a measurement has to see
 *	preempt_off US	the same with preemption
 */
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#define COMMAND_LEN 32
#define PERIOD_MIN_US 10
#define PERIOD_MAX_US 1000000
#define OFF_MAX_US 100000

/* Written by the CPU that it belongs to, in its timer interrupt. */
struct measure {
	struct hrtimer timer;
	u64 samples;
	s64 worst_ns;
};

static DEFINE_PER_CPU(struct measure, measures);
static DEFINE_MUTEX(commands);
static struct cpumask measured;
static ktime_t period;
static bool running;

static enum hrtimer_restart tick(struct hrtimer *timer)
{
	struct measure *m = container_of(timer, struct measure, timer);
	s64 late = ktime_to_ns(ktime_sub(ktime_get(), hrtimer_get_expires(timer)));

	if (late > m->worst_ns)
		WRITE_ONCE(m->worst_ns, late);
	WRITE_ONCE(m->samples, m->samples + 1);
	hrtimer_forward_now(timer, period);
	return HRTIMER_RESTART;
}

/* On the CPU that is to be measured, because that is where the timer stays. */
static void begin(void *unused)
{
	struct measure *m = this_cpu_ptr(&measures);

	m->samples = 0;
	m->worst_ns = 0;
	hrtimer_start(&m->timer, ktime_add(ktime_get(), period), HRTIMER_MODE_ABS_PINNED_HARD);
}

static void stop(void)
{
	unsigned int cpu;

	if (!running)
		return;
	for_each_cpu(cpu, &measured)
		hrtimer_cancel(per_cpu_ptr(&measures.timer, cpu));
	running = false;
}

static int start(unsigned int us)
{
	if (us < PERIOD_MIN_US || us > PERIOD_MAX_US)
		return -EINVAL;
	stop();
	period = us_to_ktime(us);
	cpus_read_lock();
	cpumask_copy(&measured, cpu_online_mask);
	on_each_cpu(begin, NULL, 1);
	cpus_read_unlock();
	running = true;
	return 0;
}

static void pass(unsigned int us)
{
	ktime_t end = ktime_add_us(ktime_get(), us);

	while (ktime_before(ktime_get(), end))
		cpu_relax();
}

static int off(unsigned int us, bool irqs)
{
	unsigned long flags;

	if (!us || us > OFF_MAX_US)
		return -EINVAL;
	preempt_disable();
	if (irqs)
		local_irq_save(flags);
	pass(us);
	if (irqs)
		local_irq_restore(flags);
	preempt_enable();
	return 0;
}

/* A word, and a number if there is one. */
static int command(const char *text)
{
	char word[COMMAND_LEN], rest;
	unsigned int us = 0;
	int fields = sscanf(text, "%31s %u %c", word, &us, &rest);

	if (fields == 1 && !strcmp(word, "stop")) {
		stop();
		return 0;
	}
	if (fields != 2)
		return -EINVAL;
	if (!strcmp(word, "start"))
		return start(us);
	if (!strcmp(word, "irqs_off"))
		return off(us, true);
	if (!strcmp(word, "preempt_off"))
		return off(us, false);
	return -EINVAL;
}

static ssize_t latency_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	char text[COMMAND_LEN];
	int error;

	if (len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, len))
		return -EFAULT;
	text[len] = '\0';
	mutex_lock(&commands);
	error = command(strim(text));
	mutex_unlock(&commands);
	return error ?: len;
}

static int latency_show(struct seq_file *m, void *v)
{
	unsigned int cpu;

	mutex_lock(&commands);
	for_each_cpu(cpu, &measured) {
		const struct measure *measure = per_cpu_ptr(&measures, cpu);

		seq_printf(m, "cpu %u samples %llu worst %lld\n", cpu, READ_ONCE(measure->samples), READ_ONCE(measure->worst_ns));
	}
	mutex_unlock(&commands);
	return 0;
}

static int latency_open(struct inode *inode, struct file *file)
{
	return single_open(file, latency_show, NULL);
}

static const struct proc_ops latency_ops = {
	.proc_open = latency_open,
	.proc_read = seq_read,
	.proc_write = latency_write,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
};

static int __init latency_init(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		hrtimer_setup(per_cpu_ptr(&measures.timer, cpu), tick, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED_HARD);
	return proc_create("latency", 0600, NULL, &latency_ops) ? 0 : -ENOMEM;
}

static void __exit latency_exit(void)
{
	remove_proc_entry("latency", NULL);
	stop();
}

module_init(latency_init);
module_exit(latency_exit);
MODULE_DESCRIPTION("how late timer interrupts come");
MODULE_LICENSE("GPL");
