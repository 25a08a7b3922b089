// SPDX-License-Identifier: GPL-2.0
/*
 * Two objects of the kernel that live as long as it does count how often a file about them was read, in a
 * shadow variable. Other files free them.
 *
 *	/proc/version		counts for init_uts_ns
 *	/proc/filesystems	counts for init_task
 *	/proc/execdomains	frees the count of init_uts_ns
 *	/sys/kernel/fscaps	frees all counts
 */

#include <linux/kobject.h>
#include <linux/printk.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/sysfs.h>
#include <linux/utsname.h>

#include <lpatch/patch.h>
#include <lpatch/shadow.h>

#define READS	0x5eed

static const char *name(void *obj)
{
	return obj == &init_task ? "init_task" : "init_uts_ns";
}

static int begin(void *obj, void *data, void *ctor_data)
{
	unsigned int *count = data;

	*count = *(unsigned int *)ctor_data;
	pr_info("lpatch-shadow: attached to %s\n", name(obj));
	return 0;
}

static void end(void *obj, void *data)
{
	unsigned int *count = data;

	pr_info("lpatch-shadow: freed from %s at %u\n", name(obj), *count);
}

static int count(struct seq_file *m, void *obj)
{
	unsigned int start = 100;
	unsigned int *count = lpatch_shadow_get_or_alloc(obj, READS, sizeof(*count), GFP_KERNEL,
							 begin, &start);

	/* Nobody reads at the same time. */
	if (count)
		seq_printf(m, "lpatch shadow %s %u\n", name(obj), ++*count);
	return count ? 0 : -ENOMEM;
}

static int lpatch_version_proc_show(struct seq_file *m, void *v)
{
	return count(m, &init_uts_ns);
}

static int lpatch_filesystems_proc_show(struct seq_file *m, void *v)
{
	return count(m, &init_task);
}

static int lpatch_execdomains_proc_show(struct seq_file *m, void *v)
{
	lpatch_shadow_free(&init_uts_ns, READS, end);
	seq_printf(m, "lpatch shadow %s\n",
		   lpatch_shadow_get(&init_uts_ns, READS) ? "still there" : "freed");
	return 0;
}

static ssize_t lpatch_fscaps_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	lpatch_shadow_free_all(READS, end);
	return sysfs_emit(buf, "lpatch shadow all freed\n");
}

LPATCH_FUNC(vmlinux, version_proc_show, lpatch_version_proc_show);
LPATCH_FUNC(vmlinux, filesystems_proc_show, lpatch_filesystems_proc_show);
LPATCH_FUNC(vmlinux, execdomains_proc_show, lpatch_execdomains_proc_show);
LPATCH_FUNC(vmlinux, fscaps_show, lpatch_fscaps_show);

LPATCH_NAME("shadow");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("shadow variables of two objects, seen in /proc/version and /proc/filesystems");
