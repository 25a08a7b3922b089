// SPDX-License-Identifier: GPL-2.0
/* /proc/witness, which selftests/modules/witness.c describes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transitions.h"

#define WITNESS "/proc/witness"

uint64_t witness_counter(const char *name)
{
	static int fd = -1;
	const size_t len = strlen(name);
	char text[1024];
	const char *line;
	ssize_t got;

	if (fd < 0)
		fd = open(WITNESS, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	if (got <= 0)
		die(errno, WITNESS);
	text[got] = '\0';
	for (line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, len) && line[len] == ' ')
			return strtoull(line + len, NULL, 10);
	}
	die(0, WITNESS " has no %s", name);
}

uint64_t witness_calls(int version)
{
	char name[32];

	snprintf(name, sizeof(name), "calls_%d", version);
	return witness_counter(name);
}

int witness_try(const char *text)
{
	int fd = open(WITNESS, O_WRONLY | O_CLOEXEC), error = 0;

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		error = -errno;
	if (fd >= 0)
		close(fd);
	return error;
}

void witness_command(const char *text)
{
	int error = witness_try(text);

	if (error)
		die(-error, WITNESS ": %s", text);
}
