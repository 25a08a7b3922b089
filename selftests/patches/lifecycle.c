// SPDX-License-Identifier: GPL-2.0
/*
 * Callbacks of each kind, for the kernel and for a module of which nothing is replaced, and states.
 *
 * Each callback says in the log that it was called. The marker in /proc/cmdline counts them.
 */

#include <linux/init.h>
#include <linux/printk.h>
#include <linux/seq_file.h>

#include <lpatch/patch.h>

static int calls;

static void say(const char *what, const struct lpatch_object *obj)
{
	calls++;
	printk(KERN_INFO "lifecycle: %s %s%s\n", what, obj->name, obj->mod ? " (module)" : "");
}

static int before_patch(const struct lpatch_object *obj)
{
	say("pre-patch", obj);
	return 0;
}

static void after_patch(const struct lpatch_object *obj)
{
	say("post-patch", obj);
}

static void before_unpatch(const struct lpatch_object *obj)
{
	say("pre-unpatch", obj);
}

static void after_unpatch(const struct lpatch_object *obj)
{
	say("post-unpatch", obj);
}

static int lifecycle_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, saved_command_line);
	seq_printf(m, " calls=%d\n", calls);
	return 0;
}

LPATCH_FUNC(vmlinux, cmdline_proc_show, lifecycle_cmdline_proc_show);

LPATCH_PRE_PATCH(vmlinux, before_patch);
LPATCH_POST_PATCH(vmlinux, after_patch);
LPATCH_PRE_UNPATCH(vmlinux, before_unpatch);
LPATCH_POST_UNPATCH(vmlinux, after_unpatch);
LPATCH_PRE_PATCH(binfmt_misc, before_patch);
LPATCH_POST_UNPATCH(binfmt_misc, after_unpatch);

LPATCH_STATE(7, 2);
LPATCH_STATE(1, 1);

LPATCH_NAME("lifecycle");
LPATCH_VERSION("1");
LPATCH_SET("selftests");
LPATCH_DESCRIPTION("callbacks say when they are called");
