// SPDX-License-Identifier: GPL-2.0
/*
 * Many tasks are born.
 *
 *	births ended N	N processes, one after the other; each has ended and was reaped when the next one is born
 *	births alive N	N threads at a time, until it is killed; prints "alive" when all of them are there
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int cannot(const char *what)
{
	perror(what);
	return 1;
}

static int ended(unsigned long n)
{
	while (n--) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			return cannot("fork");
	}
	return 0;
}

static void *stay(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static int alive(unsigned long n)
{
	pthread_attr_t small;
	pthread_t id;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN);
	while (n--) {
		errno = pthread_create(&id, &small, stay, NULL);
		if (errno)
			return cannot("pthread_create");
	}
	puts("alive");
	fflush(stdout);
	stay(NULL);
	return 1;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "ended"))
		return ended(strtoul(argv[2], NULL, 10));
	if (argc == 3 && !strcmp(argv[1], "alive"))
		return alive(strtoul(argv[2], NULL, 10));
	fputs("usage: births ended|alive N\n", stderr);
	return 2;
}
