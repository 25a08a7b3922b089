// SPDX-License-Identifier: GPL-2.0
/* What the patches of tests/ways.sh have in common, and, with WITH_…, what only some of them have. */
#include <linux/compiler.h>
#include <lpatch/patch.h>
#include "ways.h"
static int new_ways_inner(unsigned int outer)
{
	ways_count(outer, 1);
	return 1;
}

static int new_ways_jumps_caller(int x)
{
	return ways_caller(x + 1, 1);
}

LPATCH_FUNC(ways, ways_inner, new_ways_inner);
LPATCH_FUNC(ways, ways_jumps_caller, new_ways_jumps_caller);
LPATCH_SYM(ways, ways_caller, 0);
LPATCH_SYM(ways, ways_count, 0);
#ifdef WITH_ZERO
static int new_ways_zero_jumps(int x)
{
	return ways_zero(x, 1);
}

LPATCH_FUNC(ways, ways_zero_jumps, new_ways_zero_jumps);
LPATCH_SYM(ways, ways_zero, 0);
#endif
#ifdef WITH_SHARED
static int new_ways_jumps_shared(int x)
{
	return ways_shared(x + 1);
}

LPATCH_FUNC(ways, ways_jumps_shared, new_ways_jumps_shared);
LPATCH_SYM(ways, ways_shared, 0);
#endif
#ifdef WITH_LANDING
static int new_ways_jumps_landing(int x)
{
	return ways_landing(x, 1);
}

LPATCH_FUNC(ways, ways_jumps_landing, new_ways_jumps_landing);
LPATCH_SYM(ways, ways_landing, 0);
#endif
#ifdef WITH_IND
static int new_ways_ind(int x)
{
	return READ_ONCE(ways_ptr)(x, 1);
}

LPATCH_FUNC(ways, ways_ind, new_ways_ind);
LPATCH_SYM(ways, ways_ptr, 0);
#endif
#ifdef WITH_LOOP
int ways_loop_h(int x, unsigned int outer);
static int new_ways_loop_a(int x)
{
	return ways_loop_h(x, 1);
}

LPATCH_FUNC(ways, ways_loop_a, new_ways_loop_a);
LPATCH_SYM(ways, ways_loop_h, 0);
#endif
#ifdef WITH_PJ
extern unsigned int (*ways_ptr2)(unsigned int);
static unsigned int new_ways_pj(int x)
{
	ways_sleep(x);
	return READ_ONCE(ways_ptr2)(1);
}

LPATCH_FUNC(ways, ways_pj, new_ways_pj);
LPATCH_SYM(ways, ways_sleep, 0);
LPATCH_SYM(ways, ways_ptr2, 0);
#endif
#ifdef WITH_OTHER
extern int (*ways_ptr)(int, unsigned int);
/* Never called here. It ends by a jump through a pointer. */
static int new_ways_other(int x)
{
	return READ_ONCE(ways_ptr)(x, 1);
}

LPATCH_FUNC(ways, ways_other, new_ways_other);
LPATCH_SYM(ways, ways_ptr, 0);
#endif
#ifndef NAME
#define NAME "ways-main"
#endif
LPATCH_NAME(NAME);
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("functions that jump on");
