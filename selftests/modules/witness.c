// SPDX-License-Identifier: GPL-2.0
/*
 * A target for patches that notices when a call chain mixes versions: see witness.h. /proc/witness is the way in.
 *
 * A read gives the counters, a line "NAME VALUE" for each:
 *   mixes                  chains whose versions differed
 *   lower_outer            of them, those whose outer function had the lower version
 *   lower_inner            of them, those whose inner function had the lower version
 *   calls_1 calls_2 ...    inner functions entered, by their version
 *   mixes_jumps            of them, those of functions that end by a jump
 *   mixes_dying            of them, those of tasks that were dying
 *   call sleep sleepd spin chains, by the way they pass their time
 *   plain jumps pointer far static caller chains, by their shape
 *   dying                  chains of tasks that were dying
 *   kthreads               kernel threads that run
 *
 * A write is one command:
 *   call | sleep MS | sleepd MS | spin US    one chain; -ERESTARTSYS if a signal ended its sleep
 *   loop N                                   N chains of the way "call"
 *   kthread COMMAND                          a kernel thread that does "call", "sleep MS", ... over and over
 *   kindly COMMAND                           the same, and between two chains it lets RCU tasks pass
 *   stop                                     ends all kernel threads
 *   release [PID]                            ends all sleeps that have begun, or the uninterruptible one of one task
 *   shapes WORD,...                          of what shapes the next chains are, one after the other:
 *                                              plain    witness_outer()
 *                                              jumps    witness_jumps()
 *                                              pointer  the same, called through a pointer
 *                                              far      witness_jumps_far()
 *                                              static   witness_turns(), called through a pointer
 *   turn                                     makes the static call that witness_turns() ends with go to witness_turned()
 *                                              caller   witness_jumps_caller(), called through a pointer
 *   dying US                                 each task that ends does a chain of each shape, "spin US", when it says itself that it has
 *                                            exited, and is in no list of tasks any more or soon will be; 0: none
 *
 * A kernel thread that neither sleeps nor is kind holds up every grace period of RCU tasks, and so everybody who unregisters
 * from ftrace, until it is stopped: being interrupted and preempted does not count there.
 */
#include <linux/atomic.h>
#include <linux/ftrace.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/static_call.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "witness.h"
#include "noipa.h"

#define COMMAND_LEN 64
#define KTHREADS_MAX 64
#define LOOP_MAX 1000000

/* By way, and as the words of the commands. */
static const char *const ways[WITNESS_WAYS] = { "call", "sleep", "sleepd", "spin" };

enum shape { PLAIN, JUMPS, POINTER, FAR, STATIC, CALLER, SHAPES };
static const char *const shapes[SHAPES] = { "plain", "jumps", "pointer", "far", "static", "caller" };

static atomic64_t calls[WITNESS_VERSIONS + 1];
static atomic64_t passed[WITNESS_WAYS];
static atomic64_t shaped[SHAPES];
static atomic64_t lower_outer, lower_inner, mixes_jumps, mixes_dying, dead;

/* Sleepers, how often all of them were released, and who was released alone last. */
static DECLARE_WAIT_QUEUE_HEAD(sleepers);
static DECLARE_WAIT_QUEUE_HEAD(light_sleepers);
static atomic_t releases;
static pid_t released;

static void release(pid_t pid)
{
	if (pid) {
		WRITE_ONCE(released, pid);
	} else {
		atomic_inc(&releases);
		wake_up_all(&light_sleepers);
	}
	wake_up_all(&sleepers);
}

