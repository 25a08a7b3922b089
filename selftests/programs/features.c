// SPDX-License-Identifier: GPL-2.0
/* features NAME [ARGUMENT]: asks the patch "features" for that, and prints the answer, or a negative errno. SIGUSR1 ends a sleep. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "features.h"

#define ENTRY(number, name, text)	{ number, text },
static const struct {
	int number;
	const char *name;
} features[] = { FEATURES(ENTRY) };

static void woken(int unused)
{
	(void)unused;
}

int main(int argc, char **argv)
{
	const unsigned long argument = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	const struct sigaction wake = { .sa_handler = woken };
	long answer;

	sigaction(SIGUSR1, &wake, NULL);

	for (size_t i = 0; argc > 1 && i < sizeof(features) / sizeof(*features); i++) {
		if (strcmp(features[i].name, argv[1]))
			continue;
		answer = syscall(SYS_sched_rr_get_interval, -(long)features[i].number, argument);
		printf("%ld\n", answer == -1 ? -(long)errno : answer);
		return 0;
	}
	fprintf(stderr, "usage: features NAME [ARGUMENT]\n");
	return 2;
}
