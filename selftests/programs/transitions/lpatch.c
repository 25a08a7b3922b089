// SPDX-License-Identifier: GPL-2.0
/* Transitions by lpatch, through /dev/lpatch: the loader takes longer to start than a transition takes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "transitions.h"

#define PATCHES_MAX 64
#define BLOCKERS_MAX 16

unsigned int interrupt_ms;
static int device = -1;
static uint64_t transition, requested;

/* request(): 0 or a negative errno; the answer is in the struct, which begins with a head. */
static int request(unsigned long ioc, void *to, size_t size)
{
	struct lpatch_hdr *hdr = to;

	hdr->size = (uint32_t)size;
	return ioctl(device, ioc, to) ? -errno : 0;
}

static bool lpatch_open(void)
{
	struct lpatch_query query = { 0 };
	int error;

	device = open("/dev/lpatch", O_RDWR | O_CLOEXEC);
	if (device < 0)
		die(errno, "/dev/lpatch");
	error = request(LPATCH_IOC_QUERY, &query, sizeof(query));
	if (error)
		die(-error, "query");
	if (query.features & LPATCH_F_CONSISTENCY)
		return true;
	fputs("transitions: this lpatch_core moves all tasks at once: there are no transitions to look at\n", stderr);
	return false;
}

static int op(unsigned long ioc, int version, const char *what)
{
	struct lpatch_op op = { .interrupt_ms = interrupt_ms };
	int error;

	snprintf((char *)op.name, sizeof(op.name), "witness-%d", version);
	error = request(ioc, &op, sizeof(op));
	if (!error || op.hdr.reason == LPATCH_R_NO_TRANSITION || op.hdr.reason == LPATCH_R_LATE)
		return error ? -EAGAIN : 0;
	fprintf(stderr, "transitions: %s %s: %s, reason %u, at %llu, value %llu\n", what, op.name, strerror(-error),
		op.hdr.reason, (unsigned long long)op.hdr.at, (unsigned long long)op.hdr.value);
	return error;
}

static int lpatch_begin(int version, bool enable)
{
	struct lpatch_transition state = { 0 };
	int error;

	requested = now_ns();
	error = op(enable ? LPATCH_IOC_ENABLE : LPATCH_IOC_DISABLE, version, enable ? "enable" : "disable");
	if (error)
		return error;
	/* Under way or over, it is the last one. */
	error = request(LPATCH_IOC_TRANSITION, &state, sizeof(state));
	if (!error && state.id == transition) {
		fprintf(stderr, "transitions: a request began no transition: %llu is still the last one\n",
			(unsigned long long)transition);
		error = -EPROTO;
	}
	transition = state.id;
	return error;
}

static int lpatch_reverse(int version)
{
	return op(LPATCH_IOC_REVERSE, version, "reverse");
}

static int lpatch_wait(unsigned int ms, struct outcome *outcome)
{
	struct lpatch_transition state = { .id = transition, .wait_ms = ms };
	int error = request(LPATCH_IOC_WAIT, &state, sizeof(state));
	size_t i;

	if (error)
		return error;
	if (state.phase != LPATCH_PHASE_DONE && state.phase != LPATCH_PHASE_REVERSED)
		return state.phase == LPATCH_PHASE_LIVE || state.phase == LPATCH_PHASE_REVERSING ? -ETIME : -EPROTO;
	outcome->reversed = state.phase == LPATCH_PHASE_REVERSED;
	outcome->total_ns = state.ended_ns - requested;
	outcome->moving_ns = state.ended_ns - state.started_ns;
	for (i = 0; i < LPATCH_CAUSES; i++)
		outcome->moved[i] = state.moved[i];
	return 0;
}

static struct lpatch_patch_info find(int version)
{
	static struct lpatch_patch_info infos[PATCHES_MAX];
	struct lpatch_list list = { .entries = (uintptr_t)infos, .capacity = PATCHES_MAX };
	char name[LPATCH_NAME_LEN];
	unsigned int i;
	int error;

	snprintf(name, sizeof(name), "witness-%d", version);
	error = request(LPATCH_IOC_LIST, &list, sizeof(list));
	if (error)
		die(-error, "list");
	for (i = 0; i < list.count && i < PATCHES_MAX; i++)
		if (!strcmp((const char *)infos[i].name, name))
			return infos[i];
	die(0, "%s is not loaded", name);
}

static bool lpatch_enabled(int version)
{
	struct lpatch_patch_info info = find(version);

	if (info.state != LPATCH_STATE_ENABLED && info.state != LPATCH_STATE_LOADED)
		die(0, "%s is in state %u when no transition is under way", info.name, info.state);
	return info.state == LPATCH_STATE_ENABLED;
}

static bool lpatch_replaces(int version)
{
	return find(version).flags & LPATCH_PATCH_REPLACE;
}

static void lpatch_blockers(void)
{
	static struct lpatch_blocker entries[BLOCKERS_MAX];
	struct lpatch_blockers list = { .entries = (uintptr_t)entries, .capacity = BLOCKERS_MAX };
	unsigned int i;

	if (request(LPATCH_IOC_BLOCKERS, &list, sizeof(list)))
		return;
	fprintf(stderr, "transitions: %u tasks are pending\n", list.count);
	for (i = 0; i < list.count && i < BLOCKERS_MAX; i++)
		fprintf(stderr, "pid %d (%.16s) cpu %u state %c flags %#x why %u in %s\n%s\n", entries[i].pid,
			(const char *)entries[i].comm, entries[i].cpu, entries[i].state, entries[i].flags,
			entries[i].why, (const char *)entries[i].func, (const char *)entries[i].stack);
}

const struct side lpatch_side = {
	.name = "lpatch",
	.open = lpatch_open,
	.begin = lpatch_begin,
	.reverse = lpatch_reverse,
	.wait = lpatch_wait,
	.enabled = lpatch_enabled,
	.replaces = lpatch_replaces,
	.blockers = lpatch_blockers,
};
