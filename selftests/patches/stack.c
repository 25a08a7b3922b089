// SPDX-License-Identifier: GPL-2.0
/*
 * Reading /proc/execdomains prints the stack. There is a second function of the patch between, and
 * each does something after its call, so both are on the stack with frames of their own.
 */

#include <linux/printk.h>
#include <linux/seq_file.h>

#include <lpatch/patch.h>

static noinline int lpatch_stack_inner(struct seq_file *m, void *v)
{
	dump_stack();
	seq_printf(m, "lpatch stack dumped, position %lld\n", m->index);
	return !v;
}

static int lpatch_execdomains_proc_show(struct seq_file *m, void *v)
{
	int error = lpatch_stack_inner(m, v);

	seq_puts(m, "lpatch stack done\n");
	return error;
}

LPATCH_FUNC(vmlinux, execdomains_proc_show, lpatch_execdomains_proc_show);

LPATCH_NAME("stack");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("reading /proc/execdomains prints the stack");
