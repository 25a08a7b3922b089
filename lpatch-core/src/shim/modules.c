// SPDX-License-Identifier: GPL-2.0
/* Modules: which there are, that they stay, what is in them, and that they come and go. */
#include <linux/kallsyms.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/string.h>

#include "shim.h"

/*
 * The kernel exports no way to find a module by name, but every module is on one list, and so are we. Starting from
 * our own entry the list's head is met once; it is not part of a module. Modules live in the module area, the
 * head in the kernel image. RCU keeps the struct until the module is freed.
 */
static struct module *lp_next_module(struct module *mod)
{
	struct list_head *pos = &mod->list;

	do {
		pos = rcu_dereference_raw(list_next_rcu(pos));
	} while ((unsigned long)pos < MODULES_VADDR || (unsigned long)pos >= MODULES_END);
	return pos == &THIS_MODULE->list ? NULL : list_entry(pos, struct module, list);
}

#define lp_for_each_module(mod)						\
	for (mod = THIS_MODULE; mod; mod = lp_next_module(mod))		\
		if (READ_ONCE(mod->state) != MODULE_STATE_UNFORMED)

static struct module *lp_find_module(const char *name, unsigned long len)
{
	struct module *mod;

	lp_for_each_module(mod) {
		if (strlen(mod->name) == len && !memcmp(mod->name, name, len))
			return mod;
	}
	return NULL;
}

int lp_module_statics(unsigned long addr, struct lp_statics *found)
{
	struct module *mod;

	guard(rcu)();
	lp_for_each_module(mod) {
		if (within_module(addr, mod)) {
			*found = (struct lp_statics){
				.calls = (unsigned long)mod->static_call_sites,
				.call_count = mod->num_static_call_sites,
				.branches = (unsigned long)mod->jump_entries,
				.branch_count = mod->num_jump_entries,
			};
			return 0;
		}
	}
	return -ENOENT;
}

void *lp_module_get(const char *name, unsigned long len)
{
	struct module *mod;

	guard(rcu)();
	mod = lp_find_module(name, len);
	/* We may still be initializing. */
	if (mod && (mod == THIS_MODULE || READ_ONCE(mod->state) == MODULE_STATE_LIVE) && try_module_get(mod))
		return mod;
	return NULL;
}

int lp_module_exists(const char *name, unsigned long len)
{
	guard(rcu)();
	return lp_find_module(name, len) != NULL;
}

void lp_module_put(void *module)
{
	module_put(module);
}

static int lp_module_event(struct notifier_block *nb, unsigned long event, void *data)
{
	struct module *mod = data;
	int err;

	switch (event) {
	case MODULE_STATE_COMING:
		/* Before its init function; ftrace knows its functions. An error refuses it. */
		err = lpatch_module_coming(mod, mod->name);
		return err ? notifier_from_errno(err) : NOTIFY_OK;
	case MODULE_STATE_LIVE:
		/* After its init function. */
		lpatch_module_live(mod->name);
		return NOTIFY_OK;
	case MODULE_STATE_GOING:
		/* After its exit function, or because it was refused. Its memory is still there. */
		lpatch_module_going(mod, mod->name);
		return NOTIFY_OK;
	default:
		return NOTIFY_DONE;
	}
}

static struct notifier_block lp_module_notifier = { .notifier_call = lp_module_event };

int lp_targets_init(void)
{
	return register_module_notifier(&lp_module_notifier);
}

void lp_targets_exit(void)
{
	unregister_module_notifier(&lp_module_notifier);
}

void lp_each_module_symbol(void *module, lp_symbol_fn f, void *arg)
{
	struct module *mod = module;
	const struct mod_kallsyms *symbols;
	unsigned int i;

	guard(rcu)();
	symbols = rcu_dereference(mod->kallsyms);
	for (i = 1; i < symbols->num_symtab; i++) {
		const Elf_Sym *symbol = &symbols->symtab[i];
		const char *name = symbols->strtab + symbol->st_name;
		unsigned long addr = kallsyms_symbol_value(symbol);

		/* /proc/kallsyms, whose order positions are about, has no symbols of init sections once they are gone. */
		if (symbol->st_shndx != SHN_UNDEF && !within_module_init(addr, mod))
			f(arg, addr, name, strlen(name));
	}
}

void lp_module_describe(void *module, struct lp_module *d)
{
	struct module *mod = module;

	d->name = mod->name;
	d->version = mod->version;
	d->text = (unsigned long)mod->mem[MOD_TEXT].base;
	d->text_len = mod->mem[MOD_TEXT].size;
	d->rodata_len = mod->mem[MOD_RODATA].size;
	d->data_len = mod->mem[MOD_DATA].size;
}

int lp_module_has(void *module, unsigned long addr)
{
	return within_module(addr, module);
}

int lp_module_overlaps(void *module, unsigned long first, unsigned long last)
{
	struct module *mod = module;

	for_each_mod_mem_type(type) {
		unsigned long start = (unsigned long)mod->mem[type].base;

		if (mod->mem[type].size && start <= last && first < start + mod->mem[type].size)
			return 1;
	}
	return 0;
}
