// SPDX-License-Identifier: GPL-2.0
/*
 * What a call costs: see cost.h. /proc/cost is the way in; a write is one command:
 *   call FUNCTION CALLS ROUNDS	calls a function, 0, 1 or 6 by the number of its arguments, so many times in so many rounds
 *   stay FUNCTION CALLS ROUNDS	the same from inside of cost_stay(), not before "go", and leaves it at "leave"
 *   go | leave
 *
 * A read gives a line for the last "call" and the last "stay" that were carried out:
 *   call|stay FUNCTION VERSION SHORTEST MEAN
 * with the version of the function, 0 if it was not the same in all calls, and a round's time divided by its calls, in ns: that of the
 * shortest round, and of all rounds.
 */
#include <linux/atomic.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "cost.h"
#include "noipa.h"

#define COMMAND_LEN 64
/* The sum of all versions stays an int. */
#define CALLS_MAX 10000000

struct result {
	unsigned int arguments;
	unsigned int version;
	unsigned int calls;
	u64 shortest;
	u64 mean;
};

/* Of "call" and of "stay". */
static struct result results[2];

static DECLARE_WAIT_QUEUE_HEAD(queue);
/* How far the one who stays may go: not at all, to its order, out. */
static enum { WAIT, GO, LEAVE } far;
static atomic_t staying;

#define TRACED NOIPA

TRACED int cost_0(void) COST_0(1)
TRACED int cost_1(int x) COST_1(1)
TRACED int cost_6(int a, int b, int c, int d, int e, int f) COST_6(1)
TRACED int cost_stay(const struct cost_order *order) COST_STAY(1)

void cost_wait(bool go)
{
	wait_event(queue, READ_ONCE(far) >= (go ? GO : LEAVE));
}
EXPORT_SYMBOL_GPL(cost_wait);

static void go_on(int to)
{
	WRITE_ONCE(far, to);
	wake_up_all(&queue);
}

/* Loops of their own: what belongs to the loop is the same in every state that is compared. */
static noinline int call_0(unsigned int calls)
{
	int sum = 0;

	while (calls--)
		sum += cost_0();
	return sum;
}

static noinline int call_1(unsigned int calls)
{
	int sum = 0;

	while (calls--)
		sum = cost_1(sum);
	return sum;
}

static noinline int call_6(unsigned int calls)
{
	int sum = 0;

	while (calls--)
		sum = cost_6(sum, 0, 0, 0, 0, 0);
	return sum;
}

static unsigned int call(const struct cost_order *order)
{
	switch (order->arguments) {
	case 0:
		return call_0(order->calls);
	case 1:
		return call_1(order->calls);
	default:
		return call_6(order->calls);
	}
}

void cost_carry_out(const struct cost_order *order)
{
	struct result result = { .arguments = order->arguments, .calls = order->calls, .shortest = U64_MAX };
	unsigned int sum, round;
	u64 took, all = 0;

	for (round = 0; round < order->rounds; round++) {
		took = ktime_get_ns();
		sum = call(order);
		took = ktime_get_ns() - took;
		all += took;
		result.shortest = min(result.shortest, took);
		if (!round)
			result.version = sum / order->calls;
		if (sum != result.version * order->calls)
			result.version = 0;
	}
	result.mean = div_u64(all, order->rounds);
	results[order->stays] = result;
}
EXPORT_SYMBOL_GPL(cost_carry_out);

static ssize_t cost_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	struct cost_order order = { 0 };
	char text[COMMAND_LEN], word[COMMAND_LEN];

	if (len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, len))
		return -EFAULT;
	text[len] = '\0';
	if (sysfs_streq(text, "go") || sysfs_streq(text, "leave")) {
		go_on(text[0] == 'g' ? GO : LEAVE);
		return len;
	}
	if (sscanf(text, "%s %u %u %u", word, &order.arguments, &order.calls, &order.rounds) != 4)
		return -EINVAL;
	order.stays = !strcmp(word, "stay");
	if (!order.stays && strcmp(word, "call"))
		return -EINVAL;
	if ((order.arguments != 0 && order.arguments != 1 && order.arguments != 6) || !order.rounds || !order.calls ||
	    order.calls > CALLS_MAX)
		return -EINVAL;
	results[order.stays].calls = 0;
	if (!order.stays) {
		cost_carry_out(&order);
		return len;
	}
	if (atomic_xchg(&staying, 1))
		return -EBUSY;
	go_on(WAIT);
	cost_stay(&order);
	atomic_set(&staying, 0);
	return len;
}

static void show_ratio(struct seq_file *m, u64 took, unsigned int calls)
{
	u64 thousandths = div_u64(took * 1000, calls);
	u32 rest;

	took = div_u64_rem(thousandths, 1000, &rest);
	seq_printf(m, " %llu.%03u", took, rest);
}

static int cost_show(struct seq_file *m, void *data)
{
	int stays;

	for (stays = 0; stays < 2; stays++) {
		struct result result = results[stays];

		if (!result.calls)
			continue;
		seq_printf(m, "%s %u %u", stays ? "stay" : "call", result.arguments, result.version);
		show_ratio(m, result.shortest, result.calls);
		show_ratio(m, result.mean, result.calls);
		seq_putc(m, '\n');
	}
	return 0;
}

static int cost_open(struct inode *inode, struct file *file)
{
	return single_open(file, cost_show, NULL);
}

static const struct proc_ops cost_ops = {
	.proc_open = cost_open,
	.proc_read = seq_read,
	.proc_write = cost_write,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
};

static int __init cost_init(void)
{
	return proc_create("cost", 0600, NULL, &cost_ops) ? 0 : -ENOMEM;
}

static void __exit cost_exit(void)
{
	remove_proc_entry("cost", NULL);
}

module_init(cost_init);
module_exit(cost_exit);
MODULE_DESCRIPTION("functions to be called often");
MODULE_LICENSE("GPL");
