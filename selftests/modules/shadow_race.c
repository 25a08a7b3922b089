// SPDX-License-Identifier: GPL-2.0
/*
 * Attaches, reads and frees a few shadow variables from all CPUs at once, in threads and in soft interrupts, for "ms"
 * milliseconds. Then says in the log how often, and how often something was wrong:
 * two variables of one object at a time, a destructor too few or too many, memory that changed
 * its owner under a reader.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/interrupt.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/smp.h>

#include <lpatch/shadow.h>

#define ID	0x7ace
#define OBJECTS	4
#define THREADS	6
/* How often a reader looks at one variable. */
#define LOOKS	50

static unsigned int ms = 1500;
module_param(ms, uint, 0400);

static struct {
	atomic_t alive;
} objects[OBJECTS];

static atomic_long_t constructed, destroyed, reads, wrong;

static int construct(void *obj, void *data, void *ctor_data)
{
	atomic_t *alive = obj;
	void **owner = data;
	int i;

	if (atomic_inc_return(alive) != 1 || *owner)
		atomic_long_inc(&wrong);
	*owner = obj;
	atomic_long_inc(&constructed);
	/* Time for another to see that there is no variable, and to wait for us. */
	for (i = 0; i < LOOKS; i++)
		cpu_relax();
	return 0;
}

static void destroy(void *obj, void *data)
{
	atomic_t *alive = obj;
	void **owner = data;

	if (atomic_dec_return(alive) != 0 || *owner != obj)
		atomic_long_inc(&wrong);
	atomic_long_inc(&destroyed);
}

static void step(unsigned int n, gfp_t gfp)
{
	void *obj = &objects[n % OBJECTS];
	void **owner;
	int i;

	switch (n / OBJECTS % 5) {
	case 0:
		lpatch_shadow_free(obj, ID, destroy);
		break;
	case 1:
		if (n % 64 == 5)
			lpatch_shadow_free_all(ID, destroy);
		break;
	case 2:
		lpatch_shadow_get_or_alloc(obj, ID, sizeof(*owner), gfp, construct, NULL);
		break;
	default:
		rcu_read_lock();
		owner = lpatch_shadow_get(obj, ID);
		for (i = 0; owner && i < LOOKS; i++) {
			if (READ_ONCE(*owner) != obj) {
				atomic_long_inc(&wrong);
				break;
			}
			cpu_relax();
		}
		rcu_read_unlock();
		if (owner)
			atomic_long_inc(&reads);
	}
}

/* A soft interrupt of each CPU: the hard one only asks for it, since the lock of the variables may be one that sleeps. */
static void soft(struct tasklet_struct *unused);
static DEFINE_PER_CPU(struct tasklet_struct, softs);
static DEFINE_MUTEX(rounds);
static unsigned int same;

static void soft(struct tasklet_struct *unused)
{
	step(READ_ONCE(same), GFP_ATOMIC);
}

static void hard(void *unused)
{
	tasklet_hi_schedule(this_cpu_ptr(&softs));
}

/* The same step at the same time on all CPUs. */
static void step_everywhere(unsigned int n)
{
	int cpu;

	mutex_lock(&rounds);
	WRITE_ONCE(same, n);
	on_each_cpu(hard, NULL, 1);
	for_each_possible_cpu(cpu)
		tasklet_unlock_wait(per_cpu_ptr(&softs, cpu));
	mutex_unlock(&rounds);
}

static int work(void *arg)
{
	unsigned int n = (unsigned long)arg * 7;

	while (!kthread_should_stop()) {
		step(n, GFP_KERNEL);
		if (n % 4 == 0)
			step_everywhere(n / 4);
		/* Odd, so that every object meets every step. */
		n += 3;
		cond_resched();
	}
	return 0;
}

static int __init shadow_race_init(void)
{
	struct task_struct *threads[THREADS];
	unsigned long i;
	int cpu;

	for_each_possible_cpu(cpu)
		tasklet_setup(per_cpu_ptr(&softs, cpu), soft);
	for (i = 0; i < THREADS; i++)
		threads[i] = kthread_run(work, (void *)i, "shadow_race/%lu", i);
	msleep(ms);
	for (i = 0; i < THREADS; i++) {
		if (!IS_ERR(threads[i]))
			kthread_stop(threads[i]);
	}
	for_each_possible_cpu(cpu)
		tasklet_kill(per_cpu_ptr(&softs, cpu));
	lpatch_shadow_free_all(ID, destroy);
	for (i = 0; i < OBJECTS; i++) {
		if (atomic_read(&objects[i].alive) || lpatch_shadow_get(&objects[i], ID))
			atomic_long_inc(&wrong);
	}
	pr_info("constructed %ld destroyed %ld read %ld wrong %ld\n",
		atomic_long_read(&constructed), atomic_long_read(&destroyed),
		atomic_long_read(&reads), atomic_long_read(&wrong));
	return 0;
}

static void __exit shadow_race_exit(void)
{
}

module_init(shadow_race_init);
module_exit(shadow_race_exit);
MODULE_DESCRIPTION("shadow variables from everywhere at once");
MODULE_LICENSE("GPL");
