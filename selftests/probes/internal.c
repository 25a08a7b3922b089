// SPDX-License-Identifier: GPL-2.0
/* Calls a function of lpatch_core that is not exported, which the core refuses. */

#include <linux/seq_file.h>

#include <lpatch/patch.h>

extern void lp_sync_cores(void);
LPATCH_SYM(lpatch_core, lp_sync_cores, 0);

static int lpatch_execdomains_proc_show(struct seq_file *m, void *v)
{
	lp_sync_cores();
	return 0;
}

LPATCH_FUNC(vmlinux, execdomains_proc_show, lpatch_execdomains_proc_show);

LPATCH_NAME("internal");
