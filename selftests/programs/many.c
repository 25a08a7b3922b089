// SPDX-License-Identifier: GPL-2.0
/*
 * One life of a patch of the first N functions of modules/many.c, with a clock.
 *
 *	many lpatch N			the patches many-N and many-N-3 are loaded; they are unloaded afterwards
 *	many promoted N ROUNDS		the same, but each waits until all functions are entered by a jump
 *	many upstream N CAP		the kernel's own livepatches, klp_many and klp_many_3
 *
 * Version 2 is enabled, version 3 takes its place, and is disabled and unloaded. Prints lines "row KEY SIDE MS" from the request
 * until:
 *
 *	enable_N_effective	it has returned, and the function listed last answers the new version to who has asked
 *	disable_N_effective	the same with the old version
 *	enable_N_done, replace_N_done, disable_N_done
 *				no task is pending
 *	unload_N		the patch is gone, from when no task was pending
 *	off_N			the same, from the request to disable it: the sum of the two
 *	promote_N, replace_N_promoted, disable_N_promoted
 *				all functions are jumps, from when no task was pending; then the other two as above
 *
 * In a promoted life version 2 is enabled, replaced and disabled ROUNDS times. The functions stay jumps for a while behind a disabling, so
 * that only the first round has to make them jumps, which is the one that promote_N is about.
 *
 * lpatch: the requests are ioctls, and no task is pending when LPATCH_IOC_WAIT returns. Its patches are loaded before. Upstream:
 * loading a module enables, which is the request. No task is pending when the transition is over by its file in sysfs, which is
 * read every millisecond and does not wait for anything. Before the next request, lpatch has a moment to settle: a request that comes
 * at once would wait for that, and its row be about the one before. After CAP seconds of disabling, which takes longest, it gives up:
 * "capped KEY SIDE MS".
 */
#define _GNU_SOURCE
#include <limits.h>
#include <stdbool.h>
#include <sys/syscall.h>

#include "../modules/many.h"
#include "core.h"

#define SYSFS "/sys/kernel/livepatch/"
#define MODULES "/selftests/modules/"
#define PATIENCE_S 300

static unsigned int n;
static int target, device = -1;
static const char *side;

static void __attribute__((noreturn)) die(const char *what)
{
	perror(what);
	exit(2);
}

static void print(const char *verb, const char *what, uint64_t ns)
{
	printf("row %s_%u%s %s %.3f\n", verb, n, what, side, (double)ns / 1e6);
	fflush(stdout);
}

/* Returns how long it took. */
static uint64_t row(const char *verb, const char *what, uint64_t since)
{
	const uint64_t took = core_now_ns() - since;

	print(verb, what, took);
	return took;
}

/* The version that the last of the functions answers. */
static int version(void)
{
	int found = ioctl(target, MANY_IOCTL(n - 1), 0);

	if (found < 0)
		die("/proc/many");
	return found;
}

/* All of them, and none of the others. */
static void check(int wanted)
{
	int found;
	unsigned int i;

	for (i = 0; i < n + 3 && i < MANY; i++) {
		found = ioctl(target, MANY_IOCTL(i), 0);
		if (found == (i < n ? wanted : 1))
			continue;
		fprintf(stderr, "many: function %u answers version %d\n", i, found);
		exit(2);
	}
}

static const char *patch(int version)
{
	static char name[2][32];

	snprintf(name[version == 3], sizeof(name[0]), version == 3 ? "many-%u-3" : "many-%u", n);
	return name[version == 3];
}

/* Nothing is left to be done behind the transition, as LPATCH_TRANSITION_SETTLING says, and about doors. */
static void settle(bool promoted)
{
	struct lpatch_transition state = { .flags = LPATCH_TRANSITION_SETTLING };

	while (state.flags & LPATCH_TRANSITION_SETTLING) {
		core_sleep_us(1000);
		memset(&state, 0, sizeof(state));
		core_request(device, LPATCH_IOC_TRANSITION, &state, sizeof(state), "transition");
	}
	if (promoted)
		core_sleep_us(1000000);
}

static void replace(bool promoted)
{
	uint64_t since = core_now_ns();

	core_op(device, LPATCH_IOC_ENABLE, patch(3));
	core_wait(device);
	row("replace", promoted ? "_promoted" : "_done", since);
	check(3);
	if (promoted)
		core_wait_promoted(device, patch(3), PATIENCE_S);
	settle(promoted);
}

static uint64_t disable(bool promoted)
{
	uint64_t since = core_now_ns(), took;

	core_op(device, LPATCH_IOC_DISABLE, patch(3));
	while (version() != 1)
		;
	if (!promoted)
		row("disable", "_effective", since);
	core_wait(device);
	took = row("disable", promoted ? "_promoted" : "_done", since);
	check(1);
	return took;
}

