// SPDX-License-Identifier: GPL-2.0
/* Has a section that goes into memory and that nobody knows. */

#include <linux/seq_file.h>

#include <lpatch/patch.h>

static int answer __section(".lpatch_unknown") __used = 42;

static int lpatch_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_printf(m, "%d\n", READ_ONCE(answer));
	return 0;
}

LPATCH_FUNC(vmlinux, cmdline_proc_show, lpatch_cmdline_proc_show);

LPATCH_NAME("bad-section");
