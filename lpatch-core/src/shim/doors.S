/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Doors: where the fentry call of a patched function that is settled becomes one jump.
 *
 * The site jumps to its door. An open door jumps to the new function: that jump is written while the door is shut and nobody
 * can be in it. A shut one asks the core where the call goes, as the ftrace handler would. So a door is opened and shut by
 * one byte of data, and nothing that can be executing is ever written.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>
#include <asm/page_types.h>
#include <asm/unwind_hints.h>

#include "layout.h"

	.text
	/* Pages of their own: they are written through a second mapping. */
	.balign PAGE_SIZE, 0xcc
SYM_CODE_START_NOALIGN(lp_doors)
	.set lp_door, 0
	.rept LP_DOORS
	.balign LP_DOOR_SIZE, 0xcc
	ANNOTATE_NOENDBR
	UNWIND_HINT_FUNC
	cmpb	$0, lp_door_shut + lp_door(%rip)
	jne	1f
	/* jmp rel32: model/doors.rs knows where */
	.byte	0xe9
	.long	0
	/* The return address says which door it was. */
1:	call	lp_door_ask
	ud2
	.set lp_door, lp_door + 1
	.endr
	.balign PAGE_SIZE, 0xcc
SYM_CODE_END(lp_doors)
	/* A kprobe executes its own copy of the jump, which goes where the door did before. */
	_ASM_NOKPROBE(lp_doors)

#define SAVED	(8 * 8)

/*
 * At the entry of a patched function, with its arguments in registers. The return address becomes the one behind the
 * site's fentry call, which is what is on the stack when a call comes to the ftrace handler: whoever looks at the
 * stack finds the same.
 */
SYM_FUNC_START(lp_door_ask)
	ANNOTATE_NOENDBR
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10

	movq	SAVED(%rsp), %rdi
	leaq	lp_doors(%rip), %rax
	subq	%rax, %rdi
	shrq	$LP_DOOR_SHIFT, %rdi
	leaq	lp_door_sites(%rip), %rax
	movq	(%rax, %rdi, 8), %rdi
	leaq	LP_FENTRY_CALL(%rdi), %rax
	movq	%rax, SAVED(%rsp)
	call	lp_door_answer
	testq	%rax, %rax
	jz	1f
	movq	%rax, SAVED(%rsp)
1:
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rax
	RET
SYM_FUNC_END(lp_door_ask)
	_ASM_NOKPROBE(lp_door_ask)
