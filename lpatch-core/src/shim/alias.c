// SPDX-License-Identifier: GPL-2.0
/* Writing to text and rodata through a second mapping. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/vmalloc.h>
#include <asm/sync_core.h>

#include "shim.h"

void *lp_alias_map(unsigned long addr, unsigned int pages)
{
	struct page **vec = kvmalloc_array(pages, sizeof(*vec), GFP_KERNEL);
	void *alias = NULL;
	unsigned int i;

	if (!vec)
		return NULL;
	for (i = 0; i < pages; i++) {
		vec[i] = vmalloc_to_page((void *)(addr + i * PAGE_SIZE));
		if (!vec[i])
			goto out;
	}
	/* PAGE_KERNEL is writable and not executable; the module's own mapping is the reverse. */
	alias = vmap(vec, pages, VM_MAP, PAGE_KERNEL);
out:
	kvfree(vec);
	return alias;
}

void lp_alias_unmap(void *alias)
{
	vunmap(alias);
}

static void lp_sync_core(void *unused)
{
	sync_core();
}

void lp_sync_cores(void)
{
	on_each_cpu(lp_sync_core, NULL, 1);
}
