// SPDX-License-Identifier: GPL-2.0
/* The request itself is wrong: its size, its fields, its name, its number, where it lies. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abuse.h"

void abuse_sizes(void)
{
	int fd = device();
	size_t i, k;

	for (i = 0; i < CALLS; i++) {
		const uint32_t size = (uint32_t)calls[i].size;
		const uint32_t sizes[] = { 0, 1, 4, 23, 24, size - 1, size + 1, size * 2, 4096, 0x80000000u,
					   size | 0x80000000u, 0xffffffffu };
		union request r;

		for (k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
			valid(&r, &calls[i]);
			r.hdr.size = sizes[k];
			refused_at("wrong size", fd, &calls[i], &r, EINVAL, LPATCH_R_SIZE, 0, size);
			if (r.hdr.size != sizes[k])
				bad("%s: the size in the head changed", calls[i].name);
		}
		memset(&r, 0, sizeof(r));
		refused_at("all zero", fd, &calls[i], &r, EINVAL, LPATCH_R_SIZE, 0, size);
		memset(&r, 0xff, sizeof(r));
		refused_at("all ones", fd, &calls[i], &r, EINVAL, LPATCH_R_SIZE, 0, size);
	}
	close(fd);
}

/* One field of a struct at its maximum, everything else valid. */
static void field_max(int fd, const struct call *call, const char *field, size_t at, size_t len, int error,
		      uint32_t reason)
{
	union request r;

	valid(&r, call);
	if (call->cmd == LPATCH_IOC_RESERVE)
		r.reserve.text_len = 1;
	memset(&r.bytes[at], 0xff, len);
	refused(field, fd, call, &r, error, reason);
}

#define MAX_OF(call, type, field, error, reason)                                                   \
	field_max(fd, &calls[call], "maximum of " #field, offsetof(struct type, field),             \
		  sizeof(((struct type *)0)->field), error, reason)

