// SPDX-License-Identifier: GPL-2.0
/*
 * transitions SIDE converge NAME RUNS CAP [COMMAND...]
 *
 * How long it takes until no task is pending, when version 2 is enabled and when it is disabled. Before each transition the
 * witness gets the COMMANDs: "kthread ..." or "kindly ..." for a kernel thread, "stop" after it; anything else in a process of its own,
 * that is killed after it. RUNS of both. A transition that has not ended after CAP seconds is counted as that, and what was started for
 * it is ended first.
 *
 * Upstream looks again at whole seconds of its clock, so each transition begins at a random moment of a second.
 *
 * Prints for each transition two lines of the benchmark (selftests/bench), in ms:
 *	row enable|disable_NAME SIDE TOTAL
 *	row enable|disable_NAME_moving SIDE MOVING
 * struct outcome says of what; "capped" instead of "row" if it did not end by itself.
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
#define RUNS_MAX 400
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

/* One transition under load. True if it was capped. */
static bool run(bool enable, struct outcome *outcome)
{
	struct outcome end;
	bool capped;
	int error;

	start_load();
	sleep_us((unsigned int)random() % SECOND_US);
	error = side->begin(VERSION, enable);
	if (error)
		die(-error, "%s", enable ? "enable" : "disable");
	error = side->wait(cap_ms, &end);
	capped = error == -ETIME;
	*outcome = end;
	if (capped) {
		side->blockers();
		outcome->total_ns = outcome->moving_ns = (uint64_t)cap_ms * 1000000;
	}
	stop_load();
	if (capped)
		error = side->wait(PATIENCE_MS, &end);
	if (error || end.reversed)
		die(-error, "%s did not come to its end", enable ? "enable" : "disable");
	return capped;
}

static const char *name;

static void print(bool enable, const char *suffix, uint64_t ns, bool capped)
{
	printf("%s %s_%s%s %s %.3f\n", capped ? "capped" : "row", enable ? "enable" : "disable", name, suffix, side->name, (double)ns / 1e6);
}

static void measure(bool enable)
{
	struct outcome outcome;
	bool capped = run(enable, &outcome);

	print(enable, "", outcome.total_ns, capped);
	print(enable, "_moving", outcome.moving_ns, capped);
}

int converge(const struct side *which, int argc, char **argv)
{
	unsigned int runs;

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

	while (runs--) {
		measure(true);
		measure(false);
	}
	return 0;
}
