// SPDX-License-Identifier: GPL-2.0
/*
 * A module with a function that patches replace. With block=1 a worker stays in it, asleep and not to be woken, until
 * 1 is written to the parameter "release".
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/workqueue.h>

static bool block;
module_param(block, bool, 0444);

static DECLARE_COMPLETION(entered);
static DECLARE_COMPLETION(released);

/* Not static: the callers in this file must not have a copy of it. */
noinline void cb_busy_work(struct work_struct *work);
noinline void cb_busy_work(struct work_struct *work)
{
	pr_info("%s enter\n", __func__);
	complete(&entered);
	if (block)
		wait_for_completion(&released);
	pr_info("%s exit\n", __func__);
}

static DECLARE_WORK(work, cb_busy_work);

static int release(const char *value, const struct kernel_param *param)
{
	complete_all(&released);
	flush_work(&work);
	return 0;
}

static const struct kernel_param_ops release_ops = { .set = release };
module_param_cb(release, &release_ops, NULL, 0200);

static int __init cb_busy_init(void)
{
	pr_info("%s\n", __func__);
	schedule_work(&work);
	wait_for_completion(&entered);
	if (!block)
		flush_work(&work);
	return 0;
}

static void __exit cb_busy_exit(void)
{
	complete_all(&released);
	flush_work(&work);
	pr_info("%s\n", __func__);
}

module_init(cb_busy_init);
module_exit(cb_busy_exit);
MODULE_DESCRIPTION("Can keep a task in a function that is replaced");
MODULE_LICENSE("GPL");
