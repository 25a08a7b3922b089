// SPDX-License-Identifier: GPL-2.0
/* Questions about who is where: ranges that are none, too many, or not there, and answers without room. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abuse.h"

static const struct call *const call = &calls[CALL_BLOCKERS];

/* Above all of user space, so every task has something in it. */
static const struct lpatch_range kernel = { 0xffffffff80000000, 0xffffffffffffffff };

static void ask(union request *r, const void *ranges, uint32_t count, void *entries, uint32_t capacity)
{
	valid(r, call);
	r->blockers.ranges = (uint64_t)(uintptr_t)ranges;
	r->blockers.range_count = count;
	r->blockers.entries = (uint64_t)(uintptr_t)entries;
	r->blockers.capacity = capacity;
}

/* How many are inside; the answer has no room for any of them. */
static uint32_t inside(const char *what, int fd, const struct lpatch_range *ranges, uint32_t count)
{
	union request r;
	int error;

	ask(&r, ranges, count, NULL, 0);
	error = request(fd, call->cmd, &r);
	if (error)
		bad("blockers: %s: errno %d reason %u", what, error, r.hdr.reason);
	return r.blockers.count;
}

static void pointers(int fd, struct lpatch_range *ranges)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	/* The last range of the page, and the page behind is not there. */
	void *end = (unsigned char *)ranges + LPATCH_RANGES_MAX * sizeof(*ranges);
	const void *nowhere[] = { NULL, end, (void *)0xffffffff81000000, (void *)0xffff888000000000,
				  (void *)0x0100000000000000, (void *)0xfffffffffffffff8 };
	union request r;
	size_t i;

	for (i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		ask(&r, nowhere[i], 1, NULL, 0);
		refused("ranges that cannot be read", fd, call, &r, EFAULT, LPATCH_R_FAULT);
		ask(&r, &kernel, 1, (void *)nowhere[i], 1);
		refused("entries that cannot be written", fd, call, &r, EFAULT, LPATCH_R_FAULT);
	}
	ask(&r, (unsigned char *)end - page, (uint32_t)(page / sizeof(*ranges)) + 1, NULL, 0);
	refused("ranges beyond their mapping", fd, call, &r, EFAULT, LPATCH_R_FAULT);
	ask(&r, ranges, LPATCH_RANGES_MAX + 1, NULL, 0);
	refused_at("too many ranges", fd, call, &r, E2BIG, LPATCH_R_TOO_BIG,
		   offsetof(struct lpatch_blockers, range_count), LPATCH_RANGES_MAX);
	/* A range of entries that wraps around is not writable either. */
	ask(&r, &kernel, 1, (void *)0xfffffffffffff000, 0xffffffff);
	refused("entries that wrap around", fd, call, &r, EFAULT, LPATCH_R_FAULT);
}

void abuse_ranges(void)
{
	const size_t len = LPATCH_RANGES_MAX * sizeof(struct lpatch_range);
	const struct lpatch_range none[] = {
		{ 0, 0 }, { 0, 4096 }, { ~0ull, 0 }, { kernel.end, kernel.start }, { kernel.start, kernel.start },
	};
	struct lpatch_blocker entries[2];
	struct lpatch_range *ranges;
	uint64_t state = 0x72616e676573;
	union request r;
	int fd = device(), round;
	uint32_t all;
	size_t i;

	ranges = mmap(NULL, len + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ranges == MAP_FAILED)
		die("mmap");
	munmap((unsigned char *)ranges + len, 4096);

	all = inside("the kernel", fd, &kernel, 1);
	if (!all)
		bad("blockers: nobody is in the kernel");
	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (inside("nothing", fd, &none[i], 1))
			bad("blockers: somebody is in empty range %zu", i);
	/* As many as there may be, upside down, each a part of the next. */
	for (i = 0; i < LPATCH_RANGES_MAX; i++) {
		ranges[i] = kernel;
		ranges[i].start += LPATCH_RANGES_MAX - 1 - i;
	}
	if (!inside("nested ranges", fd, ranges, LPATCH_RANGES_MAX))
		bad("blockers: nobody is in the nested ranges");

	/* Room for one: the other stays as it was. */
	memset(entries, 0xa5, sizeof(entries));
	ask(&r, &kernel, 1, entries, 1);
	if (request(fd, call->cmd, &r) || !r.blockers.count || r.blockers.written != 1)
		bad("blockers: room for one: reason %u, %u written", r.hdr.reason, r.blockers.written);
	if (!memchr(entries[0].comm, 0, sizeof(entries[0].comm)) ||
	    !memchr(entries[0].func, 0, sizeof(entries[0].func)) ||
	    !memchr(entries[0].stack, 0, sizeof(entries[0].stack)))
		bad("blockers: a text without its NUL");
	for (i = 0; i < sizeof(entries[1]); i++)
		if (((unsigned char *)&entries[1])[i] != 0xa5) {
			bad("blockers: byte %zu behind the last entry changed", i);
			break;
		}

	pointers(fd, ranges);
	/* Noise: xorshift64 of Marsaglia. The answer is of no interest. */
	for (round = 0; round < 100; round++) {
		unsigned char *bytes = (unsigned char *)ranges;

		for (i = 0; i < 32 * sizeof(*ranges); i++) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			bytes[i] = (unsigned char)(state % 4 ? 0xff : state >> 32);
		}
		inside("noise", fd, ranges, 1 + (uint32_t)round % 32);
	}
	munmap(ranges, len);
	close(fd);
}
