// SPDX-License-Identifier: GPL-2.0
/*
 * Calls getppid() from many processes and threads at once, and counts the answers.
 *
 *	hot PROCESSES THREADS MILLISECONDS
 *
 * Prints "old N new N wrong N switches N": how many answers were the parent's pid, how many were the
 * patch's, how many were neither, and how often a thread saw the answer change. Exits with 1 if an
 * answer was wrong, 2 if it could not run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hot.h"

#define THREADS_MAX 64
#define PROCESSES_MAX 64

struct count {
	uint64_t old;
	uint64_t new;
	uint64_t wrong;
	uint64_t switches;
};

static uint64_t deadline;
static pid_t parent;

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void fail(const char *what)
{
	fprintf(stderr, "hot: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void *hammer(void *arg)
{
	struct count *count = arg;
	long last = 0;

	while (now_ms() < deadline) {
		int i;

		for (i = 0; i < 1000; i++) {
			/* Not the library's wrapper, which may remember. */
			long answer = syscall(SYS_getppid);

			if (answer == parent)
				count->old++;
			else if (answer == HOT_NEW_ANSWER)
				count->new++;
			else
				count->wrong++;
			if (last && answer != last)
				count->switches++;
			last = answer;
		}
	}
	return NULL;
}

static void run_threads(struct count *counts, int threads)
{
	pthread_t ids[THREADS_MAX];
	int i;

	for (i = 0; i < threads; i++) {
		errno = pthread_create(&ids[i], NULL, hammer, &counts[i]);
		if (errno)
			fail("pthread_create");
	}
	for (i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
}

static int number(const char *text, int max)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || value < 1 || value > max) {
		fprintf(stderr, "hot: %s is not a number from 1 to %d\n", text, max);
		exit(2);
	}
	return (int)value;
}

int main(int argc, char **argv)
{
	int processes, threads, i, status, bad = 0;
	struct count *counts, total = { 0 };

	if (argc != 4) {
		fprintf(stderr, "usage: hot PROCESSES THREADS MILLISECONDS\n");
		return 2;
	}
	processes = number(argv[1], PROCESSES_MAX);
	threads = number(argv[2], THREADS_MAX);
	deadline = now_ms() + (uint64_t)number(argv[3], 3600 * 1000);

	counts = mmap(NULL, sizeof(*counts) * PROCESSES_MAX * THREADS_MAX, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		fail("mmap");

	/* The children's parent; asked in a way that no patch of getppid() can change. */
	parent = getpid();
	for (i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			fail("fork");
		if (!pid) {
			run_threads(&counts[i * THREADS_MAX], threads);
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		bad |= status;

	for (i = 0; i < PROCESSES_MAX * THREADS_MAX; i++) {
		total.old += counts[i].old;
		total.new += counts[i].new;
		total.wrong += counts[i].wrong;
		total.switches += counts[i].switches;
	}
	printf("old %llu new %llu wrong %llu switches %llu\n", (unsigned long long)total.old,
	       (unsigned long long)total.new, (unsigned long long)total.wrong,
	       (unsigned long long)total.switches);
	if (bad)
		return 2;
	return total.wrong ? 1 : 0;
}
