// SPDX-License-Identifier: GPL-2.0
/*
 * transitions SIDE converge NAME RUNS CAP [COMMAND...]
 *
 * How long it takes until no task is pending, when version 2 is enabled and when it is disabled. Before each transition the
 * witness gets the COMMANDs: "kthread ..." or "kindly ..." for a kernel thread, "stop" after it; anything else in a process of its own,
 * that is killed after it. RUNS of both; at most five if one takes over 10 s, two if one takes over 20 s. A transition that has not ended after CAP seconds is
 * counted as that, and what was started for it is ended first.
 *
 * Upstream looks again at whole seconds of its clock, so each transition begins at a random moment of a second.
 *
 * Prints for each transition, and at the end the medians for each direction:
 *	run NAME enable|disable SIDE TOTAL MOVING CAPPED
 *	result NAME enable|disable SIDE RUNS TOTAL MOVING CAPPED
 * in us; struct outcome says of what. CAPPED: how many did not end by themselves.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "transitions.h"

#define VERSION 2
#define RUNS_MAX 99
#define COMMANDS_MAX 16
#define PATIENCE_MS 120000
#define SECOND_US 1000000

static const struct side *side;
static char **commands;
static int command_count;
static unsigned int cap_ms;
static pid_t callers[COMMANDS_MAX];

static bool is_kthread(const char *command)
{
	return !strncmp(command, "kthread ", 8) || !strncmp(command, "kindly ", 7);
}

static pid_t call_forever(const char *command)
{
	pid_t pid = fork();

	if (pid < 0)
		die(errno, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* A sleep that was ended from outside begins anew. */
		for (;;)
			witness_try(command);
	}
	return pid;
}

static void start_load(void)
{
	int i;

	for (i = 0; i < command_count; i++) {
		if (is_kthread(commands[i]))
			witness_command(commands[i]);
		else
			callers[i] = call_forever(commands[i]);
	}
	/* All of them are where they are meant to be. */
	if (command_count)
		sleep_us(300000);
}

static void stop_load(void)
{
	int i;

	for (i = 0; i < command_count; i++) {
		if (is_kthread(commands[i])) {
			witness_command("stop");
		} else {
			kill(callers[i], SIGKILL);
			waitpid(callers[i], NULL, 0);
		}
	}
}

/* One transition; with load, and into the tables, if @outcome is given. True if it was capped. */
static bool run(bool enable, struct outcome *outcome)
{
	struct outcome end;
	bool capped = false;
	int error;

	if (outcome) {
		start_load();
		sleep_us((unsigned int)random() % SECOND_US);
	}
	error = side->begin(VERSION, enable);
	if (error)
		die(-error, "%s", enable ? "enable" : "disable");
	error = side->wait(outcome ? cap_ms : PATIENCE_MS, &end);
	if (outcome && error == -ETIME) {
		capped = true;
		side->blockers();
		end.total_ns = end.moving_ns = (uint64_t)cap_ms * 1000000;
	}
	if (outcome) {
		stop_load();
		*outcome = end;
	}
	if (capped)
		error = side->wait(PATIENCE_MS, &end);
	if (error || end.reversed)
		die(-error, "%s did not come to its end", enable ? "enable" : "disable");
	return capped;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t median(uint64_t *values, unsigned int count)
{
	qsort(values, count, sizeof(*values), compare);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* Both directions in turn; [0] disable, [1] enable. */
static uint64_t total[2][RUNS_MAX], moving[2][RUNS_MAX];
static unsigned int capped[2], ran[2];

static const char *name;

static const char *word(bool enable)
{
	return enable ? "enable" : "disable";
}

/* measure(): one run; returns how many such runs there can be in all. */
static unsigned int measure(bool enable)
{
	struct outcome outcome;
	bool cut = run(enable, &outcome);

	printf("run %s %s %s %llu %llu %d\n", name, word(enable), side->name, (unsigned long long)outcome.total_ns / 1000,
	       (unsigned long long)outcome.moving_ns / 1000, cut);
	capped[enable] += cut;
	total[enable][ran[enable]] = outcome.total_ns / 1000;
	moving[enable][ran[enable]] = outcome.moving_ns / 1000;
	ran[enable]++;
	if (outcome.total_ns > 20000000000ULL)
		return 2;
	return outcome.total_ns > 10000000000ULL ? 5 : RUNS_MAX;
}

int converge(const struct side *which, int argc, char **argv)
{
	unsigned int runs, direction, most, wanted[2];

	if (argc < 3 || argc - 3 > COMMANDS_MAX)
		die(0, "usage: transitions SIDE converge NAME RUNS CAP [COMMAND...]");
	side = which;
	name = argv[0];
	runs = (unsigned int)strtoul(argv[1], NULL, 10);
	if (!runs || runs > RUNS_MAX)
		die(0, "%s is not a number of runs from 1 to %d", argv[1], RUNS_MAX);
	cap_ms = 1000 * (unsigned int)strtoul(argv[2], NULL, 10);
	commands = argv + 3;
	command_count = argc - 3;

	wanted[0] = wanted[1] = runs;
	while (ran[0] < wanted[0] || ran[1] < wanted[1]) {
		for (direction = 2; direction-- > 0;) {
			if (ran[direction] == wanted[direction]) {
				run(direction, NULL);
				continue;
			}
			most = measure(direction);
			if (wanted[direction] > most)
				wanted[direction] = most > ran[direction] ? most : ran[direction];
		}
	}
	for (direction = 2; direction-- > 0;)
		printf("result %s %s %s %u %llu %llu %u\n", name, word(direction), side->name, ran[direction],
		       (unsigned long long)median(total[direction], ran[direction]),
		       (unsigned long long)median(moving[direction], ran[direction]), capped[direction]);
	return 0;
}
