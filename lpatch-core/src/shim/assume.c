// SPDX-License-Identifier: GPL-2.0
/*
 * What the core takes for granted of the kernel, and no interface promises: whoever moves lpatch to another kernel begins here.
 *
 * Each of it is asked before anything rests on it: by the compiler, or by a trial when the module is loaded, which is refused
 * then. What cannot be asked is named at the end, with what would go wrong. docs/core.md has the same list in words.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/ftrace.h>
#include <linux/kallsyms.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/rculist.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <trace/events/sched.h>

#include "key.h"
#include "shim.h"

/* --- What the configuration says. */

#ifndef CONFIG_X86_64
#error "lpatch_core knows the code, the page tables and the unwind data of x86-64 only"
#endif
#ifndef CONFIG_UNWINDER_ORC
#error "lpatch_core moves tasks by the frames on their stacks, and only the ORC unwinder (CONFIG_UNWINDER_ORC) finds all of them"
#endif
#ifndef CONFIG_DYNAMIC_FTRACE_WITH_ARGS
#error "lpatch_core redirects calls from an ftrace handler that sets the instruction pointer: CONFIG_DYNAMIC_FTRACE_WITH_ARGS"
#endif
#ifndef CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS
#error "settled functions are entered by register_ftrace_direct(): CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS"
#endif
/*
 * Without it nobody takes bit 0 off the address that ftrace is given, and the site becomes a call of the second byte of a door. It
 * compiles either way.
 */
#ifndef CONFIG_DYNAMIC_FTRACE_WITH_JMP
#error "ftrace of this kernel cannot jump to a door, only call it: CONFIG_DYNAMIC_FTRACE_WITH_JMP is not there"
#endif
/* Without it synchronize_rcu_tasks() waits for no task that was preempted in a trampoline, or is dying. */
#ifndef CONFIG_TASKS_RCU
#error "memory of patches is freed behind grace periods of RCU tasks: CONFIG_TASKS_RCU"
#endif
#ifndef CONFIG_KALLSYMS
#error "what userspace says of an address is compared with what the kernel calls it: CONFIG_KALLSYMS"
#endif
/* As for CONFIG_LIVEPATCH. */
#ifndef CONFIG_KALLSYMS_ALL
#error "the ends of the table of static calls are found by their names, which are no functions': CONFIG_KALLSYMS_ALL"
#endif
/* Else static calls go through trampolines only, and struct module has no table of them. */
#ifndef CONFIG_HAVE_STATIC_CALL_INLINE
#error "jumps that the kernel may turn later are known from the tables of static calls: CONFIG_HAVE_STATIC_CALL_INLINE"
#endif
/* A callback of a patch has no type hash in front of it, so the first call of one would trap. */
#ifdef CONFIG_CFI
#error "callbacks of patch objects are called by pointer, which CONFIG_CFI traps: nobody makes their hashes yet"
#endif
/* What was inlined where is decided when all is linked, over all files, and static functions get other names: nobody has tried. */
#ifdef CONFIG_LTO
#error "functions of a kernel that was optimized as a whole are not those of its sources: CONFIG_LTO"
#endif
/* Patches bring entries of the table of bugs, with all of their fields. */
#ifndef CONFIG_DEBUG_BUGVERBOSE
#error "WARN() and BUG() of patches are in a table with file and line: CONFIG_DEBUG_BUGVERBOSE"
#endif
/* Without them there are no tables of branches, and no entries of them to read. */
#ifndef CONFIG_JUMP_LABEL
#error "where static keys lead is known from the tables of branches: CONFIG_JUMP_LABEL"
#endif
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 2, 0)
#error "lpatch_core is made for Linux 7.2 and later: an older one has other tracepoints, and struct module looks different"
#endif

/* --- What the compiler can look at. */

/*
 * Keys of tasks (key.h) are addresses, with two bits for marks of the set: a task whose address is no multiple of 4, or not in
 * the upper half, would be in no set and mix versions. Slabs keep the alignment of the type; init_task has it by itself.
 */
static_assert(__alignof__(struct task_struct) >= 4);
static_assert(ARCH_MIN_TASKALIGN >= 4 && L1_CACHE_BYTES >= 4);
/* Idle keys are small numbers, one for each CPU. */
static_assert((NR_CPUS + 1UL) << 2 < LP_IDLE_KEYS);
/* The book's index keeps addresses of text in 32 bits (index.h). */
static_assert(MODULES_VADDR >= -(1UL << 31) && __START_KERNEL_map >= -(1UL << 31));
/* Loads and stores of these are single ones, whoever else is at them (ask.c, stack.c, transition/handler.rs). */
#define LP_SINGLE(field)	\
	static_assert(__native_word(((struct task_struct *)0)->field) && \
		      !(offsetof(struct task_struct, field) % sizeof_field(struct task_struct, field)))
