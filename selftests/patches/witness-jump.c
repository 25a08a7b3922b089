// SPDX-License-Identifier: GPL-2.0
/* The witness in version 3, whose outer function ends with a jump: a task that goes on behind it has no frame of the function itself. */

#include <linux/compiler.h>

#include "../modules/witness.h"

#include <lpatch/patch.h>

static unsigned int new_witness_inner(unsigned int outer)
{
	witness_count(outer, 3);
	return 3;
}

static noinline int behind_the_jump(const struct witness_call *call)
{
	int error = witness_pass(call);

	return witness_inner(3) ? error : 0;
}

static int new_witness_outer(const struct witness_call *call)
{
	return behind_the_jump(call);
}

LPATCH_FUNC(witness, witness_outer, new_witness_outer);
LPATCH_FUNC(witness, witness_inner, new_witness_inner);
LPATCH_SYM(witness, witness_inner, 0);
LPATCH_SYM(witness, witness_pass, 0);
LPATCH_SYM(witness, witness_count, 0);

LPATCH_NAME("witness-jump");
LPATCH_VERSION("3");
LPATCH_DESCRIPTION("both functions of the witness, in version 3, the outer in two parts");
