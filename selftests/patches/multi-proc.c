// SPDX-License-Identifier: GPL-2.0
/*
 * Four functions of four files of the kernel, in a patch of two files. This one has those of fs/.
 */

#include <linux/seq_file.h>

#include <lpatch/patch.h>

#include "multi.h"

unsigned int lpatch_multi_calls;

static int lpatch_version_proc_show(struct seq_file *m, void *v)
{
	seq_printf(m, "lpatch multi version %u\n", lpatch_multi_count());
	return 0;
}

static int lpatch_filesystems_proc_show(struct seq_file *m, void *v)
{
	seq_printf(m, "lpatch multi filesystems %u\n", lpatch_multi_count());
	return 0;
}

LPATCH_FUNC(vmlinux, version_proc_show, lpatch_version_proc_show);
LPATCH_FUNC(vmlinux, filesystems_proc_show, lpatch_filesystems_proc_show);

LPATCH_NAME("multi");
LPATCH_VERSION("2");
LPATCH_DESCRIPTION("four functions of four files");
LPATCH_FIXES("CVE-0000-0001");
LPATCH_FIXES("CVE-0000-0002");
LPATCH_SET("selftests");
