// SPDX-License-Identifier: GPL-2.0
/*
 * A thread for what has to be done at once. Beginning a transition means dozens of rounds of interrupts to all CPUs, in ftrace
 * and where tracepoints are switched on, and after each round tasks that compute would go first: it took half a second
 * where it takes ten milliseconds.
 */
#include <linux/kthread.h>
#include <linux/sched.h>

#include "shim.h"

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
