// SPDX-License-Identifier: GPL-2.0
/*
 * Is any task still in a range of text?
 *
 * The question is asked only when nothing enters the range any more: ftrace has unregistered the handler and
 * waited for everyone who was in it or in its trampoline. So a task that was once seen outside stays
 * outside, and tasks can be asked one after the other. Interrupts count as part of what they interrupt:
 * their frames are above those of the task on the same chain of stacks.
 */
#include <linux/cpu.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>
#include <asm/unwind.h>

#include "shim.h"

enum lp_verdict {
	LP_OUTSIDE,
	LP_INSIDE,
	LP_UNRELIABLE,	/* the stack cannot be unwound with certainty */
	LP_RAN,		/* the task ran meanwhile; ask again */
};

struct lp_question {
	unsigned long start;
	unsigned long end;
	struct task_struct *task;	/* NULL: whoever runs */
	enum lp_verdict verdict;
	int pid;
};

/*
 * The rules of arch_stack_walk_reliable(): every frame has to be known up to the user-mode registers or
 * the end of the stack, and no error may have occurred. Interrupted instruction pointers count like
 * return addresses: the unwinder reports them as the address of their frame.
 */
static enum lp_verdict lp_unwind(struct task_struct *task, const struct lp_question *q)
{
	struct unwind_state state;
	struct pt_regs *regs;
	unsigned long addr;

	for (unwind_start(&state, task, NULL, NULL); !unwind_done(&state) && !unwind_error(&state);
	     unwind_next_frame(&state)) {
		regs = unwind_get_entry_regs(&state, NULL);
		if (regs && user_mode(regs))
			return LP_OUTSIDE;
		addr = unwind_get_return_address(&state);
		if (!addr)
			return LP_UNRELIABLE;
		if (addr >= q->start && addr < q->end)
			return LP_INSIDE;
	}
	return unwind_error(&state) ? LP_UNRELIABLE : LP_OUTSIDE;
}

/* Runs on a CPU by IPI: the stack of the interrupted task is below this handler's frames. */
static void lp_ask_current(void *info)
{
	struct lp_question *q = info;

	if (q->task && q->task != current) {
		q->verdict = LP_RAN;
		return;
	}
	q->verdict = lp_unwind(current, q);
	q->pid = current->pid;
}

static unsigned long lp_switches(struct task_struct *task)
{
	return READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw);
}

/*
 * Asks a task that does not run. Nothing stops it from being picked while its stack is read, so the
 * answer counts only if it did not run meanwhile: on_cpu is set before a task runs and cleared after
 * __schedule() has counted the switch away from it. A run in between therefore shows as on_cpu or as a
 * changed count.
 */
static enum lp_verdict lp_ask_stopped(struct task_struct *task, const struct lp_question *q)
{
	unsigned long switches = lp_switches(task);
	enum lp_verdict verdict;

	/* Pairs with the release of on_cpu in finish_task(): the stack is as the task left it. */
	if (smp_load_acquire(&task->on_cpu))
		return LP_RAN;
	verdict = lp_unwind(task, q);
	/*
	 * The reads of the stack come before the second look. If one of them saw a store of a new run, then
	 * this look sees on_cpu set before that store, or, if it was cleared again, the count before that.
	 */
	smp_rmb();
	if (smp_load_acquire(&task->on_cpu) || /* as above */
	    lp_switches(task) != switches)
		return LP_RAN;
	return verdict;
}

static enum lp_verdict lp_ask(struct task_struct *task, struct lp_question *q)
{
	/* Bounds the time in the RCU section; a task that escapes this often is reported as a user. */
	int tries = 10000;

	q->task = task;
	q->pid = task->pid;
	if (task == current)
		return lp_unwind(task, q);
	do {
		if (!READ_ONCE(task->on_cpu)) {
			q->verdict = lp_ask_stopped(task, q);
		} else if (smp_call_function_single(task_cpu(task), lp_ask_current, q, 1)) {
			/* The CPU went offline; the task has left it or will. */
			q->verdict = LP_RAN;
		}
		if (q->verdict != LP_RAN)
			return q->verdict;
		cpu_relax();
	} while (--tries);
	return LP_UNRELIABLE;
}

int lp_text_user(unsigned long start, unsigned long end, int *pid)
{
	struct lp_question q = { .start = start, .end = end };
	struct task_struct *group, *task;
	int cpu;

	scoped_guard(rcu) {
		for_each_process_thread(group, task) {
			/* A dead task never runs again, and its stack may be gone. */
			if (READ_ONCE(task->__state) == TASK_DEAD)
				continue;
			if (lp_ask(task, &q) != LP_OUTSIDE) {
				*pid = q.pid;
				return 1;
			}
		}
	}

	/* Idle tasks are on no list. */
	scoped_guard(cpus_read_lock) {
		for_each_online_cpu(cpu) {
			q.task = NULL;
			q.verdict = LP_UNRELIABLE;
			if (smp_call_function_single(cpu, lp_ask_current, &q, 1) ||
			    q.verdict != LP_OUTSIDE) {
				*pid = q.pid;
				return 1;
			}
		}
	}

	/* Tasks that left the list while exiting: RCU tasks waits for them until they are gone. */
	synchronize_rcu_tasks();
	return 0;
}
