/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the core needs of the kernel and the kernel crate does not offer: inline functions, macros, and
 * structs that only C can name. Plain types only, because bindgen reads this file without the kernel's
 * headers; it is the only description of this boundary.
 */
#ifndef _LPATCH_SHIM_H
#define _LPATCH_SHIM_H

#include "index.h"
#include "layout.h"

/* This module: the address of it is THIS_MODULE. */
struct module;
extern struct module __this_module;

/* arena.S */
extern unsigned char lp_arena_text[];
extern unsigned char lp_arena_text_end[];
extern unsigned char lp_arena_rodata[];
extern unsigned char lp_arena_rodata_end[];
extern unsigned char lp_arena_data[];
extern unsigned char lp_arena_data_end[];

/* arena.S: the module's ORC, exception and bug tables with room for patches */
extern int lp_table_orc_ip[];
extern unsigned char lp_table_orc[];
extern unsigned char lp_table_ex[];
extern unsigned char lp_table_bug[];

/* examples.S: sites that the kernel finished when it loaded this module */
extern const unsigned char lp_example_lower[];
extern const unsigned char lp_example_upper[];
extern const unsigned char lp_example_lock[];
/* What counts a call, where the kernel is built for that */
extern const unsigned char lp_example_count[];
extern const unsigned char lp_example_count_end[];

/**
 * struct lp_branch - a branch to an indirect thunk, as it was
 * @site: where it is
 * @reg: the number of the register
 * @call: a call, else a jump
 * @pad: zero
 */
struct lp_branch {
	const unsigned char *site;
	unsigned int reg;
	unsigned short call;
	unsigned short pad;
};

#define LP_BRANCHES	8
extern const struct lp_branch lp_example_branches[LP_BRANCHES];

/* its.S: `jmp *register` in the upper half of a cache line, for each register */
extern const unsigned char lp_its_thunks[];

/* alias.c */

/**
 * lp_alias_map() - map module memory a second time, writable and not executable
 * @addr: page-aligned address of module memory
 * @pages: how many pages
 *
 * Return: the alias, or NULL without memory. May sleep.
 */
void *lp_alias_map(unsigned long addr, unsigned int pages);
void lp_alias_unmap(void *alias);

/**
 * lp_sync_cores() - let every CPU see changed instructions
 *
 * After it returns, no CPU executes stale bytes of text that was written before the call. May sleep.
 */
void lp_sync_cores(void);

/* facts.c */

/**
 * lp_symbol() - name an address as the kernel does
 * @addr: any address
 * @buf: receives "name+0xoffset/0xsize [module]" or the address, NUL-terminated
 * @len: its size, at least KSYM_SYMBOL_LEN
 *
 * Return: bytes written without the NUL, or 0 if @buf is too small. May sleep.
 */
unsigned int lp_symbol(unsigned long addr, char *buf, unsigned int len);

/* CRC-32 as in zlib: @crc is the CRC so far, 0 at first. */
unsigned int lp_crc32(unsigned int crc, const unsigned char *bytes, unsigned long len);
const unsigned char *lp_orc_hash(void);
const char *lp_release(void);

/**
 * lp_cpu_features() - what the boot CPU has
 * @count: how many words
 *
 * Return: the words, which last; bits are numbered as X86_FEATURE_* and X86_BUG_*.
 */
const unsigned int *lp_cpu_features(unsigned long *count);

#define LP_RETPOLINE		(1U << 0)
#define LP_RETPOLINE_LFENCE	(1U << 1)
#define LP_INDIRECT_ITS		(1U << 2)
#define LP_CALL_DEPTH		(1U << 3)
/* Of the features that decide about calls and indirect branches, those that are in force: LP_* */
unsigned int lp_mitigations(void);
/* There is one CPU, and no other can ever come. */
int lp_one_cpu(void);
#define LP_FACTS_TEXT		1024
/* Makes a text, shorter than LP_FACTS_TEXT, what the module's parameter "facts" reads as. */
void lp_show_facts(const char *text, unsigned long len);

/* The text of this boot is no secret to root and lockdown is off: an unsigned patch may be loaded. */
int lp_unsigned_allowed(void);

/**
 * lp_read_kernel() - copy kernel memory that may not be mapped
 * Return: 0, or -EFAULT.
 */
int lp_read_kernel(void *to, unsigned long from, unsigned long len);

