// SPDX-License-Identifier: GPL-2.0
/*
 * Calls getpid() as fast as it can, until it is terminated.
 *
 *	hammer	says "old N" and "new N" at the first answer of each kind that follows one of the other, N the
 *		number of calls before; ends with 1 if an answer was neither
 */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hammer.h"

static volatile sig_atomic_t stop;

static void end(int signal)
{
	(void)signal;
	stop = 1;
}

int main(void)
{
	unsigned long calls = 0;
	long own = syscall(SYS_getpid), was = 0, answer;

	setvbuf(stdout, NULL, _IOLBF, 0);
	prctl(PR_SET_NAME, HAMMER_NAME);
	signal(SIGTERM, end);
	for (; !stop; calls++) {
		answer = syscall(SYS_getpid);
		if (answer == was)
			continue;
		if (answer != own && answer != HAMMER_ANSWER) {
			printf("wrong %ld after %lu calls\n", answer, calls);
			return 1;
		}
		printf("%s %lu\n", answer == own ? "old" : "new", calls);
		was = answer;
	}
	return 0;
}
