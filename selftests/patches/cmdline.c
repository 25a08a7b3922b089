// SPDX-License-Identifier: GPL-2.0
/* /proc/cmdline ends in a marker. */

#include <linux/init.h>
#include <linux/seq_file.h>

#include <lpatch/patch.h>

static int lpatch_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, saved_command_line);
	seq_puts(m, " lpatch=1\n");
	return 0;
}

LPATCH_FUNC(vmlinux, cmdline_proc_show, lpatch_cmdline_proc_show);

LPATCH_NAME("cmdline");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("append a marker to /proc/cmdline");
