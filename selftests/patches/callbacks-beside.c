// SPDX-License-Identifier: GPL-2.0
/* All callbacks for the kernel, in a set of its own: a cumulative patch of others leaves it in force. */
#include <linux/seq_file.h>

#define CALLBACKS "callbacks-beside"
#include "callbacks.h"

static int beside_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "beside\n");
	return 0;
}

LPATCH_FUNC(vmlinux, cmdline_proc_show, beside_cmdline_proc_show);
ALL_CALLBACKS(vmlinux);

LPATCH_NAME("callbacks-beside");
LPATCH_SET("beside");
