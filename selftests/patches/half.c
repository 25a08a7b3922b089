// SPDX-License-Identifier: GPL-2.0
/* Needs more than half of the arena for its data: there is room for one patch like this. */

#include <linux/seq_file.h>
#include <linux/sizes.h>

#include <lpatch/patch.h>

static char large[SZ_512K + SZ_4K];

static int lpatch_cmdline_proc_show(struct seq_file *m, void *v)
{
	large[m->count % sizeof(large)]++;
	seq_puts(m, "half: more than half of the arena\n");
	return 0;
}

LPATCH_FUNC(vmlinux, cmdline_proc_show, lpatch_cmdline_proc_show);

LPATCH_NAME("half");
