// SPDX-License-Identifier: GPL-2.0
/* For tests/ways.sh: from here the function goes on by way of one that a patch of lpatch replaces. */
#include <linux/livepatch.h>
#include <linux/module.h>

int ways_jumps_caller(int x);

static noinline int new_ways_plain(int x)
{
	return ways_jumps_caller(x - 1);
}
static struct klp_func funcs[] = {
	{ .old_name = "ways_plain", .new_func = new_ways_plain },
	{ }
};
static struct klp_object objs[] = {
	{ .name = "ways", .funcs = funcs },
	{ }
};
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs };
static int __init klp_ways_init(void) { return klp_enable_patch(&patch); }
static void __exit klp_ways_exit(void) { }
module_init(klp_ways_init);
module_exit(klp_ways_exit);
MODULE_DESCRIPTION("an upstream livepatch of a third function");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
