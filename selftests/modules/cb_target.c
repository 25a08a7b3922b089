// SPDX-License-Identifier: GPL-2.0
/* A module that callbacks of patches are about. None of its functions is replaced. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/module.h>

static int __init cb_target_init(void)
{
	pr_info("%s\n", __func__);
	return 0;
}

static void __exit cb_target_exit(void)
{
	pr_info("%s\n", __func__);
}

module_init(cb_target_init);
module_exit(cb_target_exit);
MODULE_DESCRIPTION("Comes and goes while it is patched");
MODULE_LICENSE("GPL");
