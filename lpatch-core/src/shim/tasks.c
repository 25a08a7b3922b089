// SPDX-License-Identifier: GPL-2.0
/*
 * Is any task still in a range of text?
 *
 * The question is asked only when no listed task enters the range any more: no book sends its calls there, and a transition has seen
 * each away from the sites and doors that led there, so nobody is on the way. So a task that was once seen outside stays outside, and
 * tasks can be asked one after the other. Interrupts count as part of what they interrupt:
 * their frames are above those of the task on the same chain of stacks.
 */
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/smp.h>

#include "key.h"
#include "shim.h"

enum lp_verdict {
	LP_OUTSIDE,
	LP_INSIDE,
	LP_UNRELIABLE,	/* the stack cannot be unwound with certainty now */
	LP_RAN,		/* the task ran meanwhile */
};

struct lp_question {
	unsigned long start;
	unsigned long end;
	struct task_struct *task;	/* NULL: the idle task of the CPU */
	enum lp_verdict verdict;
	bool hit;
	int pid;
};

static void lp_text_frame(void *arg, unsigned long addr)
{
	struct lp_question *q = arg;

	if (addr >= q->start && addr < q->end)
		q->hit = true;
}

static enum lp_verdict lp_unwind(struct task_struct *task, struct lp_question *q)
{
	int whole;

	q->hit = false;
	whole = lp_walk(task, lp_text_frame, q);
	return q->hit ? LP_INSIDE : whole ? LP_OUTSIDE : LP_UNRELIABLE;
}

/* Runs on a CPU by IPI: the stack of the interrupted task is below this handler's frames. */
static void lp_ask_current(void *info)
{
	struct lp_question *q = info;

	if (q->task && q->task != current) {
		q->verdict = LP_RAN;
		return;
	}
	/* By the pid, as in key.h: on a machine with one CPU the idle task has no PF_IDLE. */
	if (!q->task && current->pid) {
		q->verdict = LP_OUTSIDE;
		return;
	}
	q->verdict = lp_unwind(current, q);
	q->pid = current->pid;
}

/* Asks a task that does not run. */
static enum lp_verdict lp_ask_stopped(struct task_struct *task, struct lp_question *q)
{
	int whole;

	q->hit = false;
	whole = lp_walk_stopped(task, lp_text_frame, q);
	if (whole == LP_WALK_RAN)
		return LP_RAN;
	return q->hit ? LP_INSIDE : whole ? LP_OUTSIDE : LP_UNRELIABLE;
}

/* Bounds the time in an RCU section. A task that keeps running away is asked again in the next pass. */
#define LP_TRIES 1000

static enum lp_verdict lp_ask(struct task_struct *task, struct lp_question *q)
{
	int tries;

	q->task = task;
	q->pid = task->pid;
	if (task == current) {
		q->verdict = lp_unwind(task, q);
		return q->verdict;
	}
	for (tries = 0; tries < LP_TRIES; tries++) {
		/*
		 * A dead task never runs again, and its stack may be gone. One that is dead and on a CPU may still be on its way
		 * to the scheduler, in a function that was patched.
		 */
		if (lp_task_gone(lp_key_of(task)))
			return LP_OUTSIDE;
		if (!READ_ONCE(task->on_cpu))
			q->verdict = lp_ask_stopped(task, q);
		else if (smp_call_function_single(task_cpu(task), lp_ask_current, q, 1))
			q->verdict = LP_RAN;	/* the CPU went offline; the task has left it or will */
		if (q->verdict != LP_RAN)
			break;
		cpu_relax();
	}
	return q->verdict;
}

/* So many tasks, of which each may take an interrupt of its CPU, in one RCU section. */
#define LP_BATCH 64

/*
 * Ends the RCU section of a walk through the list of tasks and begins another. Returns whether the walk can go on behind this
 * task, which it can if both are still in their lists.
 *
 * The references keep the structs, and so the heads of the lists. What is next in a list is not kept; it is what the list says in this
 * section if the task was not taken out before it began. __unhash_process() clears thread_pid before it takes a task out. de_thread()
 * puts another in the place of a leader who has one for a while yet; that one has no exit_signal then. Both write under
 * tasklist_lock, as who takes out what is next does. If that was freed before this section, a grace period came between, and we
 * see what was written before it.
 */
static bool lp_breathe(struct task_struct *group, struct task_struct *task)
{
	bool listed;

	get_task_struct(group);
	get_task_struct(task);
	rcu_read_unlock();
	cond_resched();
	rcu_read_lock();
	listed = pid_alive(group) && thread_group_leader(group) && pid_alive(task);
	put_task_struct(task);
	put_task_struct(group);
	return listed;
}

/* Asks every task once; stops at the first that is not outside, or where it has lost its place. */
static enum lp_verdict lp_ask_all(struct lp_question *q)
{
	struct task_struct *group, *task;
	unsigned int asked = 0;
	int cpu;

	scoped_guard(rcu) {
		lp_for_each_task(group, task) {
			if (lp_ask(task, q) != LP_OUTSIDE)
				return q->verdict;
			/* Those before have been outside and stay so. */
			if (++asked % LP_BATCH == 0 && !lp_breathe(group, task))
				return LP_RAN;
		}
	}

	/* Idle tasks are on no list, but each can be met on its own CPU. */
	scoped_guard(cpus_read_lock) {
		for_each_online_cpu(cpu) {
			q->task = NULL;
			q->verdict = LP_UNRELIABLE;
			if (smp_call_function_single(cpu, lp_ask_current, q, 1) ||
			    q->verdict != LP_OUTSIDE)
				return q->verdict;
		}
	}
	return LP_OUTSIDE;
}

int lp_text_user(unsigned long start, unsigned long end, unsigned int passes, int *pid)
{
	struct lp_question q = { .start = start, .end = end };

	while (lp_ask_all(&q) != LP_OUTSIDE) {
		/*
		 * It may be about to leave. Or it may have been interrupted where no stack can be unwound, in the middle of a retpoline
		 * for example: it has to run on before anything can be said.
		 */
		if (--passes == 0) {
			*pid = q.pid;
			return 1;
		}
		usleep_range(2000, 4000);
	}
	return 0;
}
