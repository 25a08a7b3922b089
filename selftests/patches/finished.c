// SPDX-License-Identifier: GPL-2.0
/*
 * A system call that nobody uses does what takes code that the kernel finishes when it loads it: alternatives, indirect
 * calls, lock prefixes, calls through paravirt pointers. Unfinished, each would fault, or do something else.
 */

#include <linux/atomic.h>
#include <linux/cpufeature.h>
#include <linux/gfp.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <lpatch/patch.h>

#include "../programs/finished.h"

static long lpatch_add_one(long value)
{
	return value + 1;
}

static long lpatch_add_two(long value)
{
	return value + 2;
}

static long lpatch_add_three(long value)
{
	return value + 3;
}

/* Not constant to the compiler, which would call them directly. */
static long (*volatile lpatch_add[])(long) = { lpatch_add_one, lpatch_add_two, lpatch_add_three };

static noinline long lpatch_jump(long value)
{
	return lpatch_add[2](value);
}

/* The instructions around the calls are of different lengths, so that the calls are everywhere in a line. */
static noinline long lpatch_spread(void)
{
	long (*add)(long) = lpatch_add[0];
	long count = 0;

#define CALL		do { OPTIMIZER_HIDE_VAR(add); count = add(count); } while (0)
#define CALL_4		do { CALL; CALL; asm volatile("nop"); CALL; CALL; asm volatile("xchg %ax,%ax"); } while (0)
#define CALL_16		do { CALL_4; CALL_4; asm volatile("nopl (%rax)"); CALL_4; CALL_4; } while (0)
	CALL_16;
	CALL_16;
	CALL_16;
	CALL_16;
	return count;
}

static long lpatch_features(void)
{
	long wrong = 0;

#define COMPARE(feature)	(wrong += !!_static_cpu_has(feature) != !!boot_cpu_has(feature))
	COMPARE(X86_FEATURE_ALWAYS);
	COMPARE(X86_FEATURE_SMAP);
	COMPARE(X86_FEATURE_FSRM);
	COMPARE(X86_FEATURE_ERMS);
	COMPARE(X86_FEATURE_XSAVE);
	COMPARE(X86_FEATURE_RETPOLINE);
	COMPARE(X86_FEATURE_HYPERVISOR);
	COMPARE(X86_BUG_SPECTRE_V2);
	COMPARE(X86_BUG_RETBLEED);
	COMPARE(X86_BUG_F00F);
	if (!_static_cpu_has(X86_FEATURE_ALWAYS))
		wrong += 100;
	return wrong;
}

static long lpatch_irqs(void)
{
	unsigned long flags;
	long found = 0;

	local_irq_save(flags);
	if (irqs_disabled())
		found |= 1;
	local_irq_restore(flags);
	if (!irqs_disabled())
		found |= 2;
	return found;
}

static long lpatch_clear(void)
{
	void *page = (void *)__get_free_page(GFP_KERNEL);
	long left;

	if (!page)
		return -ENOMEM;
	memset(page, 0x5a, PAGE_SIZE);
	clear_page(page);
	left = memchr_inv(page, 0, PAGE_SIZE) ? 1 : 0;
	free_page((unsigned long)page);
	return left;
}

/* The helpers of today are functions of the kernel; these are inline. */
static long lpatch_copy_to(void __user *to, const void *from, unsigned long len)
{
	return access_ok(to, len) && !__copy_to_user(to, from, len) ? 0 : -EFAULT;
}

static long lpatch_copy_from(void *to, const void __user *from, unsigned long len)
{
	return access_ok(from, len) && !__copy_from_user(to, from, len) ? 0 : -EFAULT;
}

static long lpatch_exchange(unsigned long __user *pointer, unsigned long value)
{
	unsigned long old;

	if (!user_access_begin(pointer, sizeof(*pointer)))
		return -EFAULT;
	unsafe_get_user(old, pointer, fault);
	unsafe_put_user(value, pointer, fault);
	user_access_end();
	return old;
fault:
	user_access_end();
	return -EFAULT;
}

static long lpatch_rr_get_interval(const struct pt_regs *regs)
{
	static atomic_t count;
	void __user *pointer = (void __user *)regs->si;
	unsigned long answer = FINISHED_ANSWER;

	switch ((int)regs->di) {
	case FINISHED_TO_USER:
		return copy_to_user(pointer, &answer, sizeof(answer)) ? -EFAULT : 0;
	case FINISHED_FROM_USER:
		return copy_from_user(&answer, pointer, sizeof(answer)) ? -EFAULT : answer + 1;
	case FINISHED_PUT_USER:
		return put_user(answer, (unsigned long __user *)pointer);
	case FINISHED_GET_USER:
		return get_user(answer, (unsigned long __user *)pointer) ?: answer + 1;
	case FINISHED_COPY_TO:
		return lpatch_copy_to(pointer, &answer, sizeof(answer));
	case FINISHED_COPY_FROM:
		return lpatch_copy_from(&answer, pointer, sizeof(answer)) ?: answer + 1;
	case FINISHED_EXCHANGE:
		return lpatch_exchange(pointer, answer);
	case FINISHED_CALL:
		/* What is done with the result keeps it from being a tail call. */
		return lpatch_add[1](regs->si + 1) - 1;
	case FINISHED_JUMP:
		return lpatch_jump(regs->si);
	case FINISHED_SPREAD:
		return lpatch_spread();
	case FINISHED_LOCK:
		return atomic_inc_return(&count);
	case FINISHED_FEATURES:
		return lpatch_features();
	case FINISHED_IRQS:
		return lpatch_irqs();
	case FINISHED_CLEAR:
		return lpatch_clear();
	case FINISHED_RESCHED:
		cond_resched();
		might_sleep();
		return 0;
	default:
		return -ENOSYS;
	}
}

LPATCH_FUNC(vmlinux, __x64_sys_sched_rr_get_interval, lpatch_rr_get_interval);

LPATCH_NAME("finished");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("a system call has code that the kernel finishes when it loads it");
