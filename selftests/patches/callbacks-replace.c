// SPDX-License-Identifier: GPL-2.0
/* A cumulative one, with callbacks for the kernel only. */
#include <linux/seq_file.h>

#define CALLBACKS "callbacks-replace"
#include "callbacks.h"

static int third_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "third\n");
	return 0;
}

LPATCH_FUNC(vmlinux, cmdline_proc_show, third_cmdline_proc_show);
ALL_CALLBACKS(vmlinux);
LPATCH_CUMULATIVE();

LPATCH_NAME("callbacks-replace");
