// SPDX-License-Identifier: GPL-2.0
/*
 * transitions SIDE cycles COUNT [SEED]
 *
 * COUNT transitions: versions 2 and 3 are enabled, disabled, stacked on each other, replaced by each other, and reversed
 * once or twice at a random moment. After each one
 *
 *  - the system says that exactly those versions are enabled that should be,
 *  - every new chain runs the version in force, and no chain of another version is left to end,
 *  - no chain has mixed versions.
 *
 * With TURN=FILE in the environment, each one holds the lock of that file, as `turn` does.
 *
 * Prints how many of each kind there were, which triggers moved how many tasks, and "mixes N stale N".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "transitions.h"

/* A transition that takes longer has failed: nothing in the workload stays in the pair for so long. */
#define PATIENCE_MS 300000
/* Moments for a reversal and for the next request are up to so long after a request. */
#define MOMENT_US 30000

static const struct side *side;

/* Enabled versions, the one in force last. */
static int stack[VERSIONS + 1] = { 1 };
static int depth = 1;

static struct {
	unsigned int enable, disable, stacked, replace;
	/* of them, those that were turned around, so often, and those that ended before they could be */
	unsigned int once, twice, late;
	unsigned int reversed;
	uint64_t moved[LPATCH_CAUSES];
	uint64_t stale;
	uint64_t longest_ns, longest_moving_ns;
} seen;

static uint64_t state;

/* xorshift64 (Marsaglia, 2003). */
static unsigned int below(unsigned int limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned int)(state >> 16) % limit;
}

static bool on(int version)
{
	int i;

	for (i = 1; i < depth; i++)
		if (stack[i] == version)
			return true;
	return false;
}

/* At a random moment, that of the request itself among them. */
static void moment(void)
{
	if (below(4))
		sleep_us(below(MOMENT_US));
}

static unsigned int turn_around(int version)
{
	unsigned int wanted = below(2) ? 0 : 1 + !below(3), n;

	for (n = 0; n < wanted; n++) {
		int error;

		moment();
		error = side->reverse(version);
		if (error == -EAGAIN) {
			seen.late++;
			break;
		}
		if (error)
			die(-error, "reverse");
	}
	return n;
}

/* What is enabled when it ended as it was meant to. */
static void apply(int version, bool enable)
{
	if (!enable) {
		depth--;
		return;
	}
	if (side->replaces(version))
		depth = 1;
	stack[depth++] = version;
}

/* No other version may run any more: its counter stands still while new chains run. */
static void check_version(void)
{
	uint64_t before[VERSIONS + 1], after[VERSIONS + 1];
	int v, now = stack[depth - 1];

	for (v = 1; v <= VERSIONS; v++)
		before[v] = witness_calls(v);
	witness_command("call");
	for (v = 1; v <= VERSIONS; v++)
		after[v] = witness_calls(v);
	for (v = 1; v <= VERSIONS; v++)
		if (v == now ? after[v] == before[v] : after[v] != before[v]) {
			fprintf(stderr, "transitions: version %d is in force, and %llu chains of version %d came\n", now,
				(unsigned long long)(after[v] - before[v]), v);
			seen.stale++;
		}
}

/* The file, or -1. */
static int turn = -1;

static void lock(int operation)
{
	if (turn >= 0 && flock(turn, operation))
		die(errno, "flock");
}

