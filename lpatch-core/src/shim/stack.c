// SPDX-License-Identifier: GPL-2.0
/* Walking the stack of a task. */
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/uaccess.h>
#include <linux/sched/task.h>
#include <linux/workqueue.h>
#include <asm/unwind.h>

#include "shim.h"

/*
 * The rules of arch_stack_walk_reliable(): every frame has to be known up to the user-mode registers or
 * the end of the stack, and no error may have occurred. Interrupted instruction pointers count like
 * return addresses: the unwinder reports them as the address of their frame.
 *
 * The ftrace handler calls this, so it is not traced itself. What it calls is traced, and may be patched; who comes to the handler from
 * there is answered without another walk.
 */
static notrace int lp_frames(void *task, lp_frame_fn frame, void *arg)
{
	struct unwind_state state;
	struct pt_regs *regs;
	unsigned long addr;

	for (unwind_start(&state, task, NULL, NULL); !unwind_done(&state) && !unwind_error(&state);
	     unwind_next_frame(&state)) {
		regs = unwind_get_entry_regs(&state, NULL);
		if (regs && user_mode(regs))
			return 1;
		addr = unwind_get_return_address(&state);
		if (!addr)
			return 0;
		frame(arg, addr);
	}
	return !unwind_error(&state);
}

notrace int lp_walk(void *task, lp_frame_fn frame, void *arg)
{
	unsigned long flags;
	int before, whole;

	flags = lp_look_begin(&before);
	whole = lp_frames(task, frame, arg);
	lp_look_end(flags, before);
	return whole;
}

/* An instruction in front of an address may be in the page in front, which need not be there. */
notrace int lp_peek(unsigned long addr, unsigned char *to, unsigned int len)
{
	return !copy_from_kernel_nofault(to, (void *)addr, len);
}

static unsigned long lp_switches(struct task_struct *task)
{
	return READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw);
}

/*
 * Nothing stops the task from being picked while its stack is read, so the answer counts only if it did not run
 * meanwhile: on_cpu is set before a task runs and cleared after __schedule() has counted the switch away from it. A
 * run in between therefore shows as on_cpu or as a changed count.
 *
 * It may run, but it cannot die meanwhile. A task becomes dead in set_special_state(), under its pi_lock, and the kernel gives up the
 * stack of a dead task only. RCU alone would not do: a stack goes to a cache of the CPU without a grace period, and from there
 * fork() in a memory cgroup that is full, or a CPU that goes offline, gives it to vfree() at once.
 */
int lp_walk_stopped(void *arg_task, lp_frame_fn frame, void *arg)
{
	struct task_struct *task = arg_task;
	unsigned long switches;
	int whole;

	guard(raw_spinlock_irqsave)(&task->pi_lock);
	if (READ_ONCE(task->__state) == TASK_DEAD)
		return LP_WALK_RAN;
	switches = lp_switches(task);
	/* Pairs with the release of on_cpu in finish_task(): the stack is as the task left it. */
	if (smp_load_acquire(&task->on_cpu))
		return LP_WALK_RAN;
	whole = lp_walk(task, frame, arg);
	/*
	 * The reads of the stack come before the second look. If one of them saw a store of a new run, then
	 * this look sees on_cpu set before that store, or, if it was cleared again, the count before that.
	 *
	 * This needs stores that become visible in their order, which x86 guarantees. prepare_task() has no barrier behind the store
	 * of on_cpu, and neither has switch_to() between that and the first store of the task to its own stack.
	 */
	smp_rmb();
	if (smp_load_acquire(&task->on_cpu) || /* as above */
	    lp_switches(task) != switches)
		return LP_WALK_RAN;
	return whole;
}

/*
 * What is on the stack of an idle task that does not run. It is the same for all of them: an idle task
 * is not preempted, and gives its CPU away in one place only, at the end of do_idle(). Nobody exports where the
 * other CPUs' idle tasks are, and the one of CPU 0 is init_task.
 */
#define LP_IDLE_FRAMES 16

static unsigned long lp_idle_stack[LP_IDLE_FRAMES];
static unsigned int lp_idle_frames;
static bool lp_idle_known;

static void lp_idle_frame(void *arg, unsigned long addr)
{
	if (lp_idle_frames < LP_IDLE_FRAMES)
		lp_idle_stack[lp_idle_frames] = addr;
	lp_idle_frames++;
}

/* Runs in a kworker on CPU 0, so the idle task of CPU 0 does not run. */
static long lp_idle_look(void *unused)
{
	/* It cannot be picked while its stack is read: only this CPU could pick it. */
	guard(preempt)();
	lp_idle_frames = 0;
	lp_idle_known = lp_walk(&init_task, lp_idle_frame, NULL) && lp_idle_frames <= LP_IDLE_FRAMES;
	return 0;
}

int lp_idle_learn(void)
{
	work_on_cpu(0, lp_idle_look, NULL);
	return lp_idle_known ? 0 : -EOPNOTSUPP;
}

notrace int lp_walk_idle(lp_frame_fn frame, void *arg)
{
	unsigned int i;

	if (!lp_idle_known)
		return 0;
	for (i = 0; i < lp_idle_frames; i++)
		frame(arg, lp_idle_stack[i]);
	return 1;
}
