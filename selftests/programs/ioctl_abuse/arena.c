// SPDX-License-Identifier: GPL-2.0
/* Reservations and images: taken twice, not given back, too large, from many threads, and plain noise. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abuse.h"

#define FILES 64

static void fill(struct lpatch_query *before)
{
	uint32_t step = (uint32_t)before->text_total / FILES;
	uint64_t seen[FILES];
	int fds[FILES], count, i;
	union request r;

	/* Reservations that fill the text to its last page; none may overlap another. */
	for (count = 0; count < FILES; count++) {
		fds[count] = device();
		/* A page is not used up to its last byte. */
		if (reserve(fds[count], step - 1, &r))
			break;
		seen[count] = r.reserve.text_addr;
		if (seen[count] % before->page_size)
			bad("reserve: the text is at %#llx", (unsigned long long)seen[count]);
		for (i = 0; i < count; i++)
			if (seen[i] < seen[count] + step && seen[count] < seen[i] + step)
				bad("reserve: two reservations overlap");
	}
	if (count < FILES) {
		bad("reserve: only %d of %d fit", count, FILES);
		close(fds[count]);
	}
	/* Full, and the reply says how much there is. */
	i = device();
	valid(&r, &calls[1]);
	r.reserve.text_len = 1;
	refused_at("full arena", i, &calls[1], &r, ENOSPC, LPATCH_R_ARENA_TEXT, 0, 0);
	if (count > 3) {
		/* Two neighbours go: a run of two steps, and not of three. */
		close(fds[1]);
		close(fds[2]);
		valid(&r, &calls[1]);
		r.reserve.text_len = 3 * step - 1;
		refused_at("nearly full arena", i, &calls[1], &r, ENOSPC, LPATCH_R_ARENA_TEXT, 0,
			   2 * (uint64_t)step);
		if (reserve(i, 2 * step - 1, &r) || r.reserve.text_addr != seen[1])
			bad("reserve: a gap is not used");
		fds[1] = fds[2] = -1;
	}
	close(i);
	for (i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	same("after a full arena", before);
}

void abuse_reserve(void)
{
	struct lpatch_query before = query(), during;
	union request r;
	int fd, copy, status;

	/* A second one on the same file. */
	fd = device();
	if (reserve(fd, 1, &r))
		bad("reserve: refused for reason %u", r.hdr.reason);
	valid(&r, &calls[1]);
	r.reserve.text_len = 1;
	refused("a second one", fd, &calls[1], &r, EBUSY, LPATCH_R_RESERVED_TWICE);
	during = query();
	if (during.text_free != before.text_free - before.page_size)
		bad("reserve: one byte of text took %llu bytes",
		    (unsigned long long)(before.text_free - during.text_free));
	/* A refused one takes nothing, also if a part of it had room. */
	copy = device();
	valid(&r, &calls[1]);
	r.reserve.text_len = 4096;
	r.reserve.rodata_len = 4096;
	r.reserve.data_len = (uint32_t)before.data_total + 1;
	refused_at("too much data", copy, &calls[1], &r, ENOSPC, LPATCH_R_ARENA_DATA, 0, before.data_free);
	valid(&r, &calls[1]);
	r.reserve.text_len = 4096;
	r.reserve.bugs = before.bugs_total + 1;
	refused_at("too many bugs", copy, &calls[1], &r, ENOSPC, LPATCH_R_ARENA_BUGS, 0, before.bugs_free);
	valid(&r, &calls[1]);
	r.reserve.text_len = (uint32_t)before.text_total;
	refused_at("no spare byte", copy, &calls[1], &r, ENOSPC, LPATCH_R_ARENA_TEXT, 0,
		   before.text_total - before.page_size);
	close(copy);
	same("after refused ones", &during);
	close(fd);
	same("after close", &before);

	/* The file is what holds it: the last descriptor counts. */
	fd = device();
	copy = dup(fd);
	reserve(fd, 8192, &r);
	during = query();
	close(fd);
	same("with a copy of the descriptor", &during);
	close(copy);
	same("after the last close", &before);

	/* A process that is killed gives back what it had. */
	fd = fork();
	if (!fd) {
		if (reserve(device(), 65536, &r))
			_exit(1);
		raise(SIGKILL);
	}
	waitpid(fd, &status, 0);
	if (!WIFSIGNALED(status))
		bad("reserve: the process that was to be killed ended with %#x", (unsigned int)status);
	same("after a kill", &before);

	fill(&before);
}

static void image(const char *what, int fd, const void *data, uint64_t len, int error, uint32_t reason)
{
	union request r;

	valid(&r, &calls[2]);
	r.load.image = (uint64_t)(uintptr_t)data;
	r.load.image_len = len;
	refused(what, fd, &calls[2], &r, error, reason);
}

