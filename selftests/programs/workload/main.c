// SPDX-License-Identifier: GPL-2.0
/*
 * Load for a kernel that is being patched.
 *
 *	workload [SECONDS] KIND=N...
 *
 * Starts N tasks of each kind; says "ready: N tasks" when they are there; ends after SECONDS or with a signal, and prints for
 * each kind "KIND tasks N rounds N failures N". Exits with 1 if a kind that has tasks did nothing or a round failed.
 *
 *	hog	computes in user mode, with a lower priority than the rest
 *	idle	sleeps in user mode
 *	fork	fork() and exit
 *	thread	clone() and exit of a thread
 *	exec	vfork() and execve()
 *	uring	io_uring requests that the kernel's workers do, in the functions of the witness
 *	call	chains of the witness
 *	sleep	chains that sleep interruptibly
 *	sleepd	chains that sleep uninterruptibly
 *	spin	chains that take long without sleeping
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "workload.h"

#define TASKS_MAX 8192

static struct {
	const char *word;
	void (*run)(struct part *part, unsigned int number);
	unsigned int tasks;
	int may_rest;	/* to do nothing is its work */
} kinds[] = {
	{ "hog", load_hog, 0, 0 },	 { "idle", load_idle, 0, 1 },	  { "fork", load_fork, 0, 0 },
	{ "thread", load_thread, 0, 0 }, { "exec", load_exec, 0, 0 },	  { "uring", load_uring, 0, 0 },
	{ "call", load_call, 0, 0 },	 { "sleep", load_sleep, 0, 0 },	  { "sleepd", load_sleepd, 0, 0 },
	{ "spin", load_spin, 0, 0 },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct shared {
	_Atomic int stop;
	struct part parts[KINDS];
} *shared;

_Atomic int *load_stop;
static pid_t pids[TASKS_MAX];
static size_t started;

static void cannot(const char *what)
{
	fprintf(stderr, "workload: %s: %s\n", what, strerror(errno));
	exit(2);
}

void rest(unsigned int ms)
{
	poll(NULL, 0, (int)ms);
}

void done(struct part *part, int failed)
{
	if (failed)
		part->failures++;
	else
		part->rounds++;
}

static void start(size_t kind, unsigned int number)
{
	pid_t parent = getpid(), pid;

	if (started == TASKS_MAX) {
		fprintf(stderr, "workload: more than %d tasks\n", TASKS_MAX);
		exit(2);
	}
	pid = fork();
	if (pid < 0)
		cannot("fork");
	if (!pid) {
		/* Whoever kills the parent means all of it. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		/* The test has to get on. */
		if (nice(kinds[kind].run == load_hog ? 15 : 5) == -1)
			_exit(2);
		kinds[kind].run(&shared->parts[kind], number);
		_exit(0);
	}
	pids[started++] = pid;
}

static int parse(const char *arg)
{
	size_t i, len = strcspn(arg, "=");

	for (i = 0; i < KINDS; i++)
		if (arg[len] && len == strlen(kinds[i].word) && !strncmp(arg, kinds[i].word, len)) {
			kinds[i].tasks = (unsigned int)strtoul(arg + len + 1, NULL, 10);
			return 0;
		}
	return -1;
}

/* The end is near: those that sleep in user mode need not be waited for, others come to it in a moment. */
static void stop(void)
{
	size_t i, left = started;
	int tries;

	shared->stop = 1;
	for (tries = 0; left && tries < 100; tries++) {
		while (left && waitpid(-1, NULL, WNOHANG) > 0)
			left--;
		for (i = 0; tries == 20 && i < started; i++)
			kill(pids[i], SIGKILL);
		rest(50);
	}
}

int main(int argc, char **argv)
{
	struct timespec left = { 3600 * 24, 0 };
	unsigned int n;
	sigset_t set;
	int i, bad = 0;
	size_t k;

	if (argc > 1 && !strcmp(argv[1], LOAD_NOTHING))
		return 0;
	i = 1;
	if (argc > 1 && argv[1][0] >= '0' && argv[1][0] <= '9')
		left.tv_sec = atol(argv[i++]);
	if (i == argc)
		bad = 1;
	for (; i < argc; i++)
		bad |= parse(argv[i]);
	if (bad) {
		fputs("usage: workload [SECONDS] hog|idle|fork|thread|exec|uring|call|sleep|sleepd|spin=N...\n", stderr);
		return 2;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		cannot("mmap");
	load_stop = &shared->stop;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (k = 0; k < KINDS; k++)
		for (n = 0; n < kinds[k].tasks; n++)
			start(k, n);
	printf("ready: %zu tasks\n", started);
	fflush(stdout);
	sigtimedwait(&set, NULL, &left);
	stop();

	for (k = 0; k < KINDS; k++) {
		const struct part *part = &shared->parts[k];

		if (!kinds[k].tasks)
			continue;
		printf("%s tasks %u rounds %llu failures %llu\n", kinds[k].word, kinds[k].tasks,
		       (unsigned long long)part->rounds, (unsigned long long)part->failures);
		bad |= part->failures || (!part->rounds && !kinds[k].may_rest);
	}
	return bad;
}
