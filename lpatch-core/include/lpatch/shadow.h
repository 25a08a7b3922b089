/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shadow variables: data of a patch that belongs to an object of the kernel. A structure of a running kernel
 * cannot grow, so what a fix would add to it is kept beside it, and is found by the object's address
 * and a number.
 *
 * For patch objects, which need nothing but this file, and for kernel modules, which depend on lpatch_core then.
 *
 * The id says what the data is: a name space that all users share, so choose it at random, or derive it
 * from the number of what is fixed. Nothing of the object is read or written; its address is a key. Every
 * address will do, NULL too.
 *
 * A variable holds no reference, neither to its object nor to the code that attached it, and nobody removes it
 * but a call of lpatch_shadow_free() or lpatch_shadow_free_all(). Three rules follow:
 *
 * - It has to be freed before the object is. Else the next object at that address inherits it.
 * - Who stops looking after the objects frees all of its variables: a patch in its post-unpatch callback, a module
 *   when it exits. No destructor is remembered, since its code may be gone when it would be needed. What
 *   remains when lpatch_core is unloaded is counted in the log and freed without a destructor.
 * - A variable that is to outlive the patch, for a newer version of it to find, must not contain pointers into the
 *   patch.
 *
 * A pointer to the data is valid until the variable is freed. Who uses it makes sure of that, by a lock or a
 * reference of the object's; a reader who may be late is safe inside of rcu_read_lock(), as the memory
 * goes only after a grace period. Concurrent accesses to the data are the caller's to order, too.
 *
 * Contexts: lpatch_shadow_get() takes no lock and may be called from any context in which RCU is watching, NMI
 * included. The others take a spinlock_t with interrupts off: from threads and soft interrupts, and from hard interrupts only where that lock
 * does not sleep, which is on kernels without PREEMPT_RT. The caller's gfp flags say whether an allocation may sleep.
 */
#ifndef _LPATCH_SHADOW_H
#define _LPATCH_SHADOW_H

#include <linux/types.h>

/**
 * typedef lpatch_shadow_ctor_t - initializes a new variable
 * @obj: the object
 * @data: the data, zeroed, aligned to 8 bytes
 * @ctor_data: what the caller handed over
 *
 * Runs under the lock of all shadow variables, with interrupts off, before anybody can find the variable: it must not
 * sleep, be long, or call functions of this file other than lpatch_shadow_get().
 *
 * Return: 0, or a negative errno; then there is no variable.
 */
typedef int (*lpatch_shadow_ctor_t)(void *obj, void *data, void *ctor_data);

/**
 * typedef lpatch_shadow_dtor_t - lets go of what a variable owns
 * @obj: the object
 * @data: the data; readers inside of rcu_read_lock() may still see it
 *
 * Runs as a constructor does, after the variable can be found no more.
 */
typedef void (*lpatch_shadow_dtor_t)(void *obj, void *data);

/**
 * lpatch_shadow_get() - find a variable
 * @obj: the object
 * @id: what data of it
 *
 * Return: the data, or NULL if there is none.
 */
void *lpatch_shadow_get(void *obj, unsigned long id);

/**
 * lpatch_shadow_alloc() - attach a variable that does not exist
 * @obj: the object
 * @id: what data of it
 * @size: bytes; 0 if only its existence says something
 * @gfp: how to allocate
 * @ctor: constructor, or NULL: the data stays zero
 * @ctor_data: for @ctor
 *
 * Return: the data, or NULL: without memory, if @ctor failed, or if there is such a variable already. The last two are
 * errors in the log, at a limited rate.
 */
void *lpatch_shadow_alloc(void *obj, unsigned long id, size_t size, gfp_t gfp,
			  lpatch_shadow_ctor_t ctor, void *ctor_data);

/**
 * lpatch_shadow_get_or_alloc() - find a variable, or attach it
 * @obj: the object
 * @id: what data of it
 * @size: bytes, if it is attached now
 * @gfp: how to allocate
 * @ctor: constructor, or NULL: the data stays zero
 * @ctor_data: for @ctor
 *
 * Of several that try at once, one attaches the variable and calls @ctor; the others get the same data.
 *
 * Return: the data, or NULL: without memory, or if @ctor failed, which is an error in the log.
 */
void *lpatch_shadow_get_or_alloc(void *obj, unsigned long id, size_t size, gfp_t gfp,
				 lpatch_shadow_ctor_t ctor, void *ctor_data);

/**
 * lpatch_shadow_free() - detach and free a variable
 * @obj: the object
 * @id: what data of it
 * @dtor: destructor, or NULL
 *
 * Does nothing if there is none.
 */
void lpatch_shadow_free(void *obj, unsigned long id, lpatch_shadow_dtor_t dtor);

/**
 * lpatch_shadow_free_all() - detach and free the variables of all objects
 * @id: what data of them
 * @dtor: destructor, or NULL; called for each, in no particular order
 *
 * Frees every variable that was attached before the call. One that is attached meanwhile may stay.
 */
void lpatch_shadow_free_all(unsigned long id, lpatch_shadow_dtor_t dtor);

#ifdef LPATCH_PATCH_OBJECT
#include <lpatch/patch.h>

LPATCH_SYM(lpatch_core, lpatch_shadow_get, 0);
LPATCH_SYM(lpatch_core, lpatch_shadow_alloc, 0);
LPATCH_SYM(lpatch_core, lpatch_shadow_get_or_alloc, 0);
LPATCH_SYM(lpatch_core, lpatch_shadow_free, 0);
LPATCH_SYM(lpatch_core, lpatch_shadow_free_all, 0);
#endif

#endif /* _LPATCH_SHADOW_H */
