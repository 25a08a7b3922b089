// SPDX-License-Identifier: GPL-2.0
/* Needs more memory than the arena has: 16 MiB of zeros, and a page. */

#include <linux/seq_file.h>
#include <linux/sizes.h>

#include <lpatch/patch.h>

static char huge[SZ_16M + SZ_4K];

static int lpatch_cmdline_proc_show(struct seq_file *m, void *v)
{
	huge[m->count % sizeof(huge)]++;
	seq_printf(m, "%d\n", READ_ONCE(huge[0]));
	return 0;
}

LPATCH_FUNC(vmlinux, cmdline_proc_show, lpatch_cmdline_proc_show);

LPATCH_NAME("bad-big");