void abuse_fields(void)
{
	int fd = device();
	union request r;
	size_t i, bit;

	/* Every bit of every field that has to be zero. */
	for (i = 0; i < CALLS; i++)
		for (bit = 0; bit < calls[i].zero_len * 8; bit++) {
			/* Some of its flags are known. */
			if (i == CALL_LOAD && bit < 64 &&
			    (1ULL << bit & (LPATCH_LOAD_NO_PROMOTE | LPATCH_LOAD_REFUSE_MODULES)))
				continue;
			valid(&r, &calls[i]);
			r.bytes[calls[i].zero_at + bit / 8] |= (unsigned char)(1 << bit % 8);
			refused_at("reserved bit", fd, &calls[i], &r, EINVAL, LPATCH_R_RESERVED,
				   calls[i].zero_at, 0);
		}

	/* Everything at its maximum behind a right size: the flags come first, then the name. */
	for (i = 0; i < CALLS; i++) {
		memset(&r, 0xff, sizeof(r));
		r.hdr.size = (uint32_t)calls[i].size;
		/* One of its flags is known. */
		if (i == CALL_BLOCKERS)
			refused_at("all ones", fd, &calls[i], &r, EINVAL, LPATCH_R_RESERVED,
				   offsetof(struct lpatch_blockers, flags), 0);
		else if (calls[i].zero_len)
			refused_at("all ones", fd, &calls[i], &r, EINVAL, LPATCH_R_RESERVED,
				   calls[i].zero_at, 0);
		else if (calls[i].name_at)
			refused_at("all ones", fd, &calls[i], &r, EINVAL, LPATCH_R_NAME,
				   calls[i].name_at, 0);
	}
	/* The rest at zero. */
	valid(&r, &calls[1]);
	refused("no text", fd, &calls[1], &r, EINVAL, LPATCH_R_EMPTY);
	for (i = 3; i < CALLS; i++) {
		if (!calls[i].name_at)
			continue;
		memset(&r, 0, sizeof(r));
		r.hdr.size = (uint32_t)calls[i].size;
		refused_at("no name", fd, &calls[i], &r, EINVAL, LPATCH_R_NAME, calls[i].name_at, 0);
	}

	MAX_OF(1, lpatch_reserve, text_len, E2BIG, LPATCH_R_TOO_BIG);
	MAX_OF(1, lpatch_reserve, rodata_len, E2BIG, LPATCH_R_TOO_BIG);
	MAX_OF(1, lpatch_reserve, data_len, ENOSPC, LPATCH_R_ARENA_DATA);
	MAX_OF(1, lpatch_reserve, orcs, E2BIG, LPATCH_R_TOO_BIG);
	MAX_OF(1, lpatch_reserve, exs, E2BIG, LPATCH_R_TOO_BIG);
	MAX_OF(1, lpatch_reserve, bugs, E2BIG, LPATCH_R_TOO_BIG);
	MAX_OF(1, lpatch_reserve, flags, EINVAL, LPATCH_R_RESERVED);
	MAX_OF(2, lpatch_load, flags, EINVAL, LPATCH_R_RESERVED);
	MAX_OF(2, lpatch_load, image, EINVAL, LPATCH_R_NO_RESERVATION);
	MAX_OF(2, lpatch_load, image_len, EINVAL, LPATCH_R_NO_RESERVATION);
	MAX_OF(7, lpatch_status, name, EINVAL, LPATCH_R_NAME);
	MAX_OF(7, lpatch_status, info, ENOENT, LPATCH_R_NO_SUCH_PATCH);
	MAX_OF(7, lpatch_status, entries, ENOENT, LPATCH_R_NO_SUCH_PATCH);
	MAX_OF(7, lpatch_status, capacity, ENOENT, LPATCH_R_NO_SUCH_PATCH);
	MAX_OF(7, lpatch_status, count, ENOENT, LPATCH_R_NO_SUCH_PATCH);

	MAX_OF(CALL_OP, lpatch_op, timeout_ms, ENOENT, LPATCH_R_NO_SUCH_PATCH);
	MAX_OF(CALL_OP, lpatch_op, interrupt_ms, ENOENT, LPATCH_R_NO_SUCH_PATCH);
	MAX_OF(CALL_WAIT, lpatch_transition, id, EINVAL, LPATCH_R_NO_TRANSITION);
	MAX_OF(CALL_BLOCKERS, lpatch_blockers, flags, EINVAL, LPATCH_R_RESERVED);
	MAX_OF(CALL_BLOCKERS, lpatch_blockers, range_count, E2BIG, LPATCH_R_TOO_BIG);

	/* Outputs of the head are not looked at. */
	for (i = 0; i < CALLS; i++) {
		valid(&r, &calls[i]);
		memset(&r.bytes[4], 0xff, sizeof(r.hdr) - 4);
		if (request(fd, calls[i].cmd, &r) == EINVAL && r.hdr.reason == LPATCH_R_RESERVED)
			bad("%s: an output of the head was taken for a reserved field", calls[i].name);
	}
	close(fd);
}

void abuse_names(void)
{
	int fd = device();
	size_t i;
	int byte;

	for (i = 0; i < CALLS; i++) {
		unsigned char *name;
		union request r;

		if (!calls[i].name_at)
			continue;
		name = &r.bytes[calls[i].name_at];

		valid(&r, &calls[i]);
		memset(name, 'a', LPATCH_NAME_LEN);
		refused_at("no NUL", fd, &calls[i], &r, EINVAL, LPATCH_R_NAME, calls[i].name_at, 0);
		valid(&r, &calls[i]);
		memset(name, 'a', LPATCH_NAME_LEN - 1);
		refused("longest name", fd, &calls[i], &r, ENOENT, LPATCH_R_NO_SUCH_PATCH);
		valid(&r, &calls[i]);
		name[LPATCH_NAME_LEN - 1] = 1;
		refused_at("dirt behind the NUL", fd, &calls[i], &r, EINVAL, LPATCH_R_NAME,
			   calls[i].name_at, 0);
		for (byte = 1; byte < 256; byte++) {
			int good = strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-",
					  byte) != NULL;

			valid(&r, &calls[i]);
			memset(name, 0, LPATCH_NAME_LEN);
			name[0] = (unsigned char)byte;
			refused("one character", fd, &calls[i], &r, good ? ENOENT : EINVAL,
				good ? LPATCH_R_NO_SUCH_PATCH : LPATCH_R_NAME);
		}
	}
	close(fd);
}

