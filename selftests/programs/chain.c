// SPDX-License-Identifier: GPL-2.0
/*
 * One call chain of the witness, from a task of a special kind. COMMAND is one of /proc/witness: "sleepd 1000".
 *
 *	chain vfork COMMAND	a child of vfork(), while its parent waits for it in the kernel
 *	chain thread COMMAND	a thread whose group leader has ended
 *	chain uring COMMAND	an io_uring worker
 *
 * Prints "result N": 0, or the negative errno of the write. Exits with 1 if it is not 0, with 2 if there was no write.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *command;
static int witness;

static void cannot(const char *what)
{
	perror(what);
	exit(2);
}

static int report(int result)
{
	printf("result %d\n", result);
	fflush(stdout);
	return !!result;
}

static int chain(void)
{
	return write(witness, command, strlen(command)) < 0 ? -errno : 0;
}

static int by_vfork(void)
{
	/* The child runs in this memory. */
	static volatile int result;
	pid_t pid = vfork();
	int status;

	if (pid < 0)
		cannot("vfork");
	if (!pid) {
		result = chain();
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		cannot("waitpid");
	return report(result);
}

static void *thread(void *unused)
{
	(void)unused;
	exit(report(chain()));
}

static int by_thread(void)
{
	pthread_t id;

	errno = pthread_create(&id, NULL, thread, NULL);
	if (errno)
		cannot("pthread_create");
	pthread_exit(NULL);
}

/* Without a library, and for one request. Source: io_uring(7), io_uring_enter(2). */
static int by_uring(void)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;
	struct io_uring_params p = { 0 };
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	char *submit, *complete;
	int fd;

	fd = (int)syscall(SYS_io_uring_setup, 1, &p);
	if (fd < 0)
		cannot("io_uring_setup");
	submit = mmap(NULL, p.sq_off.array + sizeof(uint32_t), prot, flags, fd, IORING_OFF_SQ_RING);
	complete = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(*cqe), prot, flags, fd, IORING_OFF_CQ_RING);
	sqe = mmap(NULL, sizeof(*sqe), prot, flags, fd, IORING_OFF_SQES);
	if (submit == MAP_FAILED || complete == MAP_FAILED || sqe == MAP_FAILED)
		cannot("mmap");
	sqe->opcode = IORING_OP_WRITE;
	/* A request with this flag is always a worker's. */
	sqe->flags = IOSQE_ASYNC;
	sqe->fd = witness;
	sqe->addr = (uintptr_t)command;
	sqe->len = (unsigned int)strlen(command);
	/* Entry 0 is the first one; the kernel looks when it is told to. */
	*(uint32_t *)(void *)(submit + p.sq_off.array) = 0;
	*(uint32_t *)(void *)(submit + p.sq_off.tail) = 1;
	if (syscall(SYS_io_uring_enter, fd, 1, 0, 0, NULL, 0) != 1)
		cannot("io_uring_enter");
	while (*(volatile uint32_t *)(void *)(complete + p.cq_off.tail) == 0)
		if (syscall(SYS_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0 && errno != EINTR)
			cannot("io_uring_enter");
	cqe = (void *)(complete + p.cq_off.cqes);
	return report(cqe->res < 0 ? cqe->res : 0);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fputs("usage: chain vfork|thread|uring COMMAND\n", stderr);
		return 2;
	}
	command = argv[2];
	witness = open("/proc/witness", O_WRONLY | O_CLOEXEC);
	if (witness < 0)
		cannot("/proc/witness");
	if (!strcmp(argv[1], "vfork"))
		return by_vfork();
	if (!strcmp(argv[1], "thread"))
		return by_thread();
	if (!strcmp(argv[1], "uring"))
		return by_uring();
	fprintf(stderr, "chain: no way %s\n", argv[1]);
	return 2;
}
