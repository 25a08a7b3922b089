// SPDX-License-Identifier: GPL-2.0
/*
 * Load of every kind for a kernel that is being patched, until it is killed: processes that are born and die,
 * threads likewise, a task that computes, one that sleeps and wakes, and callers of what the test patches
 * change. Each rests now and then, or a guest of two processors would do nothing else.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void rest(unsigned int *count, unsigned int work)
{
	if (++*count % work == 0)
		poll(NULL, 0, 20);
}

static void *nothing(void *unused)
{
	return unused;
}

static void forker(void)
{
	unsigned int count = 0;

	for (;;) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
		rest(&count, 8);
	}
}

static void threader(void)
{
	unsigned int count = 0;

	for (;;) {
		pthread_t id;

		if (!pthread_create(&id, NULL, nothing, NULL))
			pthread_join(id, NULL);
		rest(&count, 16);
	}
}

static void computer(void)
{
	unsigned int count = 0;

	for (;;)
		rest(&count, 1000000);
}

static void sleeper(void)
{
	for (;;)
		poll(NULL, 0, 1);
}

static void reader(void)
{
	static const char *const files[] = {
		"/proc/cmdline",   "/proc/loadavg",	"/proc/version",
		"/proc/execdomains", "/proc/filesystems", "/sys/kernel/fscaps",
	};
	unsigned int count = 0;
	char buffer[4096];
	size_t i;

	for (i = 0;; i = (i + 1) % (sizeof(files) / sizeof(files[0]))) {
		int fd = open(files[i], O_RDONLY);

		if (fd < 0 || read(fd, buffer, sizeof(buffer)) <= 0)
			_exit(1);
		close(fd);
		rest(&count, 20);
	}
}

/* Any answer will do: the program hot looks at them. */
static void caller(void)
{
	unsigned int count = 0;

	for (;;) {
		syscall(SYS_getppid);
		rest(&count, 5000);
	}
}

int main(void)
{
	static void (*const kinds[])(void) = { forker, threader, computer, sleeper, reader, caller };
	size_t i;
	int status;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		pid_t pid = fork();

		if (pid < 0) {
			perror("churn: fork");
			return 2;
		}
		if (!pid) {
			/* The test kills the parent only. */
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			/* The test itself has to get on. */
			if (nice(5) == -1)
				_exit(2);
			kinds[i]();
		}
	}
	wait(&status);
	fprintf(stderr, "churn: a part of the load ended with %#x\n", (unsigned int)status);
	return 1;
}