/**
 * lp_executable() - whether an address is mapped executable
 * @start: out: the page that it is in, of whatever size: its first address
 * @end: out: the first address behind
 *
 * Return: 1, or 0 if it is not.
 */
int lp_executable(unsigned long addr, unsigned long *start, unsigned long *end);

/**
 * lp_exports() - whether a symbol is exported for modules under the GPL
 * @name: its name
 * @len: length of @name
 * @addr: where it has to be
 *
 * Return: 1, or 0 if there is none or it is elsewhere.
 */
int lp_exports(const char *name, unsigned long len, unsigned long addr);

/* exports.c: as in lpatch/module.h */
struct lp_patch_func {
	const char *objname;
	const char *old_name;
	unsigned long sympos;
	void *new_func;
};

struct lp_patch_callbacks {
	const char *objname;
	void *kinds[4];
};

struct lp_patch_state {
	unsigned long long id;
	unsigned int version;
};

struct lp_patch_module {
	void *mod;
	const struct lp_patch_func *funcs;
	const struct lp_patch_callbacks *callbacks;	/* or NULL */
	const struct lp_patch_state *states;		/* or NULL */
	const char *name;
	const char *version;
	const char *set;
	_Bool cumulative;
	_Bool no_promote;
	_Bool refuse_modules;
	unsigned int timeout_ms;
	unsigned int interrupt_ms;
};

/* Rust side. May sleep. */
int lpatch_register_module(const struct lp_patch_module *patch);

/* probes.c. May sleep. */
struct lp_probes;
struct lp_probes *lp_probes_new(void);

/**
 * lp_probes_join() - join the kprobes at an address, up to LP_PROBES times
 * @first: out: the first byte of the instruction, without any probe
 *
 * Until lp_probes_free() no probe there changes more than that byte.
 * Return: 0, or the errno for which no probe can be there.
 */
int lp_probes_join(struct lp_probes *probes, unsigned long addr, unsigned char *first);
void lp_probes_free(struct lp_probes *probes);

/* modules.c */

/**
 * lp_module_get() - find a live module by name and keep it from going away
 * @name: its name, as in /proc/modules
 * @len: length of @name
 *
 * Return: the struct module, to be given to lp_module_put(), or NULL.
 */
void *lp_module_get(const char *name, unsigned long len);
void lp_module_put(void *module);
/* Whether there is a module of this name, from before its init function runs until after its exit function. */
int lp_module_exists(const char *name, unsigned long len);

int lp_targets_init(void);
void lp_targets_exit(void);

/*
 * Rust side: a module comes, before its init function, and may be refused with an errno; it is there, after that; or it goes, after
 * its exit function.
 */
int lpatch_module_coming(void *module, const char *name);
void lpatch_module_live(const char *name);
void lpatch_module_going(void *module, const char *name);

typedef void (*lp_symbol_fn)(void *arg, unsigned long addr, const char *name, unsigned long len);

/**
 * lp_each_module_symbol() - call @f for all symbols of a module, in the order of /proc/kallsyms
 * @module: struct module that is not freed meanwhile
 * @f: must not sleep
 */
void lp_each_module_symbol(void *module, lp_symbol_fn f, void *arg);

struct lp_module {
	const char *name;
	const char *version;	/* or NULL */
	unsigned long text;
	unsigned int text_len;
	unsigned int rodata_len;
	unsigned int data_len;
};

/* The strings live as long as the module, to which the caller holds a reference. */
void lp_module_describe(void *module, struct lp_module *d);
/* Whether an address is in a module that is not freed meanwhile. */
int lp_module_has(void *module, unsigned long addr);
/* Whether some of its memory is between two addresses. */
int lp_module_overlaps(void *module, unsigned long first, unsigned long last);

/* exports.c */
struct lp_state {
	unsigned long long id;
	unsigned int version;
	unsigned int reserved;
	void *data;
};

struct lp_states {
	struct lp_state *own;
	unsigned long own_count;
	struct lp_state *others;	/* a later one counts more */
	unsigned long other_count;
};

/**
 * struct lp_active - a callback that is running, or none
 * @next: in the list of all
 * @task: whose callback it is, with a reference; NULL: none
 * @states: what it may ask for
 *
 * Zero at first.
 */
struct lp_active {
	struct lp_active *next;
	void *task;
	struct lp_states states;
};

