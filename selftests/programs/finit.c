// SPDX-License-Identifier: GPL-2.0
/*
 * finit FILE [PARAMETER…]: loads a module, once, and exits with the errno. The insmod of busybox tries again in another way, and
 * what the module says in the log is there twice.
 * finit --time FILE [PARAMETER…]: the same, and prints how many milliseconds the kernel took.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	char parameters[1024] = "";
	int i, fd, timed;
	double start;

	timed = argc > 1 && !strcmp(argv[1], "--time");
	argc -= timed;
	argv += timed;
	if (argc < 2)
		return 255;
	for (i = 2; i < argc; i++) {
		if (strlen(parameters) + strlen(argv[i]) + 2 > sizeof(parameters))
			return 255;
		strcat(parameters, argv[i]);
		strcat(parameters, " ");
	}
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	start = now_ms();
	if (fd < 0 || syscall(SYS_finit_module, fd, parameters, 0)) {
		i = errno;
		perror(argv[1]);
		return i;
	}
	if (timed)
		printf("%.1f\n", now_ms() - start);
	return 0;
}
