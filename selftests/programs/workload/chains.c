// SPDX-License-Identifier: GPL-2.0
/* Tasks in the functions that are patched, and tasks that have nothing to do with them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "workload.h"

/* The longest sleeps and the longest spin of a call chain. A task cannot be moved before a sleep "sleepd" ends. */
#define SLEEP_MS 1000
#define SLEEPD_MS 60
#define SPIN_US 2000

void load_hog(struct part *part, unsigned int number)
{
	volatile unsigned int work = number;

	while (!*load_stop) {
		unsigned int i;

		for (i = 0; i < 1000000; i++)
			work++;
		done(part, 0);
	}
}

void load_idle(struct part *part, unsigned int number)
{
	(void)number;
	while (!*load_stop)
		done(part, poll(NULL, 0, 3600 * 1000) < 0 && errno != EINTR);
}

/* chains(): one after the other, for 1 to @longest units; the command is "@word N", or @word if that is 0. */
static void chains(struct part *part, unsigned int seed, const char *word, unsigned int longest, unsigned int pause)
{
	int fd = open(WITNESS, O_WRONLY | O_CLOEXEC);
	char text[64];

	if (fd < 0) {
		done(part, 1);
		return;
	}
	while (!*load_stop) {
		size_t len;

		seed = seed * 1103515245 + 12345;
		if (longest)
			snprintf(text, sizeof(text), "%s %u", word, 1 + (seed >> 8) % longest);
		else
			snprintf(text, sizeof(text), "%s", word);
		len = strlen(text);
		done(part, write(fd, text, len) != (ssize_t)len && errno != EINTR);
		if (pause)
			rest(pause);
	}
	close(fd);
}

void load_call(struct part *part, unsigned int number)
{
	chains(part, number, "call", 0, number % 4 ? 20 : 1);
}

void load_sleep(struct part *part, unsigned int number)
{
	chains(part, number, "sleep", SLEEP_MS, 0);
}

void load_sleepd(struct part *part, unsigned int number)
{
	chains(part, number, "sleepd", SLEEPD_MS, 0);
}

void load_spin(struct part *part, unsigned int number)
{
	chains(part, number, "spin", SPIN_US, 2);
}
