// SPDX-License-Identifier: GPL-2.0
/* /proc/meminfo is one line. meminfo-all.c is the same as a cumulative patch. */

#include <linux/seq_file.h>

#include <lpatch/patch.h>

static int lpatch_meminfo_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "lpatch: this has been live patched\n");
	return 0;
}

LPATCH_FUNC(vmlinux, meminfo_proc_show, lpatch_meminfo_proc_show);

#ifdef CUMULATIVE
LPATCH_NAME("meminfo-all");
LPATCH_CUMULATIVE();
#else
LPATCH_NAME("meminfo");
#endif
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("/proc/meminfo is one line");
