// SPDX-License-Identifier: GPL-2.0
#include <linux/compiler.h>
#include <lpatch/patch.h>
#include "ways.h"
/* A fix of the function in the middle, which changes nothing of what matters. */
static int new_ways_caller(int x, unsigned int outer)
{
	x = ways_sleep(x);
	return ways_inner(outer) + x;
}
LPATCH_FUNC(ways, ways_caller, new_ways_caller);
LPATCH_SYM(ways, ways_inner, 0);
LPATCH_SYM(ways, ways_sleep, 0);
LPATCH_NAME("ways-low");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("a function in between");
