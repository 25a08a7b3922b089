// SPDX-License-Identifier: GPL-2.0
/* Callbacks for the kernel and for two modules, of one of which a function is replaced. */
#include <linux/workqueue.h>

#ifndef CALLBACKS
#define CALLBACKS "callbacks"
#endif
#include "callbacks.h"

static void patched_cb_busy_work(struct work_struct *work)
{
	printk(KERN_INFO CALLBACKS ": work\n");
}

LPATCH_FUNC(cb_busy, cb_busy_work, patched_cb_busy_work);
ALL_CALLBACKS(vmlinux);
ALL_CALLBACKS(cb_target);
ALL_CALLBACKS(cb_busy);

LPATCH_NAME(CALLBACKS);
