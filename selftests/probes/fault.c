// SPDX-License-Identifier: GPL-2.0
/*
 * Reading /proc/execdomains faults in the patch, where the exception table has a fixup, and warns in the
 * patch, where the bug table has an entry, if the file is open for writing.
 */

#include <linux/bug.h>
#include <linux/fs.h>
#include <linux/seq_file.h>
#include <asm/asm.h>

#include <lpatch/patch.h>

/* Reads an address that is not mapped. */
static noinline int lpatch_read_hole(void)
{
	unsigned long value = 0;
	int fixed = 1;

	asm volatile("1:	movq	(%2), %0\n"
		     "	movl	$0, %1\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : "+r"(value), "+r"(fixed)
		     : "r"(0xfffffffffffff000UL)
		     : "memory");
	return fixed;
}

static int lpatch_execdomains_proc_show(struct seq_file *m, void *v)
{
	int fixed = lpatch_read_hole();

	if (m->file && m->file->f_mode & FMODE_WRITE)
		WARN(1, "lpatch was asked to warn\n");
	seq_printf(m, "lpatch fault %s\n", fixed ? "fixed" : "missed");
	return 0;
}

LPATCH_FUNC(vmlinux, execdomains_proc_show, lpatch_execdomains_proc_show);

LPATCH_NAME("fault");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("reading /proc/execdomains faults and warns in patched code");
