// SPDX-License-Identifier: GPL-2.0
/* What the core has to know of the running kernel, and what that has decided about code, for the CPU and the mitigations of this boot. */
#include <linux/cpumask.h>
#include <linux/crc32.h>
#include <linux/kallsyms.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/security.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/utsname.h>
#include <asm/alternative.h>
#include <asm/cpufeature.h>
#include <asm/orc_hash.h>
#include <asm/pgtable.h>
#include <asm/processor.h>

#include "shim.h"

/* The loader reads this format. */
static_assert(sizeof(struct alt_instr) == 14);
static_assert(offsetof(struct alt_instr, ft_flags) == 8 && offsetof(struct alt_instr, instrlen) == 12);
static_assert(ALT_FLAG_NOT == 1 && ALT_FLAG_DIRECT_CALL == 2 && ALT_FLAGS_SHIFT == 16);

unsigned int lp_symbol(unsigned long addr, char *buf, unsigned int len)
{
	if (len < KSYM_SYMBOL_LEN)
		return 0;
	/* The caller may be on its way through all symbols. */
	cond_resched();
	return sprint_symbol(buf, addr);
}

unsigned int lp_crc32(unsigned int crc, const unsigned char *bytes, unsigned long len)
{
	return ~crc32_le(~crc, bytes, len);
}

const unsigned char *lp_orc_hash(void)
{
	static const unsigned char hash[] = { ORC_HASH };

	static_assert(sizeof(hash) == 20);
	return hash;
}

const char *lp_release(void)
{
	return init_utsname()->release;
}

const unsigned int *lp_cpu_features(unsigned long *count)
{
	*count = ARRAY_SIZE(boot_cpu_data.x86_capability);
	return boot_cpu_data.x86_capability;
}

unsigned int lp_mitigations(void)
{
	unsigned int found = 0;

#ifdef CONFIG_MITIGATION_RETPOLINE
	if (cpu_feature_enabled(X86_FEATURE_RETPOLINE))
		found |= LP_RETPOLINE;
	if (cpu_feature_enabled(X86_FEATURE_RETPOLINE_LFENCE))
		found |= LP_RETPOLINE_LFENCE;
#endif
#ifdef CONFIG_MITIGATION_CALL_DEPTH_TRACKING
	if (cpu_feature_enabled(X86_FEATURE_CALL_DEPTH))
		found |= LP_CALL_DEPTH;
#endif
#ifdef CONFIG_MITIGATION_ITS
	if (cpu_feature_enabled(X86_FEATURE_INDIRECT_THUNK_ITS))
		found |= LP_INDIRECT_ITS;
#endif
	return found;
}

int lp_one_cpu(void)
{
	return num_possible_cpus() == 1;
}

/*
 * Read by root only, since it has addresses. Given when the module is loaded, it means nothing: the initialization
 * writes over it.
 */
static char lp_facts[LP_FACTS_TEXT];
module_param_string(facts, lp_facts, sizeof(lp_facts), 0400);

void lp_show_facts(const char *text, unsigned long len)
{
	if (len >= sizeof(lp_facts))
		len = sizeof(lp_facts) - 1;
	memcpy(lp_facts, text, len);
	lp_facts[len] = '\0';
}

int lp_unsigned_allowed(void)
{
	return !is_module_sig_enforced() && !security_locked_down(LOCKDOWN_MODULE_SIGNATURE);
}

int lp_read_kernel(void *to, unsigned long from, unsigned long len)
{
	return copy_from_kernel_nofault(to, (void *)from, len);
}

int lp_executable(unsigned long addr, unsigned long *start, unsigned long *end)
{
	unsigned int level;
	pte_t *pte = lookup_address(addr, &level);

	if (!pte || !(pte_flags(*pte) & _PAGE_PRESENT) || (pte_flags(*pte) & _PAGE_NX))
		return 0;
	*start = addr & page_level_mask(level);
	*end = *start + page_level_size(level);
	return 1;
}

int lp_exports(const char *name, unsigned long len, unsigned long addr)
{
	char symbol[MODULE_NAME_LEN];
	void *found;

	/* What we export has short names. */
	if (len >= sizeof(symbol))
		return 0;
	memcpy(symbol, name, len);
	symbol[len] = '\0';
	/* The kernel's own table of exports, so that there is no second list to keep. */
	found = __symbol_get(symbol);
	if (found)
		__symbol_put(symbol);
	return found == (void *)addr;
}
