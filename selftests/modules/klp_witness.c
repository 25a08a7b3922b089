// SPDX-License-Identifier: GPL-2.0
/* The replacement that the patches "witness-2" and "witness-3" make, as an upstream livepatch. Version 3 is cumulative. */
#include <linux/livepatch.h>
#include <linux/module.h>

#ifndef WITNESS_VERSION
#define WITNESS_VERSION 2
#endif
#include "witness_version.h"

static struct klp_func funcs[] = {
	{ .old_name = "witness_outer", .new_func = new_witness_outer },
	{ .old_name = "witness_inner", .new_func = new_witness_inner },
	{ .old_name = "witness_jumps", .new_func = new_witness_jumps },
	{ .old_name = "witness_jumps_far", .new_func = new_witness_jumps_far },
	{ .old_name = "witness_jumps_caller", .new_func = new_witness_jumps_caller },
	{ .old_name = "witness_landed", .new_func = new_witness_landed },
	{ }
};

static struct klp_object objs[] = {
	{ .name = "witness", .funcs = funcs },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
	.replace = WITNESS_VERSION == 3,
};

static int __init klp_witness_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit klp_witness_exit(void)
{
}

module_init(klp_witness_init);
module_exit(klp_witness_exit);
MODULE_DESCRIPTION("a livepatch of the witness");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
