// SPDX-License-Identifier: GPL-2.0
/*
 * The pair of the witness whose first function ends by a static call, in version 2. A patch of its own: of a function that can jump to
 * anywhere nothing is known of its side, and the other functions would not be moved at their entries either.
 */
#include "../modules/witness.h"

#include <lpatch/patch.h>

static int new_witness_turned(unsigned int outer, int error)
{
	witness_count_landed(outer, 2);
	return error;
}

static int new_witness_turns(const struct witness_call *call)
{
	return witness_turned(2, witness_pass(call));
}

LPATCH_FUNC(witness, witness_turns, new_witness_turns);
LPATCH_FUNC(witness, witness_turned, new_witness_turned);
LPATCH_SYM(witness, witness_turned, 0);
LPATCH_SYM(witness, witness_count_landed, 0);
LPATCH_SYM(witness, witness_pass, 0);

LPATCH_NAME("witness-static");
LPATCH_VERSION("2");
LPATCH_DESCRIPTION("the functions of the witness around a static call, in version 2");