void abuse_pointers(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *map, *unmapped;
	int fd = device();
	size_t i, k;

	/* Two pages, of which the second goes: the end of a mapping, and an address that was one. */
	map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		die("mmap");
	unmapped = map + page;
	munmap(unmapped, page);

	for (i = 0; i < CALLS; i++) {
		const struct {
			const char *what;
			void *arg;
		} cases[] = {
			{ "NULL", NULL },
			{ "first page", (void *)8 },
			{ "not mapped", unmapped },
			{ "end of a mapping", unmapped - calls[i].size + 1 },
			{ "last byte of a mapping", unmapped - 1 },
			{ "end of user space", (void *)0x7fffffffeff8 },
			{ "not canonical", (void *)0x0100000000000000 },
			{ "kernel text", (void *)0xffffffff81000000 },
			{ "kernel memory", (void *)0xffff888000000000 },
			{ "last byte of all", (void *)0xffffffffffffffff },
		};
		union request r;
		void *last = unmapped - calls[i].size;
		int got, wanted;

		for (k = 0; k < sizeof(cases) / sizeof(cases[0]); k++)
			fails(cases[k].what, fd, calls[i].cmd, cases[k].arg, EFAULT);

		/* The last place where it fits works as any other. */
		valid(&r, &calls[i]);
		wanted = request(fd, calls[i].cmd, &r);
		valid(&r, &calls[i]);
		memcpy(last, &r, calls[i].size);
		got = request(fd, calls[i].cmd, last);
		if (got != wanted)
			bad("%s: at the end of a mapping errno %d, elsewhere %d", calls[i].name, got, wanted);

		/* Readable only: the request is read, the reply cannot be written. */
		valid(&r, &calls[i]);
		memcpy(last, &r, calls[i].size);
		if (mprotect(map, page, PROT_READ))
			die("mprotect");
		fails("memory that is readable only", fd, calls[i].cmd, last, EFAULT);
		if (mprotect(map, page, PROT_READ | PROT_WRITE))
			die("mprotect");
	}

	/* A reservation whose reply got lost belongs to the file all the same. */
	valid((union request *)map, &calls[1]);
	((union request *)map)->reserve.text_len = 4096;
	mprotect(map, page, PROT_READ);
	fails("reply of reserve", fd, LPATCH_IOC_RESERVE, map, EFAULT);
	mprotect(map, page, PROT_READ | PROT_WRITE);
	close(fd);
	munmap(map, page);
}

void abuse_numbers(void)
{
	union request r;
	int fd = device();
	unsigned int i, direction, number;

	for (number = 0; number < 256; number++)
		for (direction = 0; direction < 4; direction++) {
			unsigned long cmd = _IOC(direction, LPATCH_IOC_MAGIC, number, 64);

			for (i = 0; i < CALLS; i++)
				if (calls[i].cmd == cmd)
					break;
			memset(&r, 0, sizeof(r));
			if (i == CALLS)
				fails("unknown number", fd, cmd, &r, ENOTTY);
		}
	for (i = 0; i < CALLS; i++) {
		unsigned long nr = _IOC_NR(calls[i].cmd);
		const unsigned long near[] = {
			_IOC(_IOC_READ | _IOC_WRITE, LPATCH_IOC_MAGIC, nr, calls[i].size + 8),
			_IOC(_IOC_READ | _IOC_WRITE, LPATCH_IOC_MAGIC, nr, calls[i].size - 8),
			_IOC(_IOC_READ | _IOC_WRITE, LPATCH_IOC_MAGIC, nr, 0),
			_IOC(_IOC_READ, LPATCH_IOC_MAGIC, nr, calls[i].size),
			_IOC(_IOC_WRITE, LPATCH_IOC_MAGIC, nr, calls[i].size),
			_IOC(_IOC_NONE, LPATCH_IOC_MAGIC, nr, calls[i].size),
			_IOC(_IOC_READ | _IOC_WRITE, LPATCH_IOC_MAGIC + 1, nr, calls[i].size),
			_IOC(_IOC_READ | _IOC_WRITE, LPATCH_IOC_MAGIC, nr + 64, calls[i].size),
		};
		unsigned int k;

		for (k = 0; k < sizeof(near) / sizeof(near[0]); k++) {
			valid(&r, &calls[i]);
			fails("a number that is nearly right", fd, near[k], &r, ENOTTY);
		}
	}
	close(fd);
}
