// SPDX-License-Identifier: GPL-2.0
/*
 * transitions SIDE repeat COUNT [PAUSE]
 *
 * COUNT transitions, each waited for: version 2 is enabled and disabled in turn, with PAUSE milliseconds (0) between them. An odd one
 * out at the end is undone uncounted. Prints how long all of them took together:
 *	repeated SIDE COUNT US
 */
#include <stdlib.h>
#include <stdio.h>

#include "transitions.h"

#define VERSION 2
#define PATIENCE_MS 120000
#define COUNT_MAX 100000

static uint64_t one(const struct side *side, bool enable)
{
	const char *what = enable ? "enable" : "disable";
	struct outcome outcome;
	int error = side->begin(VERSION, enable);

	if (!error)
		error = side->wait(PATIENCE_MS, &outcome);
	if (error || outcome.reversed)
		die(-error, "%s did not come to its end", what);
	return outcome.total_ns;
}

int repeat(const struct side *side, int argc, char **argv)
{
	unsigned long count = argc > 0 ? strtoul(argv[0], NULL, 10) : 0, done;
	unsigned long pause_ms = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	uint64_t total_ns = 0;

	if (!count || count > COUNT_MAX || pause_ms > PATIENCE_MS)
		die(0, "usage: transitions SIDE repeat COUNT [PAUSE]");
	for (done = 0; done < count; done++) {
		total_ns += one(side, done % 2 == 0);
		sleep_us((unsigned int)pause_ms * 1000);
	}
	if (count % 2)
		one(side, false);
	printf("repeated %s %lu %llu\n", side->name, count, (unsigned long long)total_ns / 1000);
	return 0;
}
