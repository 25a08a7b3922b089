/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The memory of patches. It lies in sections of this module, so that the kernel treats it as module
 * text, rodata and data: within reach of 32-bit relocations, known to __kernel_text_address(), with the
 * right page protection, and freed with the module.
 *
 * Unused text is int3: a stray jump into it traps at once.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/asm.h>
#include <asm/page_types.h>

#include "layout.h"

	/*
	 * Not named .text*: the module linker script would merge it into .text, and it has to follow all
	 * other text of the module (see Kbuild). PROGBITS, because objtool does not take executable
	 * sections without contents.
	 */
	.section .lpatch.text, "ax", @progbits
	.balign PAGE_SIZE
	.globl lp_arena_text
	ANNOTATE_NOENDBR
lp_arena_text:
	.fill LPATCH_TEXT_PAGES * PAGE_SIZE, 1, 0xcc
	.globl lp_arena_text_end
lp_arena_text_end:
	/*
	 * No kprobes, up to the end. One that is still there when its patch is gone would write the byte that it has saved into
	 * whatever patch comes to the same place.
	 */
	_ASM_NOKPROBE(lp_arena_text)

	.section .lpatch.rodata, "a", @progbits
	.balign PAGE_SIZE
	.globl lp_arena_rodata
lp_arena_rodata:
	.fill LPATCH_RODATA_PAGES * PAGE_SIZE, 1, 0
	.globl lp_arena_rodata_end
lp_arena_rodata_end:

	.section .lpatch.bss, "aw", @nobits
	.balign PAGE_SIZE
	.globl lp_arena_data
lp_arena_data:
	.skip LPATCH_DATA_PAGES * PAGE_SIZE
	.globl lp_arena_data_end
lp_arena_data_end:

	/* Entries hold 32-bit offsets from themselves, so the tables have to be near the text too. */
#define LP_TABLE(name, entries, size)	\
	.balign 16;			\
	.globl name;			\
name:					\
	.skip (entries) * (size)

	LP_TABLE(lp_table_orc_ip, LP_CORE_ORCS + LPATCH_TEXT_PAGES * LP_ORC_PER_PAGE, 4)
	LP_TABLE(lp_table_orc, LP_CORE_ORCS + LPATCH_TEXT_PAGES * LP_ORC_PER_PAGE, LP_ORC_SIZE)
	LP_TABLE(lp_table_ex, LP_CORE_EXS + LPATCH_TEXT_PAGES * LP_EX_PER_PAGE, LP_EX_SIZE)
	LP_TABLE(lp_table_bug, LP_CORE_BUGS + LP_BUG_SLOTS, LP_BUG_SIZE)
