// SPDX-License-Identifier: GPL-2.0
/* A second patch, with callbacks for the kernel only. */
#include <linux/seq_file.h>

#define CALLBACKS "callbacks-2"
#include "callbacks.h"

static int second_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "second\n");
	return 0;
}

LPATCH_FUNC(vmlinux, cmdline_proc_show, second_cmdline_proc_show);
ALL_CALLBACKS(vmlinux);

LPATCH_NAME("callbacks-2");
