// SPDX-License-Identifier: GPL-2.0
/* Replaces a function that no kernel has. */

#include <linux/types.h>

#include <lpatch/patch.h>

static int lpatch_missing(void)
{
	return 1;
}

LPATCH_FUNC(vmlinux, lpatch_no_such_function, lpatch_missing);

LPATCH_NAME("bad-missing");
