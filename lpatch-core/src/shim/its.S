/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Indirect branches of patches go here on CPUs where such a branch must not be in the lower half of a cache line
 * (ITS). The kernel makes pages of these for each module; those of modules it has already loaded cannot grow.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>

	.macro lp_its_thunk reg:req
	ANNOTATE_NOENDBR
	UNWIND_HINT_FUNC
	ANNOTATE_RETPOLINE_SAFE
	jmp	*%\reg
	int3
	/* To the end of the line, and through the lower half of the next. */
	.balign 32, 0xcc
	.skip 32, 0xcc
	.endm

	.text
	.balign 64, 0xcc
	.skip 32, 0xcc
SYM_CODE_START_NOALIGN(lp_its_thunks)
#define GEN(reg) lp_its_thunk reg
#include <asm/GEN-for-each-reg.h>
#undef GEN
SYM_CODE_END(lp_its_thunks)
