// SPDX-License-Identifier: GPL-2.0
/* An ftrace_ops that sends calls of patched functions elsewhere. */
#include <linux/ftrace.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "key.h"
#include "shim.h"

#define LP_TRIES 200

struct lp_redirect {
	struct ftrace_ops ops;
};

/*
 * Runs at the entry of a patched function, in any context. It takes no lock, waits for nobody, and what it
 * calls on its usual path has no fentry site. In a transition it may look at the stack of the current task with code
 * that has; lp_still_begin() keeps that from recursing.
 *
 * Preemption is off so that lp_synchronize() waits for it.
 */
static void notrace lp_handler(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
			       struct ftrace_regs *fregs)
{
	unsigned long to;

	preempt_disable_notrace();
	to = lpatch_redirect(ip, lp_key());
	if (to)
		ftrace_regs_set_instruction_pointer(fregs, to);
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
	int tries = 0, err;

	/*
	 * A BPF trampoline at one of the functions that is changing right now says so by this error, after a millisecond. It would
	 * wait for us with a lock held that we may need.
	 */
	do {
		err = register_ftrace_function(&r->ops);
	} while (err == -EAGAIN && ++tries < LP_TRIES);
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

int lp_ftrace_off(void)
{
	struct lp_redirect *r = lp_redirect_new();
	unsigned long ip = (unsigned long)lp_probe;
	int err;

	if (!r)
		return 0;
	err = lp_redirect_filter(r, &ip, 1);
	if (!err) {
		/* Nobody else can own a function of ours, so only ftrace itself can refuse. */
		err = lp_redirect_on(r);
		if (!err)
			lp_redirect_off(r);
	}
	lp_redirect_free(r);
	return err == -EBUSY;
}

void lp_synchronize(void)
{
	synchronize_rcu_expedited();
}

void lp_synchronize_tasks(void)
{
	synchronize_rcu_tasks();
}
