/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What stands for a task: its address; for an idle task, which is in no list and whose address is nobody's
 * business, a small number made of its CPU. Multiples of 4 that are not 0. And how all tasks are found that are in the list.
 */
#ifndef _LPATCH_KEY_H
#define _LPATCH_KEY_H

#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>

#define LP_IDLE_KEYS	(1UL << 32)	/* keys below are those of idle tasks */

static __always_inline unsigned long lp_idle_key(unsigned int cpu)
{
	return (cpu + 1UL) << 2;
}

static __always_inline unsigned int lp_cpu_of_idle_key(unsigned long key)
{
	return (key >> 2) - 1;
}

static __always_inline unsigned long lp_key_of(struct task_struct *task)
{
	return (unsigned long)task;
}

/* Preemption is off. */
static __always_inline unsigned long lp_key(void)
{
	/* Idle tasks have pid 0 and stay on their CPU; PF_IDLE is set in kernel threads that inject idle time too. */
	if (unlikely(!current->pid))
		return lp_idle_key(raw_smp_processor_id());
	return lp_key_of(current);
}

/*
 * for_each_process_thread() for readers of RCU. Where the kernel checks who reads such lists (CONFIG_PROVE_RCU_LIST), its own one asks about
 * tasklist_lock as well, which is not exported.
 */
#define lp_for_each_task(group, task)	\
	for_each_process(group)		\
		list_for_each_entry_rcu(task, &(group)->signal->thread_head, thread_node)

#endif /* _LPATCH_KEY_H */
