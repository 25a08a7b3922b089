// SPDX-License-Identifier: GPL-2.0
/* Replaces a function that ftrace may not touch, because ftrace itself needs it. */

#include <linux/types.h>

#include <lpatch/patch.h>

static u64 lpatch_sched_clock(void)
{
	return 1;
}

LPATCH_FUNC(vmlinux, native_sched_clock, lpatch_sched_clock);

LPATCH_NAME("bad-notrace");
