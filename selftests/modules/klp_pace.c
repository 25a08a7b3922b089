// SPDX-License-Identifier: GPL-2.0
/* The replacements that the patch "pace" makes, as an upstream livepatch. */
#include <linux/livepatch.h>
#include <linux/module.h>

#include "pace.h"

static struct klp_func funcs[] = {
	{ .old_name = "__x64_sys_getpid", .new_func = pace_getpid },
	{ .old_name = "finish_wait", .new_func = pace_finish_wait },
	{ }
};

static struct klp_object objs[] = {
	{ .funcs = funcs },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init klp_pace_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit klp_pace_exit(void)
{
}

module_init(klp_pace_init);
module_exit(klp_pace_exit);
MODULE_DESCRIPTION("a livepatch of what programs/pace.c calls");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
