// SPDX-License-Identifier: GPL-2.0
/* getppid() returns a number that is no pid. Many tasks call it: selftests/programs/hot.c. */

#include <linux/linkage.h>
#include <linux/ptrace.h>

#include <lpatch/patch.h>

#include "../programs/hot.h"

static long lpatch_getppid(const struct pt_regs *regs)
{
	return HOT_NEW_ANSWER;
}

LPATCH_FUNC(vmlinux, __x64_sys_getppid, lpatch_getppid);

LPATCH_NAME("hot");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("getppid() returns a number that is no pid");
