// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that runs out, for tests: a part of the module only in a build with LPATCH_FAULTS=1.
 *
 * The linker sends all that the module calls to get or free memory through here (ld --wrap; the list is in Kbuild), so
 * nothing in the code knows of it. That is every allocation of the module itself, C or Rust. What the kernel
 * allocates on our behalf cannot be failed in its middle, so the calls into it that may answer ENOMEM fail as a whole.
 *
 * /sys/module/lpatch_core/parameters:
 *   fail_nth	N: of the calls from now on the Nth fails, 0: none. Reads as what is left to count down; 0: it was hit
 *   fail_all	Y: all that follow the Nth fail too, until fail_nth is written again
 *   fail_count	calls since fail_nth was written
 *   fail_at	the call that failed last, where in the module it is, and the name of the task
 *   fail_live	pieces of memory that the module holds now
 *
 * When the module has gone, the log says how many are left.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/cpuhotplug.h>
#include <linux/ftrace.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/moduleparam.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <linux/vmalloc.h>

#include "shim.h"

static atomic_t lp_left, lp_count, lp_live;
static bool lp_all, lp_failing;
static const char *lp_what = "nothing";
static void *lp_where;
static char lp_who[TASK_COMM_LEN];

static int lp_set_nth(const char *text, const struct kernel_param *param)
{
	unsigned int nth;
	int err = kstrtouint(text, 0, &nth);

	if (err)
		return err;
	if (nth > INT_MAX)
		return -ERANGE;
	/* The caller sees to it that nothing is going on. */
	WRITE_ONCE(lp_failing, false);
	atomic_set(&lp_count, 0);
	atomic_set(&lp_left, nth);
	return 0;
}

static int lp_get_atomic(char *to, const struct kernel_param *param)
{
	return sysfs_emit(to, "%d\n", atomic_read(param->arg));
}

static int lp_get_at(char *to, const struct kernel_param *param)
{
	return sysfs_emit(to, "%s in %pS by %s\n", READ_ONCE(lp_what), READ_ONCE(lp_where), lp_who);
}

/* Called when parameters are freed, which comes after the module's exit, or its failed initialization. */
static void lp_gone(void *unused)
{
	pr_info("gone: %d pieces of memory are left\n", atomic_read(&lp_live));
}

static const struct kernel_param_ops lp_nth_ops = { .set = lp_set_nth, .get = lp_get_atomic, .free = lp_gone };
static const struct kernel_param_ops lp_atomic_ops = { .get = lp_get_atomic };
/* Grace periods that are under way. */
static int lp_get_graces(char *to, const struct kernel_param *param)
{
	return sysfs_emit(to, "%d\n", lp_graces());
}

static const struct kernel_param_ops lp_graces_ops = { .get = lp_get_graces };
static const struct kernel_param_ops lp_at_ops = { .get = lp_get_at };

module_param_cb(fail_nth, &lp_nth_ops, &lp_left, 0600);
module_param_named(fail_all, lp_all, bool, 0600);
module_param_cb(fail_count, &lp_atomic_ops, &lp_count, 0400);
module_param_cb(fail_at, &lp_at_ops, NULL, 0400);
module_param_cb(fail_live, &lp_atomic_ops, &lp_live, 0400);
module_param_cb(graces, &lp_graces_ops, NULL, 0400);

static bool lp_fails(const char *what, void *where)
{
	atomic_inc(&lp_count);
	if (READ_ONCE(lp_failing) && READ_ONCE(lp_all))
		return true;
	if (atomic_dec_if_positive(&lp_left) != 0)
		return false;
	WRITE_ONCE(lp_what, what);
	WRITE_ONCE(lp_where, where);
	strscpy(lp_who, current->comm);
	WRITE_ONCE(lp_failing, true);
	return true;
}

static void *lp_got(void *p)
{
	if (!ZERO_OR_NULL_PTR(p))
		atomic_inc(&lp_live);
	return p;
}

static void lp_gives(const void *p)
{
	if (!ZERO_OR_NULL_PTR(p))
		atomic_dec(&lp_live);
}

#define FAILS(name) lp_fails(#name, __builtin_return_address(0))

/* __real_ is the linker's name for the function, __wrap_ for what it is replaced by. */
#define DECLARE(name) extern typeof(name) __real_##name, __wrap_##name

