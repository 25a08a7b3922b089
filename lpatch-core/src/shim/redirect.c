// SPDX-License-Identifier: GPL-2.0
/* An ftrace_ops that sends calls of patched functions elsewhere. */
#include <linux/cpu.h>
#include <linux/ftrace.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "handler.h"
#include "shim.h"

/* For a BPF trampoline that is changing. */
#define LP_PATIENCE (20 * HZ)

struct lp_redirect {
	struct ftrace_ops ops;
};

/* What the handler reads where there is no book: an index of nothing. */
static const struct lp_slot lp_no_slot;
struct lp_index lp_no_book __read_mostly = { .slots = &lp_no_slot };
struct lp_index *lp_book __read_mostly = &lp_no_book;

static __always_inline void lp_handler_ends(struct ftrace_regs *fregs, unsigned long to)
{
	if (to)
		ftrace_regs_set_instruction_pointer(fregs, to);
	preempt_enable_notrace();
}

/* What lp_handler() does less often. In functions of their own, so that it needs no stack frame. */
static noinline notrace void lp_handler_asks(unsigned long ip, long word, const struct lp_index *book,
					     struct ftrace_regs *fregs)
{
	lp_handler_ends(fregs, lp_ask(ip, word, book));
}

static noinline notrace void lp_handler_searches(unsigned long ip, const struct lp_slot *first,
						 const struct lp_index *book, struct ftrace_regs *fregs)
{
	lp_handler_ends(fregs, lp_search(ip, first, book));
}

/*
 * Runs at the entry of a patched function, in any context. It takes no lock, waits for nobody, and what it
 * calls on its usual path has no fentry site; qemu/check-handler looks whether that is so. In a transition it may look at
 * the stack of the current task with code that has; lp_still_begin() keeps that from recursing.
 *
 * Preemption is off so that lp_synchronize() waits for it. Nobody else sees to that: ftrace's trampoline leaves it as it is, and
 * a grace period of RCU tasks, which would wait for who is in there, is more than a request can wait for.
 */
static void notrace lp_handler(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
			       struct ftrace_regs *fregs)
{
	const struct lp_slot *first;
	const struct lp_index *book;

	preempt_disable_notrace();
	/* Pairs with Release in replace() of redirect/book.rs: the book is complete. */
	book = smp_load_acquire(&lp_book);
	first = lp_index_first(book, ip);
	if (unlikely(first->ip != (int)ip)) {
		lp_handler_searches(ip, first, book, fregs);
		return;
	}
	if (lp_asks(book)) {
		lp_handler_asks(ip, first->to, book, fregs);
		return;
	}
	ftrace_regs_set_instruction_pointer(fregs, (long)first->to);
	preempt_enable_notrace();
}

struct lp_redirect *lp_redirect_new(void)
{
	struct lp_redirect *r = kzalloc(sizeof(*r), GFP_KERNEL);

	if (!r)
		return NULL;
	r->ops.func = lp_handler;
	/*
	 * IPMODIFY: we change where the call goes, and share a function with no other who does.
	 * PERMANENT: kernel.ftrace_enabled=0 must not take a patch out of force.
	 */
	r->ops.flags = FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_PERMANENT | FTRACE_OPS_FL_DYNAMIC;
	return r;
}

int lp_redirect_filter(struct lp_redirect *r, unsigned long *ips, unsigned int n)
{
	int err = ftrace_set_filter_ips(&r->ops, ips, n, 0, 1);

	/* An empty filter would mean every function of the kernel. */
	if (err)
		ftrace_free_filter(&r->ops);
	return err;
}

int lp_redirect_remove(struct lp_redirect *r, unsigned long *ips, unsigned int n)
{
	return ftrace_set_filter_ips(&r->ops, ips, n, 1, 0);
}

int lp_redirect_on(struct lp_redirect *r)
{
	unsigned long end = jiffies + LP_PATIENCE;
	int err;

	/*
	 * A BPF trampoline at one of the functions that is changing right now says so by this error, after a millisecond. It would
	 * wait for us with a lock held that we may need. It keeps that lock itself for a grace period of RCU tasks, which a slow machine
	 * takes seconds for.
	 */
	do {
		err = register_ftrace_function(&r->ops);
	} while (err == -EAGAIN && time_before(jiffies, end) && !fatal_signal_pending(current));
	return err;
}

int lp_redirect_off(struct lp_redirect *r)
{
	return unregister_ftrace_function(&r->ops);
}

void lp_redirect_free(struct lp_redirect *r)
{
	ftrace_free_filter(&r->ops);
	kfree(r);
}

/* Never called; only asked about. */
static noinline void lp_probe(void)
{
	barrier();
}

unsigned long lp_probe_site(void)
{
	return (unsigned long)lp_probe;
}

/*
 * Has ftrace take a site out of a filter in which there is none. It looks whether it is alive, whether it knows the site, whether the filter
 * has it, and takes no lock but that of this filter before it has refused.
 */
static int lp_ftrace_asked(unsigned long ip)
{
	struct ftrace_ops nobody = {};

	return ftrace_set_filter_ip(&nobody, ip, 1, 0);
}

int lp_ftrace_knows(unsigned long ip)
{
	int err = lp_ftrace_asked(ip);

	return err == -ENOENT ? 0 : err;
}

int lp_ftrace_is_dead(void)
{
	return lp_ftrace_asked(0) == -ENODEV;
}

void lp_synchronize(void)
{
	/*
	 * RCU does not watch a CPU that is going offline, from rcutree_report_cpu_dead() on, nor one that is coming, up to
	 * rcutree_report_cpu_starting(), and both call functions that have fentry sites. But all that they can call that may be
	 * patched (see model/offline.rs) comes before cpuhp_bp_sync_dead(), or behind the start of the CPU, for which whoever takes
	 * the CPU down or up waits with cpu_hotplug_lock. So who had the lock after the book was replaced knows that a reader of the
	 * old one is done, or is on a CPU that RCU watches, and watched when it began.
	 *
	 * The lock is not kept: the caller of synchronize_rcu() need not hold it, and a writer that waits would keep others from it.
	 */
	cpus_read_lock();
	cpus_read_unlock();
	synchronize_rcu_expedited();
}
