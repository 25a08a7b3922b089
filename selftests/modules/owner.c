// SPDX-License-Identifier: GPL-2.0
/* Somebody who may change where the calls of the function symbol=NAME go, as upstream livepatch does. */
#include <linux/ftrace.h>
#include <linux/module.h>

static char *symbol;
module_param(symbol, charp, 0444);

static void notrace nothing(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
}

static struct ftrace_ops ops = { .func = nothing, .flags = FTRACE_OPS_FL_IPMODIFY };

static int __init owner_init(void)
{
	int err = ftrace_set_filter(&ops, (unsigned char *)symbol, strlen(symbol), 1);

	return err ?: register_ftrace_function(&ops);
}

static void __exit owner_exit(void)
{
	unregister_ftrace_function(&ops);
}

module_init(owner_init);
module_exit(owner_exit);
MODULE_DESCRIPTION("another owner of a function");
MODULE_LICENSE("GPL");
