/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pair for a patch of version WITNESS_VERSION. The outer function calls the inner one by the name that is replaced, not
 * its own new one: which version is entered is what the transition decides.
 */
#ifndef WITNESS_VERSION
#error "define WITNESS_VERSION"
#endif

#include <linux/compiler.h>

#include "witness.h"

static unsigned int new_witness_inner(unsigned int outer)
{
	witness_count(outer, WITNESS_VERSION);
	return WITNESS_VERSION;
}

static int new_witness_outer(const struct witness_call *call)
{
	int error = witness_pass(call);

	/* Uses the result, or this would be a jump and the chain no chain. */
	return witness_inner(WITNESS_VERSION) ? error : 0;
}

static int new_witness_landed(unsigned int outer, int error)
{
	witness_count_landed(outer, WITNESS_VERSION);
	return error;
}

/* These end by a jump. */
static int new_witness_jumps(const struct witness_call *call)
{
	return witness_landed(WITNESS_VERSION, witness_pass(call));
}

static int new_witness_jumps_far(const struct witness_call *call)
{
	return witness_between(call, WITNESS_VERSION);
}

static int new_witness_jumps_caller(const struct witness_call *call)
{
	return witness_caller(WITNESS_VERSION, call);
}
