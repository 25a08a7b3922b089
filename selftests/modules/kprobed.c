// SPDX-License-Identifier: GPL-2.0
/*
 * A kprobe on a function, symbol=NAME, with a post_handler if post=1. One with a post_handler has ftrace change where the
 * function goes on, as a patch does. With at_return=1 a kretprobe. How often it was hit is in the parameter "hits".
 */
#include <linux/kprobes.h>
#include <linux/module.h>

static char *symbol;
module_param(symbol, charp, 0444);

static bool post;
module_param(post, bool, 0444);

static bool at_return;
module_param(at_return, bool, 0444);

static unsigned int hits;
module_param(hits, uint, 0444);

static int __kprobes before(struct kprobe *p, struct pt_regs *regs)
{
	WRITE_ONCE(hits, READ_ONCE(hits) + 1);
	return 0;
}

static void __kprobes after(struct kprobe *p, struct pt_regs *regs, unsigned long flags)
{
}

static int returned(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	WRITE_ONCE(hits, READ_ONCE(hits) + 1);
	return 0;
}
NOKPROBE_SYMBOL(returned);

static struct kprobe probe = { .pre_handler = before };
static struct kretprobe return_probe = { .handler = returned };

static int __init kprobed_init(void)
{
	if (at_return) {
		return_probe.kp.symbol_name = symbol;
		return register_kretprobe(&return_probe);
	}
	probe.symbol_name = symbol;
	if (post)
		probe.post_handler = after;
	return register_kprobe(&probe);
}

static void __exit kprobed_exit(void)
{
	if (at_return)
		unregister_kretprobe(&return_probe);
	else
		unregister_kprobe(&probe);
}

module_init(kprobed_init);
module_exit(kprobed_exit);
MODULE_DESCRIPTION("a kprobe");
MODULE_LICENSE("GPL");