/**
 * lp_active_enter() - the current task is about to call a callback
 * @states: the arrays stay until lp_active_leave()
 */
void lp_active_enter(struct lp_active *r, const struct lp_states *states);
/* The callback has returned, or its task is dead and the patch goes. */
void lp_active_leave(struct lp_active *r);

/**
 * lp_active_pid() - whether a callback is running, and in which task
 * @dead: out: the task has died in it
 *
 * Return: its pid, or 0 if none is.
 */
int lp_active_pid(const struct lp_active *r, int *dead);
/* Whether there is any at all, which may be over. */
int lp_any_active(void);
/* Whether the current task is in a callback. */
int lp_current_is_active(void);

/**
 * lp_callback() - call a callback of a patch
 * @fn: its address
 * @may_refuse: whether it returns something
 * @object: name of the object
 * @module: the object's struct module, or NULL
 *
 * Between lp_active_enter() and lp_active_leave(), with no lock held. May sleep, for as long as the patch likes.
 *
 * Return: 0, or what the callback returned.
 */
int lp_callback(unsigned long fn, int may_refuse, const char *object, void *module);

/* Have lpatch_behind() called in a thread of its own. Return: 0 or an errno. */
int lp_behind_start(void);
/* Rust side: calls what is due behind a transition. */
void lpatch_behind(void);

/* statics.c */

/* What the kernel changes in some code as it runs, and no table means none. A table is an array of the kernel's own entries. */
struct lp_statics {
	/* struct static_call_site */
	unsigned long calls;
	unsigned long call_count;
	/* struct jump_entry */
	unsigned long branches;
	unsigned long branch_count;
};

/**
 * lp_statics_of() - find the tables that have the static calls and the static keys' branches of some code
 * @addr: an address of the kernel or of a module that cannot go away
 * @found: is set to them; where a table is empty, its address may be anything
 *
 * Return: 0, or -ENOENT if nobody keeps them for this address.
 */
int lp_statics_of(unsigned long addr, struct lp_statics *found);
/* The same, of modules only. */
int lp_module_statics(unsigned long addr, struct lp_statics *found);
/*
 * Finds one of the kernel's; once, and before lp_statics_of(). @text: room for the text of a symbol. @lie: find another one.
 * Return: whether it is what it has to be.
 */
int lp_statics_learn(char *text, int lie);
int lp_branches_learn(char *text, int lie);
/* Whether ours says of a call and of a jump which one is the jump. @lie: understand it the other way round. */
int lp_statics_ours(char *text, int lie);
/* Whether ours says where a branch is and where it leads. @lie: look at another place. */
int lp_branches_ours(char *text, int lie);

/* assume.c */

/**
 * lp_assume() - ask whether the kernel is what the core takes it for
 *
 * Once, when the tables of our struct module are in force, and before anything rests on it. May sleep.
 *
 * Return: 0, or an errno: then the module must not be loaded, and the log says why.
 */
int lp_assume(void);

/**
 * lp_try_jump() - find out whether ftrace makes the jumps that doors need, once
 *
 * By one caller at a time, the driver, which holds a reference to the module. May sleep.
 *
 * Return: 0, -EOPNOTSUPP if it does not, or another errno if that is not known now.
 */
int lp_try_jump(void);
/* The site of our own that this was tried at, as long as it is with ftrace; 0: it is not. For the driver. */
unsigned long lp_trial_site(void);
/*
 * Gives that site back. The module stays until then. For the driver. Waits for grace periods of RCU tasks, in ftrace and with its locks
 * held. May sleep.
 */
void lp_trial_return(void);
/* Whether nobody has found out that it does not. */
int lp_may_jump(void);

/* redirect.c */
struct lp_redirect;

/* A redirection that is not yet in force, or NULL without memory. */
struct lp_redirect *lp_redirect_new(void);

/**
 * lp_redirect_filter() - set the fentry sites that it covers
 * Return: 0, -EINVAL if one is no fentry site, or another errno.
 */
int lp_redirect_filter(struct lp_redirect *r, unsigned long *ips, unsigned int n);

/**
 * lp_redirect_remove() - take sites out of it, while it is in force or not
 *
 * At least one has to be left. On failure, for want of memory, nothing has changed.
 */
int lp_redirect_remove(struct lp_redirect *r, unsigned long *ips, unsigned int n);

