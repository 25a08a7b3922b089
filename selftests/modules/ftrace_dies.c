// SPDX-License-Identifier: GPL-2.0
/* Has ftrace find something wrong in its list of users: it warns, and switches itself off until the next boot. */
#include <linux/ftrace.h>
#include <linux/jiffies.h>
#include <linux/module.h>

#define FUNCTION "nsecs_to_jiffies64"

static void notrace nothing(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
}

/* Two, so that ftrace goes through its list. */
static struct ftrace_ops broken = { .func = nothing }, other = { .func = nothing };

static int __init ftrace_dies_init(void)
{
	int err = ftrace_set_filter(&broken, (unsigned char *)FUNCTION, strlen(FUNCTION), 1);

	if (!err)
		err = ftrace_set_filter(&other, (unsigned char *)FUNCTION, strlen(FUNCTION), 1);
	if (!err)
		err = register_ftrace_function(&broken);
	if (!err)
		err = register_ftrace_function(&other);
	if (err)
		return err;
	broken.func = NULL;
	nsecs_to_jiffies64(1);
	broken.func = nothing;
	/* Nobody can take them back any more. */
	__module_get(THIS_MODULE);
	return 0;
}

module_init(ftrace_dies_init);
MODULE_DESCRIPTION("ftrace switches itself off");
MODULE_LICENSE("GPL");
