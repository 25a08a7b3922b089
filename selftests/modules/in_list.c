// SPDX-License-Identifier: GPL-2.0
/*
 * A CPU that stays in ftrace's list of users. From when lpatch_core begins to give the first door back, the next call of one of the
 * functions symbols=NAME,… that ftrace finds this user of stays with it until "go" is set, or for fifteen seconds. "stays" is 1 meanwhile, and
 * 2 behind it; "doors" is how many it has begun to give back.
 */
#include <linux/ftrace.h>
#include <linux/jiffies.h>
#include <linux/kprobes.h>
#include <linux/module.h>

static char *symbols[2];
static int count;
module_param_array(symbols, charp, &count, 0444);

static int stays, go;
module_param(stays, int, 0444);
module_param(go, int, 0644);

/* Calls of lp_door_detach(). */
static int doors;
module_param(doors, int, 0444);

static void notrace in_list(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	unsigned long end;

	if (!READ_ONCE(doors) || cmpxchg(&stays, 0, 1))
		return;
	end = READ_ONCE(jiffies) + 15 * HZ;
	while (!READ_ONCE(go) && time_before(READ_ONCE(jiffies), end))
		cpu_relax();
	WRITE_ONCE(stays, 2);
}

static struct ftrace_ops ops = { .func = in_list };

static int __kprobes given_back(struct kprobe *p, struct pt_regs *regs)
{
	WRITE_ONCE(doors, READ_ONCE(doors) + 1);
	return 0;
}

static struct kprobe probe = { .symbol_name = "lp_door_detach", .pre_handler = given_back };

static int __init in_list_init(void)
{
	int i, err = 0;

	for (i = 0; i < count && !err; i++)
		err = ftrace_set_filter(&ops, (unsigned char *)symbols[i], strlen(symbols[i]), !i);
	if (!err)
		err = register_ftrace_function(&ops);
	if (err)
		return err;
	err = register_kprobe(&probe);
	if (err)
		unregister_ftrace_function(&ops);
	return err;
}

static void __exit in_list_exit(void)
{
	WRITE_ONCE(go, 1);
	unregister_kprobe(&probe);
	unregister_ftrace_function(&ops);
}

module_init(in_list_init);
module_exit(in_list_exit);
MODULE_DESCRIPTION("a CPU in ftrace's list");
MODULE_LICENSE("GPL");
