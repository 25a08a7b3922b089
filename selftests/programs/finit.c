// SPDX-License-Identifier: GPL-2.0
/*
 * finit FILE [PARAMETER…]: loads a module, once, and exits with the errno. The insmod of busybox tries again in another way, and
 * what the module says in the log is there twice.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char parameters[1024] = "";
	int i, fd;

	if (argc < 2)
		return 255;
	for (i = 2; i < argc; i++) {
		if (strlen(parameters) + strlen(argv[i]) + 2 > sizeof(parameters))
			return 255;
		strcat(parameters, argv[i]);
		strcat(parameters, " ");
	}
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, parameters, 0)) {
		i = errno;
		perror(argv[1]);
		return i;
	}
	return 0;
}
