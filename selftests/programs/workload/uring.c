// SPDX-License-Identifier: GPL-2.0
/*
 * io_uring: the kernel's workers go through the patched functions on behalf of a process. A request that is flagged
 * as asynchronous is always handed to a worker, which is born for it and ends when there is nothing more to do.
 *
 * Without a library: one entry each way, so no index ever needs to wrap. Source: io_uring(7), io_uring_enter(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "workload.h"

#define ENTRIES 8

struct ring {
	int fd;
	struct io_uring_params params;
	char *submit, *complete;
	struct io_uring_sqe *sqes;
};

static _Atomic unsigned int *at(char *base, unsigned int offset)
{
	return (_Atomic unsigned int *)(void *)(base + offset);
}

static int ring_open(struct ring *r)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;
	struct io_uring_params *p = &r->params;
	size_t submit, complete;

	memset(r, 0, sizeof(*r));
	r->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, p);
	if (r->fd < 0)
		return -1;
	submit = p->sq_off.array + p->sq_entries * sizeof(unsigned int);
	complete = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	r->submit = mmap(NULL, submit, prot, flags, r->fd, IORING_OFF_SQ_RING);
	r->complete = mmap(NULL, complete, prot, flags, r->fd, IORING_OFF_CQ_RING);
	r->sqes = mmap(NULL, p->sq_entries * sizeof(*r->sqes), prot, flags, r->fd, IORING_OFF_SQES);
	return r->submit == MAP_FAILED || r->complete == MAP_FAILED || (void *)r->sqes == MAP_FAILED ? -1 : 0;
}

static void ring_write(struct ring *r, int fd, const char *text)
{
	_Atomic unsigned int *tail = at(r->submit, r->params.sq_off.tail);
	unsigned int index = *tail & *at(r->submit, r->params.sq_off.ring_mask);
	struct io_uring_sqe *sqe = &r->sqes[index];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_WRITE;
	sqe->flags = IOSQE_ASYNC;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)text;
	sqe->len = (unsigned int)strlen(text);
	*at(r->submit, r->params.sq_off.array + index * (unsigned int)sizeof(unsigned int)) = index;
	/* Sequentially consistent, so the kernel finds the entry when it finds the tail. */
	++*tail;
}

/* Takes what has been completed; a worker's sleep that a signal ended is no failure. */
static void ring_take(struct ring *r, struct part *part)
{
	_Atomic unsigned int *head = at(r->complete, r->params.cq_off.head);
	const struct io_uring_cqe *cqes = (const void *)(r->complete + r->params.cq_off.cqes);

	while (*head != *at(r->complete, r->params.cq_off.tail)) {
		int result = cqes[*head & *at(r->complete, r->params.cq_off.ring_mask)].res;

		done(part, result < 0 && result != -EINTR && result != -ECANCELED);
		++*head;
	}
}

void load_uring(struct part *part, unsigned int number)
{
	static const char *const texts[] = { "call", "sleep 30", "spin 300", "sleepd 10" };
	int fd = open(WITNESS, O_WRONLY | O_CLOEXEC);
	unsigned int i;
	struct ring r;

	if (fd < 0 || ring_open(&r)) {
		done(part, 1);
		return;
	}
	rest(number);
	while (!*load_stop) {
		for (i = 0; i < 4; i++)
			ring_write(&r, fd, texts[i]);
		if (syscall(SYS_io_uring_enter, r.fd, 4, 4, IORING_ENTER_GETEVENTS, NULL, 0) < 0 && errno != EINTR)
			done(part, 1);
		ring_take(&r, part);
		rest(20);
	}
	close(r.fd);
	close(fd);
}
