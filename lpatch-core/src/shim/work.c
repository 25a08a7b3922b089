// SPDX-License-Identifier: GPL-2.0
/* Work that a task does on its way to user mode. */
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/task_work.h>

#include "key.h"
#include "shim.h"

/*
 * Queued with a task until the task gets there; nobody can take it back, as task_work_cancel() is not
 * exported. So it belongs to the task, holds the module, and may find when it runs that its transition is
 * long over.
 */
struct lp_work {
	struct callback_head head;
	struct hlist_node node;
	unsigned long key;
	int interrupt;
};

/* By task: with the lock, nobody is preempted, and there may be one for each task that there is. */
static DEFINE_HASHTABLE(lp_works, 8);
static DEFINE_SPINLOCK(lp_works_lock);

/* leave.S: calls lp_work_done() and gives the reference to the module back that the work holds. */
void lp_work_run(struct callback_head *head);
asmlinkage void lp_work_done(struct callback_head *head);

asmlinkage void lp_work_done(struct callback_head *head)
{
	struct lp_work *work = container_of(head, struct lp_work, head);
	int interrupt = work->interrupt;
	unsigned long flags;
	int inside;

	scoped_guard(spinlock, &lp_works_lock)
		hash_del(&work->node);
	kfree(work);

	preempt_disable();
	local_irq_save(flags);
	inside = lpatch_user_mode(lp_key());
	local_irq_restore(flags);
	preempt_enable();
	if (interrupt) {
		/*
		 * io_uring runs task work where it waits, in the middle of a system call, and goes on waiting: what has woken the
		 * task is used up, and the task is where it was.
		 */
		if (inside)
			lp_leave_call();
		lp_call_again();
	}
}

/* One with a signal reaches the task where one without does not. */
static bool lp_work_is_queued(unsigned long key, int interrupt)
{
	struct lp_work *work;

	guard(spinlock)(&lp_works_lock);
	hash_for_each_possible(lp_works, work, node, key) {
		if (work->key == key && work->interrupt >= interrupt)
			return true;
	}
	return false;
}

int lp_work_queue(unsigned long key, int interrupt)
{
	struct task_struct *task = (struct task_struct *)key;
	struct lp_work *work;
	unsigned int state;
	int err;

	if (task->flags & PF_KTHREAD)
		return -EINVAL;
	/* Who asks holds the registry's lock, so nobody else adds one meanwhile. */
	if (lp_work_is_queued(key, interrupt))
		return -EEXIST;
	work = kzalloc(sizeof(*work), GFP_KERNEL);
	if (!work)
		return -ENOMEM;
	__module_get(THIS_MODULE);
	init_task_work(&work->head, lp_work_run);
	work->key = key;
	work->interrupt = interrupt;

	scoped_guard(spinlock, &lp_works_lock)
		hash_add(lp_works, &work->node, key);
	state = READ_ONCE(task->__state);
	err = task_work_add(task, &work->head, interrupt ? TWA_SIGNAL : TWA_RESUME);
	if (err) {
		scoped_guard(spinlock, &lp_works_lock)
			hash_del(&work->node);
		kfree(work);
		module_put(THIS_MODULE);
		return err;
	}
	/* A number for people: it may have woken up, or fallen asleep, just then. */
	return interrupt && (state & TASK_INTERRUPTIBLE);
}
