/* SPDX-License-Identifier: GPL-2.0 */
/* What the groups of ioctl_abuse share. */
#ifndef _LPATCH_SELFTESTS_ABUSE_H
#define _LPATCH_SELFTESTS_ABUSE_H

#include <stddef.h>
#include <stdint.h>

#include "../../../lpatch-core/uapi/lpatch.h"

/* Any request: every struct of the interface begins with the head. */
union request {
	struct lpatch_hdr hdr;
	struct lpatch_query query;
	struct lpatch_reserve reserve;
	struct lpatch_load load;
	struct lpatch_op op;
	struct lpatch_list list;
	struct lpatch_status status;
	struct lpatch_transition transition;
	struct lpatch_blockers blockers;
	struct lpatch_compare compare;
	unsigned char bytes[512];
};

struct call {
	const char *name;
	unsigned long cmd;
	size_t size;
	/* Where the name is, or 0. */
	size_t name_at;
	/* The field that has to be zero, or 0. */
	size_t zero_at;
	size_t zero_len;
};

/* By their numbers. */
#define CALL_LOAD 2
#define CALL_OP 3
#define CALL_WAIT 11
#define CALL_BLOCKERS 12
#define CALLS 14
extern const struct call calls[CALLS];

/* Exits with status 2: the program could not do its work. */
void die(const char *what);
/* Counts a failure and says which. */
void bad(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern int failures;
extern unsigned int checks;

int device(void);
/* A request of the right size, with the name of no patch where it takes a name; else zero. */
void valid(union request *r, const struct call *call);
/* The errno, or 0. */
int request(int fd, unsigned long cmd, void *arg);

/* Whether the call was refused just so. */
void refused(const char *what, int fd, const struct call *call, union request *r, int error,
	     uint32_t reason);
/* The same, and what the head says about it. */
void refused_at(const char *what, int fd, const struct call *call, union request *r, int error,
		uint32_t reason, uint64_t at, uint64_t value);
void fails(const char *what, int fd, unsigned long cmd, void *arg, int error);

/* What is free; two of them are compared. */
struct lpatch_query query(void);
void same(const char *what, const struct lpatch_query *before);

/* Takes that much text on this file; returns the errno. */
int reserve(int fd, uint32_t text, union request *r);

void abuse_sizes(void);
void abuse_fields(void);
void abuse_names(void);
void abuse_pointers(void);
void abuse_numbers(void);
void abuse_reserve(void);
void abuse_images(void);
void abuse_ranges(void);
void abuse_race(void);
void abuse_random(void);

#endif /* _LPATCH_SELFTESTS_ABUSE_H */
