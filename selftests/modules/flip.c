// SPDX-License-Identifier: GPL-2.0
/* Flips the bits "mask" of the byte of a module's memory at "addr", and back when it goes. Other bits are let alone. */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/vmalloc.h>

static unsigned long addr;
module_param(addr, ulong, 0400);

static unsigned char mask = 1;
module_param(mask, byte, 0400);

static int flip(void)
{
	struct page *page = vmalloc_to_page((void *)addr);
	unsigned char *alias;

	if (!page)
		return -EFAULT;
	alias = vmap(&page, 1, VM_MAP, PAGE_KERNEL);
	if (!alias)
		return -ENOMEM;
	alias[offset_in_page(addr)] ^= mask;
	vunmap(alias);
	return 0;
}

static int __init flip_init(void)
{
	return is_vmalloc_or_module_addr((void *)addr) ? flip() : -EINVAL;
}

static void __exit flip_exit(void)
{
	flip();
}

module_init(flip_init);
module_exit(flip_exit);
MODULE_DESCRIPTION("a byte that changes");
MODULE_LICENSE("GPL");
