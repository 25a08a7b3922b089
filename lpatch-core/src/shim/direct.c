// SPDX-License-Identifier: GPL-2.0
/* Attaching fentry sites to doors; see doors.S. */
#include <linux/ftrace.h>
#include <linux/moduleparam.h>
#include <linux/preempt.h>
#include <linux/slab.h>

#include "handler.h"
#include "shim.h"

/* Read by doors.S. A door that nobody has is shut, and its site 0. */
unsigned char lp_door_shut[LP_DOORS] __read_mostly = { [0 ... LP_DOORS - 1] = 1 };
unsigned long lp_door_sites[LP_DOORS] __read_mostly;

bool lp_promote = true;
module_param_named(promote, lp_promote, bool, 0644);
MODULE_PARM_DESC(promote, "whether functions are entered by a jump when all tasks have moved; a change is for what is enabled later");

unsigned int lp_tidy_ms = 500;
/* A change counts at once: the driver looks again. */
static int lp_set_tidy_ms(const char *value, const struct kernel_param *param)
{
	int err = param_set_uint(value, param);

	if (!err)
		lp_driver_look();
	return err;
}
static const struct kernel_param_ops lp_tidy_ms_ops = { .set = lp_set_tidy_ms, .get = param_get_uint };
module_param_cb(tidy_ms, &lp_tidy_ms_ops, &lp_tidy_ms, 0644);
__MODULE_PARM_TYPE(tidy_ms, "uint");
MODULE_PARM_DESC(tidy_ms, "milliseconds after a transition in which nothing is given back to ftrace, for tests");

static noinline notrace unsigned long lp_door_asks(unsigned long ip, long word, const struct lp_index *book)
{
	unsigned long to = lp_ask(ip, word, book);

	preempt_enable_notrace();
	return to;
}

static noinline notrace unsigned long lp_door_searches(unsigned long ip, const struct lp_slot *first,
						       const struct lp_index *book)
{
	unsigned long to = lp_search(ip, first, book);

	preempt_enable_notrace();
	return to;
}

/* Where a call goes that came in at @ip; 0: nowhere else. As the ftrace handler in all respects, see redirect.c. */
asmlinkage unsigned long notrace lp_door_answer(unsigned long ip)
{
	const struct lp_slot *first;
	const struct lp_index *book;
	long word;

	preempt_disable_notrace();
	book = smp_load_acquire(&lp_book); /* as in redirect.c */
	first = lp_index_first(book, ip);
	if (unlikely(first->ip != (int)ip))
		return lp_door_searches(ip, first, book);
	word = first->to;
	if (lp_asks(book))
		return lp_door_asks(ip, word, book);
	preempt_enable_notrace();
	return word;
}

/* The direct calls of one site. */
struct lp_door {
	struct ftrace_ops ops;
};

static unsigned long lp_door_addr(unsigned int index)
{
	/* With bit 0 set, ftrace jumps there. */
	return ((unsigned long)lp_doors + index * LP_DOOR_SIZE) | 1;
}

/*
 * Only our own redirection may change where the calls of the site go as well: while both are there, the door decides, and says the
 * same. It is always there before, so somebody who comes later is somebody else.
 */
static int lp_door_share(struct ftrace_ops *ops, unsigned long ip, enum ftrace_ops_cmd cmd)
{
	return cmd == FTRACE_OPS_CMD_ENABLE_SHARE_IPMODIFY_PEER ? -EBUSY : 0;
}

struct lp_door *lp_door_new(void)
{
	struct lp_door *door = kzalloc(sizeof(*door), GFP_KERNEL);

	if (!door)
		return NULL;
	/* As for redirections: kernel.ftrace_enabled=0 must not take a patch out of force. */
	door->ops.flags = FTRACE_OPS_FL_PERMANENT;
	door->ops.ops_func = lp_door_share;
	return door;
}

int lp_door_filter(struct lp_door *door, unsigned long ip)
{
	return ftrace_set_filter_ip(&door->ops, ip, 0, 1);
}

int lp_door_attach(struct lp_door *door, unsigned int index)
{
	return register_ftrace_direct(&door->ops, lp_door_addr(index));
}

int lp_door_detach(struct lp_door *door, unsigned int index)
{
	/*
	 * Where ftrace has switched itself off, unregister_ftrace_direct() refuses, and clears the ops nevertheless, of which the
	 * site and ftrace's list still know.
	 */
	if (lp_ftrace_is_dead())
		return -ENODEV;
	/*
	 * Waits for grace periods of RCU tasks before it clears the ops. Somebody else's tracer at the same function has ftrace look
	 * through all ops in its handler, where a CPU may have found this one.
	 */
	return unregister_ftrace_direct(&door->ops, lp_door_addr(index), false);
}

void lp_door_free(struct lp_door *door)
{
	ftrace_free_filter(&door->ops);
	kfree(door);
}