/**
 * lp_redirect_on() - put it in force, for all its sites in one step
 * Return: 0, -EBUSY if a site has another owner or ftrace is off, or another errno; then nothing changed. -ENODEV if ftrace has died
 * meanwhile: then nobody knows what has changed, and @r is to be kept.
 */
int lp_redirect_on(struct lp_redirect *r);

/**
 * lp_redirect_off() - take it out of force
 *
 * When it returns 0, no CPU and no preempted task is inside the handler or its trampoline. ftrace waits for that as in
 * lp_door_detach().
 *
 * Return: 0, or -ENODEV if ftrace is dead; then nothing changed.
 */
int lp_redirect_off(struct lp_redirect *r);
void lp_redirect_free(struct lp_redirect *r);

/* The function of ours that nobody calls and nobody else can own: if ftrace refuses that, it refuses all. */
unsigned long lp_probe_site(void);

/**
 * lp_ftrace_knows() - whether there is an fentry site
 *
 * Waits for nobody who holds ftrace's locks. May sleep.
 *
 * Return: 0, -EINVAL if there is none, or another errno.
 */
int lp_ftrace_knows(unsigned long ip);

/*
 * Whether ftrace has found something wrong and switched itself off: from then on it changes nothing any more, until the next boot. Sites
 * that come to us go on coming. Waits for nobody who holds ftrace's locks. May sleep.
 */
int lp_ftrace_is_dead(void);

/* The current book, of which C knows the beginning; lp_no_book: there is none. Changed by redirect/book.rs only. */
extern struct lp_index *lp_book;
extern struct lp_index lp_no_book;

/*
 * Where a call of the task @key that came in at @ip goes on, if the index alone does not say so; 0: nowhere else. @word: what
 * it says, LP_NOWHERE if nothing. @book: the current one. Preemption is off, and has been since before the book was read.
 */
unsigned long lpatch_redirect(unsigned long ip, long word, const struct lp_index *book, unsigned long key);

/*
 * Waits for all handlers that run now, and for who is in ftrace's list of ops now, also on CPUs that are just going or coming. The
 * caller does not hold cpu_hotplug_lock. May sleep.
 */
void lp_synchronize(void);

/* doors.S, direct.c */
struct lp_door;

extern unsigned char lp_doors[];
/* Whether a door is shut, and the fentry site that it belongs to. Both are read whenever somebody comes by. */
extern unsigned char lp_door_shut[LP_DOORS];
extern unsigned long lp_door_sites[LP_DOORS];
/* The module's parameter. */
extern _Bool lp_promote;
/* direct.c: milliseconds between a transition and what is done behind it; may change at any time */
extern unsigned int lp_tidy_ms;

/* For doors.S only. */
unsigned long lp_door_answer(unsigned long ip);

/* What it takes to send a site to a door, or NULL without memory. */
struct lp_door *lp_door_new(void);

/**
 * lp_door_filter() - set the site
 * @ip: the fentry site
 * Return: 0, -EINVAL if it is no fentry site, or another errno.
 */
int lp_door_filter(struct lp_door *door, unsigned long ip);

/**
 * lp_door_attach() - have the site jump to a door
 * Return: 0, -EBUSY if somebody else has direct calls there or ftrace is off, or another errno; then nothing changed. -ENODEV if ftrace
 * has died meanwhile: then nobody knows what has changed, and @door is to be kept.
 */
int lp_door_attach(struct lp_door *door, unsigned int index);

/**
 * lp_door_detach() - undo lp_door_attach()
 *
 * When it returns 0, nobody is on the way through the door, or uses @door, any more. ftrace waits for that, with its locks held, for as
 * long as a kernel thread does not sleep: see lp_grace_begin().
 *
 * Return: 0, or -ENODEV if ftrace is dead; then nothing changed.
 */
int lp_door_detach(struct lp_door *door, unsigned int index);
void lp_door_free(struct lp_door *door);

/* stack.c */
typedef void (*lp_frame_fn)(void *arg, unsigned long addr);

/**
 * lp_walk() - call @frame for each frame of a stack, innermost first
 * @task: struct task_struct; the current one, or one that cannot run meanwhile
 *
 * Return: 1 if the stack was read from end to end with certainty, else 0.
 */
int lp_walk(void *task, lp_frame_fn frame, void *arg);

/**
 * lp_peek() - read code or data, in any context
 *
 * Return: 1, or 0 if it cannot be read.
 */
