/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How those leave the module who were called into it by the kernel and hold a reference to it for that: their last instruction here is
 * the jump that gives it back. So the exit of the module need not wait until they are gone, which nobody could tell it
 * but a grace period of RCU tasks, and that does not end while a kernel thread never sleeps.
 */
#include <linux/cfi_types.h>
#include <linux/linkage.h>

	.text
	.macro lp_leave_to_module_put
	leaq	__this_module(%rip), %rdi
	jmp	module_put
	.endm

/* A task_work function, of the work in %rdi. Each work holds a reference. */
SYM_TYPED_FUNC_START(lp_work_run)
	call	lp_work_done
	lp_leave_to_module_put
SYM_FUNC_END(lp_work_run)

/* An rcu_callback_t, of the head in %rdi. Not all calls of it are the last one. */
SYM_TYPED_FUNC_START(lp_grace_over)
	call	lp_grace_ended
	testb	%al, %al
	jz	1f
	lp_leave_to_module_put
1:	RET
SYM_FUNC_END(lp_grace_over)
