// SPDX-License-Identifier: GPL-2.0
/*
 * What lpatch_core itself calls when it looks at a stack, and what a task calls that is dying: each counts its calls, and goes on in the
 * body of the function that it replaces, behind the fentry site.
 */

#include <linux/kconfig.h>
#include <linux/linkage.h>
#include <linux/types.h>

#include <lpatch/patch.h>

unsigned long unwinder_calls = 1;

/* They are global, and have a landing pad in front of the site where the kernel is built for that. */
#ifdef CONFIG_X86_KERNEL_IBT
#define BODY "9"
#else
#define BODY "5"
#endif

#define PASS_ON(function)						\
	void pass_##function(void);					\
	asm(".pushsection .text\n"					\
	    ".balign 16\n"						\
	    ".globl pass_" #function "\n"				\
	    ".type pass_" #function ", @function\n"			\
	    "pass_" #function ":\n"					\
	    "endbr64\n"							\
	    "lock incq unwinder_calls(%rip)\n"				\
	    "jmp " #function " + " BODY "\n"				\
	    ".size pass_" #function ", . - pass_" #function "\n"	\
	    ".popsection");						\
	LPATCH_FUNC(vmlinux, function, pass_##function)

PASS_ON(__unwind_start);
PASS_ON(unwind_next_frame);
PASS_ON(unwind_get_return_address);
PASS_ON(__kernel_text_address);
PASS_ON(copy_from_kernel_nofault);
PASS_ON(proc_exit_connector);
PASS_ON(exit_rcu);

LPATCH_NAME("unwinder");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("what looks at stacks, and what dying tasks call");
