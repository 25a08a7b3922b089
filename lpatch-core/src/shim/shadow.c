// SPDX-License-Identifier: GPL-2.0
/*
 * Shadow variables, for patches and modules; what the functions promise is in lpatch/shadow.h.
 *
 * A hash table of all variables of all objects. Readers walk a bucket under RCU only. Who changes the table, or
 * runs a constructor or destructor, holds the lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/export.h>
#include <linux/hash.h>
#include <linux/overflow.h>
#include <linux/printk.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include <lpatch/shadow.h>

#include "shim.h"

struct lp_shadow {
	struct hlist_node node;
	struct rcu_head rcu;
	void *obj;
	unsigned long id;
	u8 data[] __aligned(8);
};

#define LP_SHADOW_BITS 12

static struct hlist_head lp_shadows[1 << LP_SHADOW_BITS];
static DEFINE_SPINLOCK(lp_shadow_lock);

/* By both: one object may have many variables. */
static struct hlist_head *lp_shadow_bucket(void *obj, unsigned long id)
{
	unsigned long key = (unsigned long)obj ^ hash_long(id, BITS_PER_LONG);

	return &lp_shadows[hash_long(key, LP_SHADOW_BITS)];
}

/* The caller is inside of rcu_read_lock() or holds the lock. */
static struct lp_shadow *lp_shadow_find(void *obj, unsigned long id)
{
	struct lp_shadow *shadow;

	hlist_for_each_entry_rcu(shadow, lp_shadow_bucket(obj, id), node,
				 lockdep_is_held(&lp_shadow_lock)) {
		if (shadow->obj == obj && shadow->id == id)
			return shadow;
	}
	return NULL;
}

void *lpatch_shadow_get(void *obj, unsigned long id)
{
	struct lp_shadow *shadow;

	guard(rcu)();
	shadow = lp_shadow_find(obj, id);
	return shadow ? shadow->data : NULL;
}
EXPORT_SYMBOL_GPL(lpatch_shadow_get);

/* Attaches a variable; or returns the data of the one that is there, with *exists set. */
static void *lp_shadow_attach(void *obj, unsigned long id, size_t size, gfp_t gfp,
			      lpatch_shadow_ctor_t ctor, void *ctor_data, bool *exists)
{
	struct lp_shadow *shadow, *found;
	unsigned long flags;
	int err = 0;
	void *data;

	/* The usual answer of get_or_alloc() costs neither memory nor the lock. */
	data = lpatch_shadow_get(obj, id);
	*exists = data;
	if (data)
		return data;

	/* A size that is no allocation's is a WARN of the allocator. */
	if (size > KMALLOC_MAX_SIZE - sizeof(*shadow))
		return NULL;
	/* Before the lock, because it may sleep. */
	shadow = kzalloc(struct_size(shadow, data, size), gfp);
	if (!shadow)
		return NULL;
	shadow->obj = obj;
	shadow->id = id;
	data = shadow->data;

	spin_lock_irqsave(&lp_shadow_lock, flags);
	found = lp_shadow_find(obj, id);
	if (!found && ctor)
		err = ctor(obj, data, ctor_data);
	/* Publishes what was written so far; pairs with the dependent reads in lp_shadow_find(). */
	if (!found && !err)
		hlist_add_head_rcu(&shadow->node, lp_shadow_bucket(obj, id));
	spin_unlock_irqrestore(&lp_shadow_lock, flags);

	if (!found && !err)
		return data;
	/* Nobody has seen it. */
	kfree(shadow);
	if (err) {
		pr_err_ratelimited("the constructor of shadow variable %#lx of object %p failed: %d\n",
				   id, obj, err);
		return NULL;
	}
	*exists = true;
	return found->data;
}

void *lpatch_shadow_alloc(void *obj, unsigned long id, size_t size, gfp_t gfp,
			  lpatch_shadow_ctor_t ctor, void *ctor_data)
{
	bool exists;
	void *data = lp_shadow_attach(obj, id, size, gfp, ctor, ctor_data, &exists);

	if (!exists)
		return data;
	pr_err_ratelimited("shadow variable %#lx of object %p exists already\n", id, obj);
	return NULL;
}
EXPORT_SYMBOL_GPL(lpatch_shadow_alloc);

void *lpatch_shadow_get_or_alloc(void *obj, unsigned long id, size_t size, gfp_t gfp,
				 lpatch_shadow_ctor_t ctor, void *ctor_data)
{
	bool exists;

	return lp_shadow_attach(obj, id, size, gfp, ctor, ctor_data, &exists);
}
EXPORT_SYMBOL_GPL(lpatch_shadow_get_or_alloc);

/* Under the lock. The memory waits for the readers that have found it before. */
static void lp_shadow_detach(struct lp_shadow *shadow, lpatch_shadow_dtor_t dtor)
{
	hlist_del_rcu(&shadow->node);
	if (dtor)
		dtor(shadow->obj, shadow->data);
	kfree_rcu(shadow, rcu);
}

void lpatch_shadow_free(void *obj, unsigned long id, lpatch_shadow_dtor_t dtor)
{
	struct lp_shadow *shadow;

	guard(spinlock_irqsave)(&lp_shadow_lock);
	shadow = lp_shadow_find(obj, id);
	if (shadow)
		lp_shadow_detach(shadow, dtor);
}
EXPORT_SYMBOL_GPL(lpatch_shadow_free);

void lpatch_shadow_free_all(unsigned long id, lpatch_shadow_dtor_t dtor)
{
	struct lp_shadow *shadow;
	struct hlist_node *next;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lp_shadows); i++) {
		/* Per bucket, so that interrupts are not off for the time of all destructors. */
		guard(spinlock_irqsave)(&lp_shadow_lock);
		hlist_for_each_entry_safe(shadow, next, &lp_shadows[i], node) {
			if (shadow->id == id)
				lp_shadow_detach(shadow, dtor);
		}
	}
}
EXPORT_SYMBOL_GPL(lpatch_shadow_free_all);

void lp_shadow_exit(void)
{
	struct lp_shadow *shadow;
	struct hlist_node *next;
	unsigned long left = 0, id = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lp_shadows); i++) {
		guard(spinlock_irqsave)(&lp_shadow_lock);
		hlist_for_each_entry_safe(shadow, next, &lp_shadows[i], node) {
			left++;
			id = shadow->id;
			lp_shadow_detach(shadow, NULL);
		}
	}
	if (left)
		pr_warn("%lu shadow variables were left, one of them with id %#lx; freed without a destructor\n",
			left, id);
}
