// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's symbols, one after the other. The way from a name to an address is not exported, the one from an address to
 * its name is.
 */
#include <linux/kallsyms.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <asm/pgtable.h>

#include "shim.h"

/* Whether an address is mapped executable, and the page that it is in, of whatever size. */
static bool lp_executable(unsigned long addr, unsigned long *page, unsigned long *size)
{
	unsigned int level;
	pte_t *pte = lookup_address(addr, &level);

	if (!pte || !(pte_flags(*pte) & _PAGE_PRESENT) || (pte_flags(*pte) & _PAGE_NX))
		return false;
	*size = page_level_size(level);
	*page = addr & page_level_mask(level);
	return true;
}

/*
 * The text of vmlinux is mapped in one piece, executable from its first to its last page, and has no neighbor that
 * is. All of it has names.
 */
int lp_each_text_symbol(lp_symbol_fn f, void *arg)
{
	unsigned long addr = (unsigned long)sprint_symbol, end = 0, page, size, len;
	char *text __free(kfree) = kmalloc(KSYM_SYMBOL_LEN, GFP_KERNEL);
	unsigned int count = 0;
	char *plus;

	if (!text)
		return -ENOMEM;
	while (lp_executable(addr, &page, &size))
		addr = page - 1;
	for (addr++;; addr += len) {
		if (addr >= end) {
			if (!lp_executable(addr, &page, &size))
				break;
			end = page + size;
		}
		sprint_symbol(text, addr);
		/* "name+0x0/0xsize", or the address where there is no name. */
		plus = strrchr(text, '+');
		if (!plus || sscanf(plus, "+0x0/0x%lx", &len) != 1 || !len)
			break;
		f(arg, addr, text, plus - text);
		if (++count % 64 == 0)
			cond_resched();
	}
	return count;
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
