/* SPDX-License-Identifier: GPL-2.0 */
/* The functions that are replaced for programs/pace.c, by ones that do the same. */
#ifndef _LPATCH_SELFTESTS_PACE_H
#define _LPATCH_SELFTESTS_PACE_H

#include <linux/list.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

static long pace_getpid(const struct pt_regs *regs)
{
	return task_tgid_vnr(current);
}

/* Who was woken is off the list already, as a rule. */
static void pace_finish_wait(struct wait_queue_head *head, struct wait_queue_entry *entry)
{
	unsigned long flags;

	__set_current_state(TASK_RUNNING);
	if (list_empty_careful(&entry->entry))
		return;
	spin_lock_irqsave(&head->lock, flags);
	list_del_init(&entry->entry);
	spin_unlock_irqrestore(&head->lock, flags);
}

#endif /* _LPATCH_SELFTESTS_PACE_H */
