// SPDX-License-Identifier: GPL-2.0
/* Has a relocation that no address of a 64-bit kernel can satisfy: an unsigned field of 32 bits. */

#include <linux/seq_file.h>

#include <lpatch/patch.h>

extern const u32 lpatch_narrow;

asm(".pushsection .data\n"
    "	.balign	4\n"
    "	.globl	lpatch_narrow\n"
    "lpatch_narrow:\n"
    "	.long	jiffies\n"
    ".popsection\n");

static int lpatch_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_printf(m, "%x\n", lpatch_narrow);
	return 0;
}

LPATCH_FUNC(vmlinux, cmdline_proc_show, lpatch_cmdline_proc_show);

LPATCH_NAME("bad-range");
