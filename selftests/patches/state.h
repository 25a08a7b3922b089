/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A change of the system's state: the console shows all messages of the kernel. What it showed before is kept for
 * the way back. PATCH is the name, VERSION the version of the change; from 2 on a patch takes the change over from
 * the patch that it replaces.
 */
#include <linux/errno.h>
#include <linux/printk.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include <lpatch/patch.h>
#include <lpatch/state.h>

#define CONSOLE_LEVEL	1

#define say(text)	printk(KERN_INFO PATCH ": " text "\n")

static const struct lpatch_state_data *predecessor(void)
{
	return VERSION > 1 ? lpatch_prev_state(CONSOLE_LEVEL) : NULL;
}

static int pre_patch(const struct lpatch_object *obj)
{
	struct lpatch_state_data *state = lpatch_state(CONSOLE_LEVEL);

	if (!state)
		return -EINVAL;
	if (predecessor()) {
		say("pre-patch: the old level is kept already");
		return 0;
	}
	say("pre-patch: memory for the old level");
	state->data = kzalloc(sizeof(int), GFP_KERNEL);
	return state->data ? 0 : -ENOMEM;
}

static void post_patch(const struct lpatch_object *obj)
{
	struct lpatch_state_data *state = lpatch_state(CONSOLE_LEVEL);
	const struct lpatch_state_data *before = predecessor();

	if (before) {
		say("post-patch: the level is raised already");
		state->data = before->data;
		return;
	}
	say("post-patch: raising the level");
	*(int *)state->data = console_loglevel;
	console_loglevel = CONSOLE_LOGLEVEL_MOTORMOUTH;
}

static void pre_unpatch(const struct lpatch_object *obj)
{
	struct lpatch_state_data *state = lpatch_state(CONSOLE_LEVEL);

	if (predecessor()) {
		say("pre-unpatch: the level stays for another patch");
		return;
	}
	say("pre-unpatch: restoring the level");
	console_loglevel = *(int *)state->data;
}

static void post_unpatch(const struct lpatch_object *obj)
{
	struct lpatch_state_data *state = lpatch_state(CONSOLE_LEVEL);

	if (predecessor()) {
		say("post-unpatch: the memory stays for another patch");
		return;
	}
	say("post-unpatch: freeing the memory");
	kfree(state->data);
	state->data = NULL;
}

/* A patch has to replace something. */
static int state_version_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, PATCH "\n");
	return 0;
}

LPATCH_FUNC(vmlinux, version_proc_show, state_version_proc_show);
LPATCH_PRE_PATCH(vmlinux, pre_patch);
LPATCH_POST_PATCH(vmlinux, post_patch);
LPATCH_PRE_UNPATCH(vmlinux, pre_unpatch);
LPATCH_POST_UNPATCH(vmlinux, post_unpatch);
LPATCH_STATE(CONSOLE_LEVEL, VERSION);
LPATCH_CUMULATIVE();

LPATCH_NAME(PATCH);
