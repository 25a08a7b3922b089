/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Transitions of the witness' patches, by either of two systems: lpatch, or the kernel's own livepatch. Both are
 * driven through the same few verbs, so that they can be tested and measured alike.
 */
#ifndef _LPATCH_SELFTESTS_TRANSITIONS_H
#define _LPATCH_SELFTESTS_TRANSITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../../lpatch-core/uapi/lpatch.h"

/* The module's own version is 1; patches bring 2 and 3, of which 3 is cumulative. */
#define VERSIONS 3

/**
 * struct outcome - how a transition ended
 * @reversed: everything is as it was before
 * @total_ns: from the request until no task was pending
 * @moving_ns: from the moment when the first task could move until no task was pending
 * @moved: tasks moved, by enum lpatch_cause; zeros where the system does not tell
 */
struct outcome {
	bool reversed;
	uint64_t total_ns;
	uint64_t moving_ns;
	uint64_t moved[LPATCH_CAUSES];
};

/**
 * struct side - one of the two systems
 * @name: what it is called in results
 * @open: false, with a message, if it cannot be used here
 * @begin: begins to enable or disable a version; 0 or a negative errno
 * @reverse: turns the transition of a version around; -EAGAIN: there is none (any more)
 * @wait: until the transition has ended; -ETIME: it has not after that many ms
 * @enabled: is this version enabled?
 * @replaces: does this version replace the others?
 * @blockers: prints what a transition waits for
 */
struct side {
	const char *name;
	bool (*open)(void);
	int (*begin)(int version, bool enable);
	int (*reverse)(int version);
	int (*wait)(unsigned int ms, struct outcome *outcome);
	bool (*enabled)(int version);
	bool (*replaces)(int version);
	void (*blockers)(void);
};

extern const struct side lpatch_side, upstream_side;

/* When lpatch interrupts tasks that are asleep, as in struct lpatch_op. */
extern unsigned int interrupt_ms;
#define INTERRUPT_SOON_MS 100

/* The witness: its counters by name, and its commands. witness_try() returns 0 or a negative errno. */
uint64_t witness_counter(const char *name);
uint64_t witness_calls(int version);
void witness_command(const char *text);
int witness_try(const char *text);

/* The verbs; each returns an exit status. */
int cycles(const struct side *side, int argc, char **argv);
int converge(const struct side *side, int argc, char **argv);
int repeat(const struct side *side, int argc, char **argv);

/* Ends the program: status 2. @error is an errno or 0. */
__attribute__((noreturn, format(printf, 2, 3))) void die(int error, const char *format, ...);

uint64_t now_ns(void);
void sleep_us(unsigned int us);

#endif /* _LPATCH_SELFTESTS_TRANSITIONS_H */
