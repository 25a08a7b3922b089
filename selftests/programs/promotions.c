// SPDX-License-Identifier: GPL-2.0
/*
 *	promotions COUNT PATCH NEXT [ANEW]
 *
 * So many promotions and demotions: PATCH is enabled, then NEXT, which replaces it, then NEXT is disabled, over and over; each of
 * the two is left when all its functions are entered by a jump. Each tenth time, or each time that is a multiple of ANEW, the patch is
 * disabled and it waits until ftrace has nothing of them any more, so that they are attached anew; else doors are only opened and shut. Prints how many there were and how long they took.
 */
#include <stdbool.h>

#include "core.h"

#define PATIENCE_S 60
#define FUNCTIONS "/sys/kernel/tracing/enabled_functions"

static bool attached(void)
{
	FILE *file = fopen(FUNCTIONS, "r");
	char line[1024];
	bool found = false;

	if (!file) {
		perror(FUNCTIONS);
		exit(2);
	}
	while (fgets(line, sizeof(line), file))
		found |= strstr(line, "lp_doors") != NULL;
	fclose(file);
	return found;
}

/* True if they were all gone in time; without doors of others beside them. */
static bool wait_detached(void)
{
	const uint64_t deadline = core_now_ns() + (uint64_t)PATIENCE_S * 1000000000;

	while (attached()) {
		if (core_now_ns() > deadline)
			return false;
		core_sleep_us(10000);
	}
	return true;
}

int main(int argc, char **argv)
{
	unsigned long wanted = argc >= 4 ? strtoul(argv[1], NULL, 10) : 0, done, anew = 0;
	unsigned long every = argc == 5 ? strtoul(argv[4], NULL, 10) : 10;
	uint64_t began;
	int device;

	if (!wanted || !every || argc > 5) {
		fputs("usage: promotions COUNT PATCH NEXT [ANEW]\n", stderr);
		return 2;
	}
	device = core_open();
	began = core_now_ns();
	for (done = 0; done < wanted; done++) {
		const char *patch = argv[2 + done % 2];

		core_op(device, LPATCH_IOC_ENABLE, patch);
		core_wait(device);
		core_wait_promoted(device, patch, PATIENCE_S);
		if (done % 2 || done + 1 == wanted || done % every == every - 1) {
			core_op(device, LPATCH_IOC_DISABLE, patch);
			core_wait(device);
		}
		if (done % every == every - 1) {
			if (!wait_detached()) {
				fprintf(stderr, "functions are still jumps after %u s\n", PATIENCE_S);
				return 2;
			}
			anew++;
		}
	}
	printf("%lu promotions and demotions in %.1f s, %lu times from nothing\n", done, (double)(core_now_ns() - began) / 1e9,
	       anew);
	return 0;
}
