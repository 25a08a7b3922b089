// SPDX-License-Identifier: GPL-2.0
/*
 * Functions in which system calls sleep: those of programs/sleepers.c, and stat(). Each is replaced by one that goes on in the old one, behind its
 * fentry call, so that nothing changes for who calls it.
 *
 * That in which a shell waits is not among them: it waits for the transition.
 *
 * Whether that call is at the beginning or behind a landing pad, which may be sealed, the first four bytes tell. ftrace writes to the
 * call only, and never makes these of it.
 */
#include <linux/stringify.h>

#include <lpatch/patch.h>

#define LANDING_PAD	0xfa1e0ff3	/* endbr64 */
#define SEALED		0xd6401f0f	/* the kernel's poison */

#define PASS(fn)						\
	void pass_##fn(void);					\
	asm(".pushsection .text\n"				\
	    ".balign 16\n"					\
	    ".globl pass_" #fn "\n"				\
	    ".type pass_" #fn ", @function\n"			\
	    "pass_" #fn ":\n"					\
	    "	endbr64\n"					\
	    "	cmpl $" __stringify(LANDING_PAD) ", " #fn "(%rip)\n" \
	    "	je 1f\n"					\
	    "	cmpl $" __stringify(SEALED) ", " #fn "(%rip)\n"	\
	    "	je 1f\n"					\
	    "	jmp " #fn " + 5\n"				\
	    "1:	jmp " #fn " + 9\n"				\
	    ".size pass_" #fn ", . - pass_" #fn "\n"		\
	    ".popsection");					\
	LPATCH_FUNC(vmlinux, fn, pass_##fn)

PASS(do_epoll_wait);
PASS(hrtimer_nanosleep);
PASS(core_sys_select);
PASS(do_sys_poll);
PASS(inet_csk_accept);
PASS(tcp_recvmsg);
PASS(unix_stream_read_generic);
PASS(__skb_recv_udp);
PASS(anon_pipe_read);
PASS(anon_pipe_write);
PASS(do_futex);
PASS(__x64_sys_pause);
PASS(__x64_sys_rt_sigtimedwait);
PASS(__x64_sys_rt_sigsuspend);
PASS(__do_semtimedop);
PASS(do_msgrcv);
PASS(do_msgsnd);
PASS(do_mq_timedreceive);
PASS(inotify_read);
PASS(eventfd_read);
PASS(timerfd_read_iter);
PASS(signalfd_read_iter);
PASS(fcntl_setlk);
PASS(locks_lock_inode_wait);
PASS(read_events);
PASS(io_cqring_wait);
PASS(n_tty_read);
PASS(fifo_open);
PASS(vfs_statx);

LPATCH_NAME("sleepers");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("functions in which system calls sleep");
