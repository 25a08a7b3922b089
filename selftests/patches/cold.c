// SPDX-License-Identifier: GPL-2.0
/* Replaces a function whose unlikely code the compiler moved away: the image names that range too. */

#include <linux/seq_file.h>

#include <lpatch/patch.h>

static int cold_filesystems_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "nodev\tpatched\n");
	return 0;
}

LPATCH_FUNC(vmlinux, filesystems_proc_show, cold_filesystems_proc_show);

LPATCH_NAME("cold");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("/proc/filesystems says patched");
