/* SPDX-License-Identifier: GPL-2.0 */
/* The first MANY_COUNT functions of many.c in version MANY_VERSION; version 3 replaces all others of its set. */
#include "../modules/many.h"

#include <lpatch/patch.h>

#define MANY_PATCH(n)								\
	static int new_##n(void) { return MANY_ANSWER(MANY_VERSION, n); }	\
	LPATCH_FUNC(many, many_##n, new_##n);

#define MANY_LIST(count) __PASTE(MANY_, count)
MANY_LIST(MANY_COUNT)(MANY_PATCH)

#if MANY_VERSION == 3
LPATCH_NAME("many-" __stringify(MANY_COUNT) "-3");
LPATCH_CUMULATIVE();
#else
LPATCH_NAME("many-" __stringify(MANY_COUNT));
#endif
LPATCH_VERSION(__stringify(MANY_VERSION));
LPATCH_SET("many");
LPATCH_DESCRIPTION("many functions");