int witness_pass(const struct witness_call *call)
{
	pid_t pid = task_pid_nr(current);
	DEFINE_WAIT(wait);
	ktime_t end;
	int before;

	atomic64_inc(&passed[call->way]);
	switch (call->way) {
	case WITNESS_SLEEP:
		/* Not a loop: whatever wakes it ends the sleep, as it would in code that asks why it was woken. */
		prepare_to_wait(&light_sleepers, &wait, TASK_INTERRUPTIBLE);
		schedule_timeout(msecs_to_jiffies(call->amount));
		finish_wait(&light_sleepers, &wait);
		return signal_pending(current) ? -ERESTARTSYS : 0;
	case WITNESS_SLEEPD:
		before = atomic_read(&releases);
		wait_event_timeout(sleepers,
				   atomic_read(&releases) != before || READ_ONCE(released) == pid,
				   msecs_to_jiffies(call->amount));
		/* The number will be another task's one day. */
		cmpxchg(&released, pid, 0);
		return 0;
	case WITNESS_SPIN:
		end = ktime_add_us(ktime_get(), call->amount);
		while (ktime_before(ktime_get(), end))
			cpu_relax();
		return 0;
	default:
		return 0;
	}
}
EXPORT_SYMBOL_GPL(witness_pass);

void witness_count(unsigned int outer, unsigned int inner)
{
	atomic64_inc(&calls[inner]);
	if (outer < inner)
		atomic64_inc(&lower_outer);
	else if (outer > inner)
		atomic64_inc(&lower_inner);
	if (outer != inner && READ_ONCE(current->exit_state))
		atomic64_inc(&mixes_dying);
}
EXPORT_SYMBOL_GPL(witness_count);

void witness_count_landed(unsigned int outer, unsigned int inner)
{
	witness_count(outer, inner);
	if (outer != inner)
		atomic64_inc(&mixes_jumps);
}
EXPORT_SYMBOL_GPL(witness_count_landed);

NOIPA unsigned int witness_inner(unsigned int outer)
{
	witness_count(outer, 1);
	return HIDDEN(1U);
}
EXPORT_SYMBOL_GPL(witness_inner);

NOIPA int witness_outer(const struct witness_call *call)
{
	int error = witness_pass(call);

	/* Uses the result, or this would be a jump and the chain no chain. */
	return witness_inner(1) ? error : 0;
}

NOIPA int witness_landed(unsigned int outer, int error)
{
	witness_count_landed(outer, 1);
	return error;
}
EXPORT_SYMBOL_GPL(witness_landed);

NOIPA int witness_jumps(const struct witness_call *call)
{
	return witness_landed(1, witness_pass(call));
}

NOIPA int witness_between(const struct witness_call *call, unsigned int outer)
{
	return witness_landed(outer, witness_pass(call));
}
EXPORT_SYMBOL_GPL(witness_between);

NOIPA int witness_jumps_far(const struct witness_call *call)
{
	return witness_between(call, 1);
}

NOIPA int witness_turned(unsigned int outer, int error)
{
	witness_count_landed(outer, 1);
	return error;
}
EXPORT_SYMBOL_GPL(witness_turned);

/* Where the static call goes at first. */
static NOIPA int witness_not_turned(unsigned int outer, int error)
{
	return error;
}

DEFINE_STATIC_CALL(witness_turn, witness_not_turned);

NOIPA int witness_turns(const struct witness_call *call)
{
	int error = witness_pass(call);

	return static_call(witness_turn)(1, error);
}

NOIPA int witness_caller(unsigned int outer, const struct witness_call *call)
{
	int error = witness_pass(call);
	unsigned int inner = witness_inner(outer);

	return inner ? error : 0;
}
EXPORT_SYMBOL_GPL(witness_caller);

NOIPA int witness_jumps_caller(const struct witness_call *call)
{
	return witness_caller(1, call);
}

static int (*by_pointer)(const struct witness_call *call) = witness_jumps;
static int (*turns_by_pointer)(const struct witness_call *call) = witness_turns;
static int (*caller_by_pointer)(const struct witness_call *call) = witness_jumps_caller;

