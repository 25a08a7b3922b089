// SPDX-License-Identifier: GPL-2.0
/*
 * A system call that nobody uses does what takes more of a linker than code and data. Ignored, each of these would
 * crash, or do something else.
 */

#include <linux/filter.h>
#include <linux/bug.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/jump_label.h>
#include <linux/printk.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/uaccess.h>
#include <linux/vmstat.h>
#include <trace/events/printk.h>

#include <lpatch/patch.h>

#include "../programs/features.h"

/* Not exported. */
extern struct static_key_false sched_schedstats;

/* Neither inlined nor cloned, so that the names are those that tests look for. */
#ifdef __clang__
#define noipa	noinline
#else
#define noipa	noinline __attribute__((noipa))
#endif
/* What is done with the result keeps a call from being a jump, which leaves no frame. */
#define NO_TAIL_CALL(call)	({ long answer = (call); barrier(); answer; })

static DEFINE_STATIC_KEY_FALSE(lpatch_off_key);
static DEFINE_STATIC_KEY_TRUE(lpatch_on_key);

static noipa long lpatch_key_vmlinux(void)
{
	long found = 0;

	if (static_branch_unlikely(&sched_schedstats))
		found |= 1;
	if (static_branch_likely(&sched_schedstats))
		found |= 2;
	return found;
}

static noipa long lpatch_key_exported(void)
{
	return static_branch_unlikely(&bpf_stats_enabled_key) ? 1 : 0;
}

static noipa long lpatch_key_own(void)
{
	long found = 0;

	if (static_branch_unlikely(&lpatch_off_key))
		found |= 1;
	if (static_branch_likely(&lpatch_on_key))
		found |= 2;
	return found;
}

static long lpatch_key_own_set(bool on)
{
	if (on) {
		static_branch_enable(&lpatch_off_key);
		static_branch_enable(&lpatch_on_key);
	} else {
		static_branch_disable(&lpatch_off_key);
		static_branch_disable(&lpatch_on_key);
	}
	return 0;
}

static long lpatch_key_own_count(bool up)
{
	if (up)
		static_branch_inc(&lpatch_off_key);
	else
		static_branch_dec(&lpatch_off_key);
	return static_key_count(&lpatch_off_key.key);
}

/* The lines are what a test looks for in the log. */
enum { LPATCH_WARN_LINE = __LINE__ + 3 };
static noipa long lpatch_warn(void)
{
	return WARN_ON(1);
}

enum { LPATCH_BUG_LINE = __LINE__ + 4 };
static noipa long lpatch_bug(long argument)
{
	OPTIMIZER_HIDE_VAR(argument);
	BUG_ON(!argument);
	return 0;
}

/*
 * What a switch becomes. The kernel's own flags forbid such tables (with retpolines they cost more than they save);
 * other compilers and assembly have them all the same. Each label is where an indirect jump may land.
 */
asm("	.pushsection .text\n"
    "	.p2align 4\n"
    "	.type	lpatch_switch, @function\n"
    "lpatch_switch:\n"
    "	mov	lpatch_addresses(,%rdi,8), %rax\n"
    "	jmp	__x86_indirect_thunk_rax\n"
    "1:	endbr64\n"
    "	mov	$1000, %eax\n"
    "	" ASM_RET
    "2:	endbr64\n"
    "	mov	$1001, %eax\n"
    "	" ASM_RET
    "3:	endbr64\n"
    "	mov	$1002, %eax\n"
    "	" ASM_RET
    "4:	endbr64\n"
    "	mov	$1003, %eax\n"
    "	" ASM_RET
    "	.size	lpatch_switch, . - lpatch_switch\n"
    "	.type	lpatch_switch_relative, @function\n"
    "lpatch_switch_relative:\n"
    "	mov	$lpatch_displacements, %rcx\n"
    "	lea	(%rcx,%rdi,4), %rcx\n"
    "	movslq	(%rcx), %rax\n"
    "	add	%rcx, %rax\n"
    "	jmp	__x86_indirect_thunk_rax\n"
    "5:	endbr64\n"
    "	mov	$2000, %eax\n"
    "	" ASM_RET
    "6:	endbr64\n"
    "	mov	$2001, %eax\n"
    "	" ASM_RET
    "	.size	lpatch_switch_relative, . - lpatch_switch_relative\n"
    "	.popsection\n"
    "	.pushsection .rodata, \"a\", @progbits\n"
    "	.p2align 3\n"
    "lpatch_addresses:\n"
    "	.quad	1b, 2b, 3b, 4b\n"
    "lpatch_displacements:\n"
    "	.long	5b - ., 6b - ., 5b - ., 6b - .\n"
    "	.popsection\n");
long lpatch_switch(unsigned long which);
long lpatch_switch_relative(unsigned long which);

static long lpatch_answer_0(void)
{
	return 3000;
}

