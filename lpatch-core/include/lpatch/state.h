/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For callbacks of patches: what this patch and the ones before it say of a change of the system's
 * state. LPATCH_STATE() of lpatch/patch.h declares a change; docs/patches.md shows its use.
 */
#ifndef _LPATCH_STATE_H
#define _LPATCH_STATE_H

#include <linux/types.h>
#ifdef LPATCH_PATCH_OBJECT
#include <lpatch/patch.h>
#endif

/**
 * struct lpatch_state_data - a change, as one patch knows it
 * @id: which
 * @version: of the change
 * @reserved: zero
 * @data: whatever the callbacks of the patch keep there; NULL at first
 */
struct lpatch_state_data {
	u64 id;
	u32 version;
	u32 reserved;
	void *data;
};

/**
 * lpatch_state() - the change with this id of the patch whose callback is running
 *
 * Only from a callback, by the task that it was called in. The patch's callbacks may write @data.
 *
 * Return: the change, as long as the patch is loaded, or NULL if the patch does not declare it.
 */
struct lpatch_state_data *lpatch_state(u64 id);

/**
 * lpatch_prev_state() - the same change, as another enabled patch of the set knows it
 *
 * Only from a callback, as above. Of several such patches, it is the one that was enabled last. In pre-patch and
 * post-patch callbacks of a cumulative patch, that is the patch which it replaces; in its post-patch callback too, although
 * that patch is not in force any more.
 *
 * Return: a copy that is good until the callback returns, or NULL if there is none.
 */
const struct lpatch_state_data *lpatch_prev_state(u64 id);

#ifdef LPATCH_PATCH_OBJECT
LPATCH_SYM(lpatch_core, lpatch_state, 0);
LPATCH_SYM(lpatch_core, lpatch_prev_state, 0);
#endif

#endif /* _LPATCH_STATE_H */
