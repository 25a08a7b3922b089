// SPDX-License-Identifier: GPL-2.0
/* What the kernel decided about code, for the CPU and the mitigations of this boot. */
#include <linux/cpumask.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <asm/alternative.h>
#include <asm/cpufeature.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>

#include "shim.h"

/* The loader reads this format. */
static_assert(sizeof(struct alt_instr) == 14);
static_assert(offsetof(struct alt_instr, ft_flags) == 8 && offsetof(struct alt_instr, instrlen) == 12);
static_assert(ALT_FLAG_NOT == 1 && ALT_FLAG_DIRECT_CALL == 2 && ALT_FLAGS_SHIFT == 16);

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

unsigned long lp_indirect_thunks(void)
{
#ifdef CONFIG_MITIGATION_RETPOLINE
	return (unsigned long)&__x86_indirect_thunk_rax;
#else
	return 0;
#endif
}

unsigned long lp_indirect_call_thunks(void)
{
#ifdef CONFIG_MITIGATION_CALL_DEPTH_TRACKING
	return (unsigned long)&__x86_indirect_call_thunk_rax;
#else
	return 0;
#endif
}

unsigned long lp_indirect_jump_thunks(void)
{
#ifdef CONFIG_MITIGATION_CALL_DEPTH_TRACKING
	return (unsigned long)&__x86_indirect_jump_thunk_rax;
#else
	return 0;
#endif
}

unsigned long lp_bug_func(void)
{
	return (unsigned long)&BUG_func;
}

unsigned long lp_nop_func(void)
{
	return (unsigned long)&nop_func;
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
