// SPDX-License-Identifier: GPL-2.0
/*
 * Has a static key and static calls of its own, which /proc/keys_target shows, and changes when a word is written to it:
 * on, off, first, second, zero.
 */

#include <linux/jump_label.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/static_call.h>
#include <linux/string.h>

static DEFINE_STATIC_KEY_FALSE(keys_target_key);

static long keys_target_first(long value)
{
	return value + 1;
}

static long keys_target_second(long value)
{
	return value + 2;
}

DEFINE_STATIC_CALL(keys_target_call, keys_target_first);

static int keys_target_show(struct seq_file *m, void *v)
{
	seq_printf(m, "old key %d call %ld\n", static_branch_unlikely(&keys_target_key) ? 1 : 0,
		   static_call(keys_target_call)(10));
	return 0;
}

static int keys_target_open(struct inode *inode, struct file *file)
{
	return single_open(file, keys_target_show, NULL);
}

static ssize_t keys_target_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	char word[16] = "";

	if (len >= sizeof(word))
		return -EINVAL;
	if (copy_from_user(word, from, len))
		return -EFAULT;
	if (sysfs_streq(word, "on"))
		static_branch_enable(&keys_target_key);
	else if (sysfs_streq(word, "off"))
		static_branch_disable(&keys_target_key);
	else if (sysfs_streq(word, "first"))
		static_call_update(keys_target_call, keys_target_first);
	else if (sysfs_streq(word, "second"))
		static_call_update(keys_target_call, keys_target_second);
	else if (sysfs_streq(word, "zero"))
		static_call_update(keys_target_call, (long (*)(long))__static_call_return0);
	else
		return -EINVAL;
	return len;
}

static const struct proc_ops keys_target_ops = {
	.proc_open = keys_target_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
	.proc_write = keys_target_write,
};

static int __init keys_target_init(void)
{
	return proc_create("keys_target", 0600, NULL, &keys_target_ops) ? 0 : -ENOMEM;
}

static void __exit keys_target_exit(void)
{
	remove_proc_entry("keys_target", NULL);
}

module_init(keys_target_init);
module_exit(keys_target_exit);
MODULE_DESCRIPTION("A static key and a static call of a module");
MODULE_LICENSE("GPL");
