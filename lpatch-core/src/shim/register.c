// SPDX-License-Identifier: GPL-2.0
/* The way in for patch modules; what the function promises is in lpatch/module.h. */
#include <linux/export.h>
#include <linux/stddef.h>

#include <lpatch/module.h>

#include "shim.h"

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
