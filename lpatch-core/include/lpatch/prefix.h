/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Included by the compiler before every source of a patch object, right after the kernel's
 * configuration. Not for authors to include.
 *
 * A static branch of a patch must be a five-byte instruction, whatever the distance of its target:
 * the linker redirects it, and there is no room for that in a two-byte jump. The kernel gets short
 * ones in two ways, and both end here.
 */
#ifndef _LPATCH_PREFIX_H
#define _LPATCH_PREFIX_H

/* For headers that modules include too. */
#define LPATCH_PATCH_OBJECT

/* Clang in the tree of a kernel that gcc built; what depends on it is as a clang tree has it. */
#if defined(__clang__) && defined(CONFIG_CC_IS_GCC)
#undef CONFIG_CC_IS_GCC
#define CONFIG_CC_IS_CLANG 1
#undef CONFIG_CC_HAS_NAMED_AS
#undef CONFIG_USE_X86_SEG_SUPPORT
/* asm/percpu_types.h was read before this. */
#undef __percpu_seg_override
#define __percpu_seg_override
#undef __percpu_qual
#define __percpu_qual
#endif

/* The first: the assembler chooses the size of a jmp, objtool turns it into a nop of that size. */
#undef CONFIG_HAVE_JUMP_LABEL_HACK

#include <linux/jump_label.h>

#ifdef CONFIG_JUMP_LABEL
/* The second: a branch that starts as a jump leaves its size to the assembler. Spell it out. */
static __always_inline bool lpatch_static_branch_jump(struct static_key * const key,
						      const bool branch)
{
	asm goto("1: .byte 0xe9\n\t"
		 ".long %l[l_yes] - 2f\n\t"
		 "2:\n\t"
		 JUMP_TABLE_ENTRY("%c0 + %c1", "%l[l_yes]")
		 : : "i" (key), "i" (branch) : : l_yes);

	return false;
l_yes:
	return true;
}

#define arch_static_branch_jump lpatch_static_branch_jump
#endif /* CONFIG_JUMP_LABEL */

#endif /* _LPATCH_PREFIX_H */