static noinline int chain_of(enum shape shape, const struct witness_call *call)
{
	int error;

	atomic64_inc(&shaped[shape]);
	switch (shape) {
	case JUMPS:
		error = witness_jumps(call);
		break;
	case POINTER:
		error = READ_ONCE(by_pointer)(call);
		break;
	case FAR:
		error = witness_jumps_far(call);
		break;
	case STATIC:
		error = READ_ONCE(turns_by_pointer)(call);
		break;
	case CALLER:
		error = READ_ONCE(caller_by_pointer)(call);
		break;
	default:
		error = witness_outer(call);
	}
	/* Or this function would end by a jump, too. */
	barrier();
	return error;
}

static unsigned int wanted = BIT(PLAIN);
static atomic_t turn;

static int chain(const struct witness_call *call)
{
	unsigned int want = READ_ONCE(wanted);
	enum shape shape;

	do {
		shape = (unsigned int)atomic_inc_return(&turn) % SHAPES;
	} while (!(want & BIT(shape)));
	return chain_of(shape, call);
}

static int choose_shapes(char *list)
{
	unsigned int want = 0;
	char *word;
	int shape;

	while ((word = strsep(&list, ","))) {
		shape = match_string(shapes, SHAPES, word);
		if (shape < 0)
			return -EINVAL;
		want |= BIT(shape);
	}
	WRITE_ONCE(wanted, want);
	return 0;
}

/* Called by do_exit() behind exit_notify(), in which the task says that it has exited. */
static void on_exit(unsigned long ip, unsigned long parent, struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	const struct witness_call call = { .way = WITNESS_SPIN, .amount = (unsigned long)READ_ONCE(ops->private) };
	enum shape shape;

	if (!READ_ONCE(current->exit_state))
		return;
	atomic64_inc(&dead);
	for (shape = 0; shape < SHAPES; shape++)
		chain_of(shape, &call);
}

static struct ftrace_ops exits = { .func = on_exit };
static DEFINE_MUTEX(exits_lock);

static int dying(unsigned long us)
{
	static char function[] = "proc_exit_connector";
	bool on;
	int error = 0;

	guard(mutex)(&exits_lock);
	on = exits.private;
	WRITE_ONCE(exits.private, (void *)us);
	if (on && !us)
		return unregister_ftrace_function(&exits);
	if (!on && us) {
		error = ftrace_set_filter(&exits, function, strlen(function), 1);
		if (!error)
			error = register_ftrace_function(&exits);
		if (error)
			exits.private = NULL;
	}
	return error;
}

struct worker {
	struct witness_call call;
	bool kindly;
};

static DEFINE_MUTEX(kthreads_lock);
static struct task_struct *kthreads[KTHREADS_MAX];
static struct worker workers[KTHREADS_MAX];
static unsigned int kthread_count;

static int witness_kthread(void *data)
{
	const struct worker *worker = data;

	while (!kthread_should_stop()) {
		chain(&worker->call);
		if (worker->kindly)
			cond_resched_tasks_rcu_qs();
	}
	return 0;
}

static int start_kthread(const struct witness_call *call, bool kindly)
{
	struct task_struct *task;
	int error = 0;

	mutex_lock(&kthreads_lock);
	if (kthread_count == KTHREADS_MAX) {
		error = -ENOSPC;
		goto out;
	}
	workers[kthread_count] = (struct worker){ .call = *call, .kindly = kindly };
	task = kthread_run(witness_kthread, &workers[kthread_count], "witness/%u", kthread_count);
	if (IS_ERR(task)) {
		error = PTR_ERR(task);
		goto out;
	}
	kthreads[kthread_count++] = task;
	/* A module can go while its functions are patched, but not while its threads run. */
	__module_get(THIS_MODULE);
out:
	mutex_unlock(&kthreads_lock);
	return error;
}

static void stop_kthreads(void)
{
	mutex_lock(&kthreads_lock);
	while (kthread_count) {
		kthread_stop(kthreads[--kthread_count]);
		module_put(THIS_MODULE);
	}
	mutex_unlock(&kthreads_lock);
}

