// SPDX-License-Identifier: GPL-2.0
/* The replacement that the patch "cost" makes, as an upstream livepatch. */
#include <linux/livepatch.h>
#include <linux/module.h>

#include "cost.h"

static int new_cost_1(int x) COST_1(2)

static struct klp_func funcs[] = {
	{ .old_name = "cost_1", .new_func = new_cost_1 },
	{ }
};

static struct klp_object objs[] = {
	{ .name = "cost", .funcs = funcs },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init klp_cost_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit klp_cost_exit(void)
{
}

module_init(klp_cost_init);
module_exit(klp_cost_exit);
MODULE_DESCRIPTION("a livepatch of one function of cost");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
