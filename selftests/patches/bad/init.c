// SPDX-License-Identifier: GPL-2.0
/* Replaces a function that the kernel freed after boot. */

#include <linux/types.h>

#include <lpatch/patch.h>

static void lpatch_start_kernel(void)
{
}

LPATCH_FUNC(vmlinux, start_kernel, lpatch_start_kernel);

LPATCH_NAME("bad-init");
