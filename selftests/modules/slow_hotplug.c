// SPDX-License-Identifier: GPL-2.0
/* A CPU that goes offline stays half-way for as long as "hold" is set; "held" is 1 then. */
#include <linux/cpuhotplug.h>
#include <linux/delay.h>
#include <linux/module.h>

static int hold = 1, held, state;
module_param(hold, int, 0644);
module_param(held, int, 0444);

static int goes(unsigned int cpu)
{
	while (READ_ONCE(hold)) {
		WRITE_ONCE(held, 1);
		msleep(10);
	}
	return 0;
}

static int __init slow_hotplug_init(void)
{
	state = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "selftest:slow", NULL, goes);
	return state < 0 ? state : 0;
}

static void __exit slow_hotplug_exit(void)
{
	cpuhp_remove_state_nocalls(state);
}

module_init(slow_hotplug_init);
module_exit(slow_hotplug_exit);
MODULE_DESCRIPTION("a CPU that takes its time to go");
MODULE_LICENSE("GPL");