/* "spin 50" and the like. */
static int parse_call(const char *text, struct witness_call *call)
{
	char word[COMMAND_LEN];
	int way, fields;

	call->amount = 0;
	fields = sscanf(text, "%63s %u", word, &call->amount);
	if (fields < 1)
		return -EINVAL;
	way = match_string(ways, WITNESS_WAYS, word);
	if (way < 0 || (fields == 1) != (way == WITNESS_CALL))
		return -EINVAL;
	call->way = way;
	return 0;
}

static int loop(unsigned int count)
{
	const struct witness_call call = { .way = WITNESS_CALL };

	if (count > LOOP_MAX)
		return -EINVAL;
	while (count-- && !fatal_signal_pending(current))
		chain(&call);
	return 0;
}

static int command(char *text)
{
	struct witness_call call;
	unsigned int count;
	const char *rest;
	bool kindly;
	pid_t pid;

	if (!strcmp(text, "stop")) {
		stop_kthreads();
		return 0;
	}
	if (!strcmp(text, "release")) {
		release(0);
		return 0;
	}
	if (!strcmp(text, "turn")) {
		static_call_update(witness_turn, witness_turned);
		return 0;
	}
	if (sscanf(text, "release %d", &pid) == 1) {
		release(pid);
		return 0;
	}
	if (str_has_prefix(text, "shapes "))
		return choose_shapes(text + strlen("shapes "));
	if (sscanf(text, "dying %u", &count) == 1)
		return dying(count);
	if (sscanf(text, "loop %u", &count) == 1)
		return loop(count);
	kindly = str_has_prefix(text, "kindly ");
	if (kindly || str_has_prefix(text, "kthread ")) {
		rest = strchr(text, ' ') + 1;
		return parse_call(rest, &call) ?: start_kthread(&call, kindly);
	}
	return parse_call(text, &call) ?: chain(&call);
}

static ssize_t witness_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	char text[COMMAND_LEN];
	int error;

	if (len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, len))
		return -EFAULT;
	text[len] = '\0';
	error = command(strim(text));
	return error ?: len;
}

static int witness_show(struct seq_file *m, void *v)
{
	/* Each read once, so that the sum is the sum of what is printed. */
	s64 outer = atomic64_read(&lower_outer), inner = atomic64_read(&lower_inner);
	int i;

	seq_printf(m, "mixes %lld\nlower_outer %lld\nlower_inner %lld\n", outer + inner, outer, inner);
	for (i = 1; i <= WITNESS_VERSIONS; i++)
		seq_printf(m, "calls_%d %lld\n", i, atomic64_read(&calls[i]));
	for (i = 0; i < WITNESS_WAYS; i++)
		seq_printf(m, "%s %lld\n", ways[i], atomic64_read(&passed[i]));
	for (i = 0; i < SHAPES; i++)
		seq_printf(m, "%s %lld\n", shapes[i], atomic64_read(&shaped[i]));
	seq_printf(m, "mixes_jumps %lld\nmixes_dying %lld\ndying %lld\n", atomic64_read(&mixes_jumps),
		   atomic64_read(&mixes_dying), atomic64_read(&dead));
	seq_printf(m, "kthreads %u\n", READ_ONCE(kthread_count));
	return 0;
}

static int witness_open(struct inode *inode, struct file *file)
{
	return single_open(file, witness_show, NULL);
}

static const struct proc_ops witness_ops = {
	.proc_open = witness_open,
	.proc_read = seq_read,
	.proc_write = witness_write,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
};

static int __init witness_init(void)
{
	return proc_create("witness", 0600, NULL, &witness_ops) ? 0 : -ENOMEM;
}

static void __exit witness_exit(void)
{
	remove_proc_entry("witness", NULL);
	stop_kthreads();
	WARN_ON(dying(0));
}

module_init(witness_init);
module_exit(witness_exit);
MODULE_DESCRIPTION("counts call chains that mix versions");
MODULE_LICENSE("GPL");
