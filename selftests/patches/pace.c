// SPDX-License-Identifier: GPL-2.0
/* Replaces what selftests/programs/pace.c calls by functions that do the same. */
#include "../modules/pace.h"

#include <lpatch/patch.h>

LPATCH_FUNC(vmlinux, __x64_sys_getpid, pace_getpid);
LPATCH_FUNC(vmlinux, finish_wait, pace_finish_wait);

LPATCH_NAME("pace");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("nothing changes but the way that calls go");
