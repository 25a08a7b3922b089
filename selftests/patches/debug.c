// SPDX-License-Identifier: GPL-2.0
/* Reading /proc/execdomains logs a debug message. */
#define DEBUG

#include <linux/printk.h>
#include <linux/seq_file.h>

#include <lpatch/patch.h>

static int lpatch_execdomains_proc_show(struct seq_file *m, void *v)
{
	pr_debug("lpatch debugs %d\n", 42);
	seq_puts(m, "lpatch debug\n");
	return 0;
}

LPATCH_FUNC(vmlinux, execdomains_proc_show, lpatch_execdomains_proc_show);

LPATCH_NAME("debug");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("reading /proc/execdomains logs a debug message");
