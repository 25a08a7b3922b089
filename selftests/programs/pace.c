// SPDX-License-Identifier: GPL-2.0
/*
 * How fast system calls are whose functions are patched.
 *
 *	pace getpid CALLS ROUNDS	getpid() on the last CPU
 *	pace pipe CALLS ROUNDS		one byte to another process and back, through two pipes, both on that CPU, so that each
 *					waits for the other (finish_wait())
 *
 * Prints the shortest of the rounds, divided by its calls, in ns.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int there[2], back[2];

__attribute__((noreturn)) static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void pin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

/* Nothing around the system call itself. */
static void call_getpid(long calls)
{
	while (calls--) {
		long nr = SYS_getpid;

		__asm__ volatile("syscall" : "+a"(nr) : : "rcx", "r11", "memory");
	}
}

static void pass(int to, int from)
{
	char byte = 0;

	if (write(to, &byte, 1) != 1 || read(from, &byte, 1) != 1)
		die("pipe");
}

static void call_pipe(long calls)
{
	while (calls--)
		pass(there[1], back[0]);
}

__attribute__((noreturn)) static void answer(void)
{
	char byte = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(there[0], &byte, 1) == 1)
		if (write(back[1], &byte, 1) != 1)
			break;
	_exit(0);
}

int main(int argc, char **argv)
{
	long calls = argc == 4 ? atol(argv[2]) : 0, rounds = argc == 4 ? atol(argv[3]) : 0;
	void (*call)(long calls) = call_getpid;
	long long best = -1, took;

	if (calls <= 0 || rounds <= 0 || (strcmp(argv[1], "getpid") && strcmp(argv[1], "pipe"))) {
		fprintf(stderr, "usage: pace getpid|pipe CALLS ROUNDS\n");
		return 2;
	}
	pin();
	if (!strcmp(argv[1], "pipe")) {
		call = call_pipe;
		if (pipe(there) || pipe(back))
			die("pipe");
		switch (fork()) {
		case -1:
			die("fork");
		case 0:
			answer();
		}
	}
	call(calls);
	while (rounds--) {
		took = now();
		call(calls);
		took = now() - took;
		if (best < 0 || took < best)
			best = took;
	}
	printf("%.3f\n", (double)best / calls);
	return 0;
}
