// SPDX-License-Identifier: GPL-2.0
/* A patch that is a kernel module: /proc/cmdline says who answers. */

#include <linux/seq_file.h>

#include <lpatch/module.h>

static int fix_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "lpatch module fix\n");
	return 0;
}

static const struct lpatch_module_func funcs[] = {
	{ .old_name = "cmdline_proc_show", .new_func = fix_cmdline_proc_show },
	{ }
};

static const struct lpatch_module fix = {
	.mod = THIS_MODULE,
	.funcs = funcs,
};

lpatch_module_init(fix);
MODULE_DESCRIPTION("replaces a function of the kernel");
MODULE_VERSION("1.0");
MODULE_LICENSE("GPL");
