// SPDX-License-Identifier: GPL-2.0
/* Tasks that are born and end: processes, threads, new images of a process. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workload.h"

/* One in so many rounds is followed by a pause. */
#define BURST 16

static int reap(pid_t pid)
{
	int status;

	return pid < 0 || waitpid(pid, &status, 0) != pid || status;
}

void load_fork(struct part *part, unsigned int number)
{
	unsigned int round;

	for (round = number; !*load_stop; round++) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		done(part, reap(pid));
		if (round % BURST == 0)
			rest(5);
	}
}

static void *nothing(void *unused)
{
	return unused;
}

void load_thread(struct part *part, unsigned int number)
{
	unsigned int round;

	for (round = number; !*load_stop; round++) {
		pthread_t id;
		int error = pthread_create(&id, NULL, nothing, NULL);

		if (!error)
			pthread_join(id, NULL);
		done(part, error);
		if (round % BURST == 0)
			rest(5);
	}
}

void load_exec(struct part *part, unsigned int number)
{
	static char *const argv[] = { "workload", LOAD_NOTHING, NULL };
	static char *const envp[] = { NULL };

	rest(number);
	while (!*load_stop) {
		pid_t pid = vfork();

		if (!pid) {
			execve("/proc/self/exe", argv, envp);
			_exit(1);
		}
		done(part, reap(pid));
		rest(20);
	}
}
