// SPDX-License-Identifier: GPL-2.0
/*
 * turn FILE COMMAND [ARGUMENT…]: runs it when it has the lock of the file, and keeps the lock until the command and all that it has begun
 * have ended. For those who make transitions: the core refuses a second one as long as one is under way.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int fd;

	if (argc < 3)
		return 2;
	/* The command inherits it. */
	fd = open(argv[1], O_RDWR | O_CREAT, 0600);
	if (fd < 0 || flock(fd, LOCK_EX)) {
		perror(argv[1]);
		return 126;
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
