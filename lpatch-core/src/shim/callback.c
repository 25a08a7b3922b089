// SPDX-License-Identifier: GPL-2.0
/* Calling callbacks of patches, and what they ask meanwhile. */
#include <linux/export.h>
#include <linux/module.h>
#include <linux/types.h>

#include <lpatch/callback.h>
#include <lpatch/state.h>

#include "shim.h"

static_assert(sizeof(struct lpatch_state_data) == sizeof(struct lp_state));
static_assert(offsetof(struct lpatch_state_data, data) == offsetof(struct lp_state, data));

/* Of the callback that is running: one at a time, under the registry's lock. */
static const struct lp_states *lp_states;

static struct lpatch_state_data *lp_find(struct lp_state *states, unsigned long count, u64 id)
{
	while (count--) {
		if (states[count].id == id)
			return (struct lpatch_state_data *)&states[count];
	}
	return NULL;
}

struct lpatch_state_data *lpatch_state(u64 id)
{
	return lp_states ? lp_find(lp_states->own, lp_states->own_count, id) : NULL;
}
EXPORT_SYMBOL_GPL(lpatch_state);

const struct lpatch_state_data *lpatch_prev_state(u64 id)
{
	return lp_states ? lp_find(lp_states->others, lp_states->other_count, id) : NULL;
}
EXPORT_SYMBOL_GPL(lpatch_prev_state);

int lp_callback(unsigned long fn, int may_refuse, const char *object, void *module, const struct lp_states *states)
{
	struct lpatch_object obj = { .name = object, .mod = module };
	int err = 0;

	lp_states = states;
	/* An indirect call: the target has an endbr64 that nothing seals (the image was verified). */
	if (may_refuse)
		err = ((int (*)(const struct lpatch_object *))fn)(&obj);
	else
		((void (*)(const struct lpatch_object *))fn)(&obj);
	lp_states = NULL;
	return err;
}