static long lpatch_answer_1(void)
{
	return 3001;
}

static long (*const lpatch_answers[])(void) = { lpatch_answer_0, lpatch_answer_1, lpatch_key_exported };

static noipa long lpatch_indirect(unsigned long which)
{
	return lpatch_answers[which]() + 1;
}

/* 12 KiB of 16, aligned more than the stack is. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wframe-larger-than="
static noipa long lpatch_frame(long from)
{
	int numbers[3072] __aligned(64);
	long sum = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		WRITE_ONCE(numbers[i], from + i);
	/* Whoever looks meanwhile has to find a way through this frame, and then ends the sleep by a signal. */
	msleep_interruptible(120000);
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		sum += READ_ONCE(numbers[i]);
	return (unsigned long)numbers % 64 ? -EFAULT : sum;
}
#pragma GCC diagnostic pop

static noipa long lpatch_sleep(unsigned long ms)
{
	return msleep_interruptible(ms) ? 1 : 0;
}

/* Nothing that it does is in a function of its own, but for the stub of the branch. */
static noipa long lpatch_spin(unsigned long ms)
{
	unsigned long end = READ_ONCE(jiffies) + msecs_to_jiffies(ms);
	long turns = 0;

	while (time_before(READ_ONCE(jiffies), end)) {
		if (static_branch_unlikely(&lpatch_off_key))
			turns -= 2;
		turns++;
	}
	return turns > 0;
}

static noipa long lpatch_from_user(const void __user *from)
{
	unsigned long value;

	return copy_from_user(&value, from, sizeof(value)) ? -EFAULT : 1;
}

/* The one above is a function of the kernel, which has the entry of the exception table for it. This one's is of the patch. */
static noipa long lpatch_from_user_here(const unsigned long __user *from)
{
	unsigned long value;

	if (!user_access_begin(from, sizeof(value)))
		return -EFAULT;
	unsafe_get_user(value, from, fault);
	user_access_end();
	return 1;
fault:
	user_access_end();
	return -EFAULT;
}

/* And this is where alternatives meet the table: a string instruction or a call, for whichever processor this is. */
static noipa long lpatch_string_from_user(const void __user *from)
{
	unsigned long value[5];

	if (!access_ok(from, sizeof(value)))
		return -EFAULT;
	return __copy_from_user(value, from, sizeof(value)) ? -EFAULT : 1;
}

static long lpatch_rr_get_interval(const struct pt_regs *regs)
{
	unsigned long argument = regs->si;

	switch (-(int)regs->di) {
	case FEATURES_KEY_VMLINUX:
		return lpatch_key_vmlinux();
	case FEATURES_KEY_EXPORTED:
		return lpatch_key_exported();
	case FEATURES_KEY_OWN:
		return lpatch_key_own();
	case FEATURES_KEY_OWN_SET:
		return lpatch_key_own_set(argument);
	case FEATURES_KEY_OWN_COUNT:
		return lpatch_key_own_count(argument);
	case FEATURES_TRACE:
		trace_console("lpatch fires\n", 13);
		return 0;
	case FEATURES_WARN:
		return NO_TAIL_CALL(lpatch_warn());
	case FEATURES_WARN_LINE:
		return LPATCH_WARN_LINE;
	case FEATURES_BUG:
		return NO_TAIL_CALL(lpatch_bug(argument));
	case FEATURES_BUG_LINE:
		return LPATCH_BUG_LINE;
	case FEATURES_SWITCH:
		return argument < 4 ? lpatch_switch(argument) : -EINVAL;
	case FEATURES_SWITCH_RELATIVE:
		return argument < 4 ? lpatch_switch_relative(argument) : -EINVAL;
	case FEATURES_INDIRECT:
		return argument < 3 ? lpatch_indirect(argument) : -EINVAL;
	case FEATURES_COUNTER:
		count_vm_event(DROP_PAGECACHE);
		return 0;
	case FEATURES_FRAME:
		return NO_TAIL_CALL(lpatch_frame(argument));
	case FEATURES_SLEEP:
		return NO_TAIL_CALL(lpatch_sleep(argument));
	case FEATURES_SPIN:
		return NO_TAIL_CALL(lpatch_spin(argument));
	case FEATURES_FROM_USER:
		return lpatch_from_user((const void __user *)argument);
	case FEATURES_FROM_USER_HERE:
		return lpatch_from_user_here((const unsigned long __user *)argument);
	case FEATURES_STRING_FROM_USER:
		return lpatch_string_from_user((const void __user *)argument);
	case FEATURES_DEBUG:
		pr_debug("lpatch has something to say\n");
		return 0;
	default:
		return -ENOSYS;
	}
}

LPATCH_FUNC(vmlinux, __x64_sys_sched_rr_get_interval, lpatch_rr_get_interval);

LPATCH_NAME("features");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("a system call has all that a fix can have");
