/* SPDX-License-Identifier: GPL-2.0 */
/* What callbacks of patches are told, those of patch objects and those of patch modules. */
#ifndef _LPATCH_CALLBACK_H
#define _LPATCH_CALLBACK_H

struct module;

/**
 * struct lpatch_object - what a callback is told
 * @name: "vmlinux", or the name of a module
 * @mod: the module, or NULL for vmlinux
 */
struct lpatch_object {
	const char *name;
	struct module *mod;
};

#endif /* _LPATCH_CALLBACK_H */
