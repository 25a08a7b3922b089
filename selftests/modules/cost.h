/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The functions whose calls are counted in instructions. A patch replaces them by the same code, so that all that is added is the
 * way there, but for a number: the module's own version is 1, and each call of a function adds its version to what is returned.
 */
#ifndef _LPATCH_SELFTESTS_COST_H
#define _LPATCH_SELFTESTS_COST_H

#include <linux/types.h>

/**
 * struct cost_order - what to call
 * @arguments: the function, by the number of its arguments: 0, 1 or 6
 * @calls: so often in each round
 * @rounds: so many
 * @stays: in cost_stay()
 */
struct cost_order {
	unsigned int arguments;
	unsigned int calls;
	unsigned int rounds;
	bool stays;
};

int cost_0(void);
int cost_1(int x);
int cost_6(int a, int b, int c, int d, int e, int f);

/* Stays here until it is told to leave, so that a transition that replaces it has to wait. Meanwhile it carries out the order. */
int cost_stay(const struct cost_order *order);

#define COST_0(version)		{ return (version); }
#define COST_1(version)		{ return x + (version); }
#define COST_6(version)		{ return a + b + c + d + e + f + (version); }
#define COST_STAY(version)						\
	{								\
		cost_wait(true);					\
		cost_carry_out(order);					\
		cost_wait(false);					\
		return (version);					\
	}

/* What every version uses and no patch replaces. cost_wait(): for "go", or for "leave". */
void cost_wait(bool go);
void cost_carry_out(const struct cost_order *order);

#endif /* _LPATCH_SELFTESTS_COST_H */
