// SPDX-License-Identifier: GPL-2.0
/* Says in the log when it is called before and after; its function is /proc/version's. */

#include <linux/printk.h>
#include <linux/seq_file.h>

#include <lpatch/patch.h>

static int before_patch(const struct lpatch_object *obj)
{
	printk(KERN_INFO "lpatch-callback: pre-patch %s\n", obj->name);
	return 0;
}

static void after_patch(const struct lpatch_object *obj)
{
	printk(KERN_INFO "lpatch-callback: post-patch %s\n", obj->name);
}

static void before_unpatch(const struct lpatch_object *obj)
{
	printk(KERN_INFO "lpatch-callback: pre-unpatch %s\n", obj->name);
}

static void after_unpatch(const struct lpatch_object *obj)
{
	printk(KERN_INFO "lpatch-callback: post-unpatch %s\n", obj->name);
}

static int lpatch_version_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "lpatch callback\n");
	return 0;
}

LPATCH_FUNC(vmlinux, version_proc_show, lpatch_version_proc_show);

LPATCH_PRE_PATCH(vmlinux, before_patch);
LPATCH_POST_PATCH(vmlinux, after_patch);
LPATCH_PRE_UNPATCH(vmlinux, before_unpatch);
LPATCH_POST_UNPATCH(vmlinux, after_unpatch);

LPATCH_NAME("callback");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("callbacks of the kernel");