LP_SINGLE(on_cpu);
LP_SINGLE(on_rq);
LP_SINGLE(__state);
LP_SINGLE(exit_state);
LP_SINGLE(nvcsw);
LP_SINGLE(nivcsw);
LP_SINGLE(se.sched_delayed);
/* The last state of a task, which nothing is in together with. */
static_assert(TASK_DEAD && !(TASK_DEAD & (TASK_NORMAL | TASK_WAKING | TASK_NEW)));

/* --- Trials. */

#ifdef LPATCH_FAULTS
/* For tests: the trial that is to find the kernel other than it is. */
static char lp_lie[24];
module_param_string(lie, lp_lie, sizeof(lp_lie), 0400);
#define LP_LIES(what)	(!strcmp(lp_lie, what))
#else
#define LP_LIES(what)	false
#endif

/* What is wrong, if something is. */
static const char *lp_wrong;

static bool lp_holds(bool holds, const char *what)
{
	if (!holds && !lp_wrong)
		lp_wrong = what;
	return holds;
}

/*
 * Modules are on one circular list, which we are on, with a head that is no module's; each is in the module area. lp_find_module()
 * would take anything else for a module, or never come to an end.
 */
#define LP_MODULES_MAX	100000

static void lp_try_modules(void)
{
	struct list_head *pos = &THIS_MODULE->list;
	unsigned int seen = 0, heads = 0, bad = 0;
	struct module *mod;

	guard(rcu)();
	do {
		if ((unsigned long)pos < MODULES_VADDR || (unsigned long)pos >= MODULES_END) {
			heads++;
		} else {
			mod = list_entry(pos, struct module, list);
			bad += READ_ONCE(mod->state) > MODULE_STATE_UNFORMED || !mod->name[0] ||
			       strnlen(mod->name, MODULE_NAME_LEN) == MODULE_NAME_LEN;
		}
		pos = rcu_dereference_raw(list_next_rcu(pos));
	} while (pos != &THIS_MODULE->list && ++seen < LP_MODULES_MAX);
	if (LP_LIES("modules"))
		heads++;
	lp_holds(seen < LP_MODULES_MAX && heads == 1 && !bad,
		 "modules are not on one list with a head outside of the module area");
}

/* sprint_symbol() is how names and sizes are learned of (model/symbol_text.rs). */
static void lp_try_symbols(void)
{
	char *text __free(kfree) = kmalloc(KSYM_SYMBOL_LEN, GFP_KERNEL);
	unsigned long size = 0;
	int end = 0;

	if (!lp_holds(text, "memory"))
		return;
	sprint_symbol(text, (unsigned long)sprint_symbol + LP_LIES("symbols"));
	lp_holds(sscanf(text, "sprint_symbol+0x0/0x%lx%n", &size, &end) == 1 && size && !text[end],
		 "sprint_symbol() does not say name+0x0/0xSIZE of a function of the kernel");
	sprint_symbol(text, (unsigned long)lp_each_task);
	lp_holds(sscanf(text, "lp_each_task+0x0/0x%lx%n", &size, &end) == 1 && size &&
		 !strcmp(text + end, " [" KBUILD_MODNAME "]"),
		 "sprint_symbol() does not say name+0x0/0xSIZE [module] of a function of a module");
}

/*
 * Jumps that the kernel may turn to another function later, or switch on, are known from its tables (statics.c). Else such a jump mixes
 * versions.
 */
static void lp_try_statics(void)
{
	char *text __free(kfree) = kmalloc(KSYM_SYMBOL_LEN, GFP_KERNEL);

	if (!lp_holds(text, "memory"))
		return;
	lp_holds(lp_statics_learn(text, LP_LIES("statics")), "the table of static calls of the kernel is not found by the names of its ends");
	lp_holds(lp_branches_learn(text, LP_LIES("branches")), "the table of static keys' branches of the kernel is not found by the names of its ends");
	lp_holds(lp_branches_ours(text, LP_LIES("branch")), "the table of static keys' branches of a module does not say where they are");
	lp_holds(lp_statics_ours(text, LP_LIES("tails")), "the table of static calls of a module does not say which ones are jumps");
}

