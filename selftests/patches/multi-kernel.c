// SPDX-License-Identifier: GPL-2.0
/* The other half of multi: the functions of kernel/. */

#include <linux/kobject.h>
#include <linux/seq_file.h>
#include <linux/sysfs.h>

#include <lpatch/patch.h>

#include "multi.h"

/* Not static: the other file calls it. */
unsigned int lpatch_multi_count(void)
{
	return ++lpatch_multi_calls;
}

static int lpatch_execdomains_proc_show(struct seq_file *m, void *v)
{
	seq_printf(m, "lpatch multi execdomains %u\n", lpatch_multi_count());
	return 0;
}

static ssize_t lpatch_fscaps_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "lpatch multi fscaps %u\n", lpatch_multi_count());
}

LPATCH_FUNC(vmlinux, execdomains_proc_show, lpatch_execdomains_proc_show);
LPATCH_FUNC(vmlinux, fscaps_show, lpatch_fscaps_show);
