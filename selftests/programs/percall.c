// SPDX-License-Identifier: GPL-2.0
/*
 * Nanoseconds for each call of the function of the module cost. In a guest where an instruction takes one (qemu/run --icount),
 * that is how many there are.
 *
 *	percall CALLS ROUNDS	makes so many rounds of so many calls; prints the shortest round, divided by its calls
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

int main(int argc, char **argv)
{
	long calls = argc == 3 ? atol(argv[1]) : 0, rounds = argc == 3 ? atol(argv[2]) : 0;
	long long best = -1, took;
	char text[32];
	int fd = open("/proc/cost", O_WRONLY);

	if (calls <= 0 || rounds <= 0 || fd < 0) {
		fprintf(stderr, "usage: percall CALLS ROUNDS, with the module cost\n");
		return 2;
	}
	snprintf(text, sizeof(text), "%ld", calls);
	while (rounds--) {
		took = now();
		if (write(fd, text, strlen(text)) < 0) {
			perror("percall");
			return 1;
		}
		took = now() - took;
		if (best < 0 || took < best)
			best = took;
	}
	printf("%.2f\n", (double)best / calls);
	return 0;
}
