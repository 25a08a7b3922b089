// SPDX-License-Identifier: GPL-2.0
/* The first functions of many.c, so many as the parameter "count" says, in version 2, as an upstream livepatch. */
#include <linux/livepatch.h>
#include <linux/module.h>

#include "many.h"

#ifndef MANY_VERSION
#define MANY_VERSION 2
#endif
#ifndef MANY_LIST
#define MANY_COUNT MANY
#define MANY_LIST MANY_1000
#endif

static unsigned int count = MANY_COUNT;
module_param(count, uint, 0444);

#define FUNCTION(n) static int new_##n(void) { return MANY_ANSWER(MANY_VERSION, n); }
MANY_LIST(FUNCTION)

#define ENTRY(n) { .old_name = "many_" #n, .new_func = new_##n },
static struct klp_func funcs[MANY_COUNT + 1] = { MANY_LIST(ENTRY) };

static struct klp_object objs[] = {
	{ .name = "many", .funcs = funcs },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
	.replace = MANY_VERSION > 2,
};

static int __init klp_many_init(void)
{
	if (!count || count > MANY_COUNT)
		return -EINVAL;
	funcs[count] = (struct klp_func){ };
	return klp_enable_patch(&patch);
}

static void __exit klp_many_exit(void)
{
}

module_init(klp_many_init);
module_exit(klp_many_exit);
MODULE_DESCRIPTION("a livepatch of many");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
