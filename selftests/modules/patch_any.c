// SPDX-License-Identifier: GPL-2.0
/*
 * A patch module that its parameters describe. It can replace functions of files in /proc that show a line, which say its name then,
 * with "status" that of binfmt_misc, and with "work" that of cb_busy. "func" may be wrong on purpose.
 *
 * Its callbacks, for the objects in "callbacks", say in the log that they were called; "refuse" is the object whose pre-patch
 * callback refuses. The data of its first state is the number of patches that handed it on.
 *
 * One of them does more: "does" is "KIND ACTION", as in "pre-patch sleep", and may be written at any time. Actions are
 *	who	say which task it is
 *	sleep	until "wake" is written
 *	load	have the module cb_target loaded, as a file system or a cipher does
 *	oops	use a pointer to nowhere
 * Only for the kernel, unless "of" names another object.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/kmod.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/workqueue.h>

#include <lpatch/module.h>
#include <lpatch/shadow.h>
#include <lpatch/state.h>

#define OBJECTS	3
#define STATES	3
#define CALLS	0x5a1d		/* the id of a shadow variable */

static char *name, *set, *version, *object, *func = "cmdline_proc_show", *with = "show";
static char *callbacks[OBJECTS], *refuse = "";
static unsigned int callback_count, id_count, version_count;
static unsigned long sympos, ids[STATES];
static unsigned int versions[STATES], timeout_ms, interrupt_ms;
static bool cumulative, no_promote, refuse_modules, twice, wake, wrong_callback;
static char does[32], of[32] = "vmlinux";

module_param(name, charp, 0400);
module_param(set, charp, 0400);
module_param(version, charp, 0400);
module_param(object, charp, 0400);
module_param(func, charp, 0400);
module_param(with, charp, 0400);
module_param_array(callbacks, charp, &callback_count, 0400);
module_param(refuse, charp, 0400);
module_param(wrong_callback, bool, 0400);
module_param_array(ids, ulong, &id_count, 0400);
module_param_array(versions, uint, &version_count, 0400);
module_param(sympos, ulong, 0400);
module_param(cumulative, bool, 0400);
module_param(no_promote, bool, 0400);
module_param(refuse_modules, bool, 0400);
module_param(timeout_ms, uint, 0400);
module_param(interrupt_ms, uint, 0400);
module_param(twice, bool, 0400);
module_param(wake, bool, 0600);
module_param_string(does, does, sizeof(does), 0600);
module_param_string(of, of, sizeof(of), 0600);

static int any_proc_show(struct seq_file *m, void *v)
{
	seq_printf(m, "lpatch module %s\n", name ? name : THIS_MODULE->name);
	return 0;
}

static int any_sleep_show(struct seq_file *m, void *v)
{
	while (!READ_ONCE(wake))
		msleep(20);
	return any_proc_show(m, v);
}

static ssize_t any_status_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	static const char text[] = "patched\n";

	return simple_read_from_buffer(buf, len, pos, text, sizeof(text) - 1);
}

/* How often it was called. */
static int any_shadow_show(struct seq_file *m, void *v)
{
	unsigned int *calls = lpatch_shadow_get_or_alloc(THIS_MODULE, CALLS, sizeof(*calls), GFP_KERNEL, NULL, NULL);

	seq_printf(m, "%u\n", calls ? ++*calls : 0);
	return 0;
}

static void any_work(struct work_struct *work)
{
	pr_info("work\n");
}

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

static noinline void act(const char *action)
{
	static int *volatile nowhere;

	if (!strcmp(action, "who")) {
		pr_info("pid %d uid %u policy %u nice %d, %s\n", task_tgid_nr(current), from_kuid(&init_user_ns, current_uid()),
			current->policy, task_nice(current), current->comm);
	} else if (!strcmp(action, "sleep")) {
		while (!READ_ONCE(wake))
			msleep(20);
		WRITE_ONCE(wake, false);
		pr_info("woken\n");
	} else if (!strcmp(action, "load")) {
		pr_info("cb_target: %d\n", request_module("cb_target"));
	} else if (!strcmp(action, "oops")) {
		*nowhere = 0;
	}
}

