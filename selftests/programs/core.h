/* SPDX-License-Identifier: GPL-2.0 */
/* Requests to /dev/lpatch about patches that are loaded. Whatever fails ends the program with status 2. */
#ifndef _LPATCH_SELFTESTS_CORE_H
#define _LPATCH_SELFTESTS_CORE_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "../../lpatch-core/uapi/lpatch.h"

#define CORE_FUNCS_MAX 1024

static inline uint64_t core_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline void core_sleep_us(unsigned int us)
{
	struct timespec time = { us / 1000000, us % 1000000 * 1000 };

	nanosleep(&time, NULL);
}

static inline int core_open(void)
{
	int device = open("/dev/lpatch", O_RDWR | O_CLOEXEC);

	if (device < 0) {
		perror("/dev/lpatch");
		exit(2);
	}
	return device;
}

/* The request is in the struct @to, which begins with a head; so is the answer. */
static inline void core_request(int device, unsigned long ioc, void *to, size_t size, const char *what)
{
	struct lpatch_hdr *hdr = to;

	hdr->size = (uint32_t)size;
	if (!ioctl(device, ioc, to))
		return;
	fprintf(stderr, "%s: %s, reason %u, at %llu, value %llu\n", what, strerror(errno), hdr->reason,
		(unsigned long long)hdr->at, (unsigned long long)hdr->value);
	exit(2);
}

/* LPATCH_IOC_ENABLE, _DISABLE or _UNLOAD. */
static inline void core_op(int device, unsigned long ioc, const char *patch)
{
	struct lpatch_op op = { 0 };

	snprintf((char *)op.name, sizeof(op.name), "%s", patch);
	core_request(device, ioc, &op, sizeof(op), patch);
}

/* Until no task is pending. */
static inline void core_wait(int device)
{
	struct lpatch_transition state = { 0 };

	core_request(device, LPATCH_IOC_WAIT, &state, sizeof(state), "wait");
	if (state.phase == LPATCH_PHASE_DONE)
		return;
	fprintf(stderr, "the transition of %s ended in phase %u\n", state.name, state.phase);
	exit(2);
}

/* Whether all functions of a patch are entered by a jump. */
static inline int core_promoted(int device, const char *patch)
{
	static struct lpatch_func_info funcs[CORE_FUNCS_MAX];
	struct lpatch_status status = { .entries = (uintptr_t)funcs, .capacity = CORE_FUNCS_MAX };
	unsigned int i;

	snprintf((char *)status.name, sizeof(status.name), "%s", patch);
	core_request(device, LPATCH_IOC_STATUS, &status, sizeof(status), patch);
	for (i = 0; i < status.count && i < CORE_FUNCS_MAX; i++)
		if (funcs[i].path != LPATCH_PATH_JUMP)
			return 0;
	return 1;
}

/* Until they are; after @seconds the program ends. */
static inline void core_wait_promoted(int device, const char *patch, unsigned int seconds)
{
	const uint64_t deadline = core_now_ns() + (uint64_t)seconds * 1000000000;

	while (!core_promoted(device, patch)) {
		if (core_now_ns() > deadline) {
			fprintf(stderr, "not all functions of %s are jumps after %u s\n", patch, seconds);
			exit(2);
		}
		core_sleep_us(2000);
	}
}

#endif /* _LPATCH_SELFTESTS_CORE_H */
