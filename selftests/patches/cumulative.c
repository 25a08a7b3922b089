// SPDX-License-Identifier: GPL-2.0
/* Takes the place of lifecycle.c: the same set, and it can deal with the states of that. */

#include <linux/init.h>
#include <linux/seq_file.h>

#include <lpatch/patch.h>

static int cumulative_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, saved_command_line);
	seq_puts(m, " cumulative=1\n");
	return 0;
}

LPATCH_FUNC(vmlinux, cmdline_proc_show, cumulative_cmdline_proc_show);

LPATCH_STATE(1, 1);
LPATCH_STATE(7, 3);

LPATCH_NAME("cumulative");
LPATCH_VERSION("1");
LPATCH_SET("selftests");
LPATCH_CUMULATIVE();
LPATCH_DESCRIPTION("replaces all patches of its set");
