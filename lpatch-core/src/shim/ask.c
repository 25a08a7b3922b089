// SPDX-License-Identifier: GPL-2.0
/* Finding tasks, and holding them still for as long as it takes to look at their stacks and move them. */
#include <linux/cpu.h>
#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/wait.h>

#include "key.h"
#include "shim.h"

/*
 * A blocked task stays in the queue there, and another one runs in its name: neither on_rq nor sched_delayed says that nobody will
 * run it. Somebody has to think about lp_if_asleep() first.
 */
#ifdef CONFIG_SCHED_PROXY_EXEC
#error "lpatch_core cannot tell which tasks are asleep in a kernel with CONFIG_SCHED_PROXY_EXEC"
#endif

int lp_task_gone(unsigned long key)
{
	struct task_struct *task = (struct task_struct *)key;

	/* Pairs with the release of on_cpu in finish_task(). TASK_DEAD comes before the last switch. */
	return READ_ONCE(task->__state) == TASK_DEAD && !smp_load_acquire(&task->on_cpu);
}

notrace int lp_is_idle_key(unsigned long key)
{
	return key < LP_IDLE_KEYS;
}

void lp_task_get(unsigned long key)
{
	if (!lp_is_idle_key(key))
		get_task_struct((struct task_struct *)key);
}

notrace void lp_task_put(unsigned long key)
{
	if (!lp_is_idle_key(key))
		put_task_struct((struct task_struct *)key);
}

/* Whether this CPU is looking at a stack. */
static DEFINE_PER_CPU(int, lp_busy);

/*
 * local_irq_save() calls what can be traced, so patched, in some configurations. The raw one is silent, but lockdep has to hear of
 * it: the unwinder takes rcu_read_lock(), where lockdep compares what it was told with the flags.
 */
static __always_inline unsigned long lp_irq_save(void)
{
	unsigned long flags;

	raw_local_irq_save(flags);
	if (!raw_irqs_disabled_flags(flags))
		lockdep_hardirqs_off(_THIS_IP_);
	return flags;
}

static __always_inline void lp_irq_restore(unsigned long flags)
{
	if (!raw_irqs_disabled_flags(flags)) {
		lockdep_hardirqs_on_prepare();
		lockdep_hardirqs_on(_THIS_IP_);
	}
	raw_local_irq_restore(flags);
}

notrace unsigned long lp_look_begin(int *before)
{
	unsigned long flags = lp_irq_save();

	*before = __this_cpu_read(lp_busy);
	__this_cpu_write(lp_busy, 1);
	return flags;
}

notrace void lp_look_end(unsigned long flags, int before)
{
	__this_cpu_write(lp_busy, before);
	lp_irq_restore(flags);
}

notrace int lp_still_begin(unsigned long *flags)
{
	int before;

	/* In NMI context another move of the same task may be under way; without RCU no module can be unwound. */
	if (in_nmi() || !rcu_is_watching())
		return 0;
	*flags = lp_look_begin(&before);
	/* What a look calls may itself be a patched function. It is answered without another look. */
	if (before) {
		lp_look_end(*flags, before);
		return 0;
	}
	return 1;
}

notrace void lp_still_end(unsigned long flags)
{
	lp_look_end(flags, 0);
}

/*
 * The ticks in which this CPU last looked in vain, by site: a loop through several functions can be clean at the entry of one
 * of them only. Each CPU has its own, so that tasks that loop on many CPUs do not write to the same place.
 */
#define LP_TRIED	64
static DEFINE_PER_CPU(unsigned long, lp_tried_at[LP_TRIED]);

static unsigned int lp_tried_slot(unsigned long ip)
{
	/* Functions are aligned to 16 bytes. */
	return (ip >> 4) % LP_TRIED;
}

notrace int lp_tried(unsigned long ip)
{
	return __this_cpu_read(lp_tried_at[lp_tried_slot(ip)]) == READ_ONCE(jiffies);
}

notrace void lp_tried_in_vain(unsigned long ip)
{
	__this_cpu_write(lp_tried_at[lp_tried_slot(ip)], READ_ONCE(jiffies));
}

notrace void *lp_current(void)
{
	return current;
}

void lp_each_task(lp_task_fn f, void *arg)
{
	struct task_struct *group, *task;

	guard(rcu)();
	lp_for_each_task(group, task) {
		unsigned long key = lp_key_of(task);

		if (!lp_task_gone(key))
			f(arg, key);
	}
}

void lp_each_idle(lp_task_fn f, void *arg)
{
	unsigned int cpu;

	guard(cpus_read_lock)();
	for_each_online_cpu(cpu)
		f(arg, lp_idle_key(cpu));
}

/* So many tasks, of which each may take an interrupt of its CPU, in one RCU section. */
#define LP_BATCH 64

/*
 * Ends the RCU section of a walk through the list of tasks and begins another. Returns whether the walk can go on behind this
 * task, which it can if both are still in their lists.
 *
 * The references keep the structs, and so the heads of the lists. What is next in a list is not kept; it is what the list says in this
 * section if the task was not taken out before it began. __unhash_process() clears thread_pid before it takes a task out. de_thread()
 * puts another in the place of a leader who has one for a while yet; that one has no exit_signal then. Both write under
 * tasklist_lock, as who takes out what is next does. If that was freed before this section, a grace period came between, and we
 * see what was written before it.
 */