void abuse_images(void)
{
	const size_t max = LPATCH_IMAGE_MAX;
	struct lpatch_image header;
	unsigned char *data;
	union request r;
	int fd = device();

	data = mmap(NULL, max + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED)
		die("mmap");
	munmap(data + max, 4096);

	image("without a reservation", fd, data, 4096, EINVAL, LPATCH_R_NO_RESERVATION);
	if (reserve(fd, 4096, &r))
		bad("reserve: refused for reason %u", r.hdr.reason);
	image("empty", fd, data, 0, EINVAL, LPATCH_R_IMAGE_HEADER);
	image("zeros", fd, data, 4096, EINVAL, LPATCH_R_IMAGE_MAGIC);
	image("shorter than the header", fd, data, sizeof(header) - 1, EINVAL, LPATCH_R_IMAGE_HEADER);
	image("NULL", fd, NULL, 4096, EFAULT, LPATCH_R_FAULT);
	image("kernel text", fd, (void *)0xffffffff81000000, 4096, EFAULT, LPATCH_R_FAULT);
	image("kernel memory", fd, (void *)0xffff888000000000, 4096, EFAULT, LPATCH_R_FAULT);
	image("beyond its mapping", fd, data + max - 4096, 4097, EFAULT, LPATCH_R_FAULT);
	image("largest", fd, data, max, EINVAL, LPATCH_R_IMAGE_MAGIC);
	image("larger than the largest", fd, data, max + 1, E2BIG, LPATCH_R_TOO_BIG);
	image("longest", fd, data, UINT64_MAX, E2BIG, LPATCH_R_TOO_BIG);
	image("wraps around", fd, data, 0x100001000, E2BIG, LPATCH_R_TOO_BIG);

	memset(&header, 0, sizeof(header));
	header.magic = LPATCH_IMAGE_MAGIC;
	header.header_size = sizeof(header);
	header.image_size = sizeof(header);
	memcpy(data, &header, sizeof(header));
	image("without a CRC", fd, data, sizeof(header), EINVAL, LPATCH_R_IMAGE_CRC);
	image("longer than it says", fd, data, sizeof(header) + 8, EINVAL, LPATCH_R_IMAGE_HEADER);
	((struct lpatch_image *)data)->header_size = 8;
	image("header of another size", fd, data, sizeof(header), EINVAL, LPATCH_R_IMAGE_HEADER);
	/* None of this used the reservation up. */
	valid(&r, &calls[1]);
	r.reserve.text_len = 1;
	refused("after refused images", fd, &calls[1], &r, EBUSY, LPATCH_R_RESERVED_TWICE);
	munmap(data, max);
	close(fd);
}

static int shared;
static unsigned int wins;

static void *race_files(void *unused)
{
	union request r;
	int i;

	(void)unused;
	for (i = 0; i < 300; i++) {
		int fd = device();
		int error = reserve(fd, (uint32_t)(1 + i % 5 * 4096), &r);

		/* There is room for all of them. */
		if (error)
			bad("reserve: errno %d reason %u", error, r.hdr.reason);
		close(fd);
	}
	return NULL;
}

static void *race_one(void *unused)
{
	union request r;
	int error = reserve(shared, 4096, &r);

	(void)unused;
	if (!error)
		__atomic_add_fetch(&wins, 1, __ATOMIC_RELAXED);
	else if (error != EBUSY || r.hdr.reason != LPATCH_R_RESERVED_TWICE)
		bad("reserve: errno %d reason %u", error, r.hdr.reason);
	return NULL;
}

static void threads(void *(*run)(void *))
{
	pthread_t ids[8];
	int i;

	for (i = 0; i < 8; i++)
		if (pthread_create(&ids[i], NULL, run, NULL))
			die("pthread_create");
	for (i = 0; i < 8; i++)
		pthread_join(ids[i], NULL);
}

void abuse_race(void)
{
	struct lpatch_query before = query();
	int i;

	threads(race_files);
	same("after reservations from eight threads", &before);
	for (i = 0; i < 50; i++) {
		shared = device();
		wins = 0;
		threads(race_one);
		if (wins != 1)
			bad("reserve: %u of eight on one file succeeded", wins);
		close(shared);
	}
}

void abuse_random(void)
{
	struct lpatch_query before = query();
	uint64_t state = 0x6c7061746368;
	union request r;
	int fd = -1, round;
	size_t k;

	/* The same noise in every run: xorshift64 of Marsaglia. */
	for (round = 0; round < 20000; round++) {
		const struct call *call = &calls[round % CALLS];

		if (round % 64 == 0) {
			if (fd >= 0)
				close(fd);
			fd = device();
		}
		valid(&r, call);
		for (k = sizeof(r.hdr); k < call->size; k++) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			/* Mostly zeros, or nothing would get past the flags. */
			if (state % 16 == 0)
				r.bytes[k] = (unsigned char)(state >> 32);
		}
		request(fd, call->cmd, &r);
	}
	close(fd);
	same("after noise", &before);
}
