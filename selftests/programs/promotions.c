// SPDX-License-Identifier: GPL-2.0
/*
 *	promotions COUNT PATCH NEXT
 *
 * So many promotions and demotions: PATCH is enabled, then NEXT, which replaces it, then NEXT is disabled, over and over; each of
 * the two is left when all its functions are entered by a jump. Prints how many there were and how long they took.
 */
#include "core.h"

#define PATIENCE_S 60

int main(int argc, char **argv)
{
	unsigned long wanted = argc == 4 ? strtoul(argv[1], NULL, 10) : 0, done;
	uint64_t began;
	int device;

	if (!wanted) {
		fputs("usage: promotions COUNT PATCH NEXT\n", stderr);
		return 2;
	}
	device = core_open();
	began = core_now_ns();
	for (done = 0; done < wanted; done++) {
		const char *patch = argv[2 + done % 2];

		core_op(device, LPATCH_IOC_ENABLE, patch);
		core_wait(device);
		core_wait_promoted(device, patch, PATIENCE_S);
		if (done % 2 || done + 1 == wanted) {
			core_op(device, LPATCH_IOC_DISABLE, patch);
			core_wait(device);
		}
	}
	printf("%lu promotions and demotions in %.1f s\n", done, (double)(core_now_ns() - began) / 1e9);
	return 0;
}
