// SPDX-License-Identifier: GPL-2.0
/* What patches and their modules call, and what calls them: registering, callbacks, and what callbacks ask. */
#include <linux/export.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched/task.h>
#include <linux/spinlock.h>
#include <linux/stddef.h>
#include <linux/types.h>

#include <lpatch/callback.h>
#include <lpatch/module.h>
#include <lpatch/state.h>

#include "shim.h"

static_assert(sizeof(struct lpatch_state_data) == sizeof(struct lp_state));
static_assert(offsetof(struct lpatch_state_data, data) == offsetof(struct lp_state, data));

/*
 * The callbacks that are running, each in a task of its own. An entry is added and removed by its task; one whose task has died in the
 * callback stays. The reference to the task keeps another one from being taken for it.
 */
static struct lp_active *lp_active;
static DEFINE_SPINLOCK(lp_active_lock);

static struct lp_active *lp_of_current(void)
{
	struct lp_active *r;

	lockdep_assert_held(&lp_active_lock);
	for (r = lp_active; r; r = r->next) {
		if (r->task == current)
			return r;
	}
	return NULL;
}

void lp_active_enter(struct lp_active *r, const struct lp_states *states)
{
	guard(spinlock_irqsave)(&lp_active_lock);
	r->states = *states;
	r->task = get_task_struct(current);
	r->next = lp_active;
	lp_active = r;
}

void lp_active_leave(struct lp_active *r)
{
	struct task_struct *task;
	struct lp_active **p;

	scoped_guard(spinlock_irqsave, &lp_active_lock) {
		task = r->task;
		for (p = &lp_active; *p; p = &(*p)->next) {
			if (*p == r) {
				*p = r->next;
				break;
			}
		}
		r->task = NULL;
	}
	if (task)
		put_task_struct(task);
}

int lp_active_pid(const struct lp_active *r, int *dead)
{
	const struct task_struct *task;

	guard(spinlock_irqsave)(&lp_active_lock);
	task = r->task;
	*dead = 0;
	if (!task)
		return 0;
	/* A callback is called by a task that is not exiting, so if it is now it has died there and never comes back. */
	*dead = !!(READ_ONCE(task->flags) & PF_EXITING);
	return task->pid;
}

int lp_any_active(void)
{
	return READ_ONCE(lp_active) != NULL;
}

int lp_current_is_active(void)
{
	guard(spinlock_irqsave)(&lp_active_lock);
	return lp_of_current() != NULL;
}

static struct lpatch_state_data *lp_find(struct lp_state *states, unsigned long count, u64 id)
{
	while (count--) {
		if (states[count].id == id)
			return (struct lpatch_state_data *)&states[count];
	}
	return NULL;
}

/* What is in the list, and what it points to, stays as it is until the callback returns. */
struct lpatch_state_data *lpatch_state(u64 id)
{
	const struct lp_active *r;

	guard(spinlock_irqsave)(&lp_active_lock);
	r = lp_of_current();
	return r ? lp_find(r->states.own, r->states.own_count, id) : NULL;
}
EXPORT_SYMBOL_GPL(lpatch_state);

const struct lpatch_state_data *lpatch_prev_state(u64 id)
{
	const struct lp_active *r;

	guard(spinlock_irqsave)(&lp_active_lock);
	r = lp_of_current();
	return r ? lp_find(r->states.others, r->states.other_count, id) : NULL;
}
EXPORT_SYMBOL_GPL(lpatch_prev_state);

int lp_callback(unsigned long fn, int may_refuse, const char *object, void *module)
{
	struct lpatch_object obj = { .name = object, .mod = module };

	/* An indirect call: the target has an endbr64 that nothing seals (the image was verified). */
	if (may_refuse)
		return ((int (*)(const struct lpatch_object *))fn)(&obj);
	((void (*)(const struct lpatch_object *))fn)(&obj);
	return 0;
}

static int lp_behind(void *unused)
{
	lpatch_behind();
	/* The patch may be unloaded from here on, and its reference to us with it. */
	module_put_and_kthread_exit(0);
}

int lp_behind_start(void)
{
	struct task_struct *task;

	__module_get(THIS_MODULE);
	task = kthread_run(lp_behind, NULL, "lpatch/callback");
	if (IS_ERR(task)) {
		module_put(THIS_MODULE);
		return PTR_ERR(task);
	}
	return 0;
}

/* One description of the boundary is for bindgen, the other for authors. */
#define LP_SAME(ours, theirs, field)							\
	static_assert(offsetof(struct ours, field) == offsetof(struct theirs, field));	\
	static_assert(sizeof_field(struct ours, field) == sizeof_field(struct theirs, field))

static_assert(sizeof(struct lp_patch_func) == sizeof(struct lpatch_module_func));
LP_SAME(lp_patch_func, lpatch_module_func, objname);
LP_SAME(lp_patch_func, lpatch_module_func, old_name);
LP_SAME(lp_patch_func, lpatch_module_func, sympos);
LP_SAME(lp_patch_func, lpatch_module_func, new_func);

static_assert(sizeof(struct lp_patch_callbacks) == sizeof(struct lpatch_module_callbacks));
LP_SAME(lp_patch_callbacks, lpatch_module_callbacks, objname);
static_assert(offsetof(struct lp_patch_callbacks, kinds[0]) == offsetof(struct lpatch_module_callbacks, pre_patch));
static_assert(offsetof(struct lp_patch_callbacks, kinds[1]) == offsetof(struct lpatch_module_callbacks, post_patch));
static_assert(offsetof(struct lp_patch_callbacks, kinds[2]) == offsetof(struct lpatch_module_callbacks, pre_unpatch));
static_assert(offsetof(struct lp_patch_callbacks, kinds[3]) == offsetof(struct lpatch_module_callbacks, post_unpatch));

static_assert(sizeof(struct lp_patch_state) == sizeof(struct lpatch_module_state));
LP_SAME(lp_patch_state, lpatch_module_state, id);
LP_SAME(lp_patch_state, lpatch_module_state, version);

static_assert(sizeof(struct lp_patch_module) == sizeof(struct lpatch_module));
LP_SAME(lp_patch_module, lpatch_module, mod);
LP_SAME(lp_patch_module, lpatch_module, funcs);
LP_SAME(lp_patch_module, lpatch_module, callbacks);
LP_SAME(lp_patch_module, lpatch_module, states);
LP_SAME(lp_patch_module, lpatch_module, name);
LP_SAME(lp_patch_module, lpatch_module, version);
LP_SAME(lp_patch_module, lpatch_module, set);
LP_SAME(lp_patch_module, lpatch_module, cumulative);
LP_SAME(lp_patch_module, lpatch_module, no_promote);
LP_SAME(lp_patch_module, lpatch_module, refuse_modules);
LP_SAME(lp_patch_module, lpatch_module, timeout_ms);
LP_SAME(lp_patch_module, lpatch_module, interrupt_ms);

int lpatch_register(const struct lpatch_module *patch)
{
	if (!patch || !patch->mod || !patch->funcs)
		return -EINVAL;
	return lpatch_register_module((const struct lp_patch_module *)patch);
}
EXPORT_SYMBOL_GPL(lpatch_register);
