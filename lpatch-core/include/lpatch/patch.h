/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For authors of patch objects: which functions are replaced, by what, what is called before and
 * after, and what the patch is called.
 *
 * A patch object is a relocatable ELF file; these macros write its sections .lpatch.* and
 * .note.lpatch. docs/object.md defines them, docs/patches.md shows a patch.
 */
#ifndef _LPATCH_PATCH_H
#define _LPATCH_PATCH_H

#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/stddef.h>
#include <linux/types.h>
#include <asm/orc_header.h>

#include <lpatch/callback.h>

#ifdef CONFIG_HAVE_JUMP_LABEL_HACK
#error "compile patch objects with lpatch-core/build-patch: static branches need their full size"
#endif

/**
 * struct lpatch_object_func - one function to replace, an entry of .lpatch.funcs
 * @new_fn: the replacement
 * @objname: name of the module that has the old function, or NULL for vmlinux
 * @old_name: name of the old function, as in /proc/kallsyms
 * @sympos: its position among symbols of that name in the object, from 1; 0: the name is unique
 */
struct lpatch_object_func {
	const void *new_fn;
	const char *objname;
	const char *old_name;
	u64 sympos;
};

static_assert(sizeof(struct lpatch_object_func) == 32);

/**
 * struct lpatch_object_sym - how an undefined symbol resolves, an entry of .lpatch.syms
 * @objname: name of the module that has the symbol, or NULL for vmlinux
 * @name: its name, as in /proc/kallsyms
 * @sympos: its position among symbols of that name in the object, from 1; 0: the name is unique
 */
struct lpatch_object_sym {
	const char *objname;
	const char *name;
	u64 sympos;
};

static_assert(sizeof(struct lpatch_object_sym) == 24);

/**
 * struct lpatch_object_callback - a function to call, an entry of .lpatch.callbacks
 * @pre_patch: the function, if it may refuse
 * @notify: the function, if it may not
 * @objname: name of the module that it is about, or NULL for vmlinux
 * @kind: __LPATCH_PRE_PATCH and the like
 */
struct lpatch_object_callback {
	union {
		int (*pre_patch)(const struct lpatch_object *obj);
		void (*notify)(const struct lpatch_object *obj);
	};
	const char *objname;
	u64 kind;
};

static_assert(sizeof(struct lpatch_object_callback) == 24);

/* As LPATCH_CALLBACK_* of the ABI. */
#define __LPATCH_PRE_PATCH	1
#define __LPATCH_POST_PATCH	2
#define __LPATCH_PRE_UNPATCH	3
#define __LPATCH_POST_UNPATCH	4

/**
 * struct lpatch_object_state - a state of the system, an entry of .lpatch.states
 * @id: which
 * @version: the version that the patch makes, and up to which it can deal with it
 * @reserved: zero
 */
struct lpatch_object_state {
	u64 id;
	u32 version;
	u32 reserved;
};

static_assert(sizeof(struct lpatch_object_state) == 16);

/* One more level than it seems to need: an operand of ## is not expanded. */
#define __LPATCH_EXPAND(macro, ...)	macro(__VA_ARGS__)

/*
 * The names are needed at link time only, so they stay out of the sections that go into the
 * kernel. The entries have an alignment of their own: the compiler's leaves gaps between them.
 */
#define __LPATCH_STRING(id, string)					\
	static const char id[] __section(".lpatch.strings") __aligned(1) = string

