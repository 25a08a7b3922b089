// SPDX-License-Identifier: GPL-2.0
/*
 * Attaches to the functions at these addresses, addrs=A,B,…, and lets go of them, over and over: ftrace writes their sites all
 * the time, and there is an int3 at each for a part of it. Nothing is done when they are called. How often it has let go
 * is in the parameter "turns".
 */
#include <linux/ftrace.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/rcupdate.h>

static unsigned long addrs[16];
static int count;
module_param_array(addrs, ulong, &count, 0400);

static unsigned int turns;
module_param(turns, uint, 0444);

static int error;
module_param(error, int, 0444);

static struct task_struct *poker;

static void notrace nothing(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
}

static struct ftrace_ops poked_ops = { .func = nothing };

/* Stays attached: a filter that is empty means every function. */
static noinline void own(void)
{
	barrier();
}

static int poke(void *data)
{
	while (!kthread_should_stop()) {
		if (!error)
			error = ftrace_set_filter_ips(&poked_ops, addrs, count, 0, 0);
		if (!error)
			error = ftrace_set_filter_ips(&poked_ops, addrs, count, 1, 0);
		if (error)
			schedule_timeout_interruptible(HZ / 10);
		else
			WRITE_ONCE(turns, turns + 1);
		/* Unloading waits for who does not sleep. */
		cond_resched_tasks_rcu_qs();
	}
	return 0;
}

static int __init poked_init(void)
{
	int err = ftrace_set_filter_ip(&poked_ops, (unsigned long)own, 0, 1);

	if (!err)
		err = register_ftrace_function(&poked_ops);
	if (err)
		return err;
	poker = kthread_run(poke, NULL, "poked");
	if (IS_ERR(poker)) {
		unregister_ftrace_function(&poked_ops);
		return PTR_ERR(poker);
	}
	return 0;
}

static void __exit poked_exit(void)
{
	kthread_stop(poker);
	unregister_ftrace_function(&poked_ops);
	ftrace_free_filter(&poked_ops);
}

module_init(poked_init);
module_exit(poked_exit);
MODULE_DESCRIPTION("sites that are written all the time");
MODULE_LICENSE("GPL");
