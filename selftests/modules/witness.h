/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the witness, the patches of it and its callers agree on.
 *
 * witness_outer() calls witness_inner(), and each has a version. A patch replaces both, so a call chain in which
 * the versions differ has run old and new code together.
 *
 * The same for functions that end by a jump to the next one, and have no frame when that runs: witness_jumps() goes to witness_landed(),
 * and witness_jumps_far() to witness_between(), which no patch replaces, and which goes to witness_landed(). witness_turns() goes to
 * witness_turned(), but only since its jump, a static call, was turned there.
 *
 * And for those that end by a jump to one that is not replaced, which passes the time and then calls: witness_jumps_caller() goes to
 * witness_caller(), which calls witness_inner().
 */
#ifndef _LPATCH_SELFTESTS_WITNESS_H
#define _LPATCH_SELFTESTS_WITNESS_H

#include <linux/types.h>

/* Versions count from 1, which is the module's own; a patch brings 2 or 3. */
#define WITNESS_VERSIONS	3

/* How a chain passes its time, between the entry of the outer function and the call of the inner one. */
enum witness_way {
	WITNESS_CALL,	/* not at all */
	WITNESS_SLEEP,	/* asleep, interruptibly, in ms */
	WITNESS_SLEEPD,	/* asleep, uninterruptibly, in ms */
	WITNESS_SPIN,	/* busy, in us */
	WITNESS_WAYS
};

/**
 * struct witness_call - a call chain
 * @way: how it passes its time
 * @amount: how long, in the unit of the way
 */
struct witness_call {
	enum witness_way way;
	unsigned int amount;
};

/*
 * The pair. The outer one returns 0, or -ERESTARTSYS if a signal ended its sleep; the inner one its version. An argument
 * that is always the same, or a result that nobody needs, must not become a reason to compile them otherwise.
 */
int witness_outer(const struct witness_call *call);
unsigned int witness_inner(unsigned int outer);

int witness_jumps(const struct witness_call *call);
int witness_jumps_far(const struct witness_call *call);
int witness_jumps_caller(const struct witness_call *call);
int witness_landed(unsigned int outer, int error);
int witness_turns(const struct witness_call *call);
int witness_turned(unsigned int outer, int error);

/* What every version uses and no patch replaces. */
int witness_pass(const struct witness_call *call);
int witness_between(const struct witness_call *call, unsigned int outer);
int witness_caller(unsigned int outer, const struct witness_call *call);
void witness_count(unsigned int outer, unsigned int inner);
void witness_count_landed(unsigned int outer, unsigned int inner);

#endif /* _LPATCH_SELFTESTS_WITNESS_H */
