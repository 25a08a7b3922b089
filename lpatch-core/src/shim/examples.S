/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Instructions that the kernel finished for the CPU and the mitigations of this boot when it loaded this
 * module. The core reads them to learn what to do with the same instructions of a patch. Never called.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/alternative.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>

	.text
	.macro lp_example name:req, site:req
SYM_FUNC_START(\name)
	ENDBR		/* nothing where the kernel has no IBT */
	ANNOTATE_NOENDBR
	.globl \site
\site:
	RET
SYM_FUNC_END(\name)
	.endm

	/* The ITS mitigation treats the halves of a cache line differently. */
	.balign 64
	lp_example lp_example_lower_function, lp_example_lower
	.balign 64
	.skip 32, 0xcc
	lp_example lp_example_upper_function, lp_example_upper

	/* A branch, and what it was: see struct lp_branch. */
	.macro lp_branch name:req, insn:req, reg:req, number:req, call:req
SYM_FUNC_START_LOCAL_NOALIGN(\name)
	ENDBR
	ANNOTATE_NOENDBR
.L\name:
	\insn \reg
	.if \call
	RET
	.endif
SYM_FUNC_END(\name)
	.pushsection .rodata
	.quad .L\name
	.long \number
	.word \call, 0
	.popsection
	.endm

	.pushsection .rodata
	.balign 8
	.globl lp_example_branches
lp_example_branches:
	.popsection

	/* So many bytes behind the start of a line. */
	.macro lp_branches half:req
	.balign 64, 0xcc
	.skip \half, 0xcc
	lp_branch lp_branch_call_rax_\half, CALL_NOSPEC, rax, 0, 1
	.balign 64, 0xcc
	.skip \half, 0xcc
	lp_branch lp_branch_call_r11_\half, CALL_NOSPEC, r11, 11, 1
	.balign 64, 0xcc
	.skip \half, 0xcc
	lp_branch lp_branch_jump_rdx_\half, JMP_NOSPEC, rdx, 2, 0
	.balign 64, 0xcc
	.skip \half, 0xcc
	lp_branch lp_branch_jump_r11_\half, JMP_NOSPEC, r11, 11, 0
	.endm

	lp_branches 64
	lp_branches 96

SYM_FUNC_START(lp_example_lock_function)
	ENDBR
	ANNOTATE_NOENDBR
	.globl lp_example_lock
lp_example_lock:
	LOCK_PREFIX
	incl	(%rax)
	RET
SYM_FUNC_END(lp_example_lock_function)

	/* What call depth tracking puts in front of functions; empty where the kernel is built without. */
	.pushsection .rodata
	.globl lp_example_count
lp_example_count:
	INCREMENT_CALL_DEPTH
	.globl lp_example_count_end
lp_example_count_end:
	.popsection
