// SPDX-License-Identifier: GPL-2.0
/*
 * The replacements that the patch "cost-00" makes, as an upstream livepatch. `forge` makes more of the same with other numbers
 * in their names.
 */
#include <linux/livepatch.h>
#include <linux/module.h>

#include "cost.h"

static int new_cost_0(void) COST_0(2)
static int new_cost_1(int x) COST_1(2)
static int new_cost_6(int a, int b, int c, int d, int e, int f) COST_6(2)
static int new_cost_stay(const struct cost_order *order) COST_STAY(2)

static struct klp_func funcs[] = {
	{ .old_name = "cost_0", .new_func = new_cost_0 },
	{ .old_name = "cost_1", .new_func = new_cost_1 },
	{ .old_name = "cost_6", .new_func = new_cost_6 },
	{ .old_name = "cost_stay", .new_func = new_cost_stay },
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
MODULE_DESCRIPTION("a livepatch of cost");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
