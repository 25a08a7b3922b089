// SPDX-License-Identifier: GPL-2.0
/* The same function again. It ends by a jump to schedule_timeout(), as others do in which kernel threads sleep for ever. */
#include <linux/sched.h>
#include <lpatch/patch.h>

static signed long new_schedule_timeout_killable(signed long timeout)
{
	__set_current_state(TASK_KILLABLE);
	return schedule_timeout(timeout);
}

LPATCH_FUNC(vmlinux, schedule_timeout_killable, new_schedule_timeout_killable);
LPATCH_NAME("killable");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("a function that jumps where many sleep");
