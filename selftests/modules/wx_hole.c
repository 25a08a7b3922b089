// SPDX-License-Identifier: GPL-2.0
/*
 * Maps a page writable and executable at once, for the test of the test that looks for such pages. Nothing
 * is executed there. Its address is the parameter "addr".
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/vmalloc.h>
#include <asm/pgtable_types.h>

static void *hole;
static unsigned long addr;
module_param(addr, ulong, 0400);

static int set_executable(bool on)
{
	unsigned int level;
	pte_t *pte = lookup_address(addr, &level);

	if (!pte || level != PG_LEVEL_4K)
		return -ENXIO;
	/* No flush: what matters is what the tables say. */
	set_pte(pte, on ? pte_clear_flags(*pte, _PAGE_NX) : pte_set_flags(*pte, _PAGE_NX));
	return 0;
}

static int __init wx_hole_init(void)
{
	int err;

	hole = vmalloc(PAGE_SIZE);
	if (!hole)
		return -ENOMEM;
	addr = (unsigned long)hole;
	err = set_executable(true);
	if (err)
		vfree(hole);
	return err;
}

static void __exit wx_hole_exit(void)
{
	set_executable(false);
	vfree(hole);
}

module_init(wx_hole_init);
module_exit(wx_hole_exit);
MODULE_DESCRIPTION("a page that is writable and executable");
MODULE_LICENSE("GPL");
