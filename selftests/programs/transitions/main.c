// SPDX-License-Identifier: GPL-2.0
/*
 * transitions SIDE check
 * transitions SIDE cycles COUNT [SEED]
 * transitions SIDE converge NAME RUNS CAP [COMMAND...]
 * transitions SIDE repeat COUNT [PAUSE]
 *
 * SIDE is lpatch or upstream. The module witness is in; for lpatch its patches are loaded and none is enabled. cycles.c,
 * converge.c and repeat.c say what the verbs do. Exit status: 0 done, 1 what had to hold did not, 2 it could not be tried, 3 this side
 * cannot be used here.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "transitions.h"

void die(int error, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("transitions: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	if (error)
		fprintf(stderr, ": %s", strerror(error));
	fputc('\n', stderr);
	exit(2);
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void sleep_us(unsigned int us)
{
	struct timespec left = { us / 1000000, (long)(us % 1000000) * 1000 };

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

int main(int argc, char **argv)
{
	static const struct side *const sides[] = { &lpatch_side, &upstream_side };
	const struct side *side = NULL;
	size_t i;

	for (i = 0; argc > 2 && i < sizeof(sides) / sizeof(sides[0]); i++)
		if (!strcmp(argv[1], sides[i]->name))
			side = sides[i];
	if (!side)
		die(0, "usage: transitions lpatch|upstream check|cycles|converge|repeat ...");
	/* So that a reader of a pipe sees it as it comes. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!side->open())
		return 3;
	if (!strcmp(argv[2], "check"))
		return 0;
	if (!strcmp(argv[2], "cycles"))
		return cycles(side, argc - 3, argv + 3);
	if (!strcmp(argv[2], "converge"))
		return converge(side, argc - 3, argv + 3);
	if (!strcmp(argv[2], "repeat"))
		return repeat(side, argc - 3, argv + 3);
	die(0, "no verb %s", argv[2]);
}
