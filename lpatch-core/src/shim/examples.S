/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Instructions that the kernel finished for the CPU and the mitigations of this boot when it loaded this
 * module. The core reads them to learn what to do with the same instructions of a patch. Never called.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/nospec-branch.h>

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
