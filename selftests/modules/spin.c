// SPDX-License-Identifier: GPL-2.0
/* A kernel thread that never sleeps as long as the module is there: no grace period of RCU tasks ends. */
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>

static struct task_struct *thread;

static int spin(void *unused)
{
	while (!kthread_should_stop())
		cpu_relax();
	return 0;
}

static int __init spin_init(void)
{
	thread = kthread_run(spin, NULL, "spin");
	return PTR_ERR_OR_ZERO(thread);
}

static void __exit spin_exit(void)
{
	kthread_stop(thread);
}

module_init(spin_init);
module_exit(spin_exit);
MODULE_DESCRIPTION("a thread that never sleeps");
MODULE_LICENSE("GPL");
