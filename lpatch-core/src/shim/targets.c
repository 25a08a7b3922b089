// SPDX-License-Identifier: GPL-2.0
/* Modules whose functions patches replace: they come and go, and their symbols are found by name. */
#include <linux/kallsyms.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/rcupdate.h>

#include "shim.h"

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
