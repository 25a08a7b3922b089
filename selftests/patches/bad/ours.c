// SPDX-License-Identifier: GPL-2.0
/* Replaces a function that lpatch_core exports: it may be called, not replaced. */

#include <linux/types.h>

#include <lpatch/patch.h>

static void *lpatch_no_shadow(void *obj, unsigned long id)
{
	return NULL;
}

LPATCH_FUNC(lpatch_core, lpatch_shadow_get, lpatch_no_shadow);

LPATCH_NAME("bad-ours");