#define __LPATCH_FUNC(id, object, in_vmlinux, old, pos, fn)		\
	__LPATCH_STRING(id ## _object, object);				\
	__LPATCH_STRING(id ## _old, old);				\
	static const struct lpatch_object_func id ## _entry		\
	__used __section(".lpatch.funcs") __aligned(8) = {		\
		.new_fn = (fn),						\
		.objname = (in_vmlinux) ? NULL : id ## _object,		\
		.old_name = id ## _old,					\
		.sympos = (pos),					\
	}

#define __LPATCH_SYM(id, object, in_vmlinux, symbol, pos)		\
	__LPATCH_STRING(id ## _object, object);				\
	__LPATCH_STRING(id ## _name, symbol);				\
	static const struct lpatch_object_sym id ## _entry		\
	__used __section(".lpatch.syms") __aligned(8) = {		\
		.objname = (in_vmlinux) ? NULL : id ## _object,		\
		.name = id ## _name,					\
		.sympos = (pos),					\
	}

/* The member has the type of the function, so that the compiler checks it. */
#define __LPATCH_CALLBACK(id, object, in_vmlinux, what, member, fn)	\
	__LPATCH_STRING(id ## _object, object);				\
	static const struct lpatch_object_callback id ## _entry		\
	__used __section(".lpatch.callbacks") __aligned(8) = {		\
		.member = (fn),						\
		.objname = (in_vmlinux) ? NULL : id ## _object,		\
		.kind = (what),						\
	}

#define __LPATCH_CALL(object, what, member, fn)				\
	__LPATCH_EXPAND(__LPATCH_CALLBACK, __PASTE(__lpatch_callback_, __COUNTER__), #object, \
			!__builtin_strcmp(#object, "vmlinux"), what, member, fn)

/**
 * LPATCH_FUNC_POS() - replace one of several functions of the same name
 * @object: vmlinux, or the name of a module as lsmod prints it
 * @old_name: the function's name, as in /proc/kallsyms; dots are allowed
 * @sympos: which one: 1 is the first of that name that /proc/kallsyms lists for @object
 * @new_fn: the function that takes its place; same type, same calling convention
 */
#define LPATCH_FUNC_POS(object, old_name, sympos, new_fn)		\
	__LPATCH_EXPAND(__LPATCH_FUNC, __PASTE(__lpatch_func_, __COUNTER__), #object, \
			!__builtin_strcmp(#object, "vmlinux"), #old_name, sympos, new_fn)

/**
 * LPATCH_FUNC() - replace a function whose name is unique in its object
 * @object: vmlinux, or the name of a module as lsmod prints it
 * @old_name: the function's name, as in /proc/kallsyms; dots are allowed
 * @new_fn: the function that takes its place; same type, same calling convention
 *
 * Example::
 *
 *	static int new_cmdline_proc_show(struct seq_file *m, void *v)
 *	{
 *		seq_puts(m, "patched\n");
 *		return 0;
 *	}
 *	LPATCH_FUNC(vmlinux, cmdline_proc_show, new_cmdline_proc_show);
 */
#define LPATCH_FUNC(object, old_name, new_fn)				\
	LPATCH_FUNC_POS(object, old_name, 0, new_fn)

/**
 * LPATCH_SYM() - say where an undefined symbol of the patch is defined
 * @object: vmlinux, or the name of a module as lsmod prints it
 * @name: the symbol, as in /proc/kallsyms
 * @sympos: which one, from 1, if @object has several of that name; else 0
 *
 * A patch may refer to any symbol of vmlinux, exported, unexported or static, by declaring it
 * extern. Only a name that is ambiguous, or that a module defines, needs this line too.
 */
#define LPATCH_SYM(object, name, sympos)				\
	__LPATCH_EXPAND(__LPATCH_SYM, __PASTE(__lpatch_sym_, __COUNTER__), #object, \
			!__builtin_strcmp(#object, "vmlinux"), #name, sympos)

/**
 * LPATCH_PRE_PATCH() - have a function called before the functions of an object are replaced
 * @object: vmlinux, or the name of a module as lsmod prints it; it need not have functions that the
 *	patch replaces
 * @fn: int fn(const struct lpatch_object *obj): 0, or a negative errno to refuse
 *
 * For vmlinux and for modules that are loaded, that is when the patch is enabled; a refusal keeps it
 * from being enabled. For another module it is when that is loaded; a refusal keeps it from being
 * loaded. If it refuses, the other callbacks of the object are not called.
 *
 * Callbacks may sleep, and may have modules loaded; docs/patches.md tells who calls them. Each object can have one of each kind.
 *
 * Example::
 *
 *	static int prepare(const struct lpatch_object *obj)
 *	{
 *		table = kcalloc(N, sizeof(*table), GFP_KERNEL);
 *		return table ? 0 : -ENOMEM;
 *	}
 *	LPATCH_PRE_PATCH(vmlinux, prepare);
 */
#define LPATCH_PRE_PATCH(object, fn)	__LPATCH_CALL(object, __LPATCH_PRE_PATCH, pre_patch, fn)

/**
 * LPATCH_POST_PATCH() - have a function called when all tasks use the new functions of an object
 * @object: vmlinux, or the name of a module as lsmod prints it
 * @fn: void fn(const struct lpatch_object *obj)
 */
#define LPATCH_POST_PATCH(object, fn)	__LPATCH_CALL(object, __LPATCH_POST_PATCH, notify, fn)

/**
 * LPATCH_PRE_UNPATCH() - have a function called before the old functions of an object come back
 * @object: vmlinux, or the name of a module as lsmod prints it
 * @fn: void fn(const struct lpatch_object *obj)
 */
#define LPATCH_PRE_UNPATCH(object, fn)	__LPATCH_CALL(object, __LPATCH_PRE_UNPATCH, notify, fn)

/**
 * LPATCH_POST_UNPATCH() - have a function called when all tasks use the old functions of an object
 * @object: vmlinux, or the name of a module as lsmod prints it
 * @fn: void fn(const struct lpatch_object *obj)
 */
#define LPATCH_POST_UNPATCH(object, fn)	__LPATCH_CALL(object, __LPATCH_POST_UNPATCH, notify, fn)

/**
 * LPATCH_STATE() - say which change of the system's state the patch makes, or can deal with
 * @state: a number that stands for the change, the same in all patches of the set
 * @level: its version: the patch can deal with this one and lower ones
 *
 * A patch is refused if an enabled patch of its set has a higher version of one of its states, and a
 * cumulative patch also if it does not have a state at all that one of them has.
 */
#define LPATCH_STATE(state, level)					\
	static const struct lpatch_object_state				\
	__PASTE(__lpatch_state_, __COUNTER__)				\
	__used __section(".lpatch.states") __aligned(8) = {		\
		.id = (state),						\
		.version = (level),					\
	}

/*
 * A note of type 1 (INFO). Assembly, because a note written in C would be SHF_ALLOC and so a part
 * of the code and data that go into the kernel.
 */
#define __LPATCH_INFO(key, value)					\
	asm(".pushsection .note.lpatch, \"\", @note\n"			\
	    "	.balign	4\n"						\
	    "	.long	7, 771f - 770f, 1\n"				\
	    "	.asciz	\"lpatch\"\n"					\
	    "	.balign	4\n"						\
	    "770: .ascii	\"" key "=\"\n"				\
	    "	.asciz	\"" value "\"\n"				\
	    "771:\n"							\
	    "	.balign	4\n"						\
	    ".popsection\n")

/**
 * LPATCH_NAME() - name the patch
 * @name: string literal, 1 to 63 characters of A-Z a-z 0-9 . _ + -
 *
 * Exactly one in a patch, in one of its sources. Two loaded patches never have the same name. This
 * line also records the format of the ORC tables, as each module of the kernel does once.
 */
#define LPATCH_NAME(name)						\
	static_assert(sizeof(name) > 1 && sizeof(name) <= 64);		\
	ORC_HEADER;							\
	__LPATCH_INFO("name", name)

/**
 * LPATCH_VERSION() - give the version of the patch
 * @version: string literal, at most 31 bytes
 */
#define LPATCH_VERSION(version)						\
	static_assert(sizeof(version) <= 32);				\
	__LPATCH_INFO("version", version)

/**
 * LPATCH_DESCRIPTION() - say in one line what the patch does
 * @description: string literal
 */
#define LPATCH_DESCRIPTION(description)	__LPATCH_INFO("description", description)

/**
 * LPATCH_FIXES() - name what the patch fixes; may be repeated
 * @what: string literal, as a CVE number or a commit
 */
#define LPATCH_FIXES(what)	__LPATCH_INFO("fixes", what)

/**
 * LPATCH_SET() - put the patch into a set
 * @set: string literal, of the same characters as a patch's name
 *
 * A cumulative patch replaces the patches of its own set only. Without this line the set is "main".
 */
#define LPATCH_SET(set)							\
	static_assert(sizeof(set) > 1 && sizeof(set) <= 64);		\
	__LPATCH_INFO("set", set)

/**
 * LPATCH_CUMULATIVE() - the patch takes the place of all others of its set
 *
 * When it is enabled, they are disabled in the same transition. Patches of other sets stay.
 */
#define LPATCH_CUMULATIVE()	__LPATCH_INFO("cumulative", "1")

#endif /* _LPATCH_PATCH_H */
