// SPDX-License-Identifier: GPL-2.0
/*
 * Ways from one function to another by jumps, for tests/ways.sh. In each, a function that a patch replaces ends by a jump; a task sleeps
 * where it went, and then comes to ways_inner(), which is replaced, too. Both say which version they are, 0 here.
 *
 * /proc/ways: a write of a way's name is a call; "release" ends all sleeps, "clear" forgets the counts, "on", "off" turn the key, "turn", "back" the
 * static call. A read says how many calls mixed versions.
 */
#include <linux/atomic.h>
#include <linux/jump_label.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/static_call.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "noipa.h"

static atomic64_t same, mixes;
static atomic_t releases;
static DECLARE_WAIT_QUEUE_HEAD(sleepers);

void ways_count(unsigned int outer, unsigned int inner)
{
	atomic64_inc(outer == inner ? &same : &mixes);
}
EXPORT_SYMBOL_GPL(ways_count);

int ways_sleep(int x)
{
	int before = atomic_read(&releases);

	wait_event_timeout(sleepers, atomic_read(&releases) != before, msecs_to_jiffies(120000));
	return x;
}
EXPORT_SYMBOL_GPL(ways_sleep);

NOIPA int ways_inner(unsigned int outer)
{
	ways_count(outer, 0);
	return HIDDEN(1);
}

NOIPA int ways_caller(int x, unsigned int outer)
{
	x = ways_sleep(x);
	return ways_inner(outer) + x;
}

NOIPA int ways_jumps_caller(int x)
{
	return ways_caller(x + 1, 0);
}
EXPORT_SYMBOL_GPL(ways_jumps_caller);

/* The same; the jump comes right behind an instruction of two bytes, `xor %esi, %esi`. */
NOIPA int ways_zero(int x, unsigned int outer)
{
	x = ways_sleep(x);
	return ways_inner(outer) + x;
}

NOIPA int ways_zero_jumps(int x)
{
	return ways_zero(x, 0);
}

NOIPA int ways_far(int x, unsigned int outer)
{
	x = ways_sleep(x);
	return ways_inner(outer) + x;
}

int (*ways_ptr)(int, unsigned int) = ways_far;

NOIPA int ways_ind(int x)
{
	return READ_ONCE(ways_ptr)(x, 0);
}

NOIPA int ways_other(int x)
{
	return x + 1;
}

int ways_loop_a(int x);

/* Once around: this one goes on to ways_loop_a(), and that one back here. */
NOIPA int ways_loop_h(int x, unsigned int outer)
{
	if (x & 1)
		return ways_loop_a(x - 1);
	x = ways_sleep(x);
	return ways_inner(outer) + x;
}

NOIPA int ways_loop_a(int x)
{
	return ways_loop_h(x, 0);
}

NOIPA int ways_chain_loop(int x)
{
	x = ways_loop_h(x, 7);
	barrier();
	return x + 1;
}

/* Ends by a jump through a pointer, to one that is replaced. */
unsigned int (*ways_ptr2)(unsigned int) = (void *)ways_inner;

NOIPA unsigned int ways_pj(int x)
{
	ways_sleep(x);
	return READ_ONCE(ways_ptr2)(0);
}

static unsigned int (*p_pj)(int) = ways_pj;

NOIPA int ways_chain_pj(int x)
{
	x = READ_ONCE(p_pj)(x);
	barrier();
	return x + 1;
}

/* Somebody else jumps there as well, who has nothing to do with what is replaced. */
NOIPA int ways_shared(int x)
{
	x = ways_sleep(x);
	barrier();
	return x + 1;
}

NOIPA int ways_jumps_shared(int x)
{
	return ways_shared(x + 1);
}

NOIPA int ways_third(int x)
{
	return ways_shared(x - 1);
}

NOIPA int ways_chain_third(int x)
{
	x = ways_third(x);
	barrier();
	return x + 1;
}

/* Jumps there, too, but it has another way, which leads through one that is replaced. */
NOIPA int ways_fourth(int x)
{
	if (x & 1)
		return ways_jumps_caller(x - 1);
	return ways_caller(x, 0);
}

NOIPA int ways_chain_fourth(int x)
{
	x = ways_fourth(x);
	barrier();
	return x + 1;
}

/* So do these, but of the way through the patch there is nothing to be seen when it matters. */

static atomic_t noise;

NOIPA __cold void ways_warns(int x)
{
	atomic_add(x, &noise);
}

