// SPDX-License-Identifier: GPL-2.0
/* The witness in version 3: like version 2, and cumulative. */

#define WITNESS_VERSION 3
#include "../modules/witness_version.h"

#include <lpatch/patch.h>

LPATCH_FUNC(witness, witness_outer, new_witness_outer);
LPATCH_FUNC(witness, witness_inner, new_witness_inner);
LPATCH_FUNC(witness, witness_jumps, new_witness_jumps);
LPATCH_FUNC(witness, witness_jumps_far, new_witness_jumps_far);
LPATCH_FUNC(witness, witness_jumps_caller, new_witness_jumps_caller);
LPATCH_FUNC(witness, witness_landed, new_witness_landed);
LPATCH_SYM(witness, witness_inner, 0);
LPATCH_SYM(witness, witness_landed, 0);
LPATCH_SYM(witness, witness_between, 0);
LPATCH_SYM(witness, witness_caller, 0);
LPATCH_SYM(witness, witness_count_landed, 0);
LPATCH_SYM(witness, witness_pass, 0);
LPATCH_SYM(witness, witness_count, 0);

LPATCH_NAME("witness-3");
LPATCH_VERSION("3");
LPATCH_DESCRIPTION("the functions of the witness, in version 3");
#ifdef LPATCH_CUMULATIVE
LPATCH_CUMULATIVE();
#endif
