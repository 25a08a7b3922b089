// SPDX-License-Identifier: GPL-2.0
/*
 * Replaces the function that the idle task of each CPU is in for good, so that none of them can ever move. Nobody enters
 * the new one, unless a CPU comes online meanwhile.
 */

#include <linux/cpuhotplug.h>
#include <linux/processor.h>

#include <lpatch/patch.h>

static void idle_cpu_startup_entry(enum cpuhp_state state)
{
	for (;;)
		cpu_relax();
}

LPATCH_FUNC(vmlinux, cpu_startup_entry, idle_cpu_startup_entry);

LPATCH_NAME("idle");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("cannot be enabled: idle tasks never leave the function");