static void lpatch(void)
{
	uint64_t since = core_now_ns(), disabling;

	core_op(device, LPATCH_IOC_ENABLE, patch(2));
	while (version() != 2)
		;
	row("enable", "_effective", since);
	core_wait(device);
	row("enable", "_done", since);
	check(2);
	settle(false);
	replace(false);
	disabling = disable(false);
	since = core_now_ns();
	core_op(device, LPATCH_IOC_UNLOAD, patch(3));
	print("off", "", disabling + row("unload", "", since));
	core_op(device, LPATCH_IOC_UNLOAD, patch(2));
}

static void promoted(unsigned int rounds)
{
	unsigned int round;
	uint64_t since;

	for (round = 0; round < rounds; round++) {
		core_op(device, LPATCH_IOC_ENABLE, patch(2));
		core_wait(device);
		since = core_now_ns();
		core_wait_promoted(device, patch(2), PATIENCE_S);
		if (!round)
			row("promote", "", since);
		check(2);
		settle(true);
		replace(true);
		disable(true);
	}
	core_op(device, LPATCH_IOC_UNLOAD, patch(3));
	core_op(device, LPATCH_IOC_UNLOAD, patch(2));
}

static const char *module(int version)
{
	return version == 3 ? "klp_many_3" : "klp_many";
}

static void insert(int version)
{
	char path[PATH_MAX], parameters[32];
	int file;

	snprintf(path, sizeof(path), MODULES "%s.ko", module(version));
	snprintf(parameters, sizeof(parameters), "count=%u", n);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0 || syscall(SYS_finit_module, file, parameters, 0))
		die(path);
	close(file);
}

/* Its patch holds the module until all is done. */
static void drop(int version)
{
	const uint64_t deadline = core_now_ns() + (uint64_t)PATIENCE_S * 1000000000;

	while (syscall(SYS_delete_module, module(version), O_NONBLOCK)) {
		if (core_now_ns() > deadline)
			die(module(version));
		core_sleep_us(1000);
	}
}

static bool in_transition(int version)
{
	char path[PATH_MAX], text[4] = "";
	int file;

	snprintf(path, sizeof(path), SYSFS "%s/transition", module(version));
	file = open(path, O_RDONLY | O_CLOEXEC);
	/* One that was disabled is not there any more. */
	if (file < 0)
		return false;
	if (read(file, text, sizeof(text) - 1) < 0)
		text[0] = '0';
	close(file);
	return text[0] == '1';
}

/* Whether it is over in time. */
static bool wait(int version, unsigned int seconds)
{
	const uint64_t deadline = core_now_ns() + (uint64_t)seconds * 1000000000;

	while (in_transition(version)) {
		if (core_now_ns() > deadline)
			return false;
		core_sleep_us(1000);
	}
	return true;
}

static void switch_off(int version)
{
	char path[PATH_MAX];
	int file;

	snprintf(path, sizeof(path), SYSFS "%s/enabled", module(version));
	file = open(path, O_WRONLY | O_CLOEXEC);
	if (file < 0 || write(file, "0", 1) != 1)
		die(path);
	close(file);
}

static void upstream(unsigned int cap)
{
	uint64_t since = core_now_ns(), disabling;

	insert(2);
	while (version() != 2)
		core_sleep_us(1000);
	row("enable", "_effective", since);
	if (!wait(2, PATIENCE_S))
		die("enable");
	row("enable", "_done", since);
	check(2);
	since = core_now_ns();
	insert(3);
	if (!wait(3, PATIENCE_S))
		die("replace");
	row("replace", "_done", since);
	check(3);
	drop(2);
	since = core_now_ns();
	switch_off(3);
	while (version() != 1)
		core_sleep_us(1000);
	row("disable", "_effective", since);
	if (!wait(3, cap)) {
		printf("capped disable_%u_done %s %u\n", n, side, cap * 1000);
		/* What comes behind it only adds. */
		printf("capped off_%u %s %u\n", n, side, cap * 1000);
		exit(0);
	}
	disabling = row("disable", "_done", since);
	check(1);
	since = core_now_ns();
	drop(3);
	print("off", "", disabling + row("unload", "", since));
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	unsigned int more = argc == 4 ? (unsigned int)strtoul(argv[3], NULL, 10) : 0;

	n = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 10) : 0;
	target = open("/proc/many", O_RDONLY | O_CLOEXEC);
	if (target < 0)
		die("/proc/many");
	side = "lpatch";
	if (n && argc == 3 && !strcmp(what, "lpatch")) {
		device = core_open();
		lpatch();
	} else if (n && more && !strcmp(what, "promoted")) {
		device = core_open();
		promoted(more);
	} else if (n && more && !strcmp(what, "upstream")) {
		side = what;
		upstream(more);
	} else {
		fputs("usage: many lpatch N | many promoted N ROUNDS | many upstream N CAP\n", stderr);
		return 2;
	}
	return 0;
}