/*
 * A thread of our own, from its birth to its end.
 *
 * sched_wakeup_new has to be heard for it before it ran, with its pi_lock held and interrupts off, or a task is born that is in no
 * set. sched_entry_tp has to be heard when it gives up its CPU, as itself, and with preemption off. Its stack has to be
 * readable from end to end. When it is off its CPU, the switch has to be counted, or a stack is believed that changed while it was
 * read. When it has left the list of tasks, its exit_state has to say so, or nobody asks for its stack any more.
 */
#define LP_BIRTHS	64
#define LP_PATIENCE_MS	30000

struct lp_birth {
	struct task_struct *task;
	bool right;
};

static struct lp_birth lp_births[LP_BIRTHS];
static atomic_t lp_birth_count;

static struct lp_life {
	bool heard;		/* before it ran */
	bool whole;		/* its stack was readable */
	bool own_frame;		/* and we were on it */
	bool entered;		/* it was heard when it gave its CPU away */
	unsigned long switches;	/* before that */
	int ready;		/* it is about to */
} lp_life;

static struct task_struct *lp_living;
static struct tracepoint *lp_wakeup_new;

static unsigned long lp_switches(struct task_struct *task)
{
	return READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw);
}

static void lp_hear_birth(void *unused, struct task_struct *task)
{
	struct lp_birth *birth;

	/* Few tasks are born to kthreadd meanwhile. */
	if (!(task->flags & PF_KTHREAD))
		return;
	birth = &lp_births[(atomic_inc_return(&lp_birth_count) - 1) % LP_BIRTHS];
	birth->right = irqs_disabled() && raw_spin_is_locked(&task->pi_lock) && !READ_ONCE(task->on_cpu) &&
		       !lp_switches(task);
	/* The task itself reads it: it runs behind the unlocking of the run queue that is locked here. */
	WRITE_ONCE(birth->task, task);
}

static void lp_hear_entry(void *unused, bool preempt)
{
	/* Read by who has seen the task off its CPU. */
	if (current == READ_ONCE(lp_living) && READ_ONCE(lp_life.ready) && READ_ONCE(current->__state) == TASK_IDLE)
		WRITE_ONCE(lp_life.entered, !preemptible());
}

static void lp_hear_frame(void *unused, unsigned long addr)
{
	if (within_module_core(addr, THIS_MODULE))
		lp_life.own_frame = true;
}

static int lp_live(void *unused)
{
	unsigned int i;

	for (i = 0; i < LP_BIRTHS; i++) {
		if (READ_ONCE(lp_births[i].task) == current)
			lp_life.heard = lp_births[i].right;
	}
	lp_life.whole = lp_walk(current, lp_hear_frame, NULL) == 1;
	WRITE_ONCE(lp_living, current);
	set_current_state(TASK_IDLE);
	lp_life.switches = lp_switches(current);
	smp_store_release(&lp_life.ready, 1); /* pairs with lp_watch_life(): what is above is written */
	/* It is woken to be stopped, and may be before it sleeps. */
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_IDLE);
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

/* Waits until something holds, first without giving it any time. */
#define lp_soon(condition)							\
({										\
	unsigned long end = jiffies + msecs_to_jiffies(LP_PATIENCE_MS);		\
	unsigned int spins = 0;							\
	bool met;								\
										\
	while (!(met = (condition)) && time_before(jiffies, end)) {		\
		if (++spins < 10000)						\
			cpu_relax();						\
		else								\
			usleep_range(100, 1000);				\
	}									\
	met;									\
})

static void lp_find_birth(struct tracepoint *tp, void *unused)
{
	if (!strcmp(tp->name, "sched_wakeup_new"))
		lp_wakeup_new = tp;
}

static void lp_watch_life(struct task_struct *task)
{
	if (!lp_holds(lp_soon(smp_load_acquire(&lp_life.ready)), "a new thread does not run"))
		return;
	lp_holds(lp_life.heard, "the tracepoint sched_wakeup_new is not heard before a new task runs, under its pi_lock");
	lp_holds(lp_life.whole && lp_life.own_frame && !LP_LIES("stack"),
		 "the stack of a thread in this module cannot be read from end to end");
	/* Pairs with the release of on_cpu in finish_task(): what came before that can be seen. */
	if (!lp_holds(lp_soon(!smp_load_acquire(&task->on_cpu)), "a thread does not give its CPU away"))
		return;
	lp_holds(lp_switches(task) != lp_life.switches + LP_LIES("switches"),
		 "nvcsw and nivcsw are not counted before on_cpu is cleared");
	lp_holds(READ_ONCE(lp_life.entered) && !LP_LIES("entry"),
		 "the tracepoint sched_entry_tp is not heard by who gives its CPU away, or with preemption on");
}

