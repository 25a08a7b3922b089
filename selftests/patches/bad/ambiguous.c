// SPDX-License-Identifier: GPL-2.0
/* Replaces a function whose name several files of vmlinux use, without saying which. */

#include <linux/device.h>
#include <linux/sysfs.h>

#include <lpatch/patch.h>

static ssize_t lpatch_state_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "lpatch\n");
}

LPATCH_FUNC(vmlinux, state_show, lpatch_state_show);

LPATCH_NAME("bad-ambiguous");
