// SPDX-License-Identifier: GPL-2.0
/*
 * System calls that sleep, one process for each kind of them, as no signal and no event ever ends them.
 *
 *	sleepers FIFO	says "asleep N: PID..." when all are; then, for each line that it reads, which calls have returned: "NAME RESULT",
 *			or "NAME errno ERRNO", and "returned N of N". All end with it.
 *
 * A call that the kernel has restarted has not returned, as far as a program can tell.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* Longer than any test takes. */
#define SECONDS 600

static struct timespec timeout = { .tv_sec = SECONDS };
static struct timeval timeout_us = { .tv_sec = SECONDS };
static char buffer[1 << 20];

static long must_work(const char *what, long result)
{
	if (result < 0) {
		fprintf(stderr, "sleepers: %s: %s\n", what, strerror(errno));
		exit(2);
	}
	return result;
}
#define MUST(call) must_work(#call, (long)(call))
#define FD(call) ((int)MUST(call))

static struct timespec later(void)
{
	struct timespec at;

	MUST(clock_gettime(CLOCK_MONOTONIC, &at));
	at.tv_sec += SECONDS;
	return at;
}

static int any_address(int type)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = FD(socket(AF_INET, type, 0));

	MUST(bind(fd, (struct sockaddr *)&address, sizeof(address)));
	return fd;
}

static int listener(void)
{
	int fd = any_address(SOCK_STREAM);

	MUST(listen(fd, 1));
	return fd;
}

/* Both ends of a connection. */
static int connection(int *other)
{
	struct sockaddr_in address;
	socklen_t len = sizeof(address);
	int from = listener(), fd = FD(socket(AF_INET, SOCK_STREAM, 0));

	MUST(getsockname(from, (struct sockaddr *)&address, &len));
	MUST(connect(fd, (struct sockaddr *)&address, len));
	*other = FD(accept(from, NULL, NULL));
	return fd;
}

static int with_timeout(int fd)
{
	MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout_us, sizeof(timeout_us)));
	return fd;
}

