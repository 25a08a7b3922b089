// SPDX-License-Identifier: GPL-2.0
/*
 * One request to /dev/lpatch and nothing else, where the loader would send others before and after it.
 *
 *	request open | query | list | transition | wait | blockers | last
 *	request compare NAME
 *	request enable NAME [TIMEOUT_MS] [INTERRUPT_MS] | disable NAME [TIMEOUT_MS] [INTERRUPT_MS] | reverse NAME | force NAME |
 *		unload NAME | status NAME
 *	request inside START END	which tasks have an address from START to END on their stacks
 *	request insmod FILE	loads a module; insmod tries a second time if it is refused
 *
 * Exits with 0, or with 1 and a line "ERRNO REASON" (of an open that failed: "ERRNO open", of a module: "ERRNO module"). 2: it
 * was called wrongly.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../lpatch-core/uapi/lpatch.h"

#define ENTRIES 8

static struct lpatch_patch_info patches[ENTRIES];
static struct lpatch_func_info funcs[ENTRIES];
static struct lpatch_blocker tasks[ENTRIES];
static struct lpatch_range range;
static struct lpatch_difference differences[ENTRIES];

/* Each begins with a head. */
static union {
	struct lpatch_hdr hdr;
	struct lpatch_query query;
	struct lpatch_op op;
	struct lpatch_list list;
	struct lpatch_status status;
	struct lpatch_transition transition;
	struct lpatch_blockers blockers;
	struct lpatch_compare compare;
} u;

struct verb {
	const char *name;
	unsigned long ioc;
	size_t size;
};

static const struct verb verbs[] = {
	{ "open", 0, 0 },
	{ "query", LPATCH_IOC_QUERY, sizeof(u.query) },
	{ "list", LPATCH_IOC_LIST, sizeof(u.list) },
	{ "transition", LPATCH_IOC_TRANSITION, sizeof(u.transition) },
	{ "wait", LPATCH_IOC_WAIT, sizeof(u.transition) },
	{ "blockers", LPATCH_IOC_BLOCKERS, sizeof(u.blockers) },
	{ "last", LPATCH_IOC_BLOCKERS, sizeof(u.blockers) },
	{ "inside", LPATCH_IOC_BLOCKERS, sizeof(u.blockers) },
	{ "status", LPATCH_IOC_STATUS, sizeof(u.status) },
	{ "compare", LPATCH_IOC_COMPARE, sizeof(u.compare) },
	{ "enable", LPATCH_IOC_ENABLE, sizeof(u.op) },
	{ "disable", LPATCH_IOC_DISABLE, sizeof(u.op) },
	{ "reverse", LPATCH_IOC_REVERSE, sizeof(u.op) },
	{ "force", LPATCH_IOC_FORCE, sizeof(u.op) },
	{ "unload", LPATCH_IOC_UNLOAD, sizeof(u.op) },
};

static const char *argument(int argc, char **argv, int at)
{
	if (at >= argc) {
		fprintf(stderr, "request: %s needs more arguments\n", argv[1]);
		exit(2);
	}
	return argv[at];
}

static void fill(int argc, char **argv, const struct verb *verb)
{
	u.hdr.size = (uint32_t)verb->size;
	switch (verb->ioc) {
	case LPATCH_IOC_LIST:
		u.list.entries = (uintptr_t)patches;
		u.list.capacity = ENTRIES;
		break;
	case LPATCH_IOC_BLOCKERS:
		u.blockers.entries = (uintptr_t)tasks;
		u.blockers.capacity = ENTRIES;
		if (!strcmp(verb->name, "last"))
			u.blockers.flags = LPATCH_BLOCKERS_LAST;
		if (!strcmp(verb->name, "inside")) {
			range.start = strtoull(argument(argc, argv, 2), NULL, 16);
			range.end = strtoull(argument(argc, argv, 3), NULL, 16);
			u.blockers.ranges = (uintptr_t)&range;
			u.blockers.range_count = 1;
		}
		break;
	case LPATCH_IOC_STATUS:
		snprintf((char *)u.status.name, LPATCH_NAME_LEN, "%s", argument(argc, argv, 2));
		u.status.entries = (uintptr_t)funcs;
		u.status.capacity = ENTRIES;
		break;
	case LPATCH_IOC_COMPARE:
		snprintf((char *)u.compare.name, LPATCH_NAME_LEN, "%s", argument(argc, argv, 2));
		u.compare.entries = (uintptr_t)differences;
		u.compare.capacity = ENTRIES;
		break;
	case LPATCH_IOC_ENABLE:
	case LPATCH_IOC_DISABLE:
	case LPATCH_IOC_REVERSE:
	case LPATCH_IOC_FORCE:
	case LPATCH_IOC_UNLOAD:
		snprintf((char *)u.op.name, LPATCH_NAME_LEN, "%s", argument(argc, argv, 2));
		u.op.timeout_ms = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
		u.op.interrupt_ms = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0;
		break;
	}
}

static int insert(const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);

	if (file < 0) {
		perror(path);
		return 2;
	}
	if (syscall(SYS_finit_module, file, "", 0)) {
		printf("%d module\n", errno);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct verb *verb = NULL;
	size_t i;
	int device;

	if (argc == 3 && !strcmp(argv[1], "insmod"))
		return insert(argv[2]);
	for (i = 0; argc > 1 && i < sizeof(verbs) / sizeof(*verbs); i++)
		if (!strcmp(verbs[i].name, argv[1]))
			verb = &verbs[i];
	if (!verb) {
		fputs("request: unknown verb\n", stderr);
		return 2;
	}
	fill(argc, argv, verb);
	device = open("/dev/lpatch", O_RDWR | O_CLOEXEC);
	if (device < 0) {
		printf("%d open\n", errno);
		return 1;
	}
	if (verb->ioc && ioctl(device, verb->ioc, &u)) {
		printf("%d %u\n", errno, u.hdr.reason);
		return 1;
	}
	return 0;
}
