// SPDX-License-Identifier: GPL-2.0
/*
 * Sends /dev/lpatch every request that a loader must never send, and checks errno, the reason in the head and
 * that nothing is taken of the arena afterwards.
 *
 *	ioctl_abuse GROUP	exits with 1 if an answer was wrong, 2 if it could not run
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "abuse.h"

int failures;
unsigned int checks;

const struct call calls[CALLS] = {
	{ "query", LPATCH_IOC_QUERY, sizeof(struct lpatch_query), 0, 0, 0 },
	{ "reserve", LPATCH_IOC_RESERVE, sizeof(struct lpatch_reserve), 0,
	  offsetof(struct lpatch_reserve, flags), 8 },
	{ "load", LPATCH_IOC_LOAD, sizeof(struct lpatch_load), 0,
	  offsetof(struct lpatch_load, flags), 8 },
	{ "enable", LPATCH_IOC_ENABLE, sizeof(struct lpatch_op), offsetof(struct lpatch_op, name),
	  offsetof(struct lpatch_op, flags), 8 },
	{ "disable", LPATCH_IOC_DISABLE, sizeof(struct lpatch_op), offsetof(struct lpatch_op, name),
	  offsetof(struct lpatch_op, flags), 8 },
	{ "unload", LPATCH_IOC_UNLOAD, sizeof(struct lpatch_op), offsetof(struct lpatch_op, name),
	  offsetof(struct lpatch_op, flags), 8 },
	{ "list", LPATCH_IOC_LIST, sizeof(struct lpatch_list), 0, 0, 0 },
	{ "status", LPATCH_IOC_STATUS, sizeof(struct lpatch_status),
	  offsetof(struct lpatch_status, name), 0, 0 },
	{ "reverse", LPATCH_IOC_REVERSE, sizeof(struct lpatch_op), offsetof(struct lpatch_op, name),
	  offsetof(struct lpatch_op, flags), 8 },
	{ "force", LPATCH_IOC_FORCE, sizeof(struct lpatch_op), offsetof(struct lpatch_op, name),
	  offsetof(struct lpatch_op, flags), 8 },
	{ "transition", LPATCH_IOC_TRANSITION, sizeof(struct lpatch_transition), 0, 0, 0 },
	{ "wait", LPATCH_IOC_WAIT, sizeof(struct lpatch_transition), 0, 0, 0 },
	{ "blockers", LPATCH_IOC_BLOCKERS, sizeof(struct lpatch_blockers), 0, 0, 0 },
	{ "compare", LPATCH_IOC_COMPARE, sizeof(struct lpatch_compare),
	  offsetof(struct lpatch_compare, name), 0, 0 },
};

void die(const char *what)
{
	printf("ioctl_abuse: %s: %s\n", what, strerror(errno));
	exit(2);
}

void bad(const char *format, ...)
{
	va_list args;

	/* The first ones say enough. */
	if (__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED) > 20)
		return;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

int device(void)
{
	int fd = open("/dev/lpatch", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("/dev/lpatch");
	return fd;
}

void valid(union request *r, const struct call *call)
{
	memset(r, 0, sizeof(*r));
	r->hdr.size = (uint32_t)call->size;
	if (call->name_at)
		strcpy((char *)&r->bytes[call->name_at], "no-such-patch");
}

int request(int fd, unsigned long cmd, void *arg)
{
	checks++;
	return ioctl(fd, cmd, arg) < 0 ? errno : 0;
}

void refused(const char *what, int fd, const struct call *call, union request *r, int error,
	     uint32_t reason)
{
	int got = request(fd, call->cmd, r);

	if (got != error || r->hdr.reason != reason)
		bad("%s: %s: errno %d reason %u, wanted errno %d reason %u", call->name, what, got,
		    r->hdr.reason, error, reason);
}

void refused_at(const char *what, int fd, const struct call *call, union request *r, int error,
		uint32_t reason, uint64_t at, uint64_t value)
{
	refused(what, fd, call, r, error, reason);
	if (r->hdr.at != at || r->hdr.value != value)
		bad("%s: %s: at %#llx value %#llx, wanted at %#llx value %#llx", call->name, what,
		    (unsigned long long)r->hdr.at, (unsigned long long)r->hdr.value,
		    (unsigned long long)at, (unsigned long long)value);
}

void fails(const char *what, int fd, unsigned long cmd, void *arg, int error)
{
	int got = request(fd, cmd, arg);

	if (got != error)
		bad("%s: errno %d, wanted %d", what, got, error);
}

struct lpatch_query query(void)
{
	union request r;
	int fd = device();

	valid(&r, &calls[0]);
	if (request(fd, LPATCH_IOC_QUERY, &r) || r.hdr.reason)
		die("query");
	close(fd);
	return r.query;
}

void same(const char *what, const struct lpatch_query *before)
{
	struct lpatch_query now = query();

	if (memcmp(&now, before, sizeof(now)))
		bad("%s: text %llu rodata %llu data %llu bugs %u free of %llu %llu %llu %u; patches %u, were %u",
		    what, (unsigned long long)now.text_free, (unsigned long long)now.rodata_free,
		    (unsigned long long)now.data_free, now.bugs_free,
		    (unsigned long long)before->text_free, (unsigned long long)before->rodata_free,
		    (unsigned long long)before->data_free, before->bugs_free, now.patches,
		    before->patches);
}

int reserve(int fd, uint32_t text, union request *r)
{
	valid(r, &calls[1]);
	r->reserve.text_len = text;
	return request(fd, LPATCH_IOC_RESERVE, r);
}

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{ "sizes", abuse_sizes },	{ "fields", abuse_fields },	{ "names", abuse_names },
	{ "pointers", abuse_pointers }, { "numbers", abuse_numbers },	{ "reserve", abuse_reserve },
	{ "images", abuse_images },	{ "ranges", abuse_ranges },	{ "race", abuse_race },
	{ "random", abuse_random },
};

int main(int argc, char **argv)
{
	struct lpatch_query before;
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (argc != 2 || strcmp(argv[1], groups[i].name))
			continue;
		before = query();
		groups[i].run();
		same("afterwards", &before);
		printf("%u requests, %d wrong answers\n", checks, failures);
		return failures ? 1 : 0;
	}
	fputs("usage: ioctl_abuse sizes|fields|names|pointers|numbers|reserve|images|ranges|race|random\n", stderr);
	return 2;
}