static void lp_watch_end(struct task_struct *task)
{
	int state;

	kthread_stop(task);
	if (lp_holds(lp_soon(!pid_alive(task)), "a thread that has ended stays in the list of tasks")) {
		state = LP_LIES("exit") ? 0 : READ_ONCE(task->exit_state);
		lp_holds(state, "a task leaves the list of tasks before its exit_state is set");
	}
}

static int lp_try_life(void)
{
	struct task_struct *task;
	int err;

	/* Who is called has the type that the tracepoint calls. */
	check_trace_callback_type_sched_wakeup_new(lp_hear_birth);
	for_each_kernel_tracepoint(lp_find_birth, NULL);
	if (!lp_holds(lp_wakeup_new, "there is no tracepoint sched_wakeup_new"))
		return 0;
	if (!LP_LIES("birth")) {
		err = tracepoint_probe_register(lp_wakeup_new, lp_hear_birth, NULL);
		if (err)
			return err;
	}
	err = register_trace_sched_entry_tp(lp_hear_entry, NULL);
	if (!err) {
		task = kthread_create(lp_live, NULL, "lpatch/trial");
		err = PTR_ERR_OR_ZERO(task);
		if (!err) {
			get_task_struct(task);
			wake_up_process(task);
			lp_watch_life(task);
			lp_watch_end(task);
			put_task_struct(task);
		}
		unregister_trace_sched_entry_tp(lp_hear_entry, NULL);
	}
	if (!LP_LIES("birth"))
		tracepoint_probe_unregister(lp_wakeup_new, lp_hear_birth, NULL);
	tracepoint_synchronize_unregister();
	return err;
}

/* The keys of all tasks that there are now, and what makes an idle task. */
static void lp_look_at_key(void *unused, unsigned long key)
{
	lp_holds((long)key < 0 && !(key & 3), "a task's address is no multiple of 4, or not in the upper half");
}

static void lp_try_tasks(void)
{
	lp_each_task(lp_look_at_key, NULL);
	lp_look_at_key(NULL, (unsigned long)&init_task + LP_LIES("keys"));
	lp_holds(!init_task.pid && !task_cpu(&init_task), "init_task is not the idle task of CPU 0, with pid 0");
}

/*
 * ftrace makes a jump of a direct call whose address has bit 0 set. The first site that it is asked for is one of our own, which
 * nobody calls, and it is looked at. That is done by the driver, before the first function gets a door: to give the site back takes a
 * grace period of RCU tasks, in ftrace, which neither insmod nor rmmod should have to wait for. It goes back as those of patches do.
 */
static bool lp_jumps;
module_param_named(jumps, lp_jumps, bool, 0444);
MODULE_PARM_DESC(jumps, "whether ftrace makes the jumps that settled functions are entered by; found out before the first one is");

static bool lp_jumps_tried;
static int lp_jump_answer = 1;
/* While the site is with ftrace. Only the driver looks at it. */
static struct ftrace_ops *lp_trial;

static noinline int lp_jump_from(void)
{
	return READ_ONCE(lp_jump_answer);
}

static noinline notrace int lp_jump_to(void)
{
	return READ_ONCE(lp_jump_answer) + 1;
}

static unsigned long lp_jump_addr(void)
{
	return (unsigned long)lp_jump_to | !LP_LIES("jumps");
}

static bool lp_is_jump(unsigned long site)
{
	unsigned char code[LP_FENTRY_CALL];
	int distance;

	if (copy_from_kernel_nofault(code, (void *)site, sizeof(code)))
		return false;
	memcpy(&distance, code + 1, sizeof(distance));
	return code[0] == 0xe9 && site + sizeof(code) + distance == (unsigned long)lp_jump_to;
}

static bool lp_is_jumped(void)
{
	unsigned long site = (unsigned long)lp_jump_from;

	/* In front of the site there may be an endbr64. To objtool an address behind that is none to be called. */
	OPTIMIZER_HIDE_VAR(site);
	/* It is executed only if it is what it has to be. */
	return (lp_is_jump(site) || lp_is_jump(site + 4)) && lp_jump_from() == READ_ONCE(lp_jump_answer) + 1;
}

