// SPDX-License-Identifier: GPL-2.0
/* Our threads, those who wait for ends of transitions, and grace periods of RCU tasks. */
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/rcupdate_wait.h>
#include <linux/rcuwait.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "shim.h"

/* Of the one driver. A wait queue has a lock that sleeps under PREEMPT_RT; this has none. */
static struct rcuwait lp_driver_wait = __RCUWAIT_INITIALIZER(lp_driver_wait);
static DECLARE_WAIT_QUEUE_HEAD(lp_waiters);
static struct task_struct *lp_driver;
static int lp_kicked;
static atomic_long_t lp_events;

/* How often the driver looks whether the end of a grace period that somebody was in a hurry for has been told. */
#define LP_HURRY_LOOK	(HZ / 10)

static bool lp_hurry_is_told(void);

static int lp_driver_run(void *unused)
{
	while (!kthread_should_stop()) {
		long ms = lpatch_drive();
		long timeout = ms < 0 ? MAX_SCHEDULE_TIMEOUT : msecs_to_jiffies(ms);

		if (!lp_hurry_is_told())
			timeout = min(timeout, LP_HURRY_LOOK);

		rcuwait_wait_event_timeout(&lp_driver_wait, xchg(&lp_kicked, 0) || kthread_should_stop(), TASK_IDLE, timeout);
	}
	return 0;
}

/*
 * From hard interrupt context, under PREEMPT_RT too: a kick is often about the last of all tasks. Waking takes raw locks only.
 * rcuwait_wake_up() has the barrier between lp_kicked and the look who waits; its partner is the one between being seen to wait and
 * the look at lp_kicked.
 */
static void lp_wake_driver(struct irq_work *unused)
{
	rcuwait_wake_up(&lp_driver_wait);
}

static struct irq_work lp_kick = IRQ_WORK_INIT_HARD(lp_wake_driver);

int lp_driver_start(void)
{
	struct task_struct *driver = kthread_run(lp_driver_run, NULL, "lpatch");

	if (IS_ERR(driver))
		return PTR_ERR(driver);
	/* It is about a task that has to get on, or tidies up while somebody waits, and never computes for long. */
	set_user_nice(driver, MIN_NICE);
	kernel_param_lock(THIS_MODULE);
	lp_driver = driver;
	kernel_param_unlock(THIS_MODULE);
	return 0;
}

/* For a parameter, which anybody may set before the driver is there and when it is gone: under the lock of our parameters. */
void lp_driver_look(void)
{
	if (lp_driver)
		lp_driver_kick();
}

void lp_driver_stop(void)
{
	struct task_struct *driver = lp_driver;

	kernel_param_lock(THIS_MODULE);
	lp_driver = NULL;
	kernel_param_unlock(THIS_MODULE);
	/* Nobody kicks it any more: all who do hold a reference to the module, and leave it by leave.S. */
	kthread_stop(driver);
	irq_work_sync(&lp_kick);
}

notrace void lp_driver_kick(void)
{
	/* Full ordering of xchg(): who takes the kick sees what came before it. */
	if (!xchg(&lp_kicked, 1))
		irq_work_queue(&lp_kick);
}

unsigned long lp_event_count(void)
{
	/* Pairs with lp_event(): who reads the count sees what the event was about. */
	return atomic_long_read_acquire(&lp_events);
}

void lp_event(void)
{
	atomic_long_inc_return_release(&lp_events); /* pairs with lp_event_count() */
	wake_up_all(&lp_waiters);
}

int lp_event_wait(unsigned long seen, unsigned int ms)
{
	long timeout = ms ? msecs_to_jiffies(ms) : MAX_SCHEDULE_TIMEOUT;
	long left = wait_event_interruptible_timeout(lp_waiters, lp_event_count() != seen, timeout);

	return left < 0 ? -EINTR : left == 0 ? -ETIMEDOUT : 0;
}

/*
 * A grace period of RCU tasks ends when every task has slept or gone to user mode of its own will, or has died. A
 * kernel thread that never sleeps keeps it from ending, so nobody waits for one who could not stop waiting.
 */
struct lp_grace {
	struct rcu_head head;
	unsigned long ticket;	/* All up to this one are over with it. 0: it is not under way. */
};

static struct lp_grace lp_usual_grace, lp_urgent_grace;
static DEFINE_SPINLOCK(lp_grace_lock);
static unsigned long lp_grace_wanted, lp_grace_done;

/* leave.S: calls lp_grace_ended(), and if that says so gives a reference to the module back. */
void lp_grace_over(struct rcu_head *head);
asmlinkage bool lp_grace_ended(struct rcu_head *head);

/* Whether @head is not under way any more. While it is, it holds a reference to the module. */
asmlinkage bool lp_grace_ended(struct rcu_head *head)
{
	struct lp_grace *grace = container_of(head, struct lp_grace, head);
	bool again;

	scoped_guard(spinlock_irqsave, &lp_grace_lock) {
		if (grace->ticket > lp_grace_done)
			smp_store_release(&lp_grace_done, grace->ticket); /* pairs with lp_grace_is_over() */
		again = grace == &lp_usual_grace && lp_grace_wanted > max(lp_grace_done, lp_urgent_grace.ticket);
		grace->ticket = again ? lp_grace_wanted : 0;
	}
	lp_driver_kick();
	lp_event();
	if (again)
		call_rcu_tasks(head, lp_grace_over);
	return !again;
}