static bool lp_breathe(struct task_struct *group, struct task_struct *task)
{
	bool listed;

	get_task_struct(group);
	get_task_struct(task);
	rcu_read_unlock();
	cond_resched();
	rcu_read_lock();
	listed = pid_alive(group) && thread_group_leader(group) && pid_alive(task);
	put_task_struct(task);
	put_task_struct(group);
	return listed;
}

bool lp_ask_everybody(lp_ask_fn ask, void *arg)
{
	struct task_struct *group, *task;
	unsigned int asked = 0, cpu;

	scoped_guard(rcu) {
		lp_for_each_task(group, task) {
			if (!ask(arg, lp_key_of(task)))
				return false;
			if (++asked % LP_BATCH == 0 && !lp_breathe(group, task))
				return false;
		}
	}

	/* Idle tasks are on no list, but each can be met on its own CPU. */
	guard(cpus_read_lock)();
	for_each_online_cpu(cpu) {
		if (!ask(arg, lp_idle_key(cpu)))
			return false;
	}
	return true;
}

void lp_rcu_lock(void)
{
	rcu_read_lock();
}

void lp_rcu_unlock(void)
{
	rcu_read_unlock();
}

int lp_if_asleep(unsigned long key, lp_task_fn f, void *arg)
{
	struct task_struct *task = (struct task_struct *)key;
	unsigned int state;
	int on_rq;

	/*
	 * try_to_wake_up() and wake_up_new_task() take this lock first. So does set_special_state(), by which a task becomes dead:
	 * one that is not dead here will not be before the end, and its stack stays until then, since the kernel gives it up in
	 * finish_task_switch(), and only that of a dead task.
	 */
	guard(raw_spinlock_irqsave)(&task->pi_lock);
	state = READ_ONCE(task->__state);
	/*
	 * A wakeup that took the lock before us sets TASK_WAKING, then, without the lock, on_rq, then
	 * TASK_RUNNING. So whoever reads in the other order sees one of them.
	 */
	smp_rmb();
	on_rq = READ_ONCE(task->on_rq);
	if (smp_load_acquire(&task->on_cpu)) /* pairs with finish_task(): the stack is as the task left it */
		return LP_TASK_ON_CPU;
	/* It has no stack any more, or soon will not. */
	if (state == TASK_DEAD)
		return LP_TASK_GONE;
	if (state == TASK_RUNNING || state == TASK_WAKING)
		return LP_TASK_RUNNABLE;
	/*
	 * A task that went to sleep early may stay in the queue for a while; when its turn comes it is taken
	 * out, not run. Only a wakeup, or a change of its class, ends that, and both need the lock.
	 */
	if (on_rq && !READ_ONCE(task->se.sched_delayed))
		return LP_TASK_RUNNABLE;
	f(arg, key);
	return LP_TASK_ASLEEP;
}

static void lp_on_cpu(void *unused)
{
	lpatch_on_cpu(lp_key(), lp_idle_key(raw_smp_processor_id()));
}

void lp_ask_cpus(void)
{
	/*
	 * A CPU that comes online is asked, or begins to run tasks after this lock was given back, and sees what was done before
	 * it was taken.
	 */
	guard(cpus_read_lock)();
	on_each_cpu(lp_on_cpu, NULL, 1);
}

struct lp_running {
	unsigned long key;
	lp_task_fn f;
	void *arg;
	bool called;
};

static void lp_interrupt(void *arg)
{
	struct lp_running *r = arg;

	if (r->key == lp_key()) {
		r->f(r->arg, r->key);
		r->called = true;
	}
}

int lp_if_running(unsigned long key, lp_task_fn f, void *arg)
{
	struct lp_running r = { .key = key, .f = f, .arg = arg };
	unsigned int cpu;

	cpu = lp_is_idle_key(key) ? lp_cpu_of_idle_key(key) : task_cpu((struct task_struct *)key);
	if (smp_call_function_single(cpu, lp_interrupt, &r, 1))
		return 0;
	return r.called;
}

int lp_wake_kthread(unsigned long key)
{
	struct wait_queue_entry entry = { .private = (void *)key };

	return default_wake_function(&entry, TASK_INTERRUPTIBLE, 0, NULL);
}

void lp_task_describe(unsigned long key, struct lp_task *d)
{
	struct task_struct *task = (struct task_struct *)key;

	if (lp_is_idle_key(key)) {
		memset(d, 0, sizeof(*d));
		d->cpu = lp_cpu_of_idle_key(key);
		d->state = 'I';
		d->kthread = 1;
		d->idle = 1;
		snprintf(d->comm, sizeof(d->comm), "swapper/%u", d->cpu);
		return;
	}
	memset(d, 0, sizeof(*d));
	d->pid = task->pid;
	d->tgid = task->tgid;
	d->cpu = task_cpu(task);
	d->state = task_state_to_char(task);
	d->kthread = !!(task->flags & PF_KTHREAD);
	/* Somebody may be changing it; at the end there is always a NUL. */
	memcpy(d->comm, task->comm, sizeof(d->comm));
	d->comm[sizeof(d->comm) - 1] = 0;
}
