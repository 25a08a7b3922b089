// SPDX-License-Identifier: GPL-2.0
/* getpid() of selftests/programs/hammer.c returns a number that is no pid; all others get theirs. */

#include <linux/linkage.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/string.h>

#include <lpatch/patch.h>

#include "../programs/hammer.h"

static long lpatch_getpid(const struct pt_regs *regs)
{
	return strcmp(current->comm, HAMMER_NAME) ? task_tgid_vnr(current) : HAMMER_ANSWER;
}

LPATCH_FUNC(vmlinux, __x64_sys_getpid, lpatch_getpid);

LPATCH_NAME("getpid");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("getpid() of one program returns a number that is no pid");