#define ALLOCATES(name, params, args)					\
	DECLARE(name);							\
	void *__wrap_##name params					\
	{								\
		return FAILS(name) ? NULL : lp_got(__real_##name args);	\
	}

ALLOCATES(__kmalloc_noprof, (DECL_TOKEN_PARAMS(size, token), gfp_t gfp), (PASS_TOKEN_PARAMS(size, token), gfp))
ALLOCATES(__kmalloc_cache_noprof, (struct kmem_cache *cache, gfp_t gfp, size_t size), (cache, gfp, size))
ALLOCATES(__kvmalloc_node_noprof, (DECL_KMALLOC_PARAMS(size, b, token), unsigned long align, gfp_t gfp, int node),
	  (PASS_KMALLOC_PARAMS(size, b, token), align, gfp, node))
ALLOCATES(vmap, (struct page **pages, unsigned int count, unsigned long flags, pgprot_t prot),
	  (pages, count, flags, prot))

/*
 * Helpers of the kernel crate, which no header declares. Without memory it is a request for it, without a size the end of
 * it, with both a larger or a smaller piece.
 */
#define REALLOCATES(name)										\
	void *__real_##name(const void *old, size_t size, unsigned long align, gfp_t gfp, int node);	\
	void *__wrap_##name(const void *old, size_t size, unsigned long align, gfp_t gfp, int node);	\
	void *__wrap_##name(const void *old, size_t size, unsigned long align, gfp_t gfp, int node)	\
	{												\
		void *new;										\
													\
		if (size && FAILS(name))								\
			return NULL;									\
		new = __real_##name(old, size, align, gfp, node);					\
		if (!size)										\
			lp_gives(old);									\
		else if (!old)										\
			lp_got(new);									\
		return new;										\
	}

REALLOCATES(rust_helper_krealloc_node_align)
REALLOCATES(rust_helper_kvrealloc_node_align)
REALLOCATES(rust_helper_vrealloc_node_align)

#define FREES(name)				\
	DECLARE(name);				\
	void __wrap_##name(const void *p)	\
	{					\
		lp_gives(p);			\
		__real_##name(p);		\
	}

FREES(kfree)
FREES(kvfree)
FREES(vunmap)

/* The head is of another type from 7.3 on. */
void __real_kvfree_call_rcu(void *head, void *p);
void __wrap_kvfree_call_rcu(void *head, void *p);
void __wrap_kvfree_call_rcu(void *head, void *p)
{
	lp_gives(p);
	__real_kvfree_call_rcu(head, p);
}

/* Calls into the kernel that allocate. */
#define MAY_FAIL(name, params, args)					\
	DECLARE(name);							\
	int __wrap_##name params					\
	{								\
		return FAILS(name) ? -ENOMEM : __real_##name args;	\
	}

MAY_FAIL(ftrace_set_filter_ips,
	 (struct ftrace_ops *ops, unsigned long *ips, unsigned int count, int remove, int reset),
	 (ops, ips, count, remove, reset))
MAY_FAIL(ftrace_set_filter_ip, (struct ftrace_ops *ops, unsigned long ip, int remove, int reset), (ops, ip, remove, reset))
MAY_FAIL(register_ftrace_function, (struct ftrace_ops *ops), (ops))
MAY_FAIL(register_ftrace_direct, (struct ftrace_ops *ops, unsigned long addr), (ops, addr))
MAY_FAIL(tracepoint_probe_register, (struct tracepoint *tp, void *probe, void *data), (tp, probe, data))
MAY_FAIL(misc_register, (struct miscdevice *misc), (misc))
MAY_FAIL(__cpuhp_setup_state,
	 (enum cpuhp_state state, const char *name, bool invoke, int (*up)(unsigned int cpu),
	  int (*down)(unsigned int cpu), bool multi),
	 (state, name, invoke, up, down, multi))

DECLARE(kthread_create_on_node);
struct task_struct *__wrap_kthread_create_on_node(int (*fn)(void *data), void *data, int node, const char name[], ...)
{
	/* Our thread's name has nothing to be filled in. */
	return FAILS(kthread_create_on_node) ? ERR_PTR(-ENOMEM) : __real_kthread_create_on_node(fn, data, node, name);
}