static int local(void)
{
	int fds[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	return fds[0];
}

static int tcp(void)
{
	int other;

	return connection(&other);
}

static int empty_pipe(void)
{
	int fds[2];

	MUST(pipe(fds));
	return fds[0];
}

static int pipe_for_writing(void)
{
	int fds[2];

	MUST(pipe(fds));
	return fds[1];
}

static int full_pipe(void)
{
	int fd = pipe_for_writing();

	MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
	while (write(fd, buffer, 4096) > 0)
		;
	MUST(fcntl(fd, F_SETFL, 0));
	return fd;
}

static int epoll(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = FD(epoll_create1(0));

	MUST(epoll_ctl(fd, EPOLL_CTL_ADD, FD(eventfd(0, 0)), &event));
	return fd;
}

static sigset_t blocked(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return set;
}

static char *own_name(const char *what)
{
	static char name[64];

	snprintf(name, sizeof(name), "/tmp/sleepers-%s-%d", what, getpid());
	return name;
}

/* A file that another process has locked, by either kind of lock. */
static int locked(int by_fcntl)
{
	char *name = own_name("lock"), byte;
	int fds[2];

	MUST(pipe(fds));
	if (!MUST(fork())) {
		struct flock lock = { .l_type = F_WRLCK };
		int fd = FD(open(name, O_RDWR | O_CREAT, 0600));

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		MUST(by_fcntl ? fcntl(fd, F_SETLK, &lock) : flock(fd, LOCK_EX));
		MUST(write(fds[1], "", 1));
		for (;;)
			pause();
	}
	MUST(read(fds[0], &byte, 1));
	return FD(open(name, O_RDWR));
}

static int semaphore(void)
{
	return FD(semget(IPC_PRIVATE, 1, 0600 | IPC_CREAT));
}

#define CALL(name) static long call_##name(void)

CALL(nanosleep) { return nanosleep(&timeout, NULL); }
CALL(clock_nanosleep) { struct timespec at = later(); return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL); }
CALL(epoll_wait) { struct epoll_event e; return epoll_wait(epoll(), &e, 1, -1); }
CALL(epoll_wait_timeout) { struct epoll_event e; return epoll_wait(epoll(), &e, 1, SECONDS * 1000); }
CALL(epoll_pwait) { struct epoll_event e; sigset_t s; sigemptyset(&s); return epoll_pwait(epoll(), &e, 1, -1, &s); }
CALL(epoll_pwait2) { struct epoll_event e; return syscall(SYS_epoll_pwait2, epoll(), &e, 1, NULL, NULL, 0); }
CALL(epoll_pwait2_timeout) { struct epoll_event e; return syscall(SYS_epoll_pwait2, epoll(), &e, 1, &timeout, NULL, 0); }
CALL(select) { fd_set s; int fd = empty_pipe(); FD_ZERO(&s); FD_SET(fd, &s); return select(fd + 1, &s, NULL, NULL, NULL); }
CALL(select_timeout) { fd_set s; int fd = empty_pipe(); FD_ZERO(&s); FD_SET(fd, &s); return select(fd + 1, &s, NULL, NULL, &timeout_us); }
CALL(poll) { struct pollfd p = { empty_pipe(), POLLIN, 0 }; return poll(&p, 1, SECONDS * 1000); }
CALL(ppoll) { struct pollfd p = { empty_pipe(), POLLIN, 0 }; return ppoll(&p, 1, &timeout, NULL); }
CALL(accept) { return accept(listener(), NULL, NULL); }
CALL(accept_timeout) { return accept(with_timeout(listener()), NULL, NULL); }
CALL(tcp_recv) { return recv(tcp(), buffer, 10, 0); }
CALL(tcp_recv_timeout) { return recv(with_timeout(tcp()), buffer, 10, 0); }
CALL(tcp_recv_part) { int other, fd = connection(&other); MUST(write(other, "abc", 3)); return recv(fd, buffer, 10, MSG_WAITALL); }
CALL(unix_recv) { return recv(local(), buffer, 10, 0); }
CALL(unix_recv_timeout) { return recv(with_timeout(local()), buffer, 10, 0); }
CALL(udp_recv) { return recv(any_address(SOCK_DGRAM), buffer, 10, 0); }
CALL(udp_recv_timeout) { return recv(with_timeout(any_address(SOCK_DGRAM)), buffer, 10, 0); }
CALL(pipe_read) { return read(empty_pipe(), buffer, 10); }
CALL(pipe_write) { return write(full_pipe(), buffer, 10); }
CALL(pipe_write_part) { return write(pipe_for_writing(), buffer, sizeof(buffer)); }
CALL(futex) { uint32_t f = 0; return syscall(SYS_futex, &f, FUTEX_WAIT, 0, NULL, NULL, 0); }
CALL(futex_timeout) { uint32_t f = 0; return syscall(SYS_futex, &f, FUTEX_WAIT, 0, &timeout, NULL, 0); }
CALL(sigwaitinfo) { sigset_t s = blocked(); return syscall(SYS_rt_sigtimedwait, &s, NULL, NULL, 8); }
CALL(sigtimedwait) { sigset_t s = blocked(); return syscall(SYS_rt_sigtimedwait, &s, NULL, &timeout, 8); }
CALL(pause) { return pause(); }
CALL(sigsuspend) { sigset_t s; sigemptyset(&s); return sigsuspend(&s); }
CALL(semop) { struct sembuf b = { 0, -1, 0 }; return semop(semaphore(), &b, 1); }
CALL(semtimedop) { struct sembuf b = { 0, -1, 0 }; return semtimedop(semaphore(), &b, 1, &timeout); }
CALL(msgrcv) { struct { long type; char text[8]; } m; return msgrcv(FD(msgget(IPC_PRIVATE, 0600 | IPC_CREAT)), &m, 8, 0, 0); }
CALL(msgsnd)
{
	struct { long type; char text[4096]; } m = { .type = 1 };
	int queue = FD(msgget(IPC_PRIVATE, 0600 | IPC_CREAT));

	while (!msgsnd(queue, &m, sizeof(m.text), IPC_NOWAIT))
		;
	return msgsnd(queue, &m, sizeof(m.text), 0);
}
CALL(mq_receive)
{
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 16 };
	char *name = strrchr(own_name("queue"), '/');
	mqd_t queue = FD(mq_open(name, O_RDWR | O_CREAT, 0600, &attr));

	MUST(mq_unlink(name));
	return mq_receive(queue, buffer, 16, NULL);
}
CALL(inotify) { int fd = FD(inotify_init()); MUST(inotify_add_watch(fd, "/", IN_DELETE_SELF)); return read(fd, buffer, 1000); }
CALL(eventfd) { return read(FD(eventfd(0, 0)), buffer, 8); }
CALL(timerfd)
{
	struct itimerspec at = { .it_value = timeout };
	int fd = FD(timerfd_create(CLOCK_MONOTONIC, 0));

	MUST(timerfd_settime(fd, 0, &at, NULL));
	return read(fd, buffer, 8);
}
CALL(signalfd) { sigset_t s = blocked(); return read(FD(signalfd(-1, &s, 0)), buffer, 1000); }
CALL(setlkw) { struct flock lock = { .l_type = F_WRLCK }; return fcntl(locked(1), F_SETLKW, &lock); }
CALL(flock) { return flock(locked(0), LOCK_EX); }
CALL(io_getevents) { aio_context_t c = 0; struct io_event e; MUST(syscall(SYS_io_setup, 4, &c)); return syscall(SYS_io_getevents, c, 1, 1, &e, NULL); }
CALL(io_getevents_timeout) { aio_context_t c = 0; struct io_event e; MUST(syscall(SYS_io_setup, 4, &c)); return syscall(SYS_io_getevents, c, 1, 1, &e, &timeout); }
CALL(uring)
{
	struct io_uring_params params = { .flags = 0 };
	int fd = FD(syscall(SYS_io_uring_setup, 4, &params));

	return syscall(SYS_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
}
CALL(tty)
{
	int master = FD(posix_openpt(O_RDWR | O_NOCTTY));

	MUST(grantpt(master));
	MUST(unlockpt(master));
	return read(FD(open(ptsname(master), O_RDWR | O_NOCTTY)), buffer, 10);
}
CALL(fifo_open) { char *name = own_name("fifo"); MUST(mkfifo(name, 0600)); return open(name, O_RDONLY); }

static const struct kind {
	const char *name;
	long (*call)(void);
} kinds[] = {
#define KIND(name) { #name, call_##name }
	KIND(nanosleep), KIND(clock_nanosleep), KIND(epoll_wait), KIND(epoll_wait_timeout), KIND(epoll_pwait), KIND(epoll_pwait2),
	KIND(epoll_pwait2_timeout), KIND(select), KIND(select_timeout), KIND(poll), KIND(ppoll), KIND(accept), KIND(accept_timeout),
	KIND(tcp_recv), KIND(tcp_recv_timeout), KIND(tcp_recv_part), KIND(unix_recv), KIND(unix_recv_timeout), KIND(udp_recv),
	KIND(udp_recv_timeout), KIND(pipe_read), KIND(pipe_write), KIND(pipe_write_part), KIND(futex), KIND(futex_timeout),
	KIND(sigwaitinfo), KIND(sigtimedwait), KIND(pause), KIND(sigsuspend), KIND(semop), KIND(semtimedop),
	KIND(msgrcv), KIND(msgsnd), KIND(mq_receive), KIND(inotify), KIND(eventfd), KIND(timerfd), KIND(signalfd), KIND(setlkw),
	KIND(flock), KIND(io_getevents), KIND(io_getevents_timeout), KIND(uring), KIND(tty), KIND(fifo_open),
};
#define KINDS ((int)(sizeof(kinds) / sizeof(kinds[0])))

/* Shared by all. */
static struct result {
	volatile int returned;
	long result;
	int error;
} *results;
static pid_t pids[KINDS];

static int is_asleep(pid_t pid)
{
	char path[64], line[512], *end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	end = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
	fclose(file);
	return end && end[1] && end[2] == 'S';
}

static void report(void)
{
	int count = 0;

	for (int i = 0; i < KINDS; i++) {
		const struct result *r = &results[i];

		if (!r->returned)
			continue;
		count++;
		if (r->result < 0)
			printf("%s errno %d\n", kinds[i].name, r->error);
		else
			printf("%s %ld\n", kinds[i].name, r->result);
	}
	printf("returned %d of %d\n", count, KINDS);
}

int main(int argc, char **argv)
{
	char line[64];
	FILE *questions;
	int steady = 0;

	if (argc != 2) {
		fputs("usage: sleepers FIFO\n", stderr);
		return 2;
	}
	/* For writing, too: so it does not end when nobody else has it open. */
	questions = fopen(argv[1], "r+");
	if (!questions) {
		perror(argv[1]);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	results = mmap(NULL, sizeof(*results) * KINDS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (results == MAP_FAILED)
		return 2;
	for (int i = 0; i < KINDS; i++) {
		pids[i] = (pid_t)MUST(fork());
		if (pids[i])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		results[i].result = kinds[i].call();
		results[i].error = errno;
		results[i].returned = 1;
		for (;;)
			sleep(SECONDS);
	}
	/* On the way there they may sleep elsewhere for a moment. */
	for (int left = 300; steady < 5; left--) {
		int asleep = 0;

		usleep(100000);
		for (int i = 0; i < KINDS; i++)
			asleep += is_asleep(pids[i]) && !results[i].returned;
		steady = asleep == KINDS ? steady + 1 : 0;
		if (!left) {
			report();
			return 2;
		}
	}
	printf("asleep %d:", KINDS);
	for (int i = 0; i < KINDS; i++)
		printf(" %d", pids[i]);
	printf("\n");
	while (fgets(line, sizeof(line), questions))
		report();
	return 0;
}