static void cycle(void)
{
	int version = 2 + (int)below(2), i;
	bool enable = !on(version);
	struct outcome outcome;
	unsigned int turns;
	int error;

	/* Of a stack, only the top can go. */
	if (!enable)
		version = stack[depth - 1];
	lock(LOCK_EX);
	error = side->begin(version, enable);
	if (error)
		die(-error, "%s of version %d", enable ? "enable" : "disable", version);
	if (!enable)
		seen.disable++;
	else if (depth == 1)
		seen.enable++;
	else if (side->replaces(version))
		seen.replace++;
	else
		seen.stacked++;

	turns = turn_around(version);
	seen.once += turns == 1;
	seen.twice += turns == 2;
	error = side->wait(PATIENCE_MS, &outcome);
	if (error == -ETIME)
		side->blockers();
	if (error)
		die(-error, "%s of version %d, turned around %u times", enable ? "enable" : "disable", version, turns);
	if (outcome.reversed != (turns == 1))
		die(0, "%s of version %d, turned around %u times, ended %s", enable ? "enable" : "disable", version, turns,
		    outcome.reversed ? "reversed" : "done");
	if (outcome.reversed)
		seen.reversed++;
	else
		apply(version, enable);
	for (i = 0; i < LPATCH_CAUSES; i++)
		seen.moved[i] += outcome.moved[i];
	if (outcome.total_ns > seen.longest_ns)
		seen.longest_ns = outcome.total_ns;
	if (outcome.moving_ns > seen.longest_moving_ns)
		seen.longest_moving_ns = outcome.moving_ns;

	for (i = 2; i <= VERSIONS; i++)
		if (side->enabled(i) != on(i))
			die(0, "version %d is %s, and should be otherwise", i, on(i) ? "disabled" : "enabled");
	lock(LOCK_UN);
	check_version();
}

static void finish(void)
{
	while (depth > 1) {
		struct outcome outcome;
		int error;

		lock(LOCK_EX);
		error = side->begin(stack[depth - 1], false);
		if (!error)
			error = side->wait(PATIENCE_MS, &outcome);
		if (error)
			die(-error, "disable of version %d at the end", stack[depth - 1]);
		lock(LOCK_UN);
		depth--;
	}
}

int cycles(const struct side *which, int argc, char **argv)
{
	static const char *const causes[LPATCH_CAUSES] = { "asleep", "running", "scheduled-out", "entered", "user-mode",
							   "woken",  "birth",	"exit",		 "forced" };
	uint64_t begin = now_ns(), mixes;
	unsigned long count, done, seed;
	int i;

	if (argc < 1)
		die(0, "usage: transitions SIDE cycles COUNT [SEED]");
	/* All triggers are to have their share. */
	interrupt_ms = INTERRUPT_SOON_MS;
	side = which;
	if (getenv("TURN")) {
		turn = open(getenv("TURN"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (turn < 0)
			die(errno, "%s", getenv("TURN"));
	}
	count = strtoul(argv[0], NULL, 10);
	seed = argc > 1 ? strtoul(argv[1], NULL, 10) : (unsigned long)begin;
	/* Never 0, which would stay 0. */
	state = seed | 1ULL << 40;
	printf("seed %lu\n", seed);

	for (done = 0; done < count && !witness_counter("mixes"); done++) {
		cycle();
		moment();
	}
	finish();

	mixes = witness_counter("mixes");
	printf("cycles %lu in %llu s: enable %u disable %u stacked %u replace %u\n", done,
	       (unsigned long long)((now_ns() - begin) / 1000000000), seen.enable, seen.disable, seen.stacked, seen.replace);
	printf("turned around: once %u twice %u too late %u; ended reversed: %u; longest %llu ms, moving %llu ms\n", seen.once,
	       seen.twice, seen.late, seen.reversed, (unsigned long long)(seen.longest_ns / 1000000),
	       (unsigned long long)(seen.longest_moving_ns / 1000000));
	printf("moved:");
	for (i = 0; i < LPATCH_CAUSES; i++)
		printf(" %s %llu", causes[i], (unsigned long long)seen.moved[i]);
	printf("\nchains:");
	for (i = 1; i <= VERSIONS; i++)
		printf(" version-%d %llu", i, (unsigned long long)witness_calls(i));
	printf("\nmixes %llu stale %llu\n", (unsigned long long)mixes, (unsigned long long)seen.stale);
	return mixes || seen.stale;
}
