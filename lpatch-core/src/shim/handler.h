/* SPDX-License-Identifier: GPL-2.0 */
/* What the ftrace handler and a shut door have in common. */
#ifndef _LPATCH_HANDLER_H
#define _LPATCH_HANDLER_H

#include <linux/compiler.h>
#include <linux/sched.h>

#include "key.h"
#include "shim.h"

/*
 * Whether what the index says is not the answer. Preemption is off, and has been since before the book was read.
 *
 * Only a task that may be in no list of tasks any more can be in a function of an era: ends() of transition/handler.rs. Eras can be open for
 * long, so all others are told at once.
 */
static __always_inline bool lp_asks(const struct lp_index *book)
{
	return unlikely(book->asks) && (book->asks != LP_ASKS_ERA || unlikely(READ_ONCE(current->exit_state)));
}

/* Where a call goes of a site of which the index says @word, if that is not the answer; 0: nowhere else. Preemption as above. */
static __always_inline unsigned long lp_ask(unsigned long ip, long word, const struct lp_index *book)
{
	return lpatch_redirect(ip, word, book, lp_key());
}

/* The answer where the search goes on behind its first slot. Preemption as above. */
static __always_inline unsigned long lp_search(unsigned long ip, const struct lp_slot *first,
					       const struct lp_index *book)
{
	long word = lp_index_find(book, first, ip);

	return lp_asks(book) ? lp_ask(ip, word, book) : word;
}

#endif /* _LPATCH_HANDLER_H */
