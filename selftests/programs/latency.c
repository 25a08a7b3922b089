// SPDX-License-Identifier: GPL-2.0
/*
 * How long a task of the highest priority has to wait when it is to run.
 *
 *	latency US COMMAND [ARG...]
 *
 * Runs COMMAND, and meanwhile one SCHED_FIFO thread of priority 99 on each CPU, which sleeps until every so many microseconds
 * (50 to 1000000). Prints for each CPU a line
 *	wakeup cpu N samples N worst NS
 * where NS is the longest time from the moment that it wanted to run at to the moment that it did. Exits with COMMAND's status,
 * or with 2 if this could not be tried.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CPUS_MAX 64
#define PERIOD_MIN_US 50
#define PERIOD_MAX_US 1000000
/* Until its stack and the code are where they will be */
#define WARM_UP 50

static struct waiter {
	pthread_t thread;
	unsigned int cpu;
	uint64_t samples, worst_ns;
} waiters[CPUS_MAX];

static uint64_t period_ns;
static atomic_uint ready;
static atomic_bool measuring, over;

static void cannot(const char *what, int error)
{
	fprintf(stderr, "latency: %s: %s\n", what, strerror(error));
	exit(2);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *wait_often(void *arg)
{
	struct waiter *w = arg;
	uint64_t target = now_ns(), late;
	unsigned int left = WARM_UP;

	while (!atomic_load(&over)) {
		struct timespec at;

		target += period_ns;
		at.tv_sec = (time_t)(target / 1000000000);
		at.tv_nsec = (long)(target % 1000000000);
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
			;
		late = now_ns() - target;
		/* What it has missed is one wait, not many. */
		target += late / period_ns * period_ns;
		if (left) {
			left--;
			if (!left)
				atomic_fetch_add(&ready, 1);
			continue;
		}
		if (!atomic_load(&measuring))
			continue;
		w->samples++;
		if (late > w->worst_ns)
			w->worst_ns = late;
	}
	return NULL;
}

static void start(struct waiter *w)
{
	const struct sched_param param = { .sched_priority = 99 };
	pthread_attr_t attr;
	cpu_set_t set;
	int error;

	CPU_ZERO(&set);
	CPU_SET(w->cpu, &set);
	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &param);
	pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	error = pthread_create(&w->thread, &attr, wait_often, w);
	if (error)
		cannot("a thread of priority 99", error);
	pthread_attr_destroy(&attr);
}

static int run(char **command)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		cannot("fork", errno);
	if (!pid) {
		execvp(command[0], command);
		cannot(command[0], errno);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			cannot("wait", errno);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	long us = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
	unsigned int cpus = 0, cpu, i;
	cpu_set_t online;
	int status;

	if (us < PERIOD_MIN_US || us > PERIOD_MAX_US) {
		fprintf(stderr, "usage: latency US COMMAND [ARG...], US from %d to %d\n", PERIOD_MIN_US, PERIOD_MAX_US);
		return 2;
	}
	period_ns = (uint64_t)us * 1000;
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		cannot("mlockall", errno);
	if (sched_getaffinity(0, sizeof(online), &online))
		cannot("CPUs", errno);
	for (cpu = 0; cpu < CPU_SETSIZE && cpus < CPUS_MAX; cpu++)
		if (CPU_ISSET(cpu, &online)) {
			waiters[cpus].cpu = cpu;
			start(&waiters[cpus++]);
		}
	while (atomic_load(&ready) < cpus)
		usleep(1000);
	atomic_store(&measuring, true);
	status = run(argv + 2);
	atomic_store(&measuring, false);
	atomic_store(&over, true);
	for (i = 0; i < cpus; i++) {
		struct waiter *w = &waiters[i];

		pthread_join(w->thread, NULL);
		printf("wakeup cpu %u samples %llu worst %llu\n", w->cpu, (unsigned long long)w->samples,
		       (unsigned long long)w->worst_ns);
	}
	return status;
}