int lp_peek(unsigned long addr, unsigned char *to, unsigned int len);

#define LP_WALK_RAN	(-1)

/**
 * lp_walk_stopped() - the same for a task that does not run, but may begin to at any time
 * @task: struct task_struct of no idle task; the caller holds a reference or RCU
 *
 * @frame is called with interrupts off and the task's pi_lock held.
 *
 * Return: as lp_walk(), or LP_WALK_RAN if it did run: then what @frame heard says nothing.
 */
int lp_walk_stopped(void *task, lp_frame_fn frame, void *arg);

/* The same for the idle task of a CPU that is running something else. */
int lp_walk_idle(lp_frame_fn frame, void *arg);

/*
 * Finds out what lp_walk_idle() reports. Once. May sleep.
 *
 * Return: 0, or -EOPNOTSUPP if the stack of an idle task cannot be read: none would ever be moved while its CPU is busy.
 */
int lp_idle_learn(void);

/* hooks.c */
int lp_hooks_init(void);
void lp_hooks_exit(void);

/**
 * lp_hooks_on() - hear of births and of tasks that are switched out
 *
 * For lp_births_heard() to hold afterwards. May sleep.
 */
int lp_hooks_on(void);
/*
 * When it returns, every task whose birth the current book's transition has not heard of, or will not, is in the list of tasks.
 * The hooks are on. May sleep.
 */
void lp_births_heard(void);
/* When it returns, no hook is running. May sleep. */
void lp_hooks_off(void);

/* Rust side. Interrupts are off in the first three. */
void lpatch_born(unsigned long key);
void lpatch_switched_out(unsigned long key, int dead);
void lpatch_on_cpu(unsigned long key, unsigned long idle_key);
/* Whether the task is still to move, which is because it is not on its way to user mode. */
int lpatch_user_mode(unsigned long key);
void lpatch_cpu_gone(unsigned long key);

/* ask.c: tasks are named by keys, see key.h */
typedef void (*lp_task_fn)(void *arg, unsigned long key);
typedef _Bool (*lp_ask_fn)(void *arg, unsigned long key);

int lp_is_idle_key(unsigned long key);
void *lp_current(void);
/* A reference to a task; idle tasks have none. */
void lp_task_get(unsigned long key);
void lp_task_put(unsigned long key);

/* For stack.c: this CPU looks at a stack, and takes no interrupt meanwhile. @before: whether it was looking at one already. */
unsigned long lp_look_begin(int *before);
void lp_look_end(unsigned long flags, int before);

/**
 * lp_still_begin() - let nothing interrupt the current task, for a look at its own stack
 * @flags: for lp_still_end()
 *
 * Return: 1, or 0 where that cannot be: in NMI context, and while this CPU looks at a stack.
 */
int lp_still_begin(unsigned long *flags);
void lp_still_end(unsigned long flags);

/*
 * lp_tried() - whether this CPU has looked at the stack of a task that called the function at @ip, in this tick and in vain.
 * lp_tried_in_vain() - it has. Preemption is off for both.
 */
int lp_tried(unsigned long ip);
void lp_tried_in_vain(unsigned long ip);

/* Whether a task was switched out for the last time. It is no idle task, and the caller holds a reference or RCU. */
int lp_task_gone(unsigned long key);

/* Calls @f for all tasks in the kernel's list that can still run, under RCU: @f must not sleep. */
void lp_each_task(lp_task_fn f, void *arg);
/* Calls @f for the idle tasks of all CPUs that are online, none of which comes or goes meanwhile. */
void lp_each_idle(lp_task_fn f, void *arg);

/**
 * lp_ask_everybody() - call @ask for each task of the kernel's list, then for the idle task of each CPU that is online
 * @ask: whether to go on. It is called under RCU, or while no CPU comes or goes, and may wait for an interrupt of a CPU there
 *
 * Lets go of RCU every few tasks. May sleep.
 *
 * Return: whether all were asked; not if @ask said no, or the walk has lost its place because the task where it was has ended.
 */
_Bool lp_ask_everybody(lp_ask_fn ask, void *arg);
void lp_rcu_lock(void);
void lp_rcu_unlock(void);

enum {
	LP_TASK_ASLEEP,		/* and @f was called */
	LP_TASK_ON_CPU,
	LP_TASK_RUNNABLE,
	LP_TASK_GONE,		/* it never runs again */
};

