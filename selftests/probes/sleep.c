// SPDX-License-Identifier: GPL-2.0
/* Reading /proc/execdomains takes three seconds, or until a signal, asleep in the replacement. */

#include <linux/delay.h>
#include <linux/seq_file.h>

#include <lpatch/patch.h>

static int lpatch_execdomains_proc_show(struct seq_file *m, void *v)
{
	unsigned long left = msleep_interruptible(3000);

	seq_printf(m, "lpatch slept, %s\n", left ? "interrupted" : "to the end");
	return 0;
}

LPATCH_FUNC(vmlinux, execdomains_proc_show, lpatch_execdomains_proc_show);

LPATCH_NAME("sleep");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("reading /proc/execdomains sleeps in patched code");