unsigned long lp_grace_begin(void)
{
	unsigned long ticket;
	bool first;

	scoped_guard(spinlock_irqsave, &lp_grace_lock) {
		first = !lp_usual_grace.ticket;
		ticket = ++lp_grace_wanted;
		if (first)
			lp_usual_grace.ticket = ticket;
	}
	if (first) {
		__module_get(THIS_MODULE);
		call_rcu_tasks(&lp_usual_grace.head, lp_grace_over);
	}
	return ticket;
}

/*
 * Of the last that was asked for in a hurry. The kernel calls wakeme_after_rcu() with it, which cannot give the reference back that it
 * holds; the driver does.
 */
static struct rcu_synchronize lp_hurry = { .completion = COMPLETION_INITIALIZER(lp_hurry.completion) };
static bool lp_hurried;

/* Whether the one before is told of, if there was one; for the driver, and for who is about to ask for another. */
static bool lp_hurry_is_told(void)
{
	scoped_guard(spinlock_irqsave, &lp_grace_lock) {
		if (!lp_hurried)
			return true;
		if (!try_wait_for_completion(&lp_hurry.completion))
			return false;
		lp_hurried = false;
	}
	/* Its code goes on: the exit of the module waits for the driver, and who is in a hurry has an open file. */
	module_put(THIS_MODULE);
	return true;
}

/*
 * call_rcu_tasks() lets a grace period begin up to a quarter of a second later, so that it serves many. Callers of
 * synchronize_rcu_tasks() are not kept waiting like that; they are known by their callback, and who comes before one is served with it.
 * Besides, all that were asked for until now are over with this one, and not with the one behind that which is under way.
 */
void lp_grace_hurry(void)
{
	if (!lp_hurry_is_told())
		return;
	scoped_guard(spinlock_irqsave, &lp_grace_lock) {
		if (lp_hurried || lp_urgent_grace.ticket || lp_grace_done == lp_grace_wanted)
			return;
		lp_hurried = true;
		lp_urgent_grace.ticket = lp_grace_wanted;
	}
	/* One for each. */
	__module_get(THIS_MODULE);
	__module_get(THIS_MODULE);
	call_rcu_tasks(&lp_urgent_grace.head, lp_grace_over);
	call_rcu_tasks(&lp_hurry.head, wakeme_after_rcu);
}

int lp_graces(void)
{
	guard(spinlock_irqsave)(&lp_grace_lock);
	return !!lp_usual_grace.ticket + !!lp_urgent_grace.ticket + lp_hurried;
}

struct lp_readers {
	struct rcu_synchronize wait;
};

struct lp_readers *lp_readers_new(void)
{
	return kzalloc(sizeof(struct lp_readers), GFP_KERNEL);
}

void lp_readers_free(struct lp_readers *readers)
{
	kfree(readers);
}

int lp_readers_are_gone(struct lp_readers *readers)
{
	init_completion(&readers->wait.completion);
	/* The kernel's own function, so that nobody comes back to us. If it comes too late, it finds memory that is never freed. */
	call_rcu_tasks(&readers->wait.head, wakeme_after_rcu);
	if (!wait_for_completion_timeout(&readers->wait.completion, 10 * HZ))
		return 0;
	kfree(readers);
	return 1;
}

int lp_grace_is_over(unsigned long ticket)
{
	return smp_load_acquire(&lp_grace_done) >= ticket;
}

/*
 * A thread for what has to be done at once. Beginning a transition means dozens of rounds of interrupts to all CPUs, in ftrace
 * and where tracepoints are switched on, and after each round tasks that compute would go first: it took half a second
 * where it takes ten milliseconds.
 */
static struct kthread_worker *lp_urgent_worker;

struct lp_errand {
	struct kthread_work work;
	void (*run)(void *what);
	void *what;
};

static void lp_do_errand(struct kthread_work *work)
{
	struct lp_errand *errand = container_of(work, struct lp_errand, work);

	errand->run(errand->what);
}

int lp_urgent_start(void)
{
	struct kthread_worker *worker = kthread_run_worker(0, "lpatch/urgent");

	if (IS_ERR(worker))
		return PTR_ERR(worker);
	/* The lowest real-time priority: before all who just compute, behind everybody with a deadline. */
	sched_set_fifo_low(worker->task);
	lp_urgent_worker = worker;
	return 0;
}

void lp_urgent_stop(void)
{
	kthread_destroy_worker(lp_urgent_worker);
}

void lp_urgently(void (*run)(void *what), void *what)
{
	struct lp_errand errand = { .run = run, .what = what };

	kthread_init_work(&errand.work, lp_do_errand);
	kthread_queue_work(lp_urgent_worker, &errand.work);
	kthread_flush_work(&errand.work);
}