int lp_try_jump(void)
{
	struct ftrace_ops *ops;
	bool jumps;
	int err;

	if (lp_jumps_tried)
		return lp_jumps ? 0 : -EOPNOTSUPP;
	ops = kzalloc(sizeof(*ops), GFP_KERNEL);
	if (!ops)
		return -ENOMEM;
	err = ftrace_set_filter_ip(ops, (unsigned long)lp_jump_from, 0, 1);
	if (!err)
		err = register_ftrace_direct(ops, lp_jump_addr());
	if (err) {
		/* It may have been in ftrace's list for a moment, and somebody may be looking at it there. */
		lp_synchronize();
		ftrace_free_filter(ops);
		kfree(ops);
		return err;
	}
	/* Until the site is given back. Whoever asks for a door holds a reference. */
	__module_get(THIS_MODULE);
	lp_trial = ops;
	jumps = lp_is_jumped();
	if (!jumps)
		pr_warn("ftrace does not make a jump of a direct call; functions stay with the handler\n");
	WRITE_ONCE(lp_jumps, jumps);
	smp_store_release(&lp_jumps_tried, true); /* pairs with lp_may_jump(): the answer is there */
	return jumps ? 0 : -EOPNOTSUPP;
}

unsigned long lp_trial_site(void)
{
	return lp_trial ? (unsigned long)lp_jump_from : 0;
}

void lp_trial_return(void)
{
	struct ftrace_ops *ops = lp_trial;
	int err;

	lp_trial = NULL;
	/* As for doors: a dead ftrace goes on reading the ops. */
	err = lp_ftrace_is_dead() ? -ENODEV : unregister_ftrace_direct(ops, lp_jump_addr(), true);
	if (err) {
		/* ftrace may read it for ever, and sends a site here that goes with the module and that nobody calls. */
		pr_err("ftrace keeps a site of our own (errno %d); lpatch_core stays loaded\n", err);
		return;
	}
	kfree(ops);
	/* Our code goes on: the exit of the module waits for the driver. */
	module_put(THIS_MODULE);
}

int lp_may_jump(void)
{
	return !smp_load_acquire(&lp_jumps_tried) || READ_ONCE(lp_jumps);
}

int lp_assume(void)
{
	int err;

	/* CPU 0 is where the stack of an idle task is read (stack.c). On x86 it does not go offline. */
	lp_holds(cpu_online(0), "CPU 0 is offline");
	lp_try_modules();
	lp_try_symbols();
	lp_try_statics();
	lp_try_tasks();
	err = lp_wrong ? 0 : lp_try_life();
	if (err)
		return err;
	if (!lp_wrong)
		return 0;
	if (!strcmp(lp_wrong, "memory"))
		return -ENOMEM;
	pr_err("this kernel is not what lpatch_core was made for: %s\n", lp_wrong);
	return -EOPNOTSUPP;
}

/*
 * --- What nobody can ask, and what would go wrong.
 *
 * - Who wakes a task takes its pi_lock before it changes __state or on_rq, and a delayed dequeue ends only under that lock (ask.c). Else
 *   a task would run while it counts as asleep, and mix versions. CONFIG_SCHED_PROXY_EXEC changes that.
 * - An idle task gives its CPU away in one place only, at the end of do_idle(), and its frames up to there are the same on all
 *   CPUs. Else it is moved too early, or never while its CPU is busy. (That the stack can be read is asked: stack.c.)
 * - The notifier of a module that comes is called behind ftrace_module_enable(), and that of one that goes behind its exit function
 *   and before ftrace_release_mod(). If the first does not hold, ftrace does not know the sites, and the module is refused by name; if
 *   the second does not, ftrace keeps sites in our filters that are gone.
 * - The unwinder and the fixups bisect sorted tables, WARN goes through its table one by one (model/slots.rs). Else addresses near
 *   patches would be unwound by wrong entries. The trial of a thread's stack above goes through our tables, once.
 * - A tracepoint is heard on all CPUs when registering returns: it is asked on those only on which the trial's thread is born and
 *   runs. Else births go unheard on others, and mix versions.
 * - The text of vmlinux is one executable mapping in which everything has a name (running/symbols.rs). Else patch modules are told that
 *   there is no such function.
 * - Alternatives follow boot_cpu_data as it is now. After a late load of microcode, patches would be finished otherwise than the
 *   kernel was.
 * - exit_state and the counters of switches are looked at once, from one side: a kernel that sets them a little later than it has to
 *   can pass.
 */
