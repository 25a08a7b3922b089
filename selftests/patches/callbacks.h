/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Callbacks that say in the log that they were called. CALLBACKS is what they say first; REFUSES the object whose
 * pre-patch callback refuses.
 */
#include <linux/errno.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/string.h>

#include <lpatch/patch.h>

#ifndef REFUSES
#define REFUSES ""
#endif

static const char *state_of(const struct lpatch_object *obj)
{
	if (!obj->mod)
		return "";
	switch (obj->mod->state) {
	case MODULE_STATE_LIVE:
		return " (live)";
	case MODULE_STATE_COMING:
		return " (coming)";
	case MODULE_STATE_GOING:
		return " (going)";
	default:
		return " (unknown)";
	}
}

static void say(const char *what, const struct lpatch_object *obj)
{
	printk(KERN_INFO CALLBACKS ": %s %s%s\n", what, obj->name, state_of(obj));
}

static int pre_patch(const struct lpatch_object *obj)
{
	say("pre-patch", obj);
	return strcmp(obj->name, REFUSES) ? 0 : -ENODEV;
}

static void post_patch(const struct lpatch_object *obj)
{
	say("post-patch", obj);
}

static void pre_unpatch(const struct lpatch_object *obj)
{
	say("pre-unpatch", obj);
}

static void post_unpatch(const struct lpatch_object *obj)
{
	say("post-unpatch", obj);
}

#define ALL_CALLBACKS(object)				\
	LPATCH_PRE_PATCH(object, pre_patch);		\
	LPATCH_POST_PATCH(object, post_patch);		\
	LPATCH_PRE_UNPATCH(object, pre_unpatch);	\
	LPATCH_POST_UNPATCH(object, post_unpatch)
