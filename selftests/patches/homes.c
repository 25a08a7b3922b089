// SPDX-License-Identifier: GPL-2.0
/* A function of the kernel and one of a module: the file "status" of a mounted binfmt_misc says "patched". */
#include <linux/fs.h>
#include <linux/seq_file.h>

#include <lpatch/patch.h>

static int lpatch_version_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "lpatch homes\n");
	return 0;
}

static ssize_t lpatch_bm_status_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	static const char text[] = "patched\n";

	return simple_read_from_buffer(buf, len, pos, text, sizeof(text) - 1);
}

LPATCH_FUNC(vmlinux, version_proc_show, lpatch_version_proc_show);
LPATCH_FUNC(binfmt_misc, bm_status_read, lpatch_bm_status_read);

LPATCH_NAME("homes");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("functions of the kernel and of a module");
