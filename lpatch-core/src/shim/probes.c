// SPDX-License-Identifier: GPL-2.0
/*
 * What was in the place of a kprobe.
 *
 * get_kprobe() is not exported. But who registers a kprobe where another one is learns from the kernel what the first byte of the
 * instruction was, and one with a post_handler turns a jump, which hides four more bytes, back into an int3. So that is
 * what is done: a probe that does nothing joins the others at the same instruction, and leaves again. It is not registered as
 * disabled: with the last probe there just gone, and its jump not yet taken out, the kernel would keep that one's breakpoint.
 *
 * The kernel refuses what cannot be a probe: the middle of an instruction, an int3 of the compiler or of a debugger, code that may not
 * be probed. Nobody has one there either.
 */
#include <linux/kprobes.h>
#include <linux/slab.h>

#include "shim.h"

struct lp_probes {
	unsigned int count;
	struct kprobe *all[LP_PROBES];
};

static notrace void lp_probe_hit(struct kprobe *p, struct pt_regs *regs, unsigned long flags)
{
}
NOKPROBE_SYMBOL(lp_probe_hit);

struct lp_probes *lp_probes_new(void)
{
	return kzalloc(sizeof(struct lp_probes), GFP_KERNEL);
}

int lp_probes_join(struct lp_probes *probes, unsigned long addr, unsigned char *first)
{
	struct kprobe *p;
	int err;

	if (probes->count == ARRAY_SIZE(probes->all))
		return -ENOSPC;
	p = kzalloc(sizeof(*p), GFP_KERNEL);
	if (!p)
		return -ENOMEM;
	p->addr = (kprobe_opcode_t *)addr;
	p->post_handler = lp_probe_hit;
	err = register_kprobe(p);
	if (err) {
		kfree(p);
		return err;
	}
	*first = p->opcode;
	probes->all[probes->count++] = p;
	return 0;
}

void lp_probes_free(struct lp_probes *probes)
{
	unsigned int i;

	/* One grace period for all. Behind it nobody is in their handlers. */
	unregister_kprobes(probes->all, probes->count);
	for (i = 0; i < probes->count; i++)
		kfree(probes->all[i]);
	kfree(probes);
}