/* A conditional jump leads there, by way of a part that is elsewhere. What is behind it can be decoded from the middle of the jump on. */
NOIPA int ways_part(int x)
{
	if (x & 1) {
		ways_warns(x);
		return ways_jumps_caller(x - 1);
	}
	asm volatile("movl $1, %%ecx; movl $1, %%edx; movl $1, %%ecx; movl $1, %%edx" ::: "ecx", "edx");
	return ways_caller(x, 1);
}

static DEFINE_STATIC_KEY_FALSE(ways_key);

/* A static key. */
NOIPA int ways_keyed(int x)
{
	if (static_branch_unlikely(&ways_key)) {
		ways_warns(x);
		return ways_jumps_caller(x - 1);
	}
	return ways_caller(x, 7);
}

/* It is jumped to, and sleeps where the static key leads: in a part that is elsewhere. */
NOIPA int ways_landing(int x, unsigned int outer)
{
	if (static_branch_unlikely(&ways_key)) {
		ways_warns(x);
		x = ways_sleep(x);
		return ways_inner(outer) + x;
	}
	return x;
}

NOIPA int ways_jumps_landing(int x)
{
	return ways_landing(x, 0);
}

/* Another live patcher, see klp_ways.c; or a static call, which is turned from the function of the patch to this one. */
NOIPA int ways_plain(int x)
{
	return ways_caller(x, 7);
}

DEFINE_STATIC_CALL(ways_turned, ways_jumps_caller);

#define CHAIN(name, call) \
	NOIPA int ways_chain_##name(int x) \
	{ \
		x = call(x); \
		barrier(); \
		return x + 1; \
	}
CHAIN(part, ways_part)
CHAIN(keyed, ways_keyed)
CHAIN(plain, ways_plain)
CHAIN(turned, static_call(ways_turned))

static int (*p_caller)(int) = ways_jumps_caller;
static int (*p_zero)(int) = ways_zero_jumps;
static int (*p_landing)(int) = ways_jumps_landing;

CHAIN(landing, READ_ONCE(p_landing))

NOIPA int ways_chain_caller(int x)
{
	x = READ_ONCE(p_caller)(x);
	barrier();
	return x + 1;
}

NOIPA int ways_chain_zero(int x)
{
	x = READ_ONCE(p_zero)(x);
	barrier();
	return x + 1;
}

NOIPA int ways_chain_ind(int x)
{
	x = ways_ind(x);
	barrier();
	return x + 1;
}

static ssize_t ways_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	static const struct {
		const char *name;
		int (*call)(int x);
	} calls[] = {
		{ "caller", ways_chain_caller }, { "zero", ways_chain_zero }, { "indirect", ways_chain_ind },
		{ "loop", ways_chain_loop }, { "pointer", ways_chain_pj }, { "third", ways_chain_third },
		{ "fourth", ways_chain_fourth }, { "part", ways_chain_part }, { "keyed", ways_chain_keyed },
		{ "plain", ways_chain_plain }, { "turned", ways_chain_turned },
		{ "landing", ways_chain_landing },
	};
	char text[32] = {};
	unsigned int i;

	if (len >= sizeof(text) || copy_from_user(text, from, len))
		return -EINVAL;
	strim(text);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		if (!strcmp(text, calls[i].name)) {
			calls[i].call(1);
			return len;
		}
	}
	if (!strcmp(text, "release")) {
		atomic_inc(&releases);
		wake_up_all(&sleepers);
	} else if (!strcmp(text, "on")) {
		static_branch_enable(&ways_key);
	} else if (!strcmp(text, "off")) {
		static_branch_disable(&ways_key);
	} else if (!strcmp(text, "turn")) {
		static_call_update(ways_turned, ways_plain);
	} else if (!strcmp(text, "back")) {
		static_call_update(ways_turned, ways_jumps_caller);
	} else if (!strcmp(text, "clear")) {
		atomic64_set(&mixes, 0);
		atomic64_set(&same, 0);
	} else {
		return -EINVAL;
	}
	return len;
}

static int ways_show(struct seq_file *m, void *v)
{
	seq_printf(m, "mixes %lld\nsame %lld\n", atomic64_read(&mixes), atomic64_read(&same));
	return 0;
}
static int ways_open(struct inode *inode, struct file *file) { return single_open(file, ways_show, NULL); }
static const struct proc_ops ops = {
	.proc_open = ways_open, .proc_read = seq_read, .proc_write = ways_write, .proc_lseek = seq_lseek, .proc_release = single_release,
};
static int __init ways_init(void) { return proc_create("ways", 0600, NULL, &ops) ? 0 : -ENOMEM; }
static void __exit ways_exit(void) { remove_proc_entry("ways", NULL); }
module_init(ways_init);
module_exit(ways_exit);
MODULE_DESCRIPTION("ways");
MODULE_LICENSE("GPL");
