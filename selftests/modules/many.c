// SPDX-License-Identifier: GPL-2.0
/*
 * A thousand functions, for patches that replace many. Reading /proc/many calls each of them once and tells how many answered in
 * which version, and how many with anything else; MANY_IOCTL calls one and returns its version.
 */
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "many.h"
#include "noipa.h"

#define VERSIONS 3

#define FUNCTION(n) int many_##n(void); NOIPA int many_##n(void) { return MANY_ANSWER(1, n); }
MANY_1000(FUNCTION)

#define ENTRY(n) many_##n,
static int (*const functions[MANY])(void) = { MANY_1000(ENTRY) };

/* Which version the function answers with, or 0. */
static unsigned int version_of(unsigned int i)
{
	unsigned int answer = functions[i](), version = answer / MANY;

	return answer % MANY == i && version <= VERSIONS ? version : 0;
}

static int many_show(struct seq_file *m, void *v)
{
	unsigned int count[VERSIONS + 1] = {}, i;

	for (i = 0; i < MANY; i++)
		count[version_of(i)]++;
	for (i = 1; i <= VERSIONS; i++)
		seq_printf(m, "%u %u\n", i, count[i]);
	seq_printf(m, "wrong %u\n", count[0]);
	return 0;
}

static int many_open(struct inode *inode, struct file *file)
{
	return single_open(file, many_show, NULL);
}

static long many_ioctl(struct file *file, unsigned int request, unsigned long unused)
{
	unsigned int i = request - MANY_IOCTL(0);

	return i < MANY ? version_of(i) : -ENOTTY;
}

static const struct proc_ops many_ops = {
	.proc_open = many_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
	.proc_ioctl = many_ioctl,
};

static int __init many_init(void)
{
	return proc_create("many", 0400, NULL, &many_ops) ? 0 : -ENOMEM;
}

static void __exit many_exit(void)
{
	remove_proc_entry("many", NULL);
}

module_init(many_init);
module_exit(many_exit);
MODULE_DESCRIPTION("many functions");
MODULE_LICENSE("GPL");
