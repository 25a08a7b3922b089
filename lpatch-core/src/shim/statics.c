// SPDX-License-Identifier: GPL-2.0
/*
 * Where the kernel's tables of static calls and of static keys' branches are. What is in them: model/statics.rs.
 *
 * Nobody exports those of vmlinux, but the key of a static call points into its table as long as no module uses that key, and so does
 * a static key. kallsyms has names for their ends. The kernel sorts and marks them when it boots, and then makes their pages
 * read-only; so they are read without a lock. Those of a module are where its struct module says, and are final before we hear of the
 * module: their notifiers of modules are older than ours.
 */
#include <linux/jump_label.h>
#include <linux/kallsyms.h>
#include <linux/module.h>
#include <linux/static_call.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <trace/events/sched.h>

#include "shim.h"

/* As model/statics.rs reads them. */
static_assert(sizeof(struct static_call_site) == 8);
static_assert(offsetof(struct static_call_site, addr) == 0 && sizeof_field(struct static_call_site, addr) == 4);
static_assert(offsetof(struct static_call_site, key) == 4 && sizeof_field(struct static_call_site, key) == 4);
static_assert(STATIC_CALL_SITE_TAIL == 1);
static_assert(sizeof(struct jump_entry) == 16);
static_assert(offsetof(struct jump_entry, code) == 0 && sizeof_field(struct jump_entry, code) == 4);
static_assert(offsetof(struct jump_entry, target) == 4 && sizeof_field(struct jump_entry, target) == 4);

/* A table of vmlinux. Written once, before there is a device. */
struct lp_known {
	unsigned long start, end;
};

static struct lp_known lp_calls, lp_branches;

int lp_statics_of(unsigned long addr, struct lp_statics *found)
{
	if (addr >= MODULES_VADDR && addr < MODULES_END)
		return lp_module_statics(addr, found);
	/* The image has this range to itself. */
	if (addr < __START_KERNEL_map || addr >= MODULES_VADDR)
		return -ENOENT;
	*found = (struct lp_statics){
		.calls = lp_calls.start,
		.call_count = (lp_calls.end - lp_calls.start) / sizeof(struct static_call_site),
		.branches = lp_branches.start,
		.branch_count = (lp_branches.end - lp_branches.start) / sizeof(struct jump_entry),
	};
	return 0;
}

static unsigned long lp_static_key(const struct static_call_site *site)
{
	return (unsigned long)&site->key + site->key;
}

struct lp_inside {
	struct static_call_key *key;
	unsigned long site;
	struct static_key *branch_key;
	unsigned long branch;
};

/*
 * Every tracepoint has a key of each kind. In that of its static call, bit 0 says that it points to the first of its sites in vmlinux;
 * in the other, a pointer without JUMP_TYPE_LINKED does. Else it is to a list, which modules that come and go change. It is one word,
 * which is read once, and nothing is read through it that can change.
 */
static void lp_look_inside(struct tracepoint *tp, void *arg)
{
	struct lp_inside *inside = arg;
	unsigned long type = READ_ONCE(tp->key.key.type);

	if (!inside->branch && !(type & JUMP_TYPE_LINKED) && (type & ~JUMP_TYPE_MASK)) {
		inside->branch_key = &tp->key.key;
		inside->branch = type & ~JUMP_TYPE_MASK;
	}
	if (inside->site || !tp->static_call_key)
		return;
	type = READ_ONCE(tp->static_call_key->type);
	if (type & 1) {
		inside->key = tp->static_call_key;
		inside->site = type & ~1UL;
	}
}

static bool lp_is_named(const char *text, const char *name, unsigned long *offset, unsigned long *size)
{
	int end = 0;

	return str_has_prefix(text, name) &&
	       sscanf(text + strlen(name), "+0x%lx/0x%lx%n", offset, size, &end) == 2 && end && !text[strlen(name) + end];
}

/*
 * Learns of the table that has an entry at this place, by its names: of its beginning, of its end, and of what the linker puts behind it, at the same
 * address as its end.
 */
