// SPDX-License-Identifier: GPL-2.0
/* Writing N to /proc/cost calls a function so many times. Patches replace it by one with the same code: what is added is theirs. */
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/uaccess.h>

#include "cost.h"

#define CALLS_MAX 1000000

int cost_function(int x);
__attribute__((noipa)) int cost_function(int x) COST_BODY

static ssize_t cost_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	unsigned int calls;
	int x = 0, error = kstrtouint_from_user(from, len, 0, &calls);

	if (error)
		return error;
	if (calls > CALLS_MAX)
		return -EINVAL;
	while (calls--)
		x = cost_function(x);
	return len;
}

static const struct proc_ops cost_ops = { .proc_write = cost_write };

static int __init cost_init(void)
{
	return proc_create("cost", 0600, NULL, &cost_ops) ? 0 : -ENOMEM;
}

static void __exit cost_exit(void)
{
	remove_proc_entry("cost", NULL);
}

module_init(cost_init);
module_exit(cost_exit);
MODULE_DESCRIPTION("a function to be called often");
MODULE_LICENSE("GPL");