/**
 * lp_if_asleep() - call @f while a task is asleep and nothing can wake it
 * @key: of no idle task; the caller holds a reference or RCU
 *
 * @f is called with interrupts off and the task's pi_lock held.
 */
int lp_if_asleep(unsigned long key, lp_task_fn f, void *arg);

/*
 * Calls lpatch_on_cpu() on all CPUs that are online, and waits for it. What was done before, whoever runs afterwards sees; what a
 * CPU did before it was asked, the caller sees. May sleep.
 */
void lp_ask_cpus(void);

/**
 * lp_if_running() - call @f on the CPU of a task that runs, with interrupts off
 * @key: of any task; the caller holds a reference or RCU
 *
 * Return: 1 if @f was called. May sleep no longer than an interrupt takes.
 */
int lp_if_running(unsigned long key, lp_task_fn f, void *arg);

/* Wakes a kernel thread, if it sleeps interruptibly. Returns 1 if it did. */
int lp_wake_kthread(unsigned long key);

struct lp_task {
	int pid;
	int tgid;
	unsigned int cpu;
	unsigned char state;
	unsigned char kthread;
	unsigned char idle;
	char comm[16];
};

/* The caller holds a reference or RCU. */
void lp_task_describe(unsigned long key, struct lp_task *d);

/* work.c */

/**
 * lp_work_queue() - have a task call lpatch_user_mode() on its way to user mode
 * @key: of a task to which the caller holds a reference
 * @interrupt: as if a signal had come: a sleeping system call is restarted, or ends (restart.c)
 *
 * One call at a time. May sleep.
 *
 * Return: 0; 1 if it ended the task's sleep; -EEXIST if the task will do so anyway; or another errno.
 */
int lp_work_queue(unsigned long key, int interrupt);

/* restart.c: of the current task, which was interrupted without a signal. */

/* On the way to user mode: makes the call again that returned -EINTR, where that does no harm. Else does nothing. */
void lp_call_again(void);
/* In a call that runs task work and would go on waiting: ends it, as a signal would. Else does nothing. */
void lp_leave_call(void);

/* threads.c */
int lp_driver_start(void);
void lp_driver_stop(void);
/* Have lpatch_drive() called soon; from any context. */
void lp_driver_kick(void);
/* The same if there is a driver; the lock of our parameters is held. */
void lp_driver_look(void);
/* Rust side: does what there is to do. Returns after how many ms it wants to be called again; below 0: when kicked. */
long lpatch_drive(void);

/* Runs a function in a thread that goes before all tasks without a real-time priority, and waits for its end. */
int lp_urgent_start(void);
void lp_urgent_stop(void);
void lp_urgently(void (*run)(void *what), void *what);

/**
 * lp_grace_begin() - ask for a grace period of RCU tasks that begins now or later
 * Return: a ticket for lp_grace_is_over(). When it is over, the driver is kicked, and that is an event.
 */
unsigned long lp_grace_begin(void);
int lp_grace_is_over(unsigned long ticket);
/* How many hold the module; for tests. */
int lp_graces(void);

/*
 * For the exit, which cannot ask for a grace period as above: who waits for it would be gone. lp_readers_are_gone() takes what
 * lp_readers_new() has given, or NULL if there is no memory; it waits until all tasks have slept of their own accord or died that execute in the
 * kernel now, ten seconds at most. Return: 1, or 0 if a task may not have.
 */
struct lp_readers;
struct lp_readers *lp_readers_new(void);
void lp_readers_free(struct lp_readers *readers);
int lp_readers_are_gone(struct lp_readers *readers);
/* Somebody waits for all that were asked for. */
void lp_grace_hurry(void);

/* How many events there have been. */
unsigned long lp_event_count(void);
void lp_event(void);

/**
 * lp_event_wait() - wait until there has been another event
 * @seen: lp_event_count() at a time when there was nothing to be done
 * @ms: no longer than so many milliseconds; 0: no limit
 *
 * Return: 0, -EINTR, or -ETIMEDOUT.
 */
int lp_event_wait(unsigned long seen, unsigned int ms);

/* shadow.c, whose other functions are in lpatch/shadow.h */

/* Frees the variables that are left, and says how many, if any. Nobody can call the others any more. */
void lp_shadow_exit(void);

#endif /* _LPATCH_SHIM_H */
