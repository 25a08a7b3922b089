/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For authors of patch modules: kernel modules whose functions take the place of others. insmod begins to enable
 * the patch; then it is a patch as any other: `lpatch list`, `disable`, `enable`, `reverse`.
 *
 * A patch module is an ordinary module: it is compiled, linked and verified as one, uses what the kernel exports,
 * and depends on lpatch_core. docs/patches.md shows one, and lpatch/module.rs has the same for Rust.
 */
#ifndef _LPATCH_MODULE_H
#define _LPATCH_MODULE_H

#include <linux/module.h>
#include <linux/types.h>

#include <lpatch/callback.h>

/**
 * struct lpatch_module_func - one function to replace
 * @objname: name of the module that has the old function, or NULL for vmlinux. A module that is not loaded may
 *	come later: then the function is looked for, and what is wrong with it refuses that module.
 * @old_name: name of the old function, as in /proc/kallsyms
 * @sympos: its position among symbols of that name in the object, from 1; 0: the name is unique
 * @new_func: the replacement, a function of the patch module, not __init; same type, same calling convention
 *
 * Of several names for one address, vmlinux knows a function by the one that /proc/kallsyms lists first.
 */
struct lpatch_module_func {
	const char *objname;
	const char *old_name;
	unsigned long sympos;
	void *new_func;
};

/**
 * struct lpatch_module_callbacks - what is called when an object changes; each may be NULL
 * @objname: name of the module that they are about, or NULL for vmlinux; the patch need not replace functions of it
 * @pre_patch: before its functions are replaced; an errno keeps the patch from being enabled, or the module from being loaded
 * @post_patch: when all tasks use the new functions
 * @pre_unpatch: before the old functions come back
 * @post_unpatch: when all tasks use the old functions
 *
 * They are functions of the patch module, not __init, and may sleep. Those of vmlinux are called first, the others in the
 * order of the list. What they may rely on is as in patch objects: docs/patches.md. lpatch/state.h is for them, too.
 */
struct lpatch_module_callbacks {
	const char *objname;
	int (*pre_patch)(const struct lpatch_object *obj);
	void (*post_patch)(const struct lpatch_object *obj);
	void (*pre_unpatch)(const struct lpatch_object *obj);
	void (*post_unpatch)(const struct lpatch_object *obj);
};

/**
 * struct lpatch_module_state - a change of the system's state that the patch makes, or can deal with
 * @id: a number that stands for the change, the same in all patches of the set
 * @version: of the change: the patch can deal with this one and lower ones
 */
struct lpatch_module_state {
	u64 id;
	u32 version;
};

/**
 * struct lpatch_module - what a patch module registers
 * @mod: THIS_MODULE
 * @funcs: the functions, ended by an entry without @old_name
 * @callbacks: the callbacks, one entry for an object, ended by an entry that has none; or NULL
 * @states: the states, in any order, ended by an entry of zeros; or NULL
 * @name: name of the patch, 1 to 63 characters of A-Z a-z 0-9 . _ + -; NULL: that of the module
 * @version: its version, at most 31 of the same characters; NULL: MODULE_VERSION(), if there is one
 * @set: the set that it belongs to, of the same characters as a name; NULL: "main"
 * @cumulative: it replaces all others of its set
 * @no_promote: calls of its functions always come through the ftrace handler, so that others can have their jumps there, such as BPF
 *	programs
 * @refuse_modules: a module of its functions or callbacks that comes later and that it does not fit is refused; else the patch is left
 *	out of it
 * @timeout_ms: the first transition reverses by itself if it takes longer; 0: it does not
 * @interrupt_ms: after how long the first transition interrupts tasks that are asleep in the old functions; 0: 15 seconds; UINT_MAX: never
 */
struct lpatch_module {
	struct module *mod;
	const struct lpatch_module_func *funcs;
	const struct lpatch_module_callbacks *callbacks;
	const struct lpatch_module_state *states;
	const char *name;
	const char *version;
	const char *set;
	bool cumulative;
	bool no_promote;
	bool refuse_modules;
	unsigned int timeout_ms;
	unsigned int interrupt_ms;
};

/**
 * lpatch_register() - make a patch of a module, and begin to enable it
 * @patch: the description; it may be __initconst
 *
 * To be called by the module's init function, as the last thing that can fail: code that tasks may be
 * executing must not go away. lpatch_module_init() writes such a function.
 *
 * Finds the old functions by name, which takes a while (docs/patches.md), and checks them as those of patch objects. Calls the
 * pre-patch callbacks, and does not wait for the end of the transition. As long as the patch is loaded, its module cannot be
 * unloaded: `lpatch disable` and `lpatch unload` come first.
 *
 * Return: 0, or a negative errno; then nothing has changed, and the log says why.
 */
int lpatch_register(const struct lpatch_module *patch);

/**
 * lpatch_module_init() - the init and exit functions of a module that only registers a patch
 * @patch: a struct lpatch_module
 */
#define lpatch_module_init(patch)					\
static int __init patch##_init(void)					\
{									\
	return lpatch_register(&(patch));				\
}									\
static void __exit patch##_exit(void)					\
{									\
}									\
module_init(patch##_init);						\
module_exit(patch##_exit)

#endif /* _LPATCH_MODULE_H */