static bool lp_learn(struct lp_known *known, unsigned long inside, size_t entry, const char *const names[3], char *text, int lie)
{
	unsigned long start, end, offset, size;

	sprint_symbol(text, inside);
	if (!lp_is_named(text, names[0], &offset, &size))
		return false;
	start = inside - offset;
	end = start + size - lie;
	if (size % entry || offset % entry)
		return false;
	/* A size is the way to the next name, so that has to be the end. */
	sprint_symbol(text, end);
	if (!(lp_is_named(text, names[1], &offset, &size) || lp_is_named(text, names[2], &offset, &size)) || offset)
		return false;
	*known = (struct lp_known){ start, end };
	return true;
}

int lp_statics_learn(char *text, int lie)
{
	static const char *const names[] = {
		"__start_static_call_sites", "__stop_static_call_sites", "__start_static_call_tramp_key",
	};
	struct lp_inside inside = {};

	for_each_kernel_tracepoint(lp_look_inside, &inside);
	if (!inside.site || (lp_static_key((void *)inside.site) & ~STATIC_CALL_SITE_FLAGS) != (unsigned long)inside.key)
		return false;
	return lp_learn(&lp_calls, inside.site, sizeof(struct static_call_site), names, text, lie);
}

int lp_branches_learn(char *text, int lie)
{
	static const char *const names[] = {
		"__start___jump_table", "__stop___jump_table", "__start_static_call_sites",
	};
	struct lp_inside inside = {};

	for_each_kernel_tracepoint(lp_look_inside, &inside);
	if (!inside.branch || jump_entry_key((void *)inside.branch) != inside.branch_key)
		return false;
	return lp_learn(&lp_branches, inside.branch, sizeof(struct jump_entry), names, text, lie);
}

/* One of each kind, of a key that modules may use. Nobody calls them. */
static noinline notrace __used void lp_static_tail(bool preempt)
{
	static_call(tp_func_sched_entry_tp)(NULL, preempt);
}

static noinline notrace __used void lp_static_call(bool preempt)
{
	static_call(tp_func_sched_entry_tp)(NULL, preempt);
	/* Or this would be a jump, too. */
	barrier();
}

int lp_statics_ours(char *text, int lie)
{
	unsigned long key, calls = 0, tails = 0;
	unsigned long own = (unsigned long)lp_static_tail;
	const struct static_call_site *site;
	struct lp_statics found;
	bool is_tail;

	/* To objtool, what is compared may be called. */
	OPTIMIZER_HIDE_VAR(own);
	if (lp_statics_of(own, &found))
		return false;
	for (site = (void *)found.calls; found.call_count; found.call_count--, site++) {
		key = lp_static_key(site) ^ lie;
		if ((key & ~STATIC_CALL_SITE_FLAGS) != (unsigned long)&STATIC_CALL_KEY(tp_func_sched_entry_tp))
			continue;
		is_tail = key & STATIC_CALL_SITE_TAIL;
		sprint_symbol(text, (unsigned long)&site->addr + site->addr);
		if (!str_has_prefix(text, is_tail ? "lp_static_tail" : "lp_static_call"))
			return false;
		tails += is_tail;
		calls += !is_tail;
	}
	return tails == 1 && calls == 1;
}

/* A key that nobody turns, in code that nobody runs. */
static DEFINE_STATIC_KEY_FALSE(lp_branch_key);

static noinline notrace __used void lp_branch(void)
{
	if (static_branch_unlikely(&lp_branch_key))
		barrier();
}

int lp_branches_ours(char *text, int lie)
{
	const struct jump_entry *entry;
	struct lp_statics found;
	unsigned long own = (unsigned long)lp_branch, branches = 0;

	OPTIMIZER_HIDE_VAR(own);
	if (lp_statics_of(own, &found))
		return false;
	for (entry = (void *)found.branches; found.branch_count; found.branch_count--, entry++) {
		if (jump_entry_key(entry) != &lp_branch_key.key)
			continue;
		sprint_symbol(text, jump_entry_code(entry) + lie * PAGE_SIZE);
		if (!str_has_prefix(text, "lp_branch+"))
			return false;
		sprint_symbol(text, jump_entry_target(entry));
		if (!str_has_prefix(text, "lp_branch+"))
			return false;
		branches++;
	}
	return branches == 1;
}
