// SPDX-License-Identifier: GPL-2.0
/*
 * Transitions by the kernel's own livepatch, whose patches are modules. A module that is loaded is enabled by that; one that was
 * disabled or replaced has to be removed before it can be enabled again.
 *
 * Times are those of its lines in the kernel log, of 1 us. They leave out the loading of the module, which is no part of the
 * transition, and watching the log costs the guest nothing, where polling a file would take a processor. No task is pending when
 * it says "completing", a debug message; before "complete" it still waits for ftrace, in "unpatching" for long.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "transitions.h"

#define SYSFS "/sys/kernel/livepatch/"
#define MARK "lpatch-transitions: a request"
/* As the kernel log takes it: not for the console. */
#define MARK_LINE "<6>" MARK "\n"
#define RECORD_LEN 8192

static int kmsg = -1;
static int current;
static bool enabling;
/* In us, from the log. */
static uint64_t requested, started, settled;

static const char *module(int version)
{
	return version == 3 ? "klp_witness_3" : "klp_witness";
}

static const char *path(const char *format, int version)
{
	static char text[128];

	snprintf(text, sizeof(text), format, module(version));
	return text;
}

/* A small number from sysfs, or -1. */
static int attribute(const char *format, int version)
{
	int fd = open(path(format, version), O_RDONLY | O_CLOEXEC), value = -1;
	char text[16] = "";

	if (fd >= 0) {
		if (read(fd, text, sizeof(text) - 1) > 0)
			value = atoi(text);
		close(fd);
	}
	return value;
}

static int set_enabled(int version, bool value)
{
	int fd = open(path(SYSFS "%s/enabled", version), O_WRONLY | O_CLOEXEC), error = 0;

	if (fd < 0 || write(fd, value ? "1" : "0", 1) != 1)
		error = -errno;
	if (fd >= 0)
		close(fd);
	return error;
}

static bool upstream_open(void)
{
	static const char rule[] = "file kernel/livepatch/transition.c +p";
	int control = open("/proc/dynamic_debug/control", O_WRONLY | O_CLOEXEC);

	if (control < 0 || write(control, rule, strlen(rule)) < 0)
		die(errno, "/proc/dynamic_debug/control");
	close(control);
	/* Both ways: the requests are marked in the log. */
	kmsg = open("/dev/kmsg", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (kmsg < 0)
		die(errno, "/dev/kmsg");
	if (!access(SYSFS, F_OK))
		return true;
	fputs("transitions: this kernel has no livepatch\n", stderr);
	return false;
}

/* A patch that is disabled lets go of its module in a moment. */
static int unload(int version)
{
	unsigned int tries;

	for (tries = 0; syscall(SYS_delete_module, module(version), O_NONBLOCK); tries++) {
		if (errno == ENOENT)
			return 0;
		if (tries == 5000)
			return -errno;
		sleep_us(1000);
	}
	return 0;
}

static int load(int version)
{
	int fd = open(path("/selftests/modules/%s.ko", version), O_RDONLY | O_CLOEXEC), error = 0;

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		error = -errno;
	if (fd >= 0)
		close(fd);
	return error;
}

static int upstream_begin(int version, bool enable)
{
	int error = enable ? unload(version) : 0;

	if (error)
		return error;
	current = version;
	enabling = enable;
	requested = started = settled = 0;
	if (lseek(kmsg, 0, SEEK_END) < 0 || write(kmsg, MARK_LINE, strlen(MARK_LINE)) < 0)
		die(errno, "/dev/kmsg");
	error = enable ? load(version) : set_enabled(version, false);
	if (error)
		fprintf(stderr, "transitions: %s %s: %s\n", enable ? "enable" : "disable", module(version), strerror(-error));
	return error;
}

static int upstream_reverse(int version)
{
	int value = attribute(SYSFS "%s/enabled", version);

	if (value < 0 || attribute(SYSFS "%s/transition", version) != 1)
		return -EAGAIN;
	/* What the kernel says if it ended in this moment. */
	return set_enabled(version, !value) ? -EAGAIN : 0;
}

/* take(): looks at one line of the log; true if it is the end of the transition. */
static bool take(const char *text, uint64_t us, struct outcome *outcome)
{
	static const char *const words[2] = { "unpatching", "patching" };
	char line[96];
	int i;

	snprintf(line, sizeof(line), "livepatch: enabling patch '%s'", module(current));
	if (!strncmp(text, MARK, strlen(MARK)) || !strncmp(text, line, strlen(line)))
		requested = us;
	snprintf(line, sizeof(line), "livepatch: '%s': starting %s transition", module(current), words[enabling]);
	if (!strncmp(text, line, strlen(line)))
		started = us;
	for (i = 0; i < 2; i++) {
		snprintf(line, sizeof(line), "livepatch: '%s': completing %s transition", module(current), words[i]);
		if (!strncmp(text, line, strlen(line)))
			settled = us;
		snprintf(line, sizeof(line), "livepatch: '%s': %s complete", module(current), words[i]);
		if (strncmp(text, line, strlen(line)))
			continue;
		if (!requested || !started || !settled)
			die(0, "the log lacks lines of %s", module(current));
		outcome->reversed = enabling != (i == 1);
		outcome->total_ns = (settled - requested) * 1000;
		outcome->moving_ns = (settled - started) * 1000;
		return true;
	}
	return false;
}

static int upstream_wait(unsigned int ms, struct outcome *outcome)
{
	const uint64_t deadline = now_ns() + (uint64_t)ms * 1000000;
	struct pollfd poller = { .fd = kmsg, .events = POLLIN };
	char record[RECORD_LEN], *text;

	memset(outcome, 0, sizeof(*outcome));
	for (;;) {
		/* "priority,number,us,flags;text" */
		ssize_t got = read(kmsg, record, sizeof(record) - 1);
		unsigned long long us;

		if (got > 0) {
			record[got] = '\0';
			text = strchr(record, ';');
			if (text && sscanf(record, "%*u,%*u,%llu", &us) == 1 && take(text + 1, us, outcome))
				return 0;
		} else if (got < 0 && errno == EAGAIN) {
			if (now_ns() >= deadline)
				return -ETIME;
			/* In pieces, for the deadline. */
			poll(&poller, 1, 20);
		} else if (got < 0 && errno != EPIPE && errno != EINTR) {
			die(errno, "/dev/kmsg");
		}
	}
}

static bool upstream_enabled(int version)
{
	return attribute(SYSFS "%s/enabled", version) == 1;
}

static bool upstream_replaces(int version)
{
	return version == 3;
}

/* /proc/PID/patch_state is 0 or 1 for a task in a transition; which one means pending depends on its direction. */
static void upstream_blockers(void)
{
	int done = attribute(SYSFS "%s/enabled", current);
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc))) {
		char name[300], text[64] = "";
		FILE *file;

		snprintf(name, sizeof(name), "/proc/%s/patch_state", entry->d_name);
		file = fopen(name, "r");
		if (!file)
			continue;
		if (fgets(text, sizeof(text), file) && atoi(text) >= 0 && atoi(text) != done)
			fprintf(stderr, "pid %s is pending\n", entry->d_name);
		fclose(file);
	}
	if (proc)
		closedir(proc);
}

const struct side upstream_side = {
	.name = "upstream",
	.open = upstream_open,
	.begin = upstream_begin,
	.reverse = upstream_reverse,
	.wait = upstream_wait,
	.enabled = upstream_enabled,
	.replaces = upstream_replaces,
	.blockers = upstream_blockers,
};
