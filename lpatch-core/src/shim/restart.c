// SPDX-License-Identifier: GPL-2.0
/*
 * What an interruption that was ours does to the system call that it met.
 *
 * A call that is interrupted returns one of the kernel's own errnos (-ERESTARTSYS and its like), which the way to user mode makes a
 * new call of, or -EINTR, which programs see. Those of the second kind do not expect an end without a signal, and for some of them
 * nothing speaks against a new call: see lp_is_idempotent(). Task work runs on the way to user mode before that is decided.
 */
#include <linux/ptrace.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/thread_info.h>

#include <asm/unistd.h>

#include "shim.h"

/* Who never goes back to a call, or has no registers of one. */
#define LP_NO_CALL	(PF_KTHREAD | PF_USER_WORKER | PF_EXITING | PF_SIGNALED)

/*
 * Whether a call that returned -EINTR has done nothing, and means the same when it is made again. One with a timeout that counts from
 * the call would wait for the whole of it again; what is left of it is known to the program only, which is told, as upstream tells it.
 * (The registers are not ours to change: programs find them as they were.) Numbers of i386 and x32 calls are others.
 */
static bool lp_is_idempotent(const struct pt_regs *regs)
{
	switch (regs->orig_ax) {
	/* They wait for ever, and take nothing before they have all. */
	case __NR_semop:
		return true;
	case __NR_epoll_wait:
	case __NR_epoll_pwait:
		return (int)regs->r10 < 0;	/* timeout in ms */
	case __NR_epoll_pwait2:
	case __NR_semtimedop:
		return !regs->r10;		/* pointer to the timeout */
	case __NR_io_getevents:
		return !regs->r8;		/* likewise */
	case __NR_rt_sigtimedwait:
		return !regs->dx;		/* likewise */
	/* They only ask, and no program expects of them that a filesystem in user mode heard of an interruption. */
	case __NR_stat:
	case __NR_lstat:
	case __NR_fstat:
	case __NR_newfstatat:
	case __NR_statx:
	case __NR_statfs:
	case __NR_fstatfs:
	case __NR_access:
	case __NR_faccessat:
	case __NR_faccessat2:
	case __NR_readlink:
	case __NR_readlinkat:
		return true;
	}
	return false;
}

void lp_call_again(void)
{
	struct pt_regs *regs = current_pt_regs();

	/* With a signal, it is the signal's -EINTR. The kernel enters calls with -ENOSYS, so this one is over. */
	if ((current->flags & LP_NO_CALL) || task_sigpending(current) || in_ia32_syscall())
		return;
	if ((long)regs->ax != -EINTR || !lp_is_idempotent(regs))
		return;
	/* As if the call had returned it: a handler that runs for a signal that comes from now on makes -EINTR of it again. */
	regs->ax = -ERESTARTNOHAND;
	/* It must not get to user mode like that, so the decision has to come, even if we run behind it this time. */
	set_thread_flag(TIF_NOTIFY_SIGNAL);
}

void lp_leave_call(void)
{
	struct pt_regs *regs = current_pt_regs();

	if ((current->flags & LP_NO_CALL) || (long)regs->orig_ax < 0 || (long)regs->ax != -ENOSYS)
		return;
	/* As restart_syscall() does. Who finds no signal then clears it again, on the way to user mode. */
	set_thread_flag(TIF_SIGPENDING);
}
