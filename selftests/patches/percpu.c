// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/execdomains names the process that reads it.
 *
 * "current" and the stack protector's guard are per-CPU variables of vmlinux. To the linker they are
 * plain symbols; only new per-CPU variables would need room that a patch does not have.
 */

#include <linux/kernel.h>
#include <linux/sched.h>
#include <linux/seq_file.h>

#include <lpatch/patch.h>

static int lpatch_execdomains_proc_show(struct seq_file *m, void *v)
{
	/* An array on the stack, so that the compiler guards it. */
	char line[64];

	scnprintf(line, sizeof(line), "lpatch read by %s %d", current->comm, current->pid);
	seq_printf(m, "%s\n", line);
	return 0;
}

LPATCH_FUNC(vmlinux, execdomains_proc_show, lpatch_execdomains_proc_show);

LPATCH_NAME("percpu");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("/proc/execdomains names the process that reads it");
