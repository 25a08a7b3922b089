/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How the handler finds where a call goes; model/index.rs fills the table and has the proofs. No kernel is needed for this, so
 * that a test can compile it (model/tests/index.rs).
 */
#ifndef _LPATCH_INDEX_H
#define _LPATCH_INDEX_H

/* Answer of a search: the site is in no route. */
#define LP_NOWHERE	0

/* Why the index alone is not the answer: a transition is under way; an era is open. */
#define LP_ASKS_MOTION	1
#define LP_ASKS_ERA	2

struct lp_slot {
	int ip;	/* lower half of the fentry site's address; 0: empty */
	int to;	/* negative: lower half of where all calls go; else the number of the route, from 1 */
};

/* Beginning of a book. Neither it nor the slots change as long as anybody reads them. */
struct lp_index {
	unsigned long multiplier;
	const struct lp_slot *slots;
	unsigned int mask;	/* the number of slots, a power of two, less one; one of them at least is empty */
	unsigned int asks;	/* LP_ASKS_*; 0: what the slot says is the answer */
};

/* The slot in which a search begins, and mostly ends. */
static inline const struct lp_slot *lp_index_first(const struct lp_index *index, unsigned long ip)
{
	return &index->slots[((ip * index->multiplier) >> 32) & index->mask];
}

/* What the slot of a site says, or LP_NOWHERE. */
static inline int lp_index_find(const struct lp_index *index, const struct lp_slot *first, unsigned long ip)
{
	const struct lp_slot *slot = first;

	while (slot->ip != (int)ip) {
		if (!slot->ip)
			return LP_NOWHERE;
		slot = &index->slots[(slot - index->slots + 1) & index->mask];
	}
	return slot->to;
}

#endif /* _LPATCH_INDEX_H */
