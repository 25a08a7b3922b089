// SPDX-License-Identifier: GPL-2.0
/*
 * Where the kernel tells us that a task is born or switched out, and that a CPU comes or goes. The
 * tracepoints are in use only during a transition.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/tracepoint.h>
#include <trace/events/sched.h>

#include "key.h"
#include "shim.h"

static struct tracepoint *lp_wakeup_new;
static int lp_cpuhp_state;

/* Under the run queue's lock, with interrupts off, before the new task runs for the first time. */
static void lp_born(void *unused, struct task_struct *task)
{
	lpatch_born(lp_key_of(task));
}

/* At the beginning of __schedule(), with preemption off and no lock held. */
static void lp_switched_out(void *unused, bool preempt)
{
	unsigned long flags;

	local_irq_save(flags);
	lpatch_switched_out(lp_key(), READ_ONCE(current->__state) == TASK_DEAD);
	local_irq_restore(flags);
}

/* Under cpu_hotplug_lock for writing, before the CPU runs anything. */
static int lp_cpu_up(unsigned int cpu)
{
	lpatch_born(lp_idle_key(cpu));
	return 0;
}

/* Under cpu_hotplug_lock for writing, when the CPU runs nothing any more. */
static int lp_cpu_down(unsigned int cpu)
{
	lpatch_cpu_gone(lp_idle_key(cpu));
	return 0;
}

static void lp_find_tracepoint(struct tracepoint *tp, void *unused)
{
	if (!strcmp(tp->name, "sched_wakeup_new"))
		lp_wakeup_new = tp;
}

int lp_hooks_init(void)
{
	int state;

	for_each_kernel_tracepoint(lp_find_tracepoint, NULL);
	if (!lp_wakeup_new)
		return -ENOENT;
	state = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "lpatch:idle", lp_cpu_up, lp_cpu_down);
	if (state < 0)
		return state;
	lp_cpuhp_state = state;
	return 0;
}

void lp_hooks_exit(void)
{
	cpuhp_remove_state_nocalls(lp_cpuhp_state);
}

static void lp_nothing(void *unused)
{
}

void lp_births_heard(void)
{
	/*
	 * Who passed a tracepoint without seeing the hook, or the hook without seeing the book, did so with interrupts off. So
	 * when every CPU has taken an interrupt since, that is over: such a new task is in the list of tasks.
	 */
	on_each_cpu(lp_nothing, NULL, 1);
}

int lp_hooks_on(void)
{
	int err = tracepoint_probe_register(lp_wakeup_new, lp_born, NULL);

	if (err)
		return err;
	err = register_trace_sched_entry_tp(lp_switched_out, NULL);
	if (err) {
		tracepoint_probe_unregister(lp_wakeup_new, lp_born, NULL);
		tracepoint_synchronize_unregister();
	}
	return err;
}

void lp_hooks_off(void)
{
	unregister_trace_sched_entry_tp(lp_switched_out, NULL);
	tracepoint_probe_unregister(lp_wakeup_new, lp_born, NULL);
	tracepoint_synchronize_unregister();
}