static void say(const char *what, const struct lpatch_object *obj)
{
	size_t len = strlen(what);
	/* A parameter that is written from a shell ends with a newline. */
	const char *action = !strncmp(does, what, len) && does[len] == ' ' ? strim(does + len + 1) : "";

	pr_info("%s %s%s\n", what, obj->name, state_of(obj));
	if (!strcmp(obj->name, strim(of)))
		act(action);
}

/* The first state, and what the patch before has left in it. */
static void say_state(void)
{
	struct lpatch_state_data *own = lpatch_state(ids[0]);
	const struct lpatch_state_data *prev = lpatch_prev_state(ids[0]);

	if (!own) {
		pr_err("state %lu is not there\n", ids[0]);
		return;
	}
	own->data = prev ? prev->data + 1 : NULL;
	if (prev)
		pr_info("state %llu: version %u after %u, data %lu\n", own->id, own->version, prev->version,
			(unsigned long)own->data);
	else
		pr_info("state %llu: version %u\n", own->id, own->version);
}

static int pre_patch(const struct lpatch_object *obj)
{
	say("pre-patch", obj);
	if (id_count && !obj->mod)
		say_state();
	return strcmp(obj->name, refuse) ? 0 : -ENODEV;
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
	lpatch_shadow_free_all(CALLS, NULL);
}

static int __init init_pre_patch(const struct lpatch_object *obj)
{
	return 0;
}

static int __init any_init_show(struct seq_file *m, void *v)
{
	return 0;
}

static void *replacement(void)
{
	if (!strcmp(with, "status"))
		return any_status_read;
	if (!strcmp(with, "work"))
		return any_work;
	if (!strcmp(with, "shadow"))
		return any_shadow_show;
	if (!strcmp(with, "sleep"))
		return any_sleep_show;
	if (!strcmp(with, "init"))
		return any_init_show;
	if (!strcmp(with, "middle"))
		return (char *)any_proc_show + 1;
	return strcmp(with, "none") ? any_proc_show : NULL;
}

static int __init patch_any_init(void)
{
	struct lpatch_module_func funcs[] = {
		{ .objname = object, .old_name = func, .sympos = sympos, .new_func = replacement() },
		{ .objname = object, .old_name = twice ? func : NULL, .new_func = any_proc_show },
		{ }
	};
	struct lpatch_module_callbacks all[OBJECTS + 1] = {};
	struct lpatch_module_state states[STATES + 1] = {};
	struct lpatch_module patch = {
		.mod = THIS_MODULE,
		.funcs = funcs,
		.callbacks = callback_count ? all : NULL,
		.states = id_count ? states : NULL,
		.name = name,
		.version = version,
		.set = set,
		.cumulative = cumulative,
		.no_promote = no_promote,
		.refuse_modules = refuse_modules,
		.timeout_ms = timeout_ms,
		.interrupt_ms = interrupt_ms,
	};

	unsigned int i;

	for (i = 0; i < callback_count; i++) {
		all[i].objname = strcmp(callbacks[i], "vmlinux") ? callbacks[i] : NULL;
		all[i].pre_patch = wrong_callback ? init_pre_patch : pre_patch;
		all[i].post_patch = post_patch;
		all[i].pre_unpatch = pre_unpatch;
		all[i].post_unpatch = post_unpatch;
	}
	for (i = 0; i < id_count; i++) {
		states[i].id = ids[i];
		states[i].version = versions[i];
	}
	return lpatch_register(&patch);
}

static void __exit patch_any_exit(void)
{
}

module_init(patch_any_init);
module_exit(patch_any_exit);
MODULE_DESCRIPTION("a patch as its parameters say");
MODULE_LICENSE("GPL");
