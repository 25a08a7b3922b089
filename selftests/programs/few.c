// SPDX-License-Identifier: GPL-2.0
/*
 * The part of the kernel's long lists that tests need. awk takes several seconds for that under software emulation.
 *
 *	few symbols [MODULE...] <NAMES	the lines of /proc/kallsyms for the first word of each line of NAMES in vmlinux, with
 *					the two before and the three behind, and all lines of the modules
 *	few functions SYMBOLS		those of ftrace's list of functions whose names are in a file as the above makes it
 *	few run SYMBOLS FUNCTIONS COMMAND...
 *					the command with these two files in the place of both lists, which nobody else sees
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define KALLSYMS "/proc/kallsyms"
#define FUNCTIONS "/sys/kernel/tracing/available_filter_functions"
#define BEFORE 2
#define BEHIND 3

struct lines {
	char **all;
	size_t count;
};

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static struct lines read_lines(const char *path, FILE *file)
{
	size_t room = 1 << 16, size = 0, lines = 0, got, i;
	char *text = malloc(room);
	struct lines out = { 0 };

	if (!file)
		die(path);
	while (text && (got = fread(text + size, 1, room - size - 1, file)) > 0) {
		size += got;
		if (room - size == 1)
			text = realloc(text, room *= 2);
	}
	if (!text || ferror(file))
		die(path);
	text[size] = '\0';
	for (i = 0; i < size; i++)
		lines += text[i] == '\n';
	out.all = calloc(lines + 1, sizeof(*out.all));
	if (!out.all)
		die(path);
	/* No empty ones. */
	for (i = 0; i < size; i++) {
		if (text[i] == '\n')
			text[i] = '\0';
		else if (!i || !text[i - 1])
			out.all[out.count++] = text + i;
	}
	return out;
}

/* A word of a line, which goes on behind it. */
struct word {
	const char *at;
	size_t len;
};

/* The n-th word of a line from 0; none has no length. */
static struct word word(const char *line, int n)
{
	struct word one = { .at = line };

	do {
		one.at += one.len;
		while (*one.at == ' ' || *one.at == '\t')
			one.at++;
		one.len = 0;
		while (one.at[one.len] && one.at[one.len] != ' ' && one.at[one.len] != '\t')
			one.len++;
	} while (one.len && n--);
	return one;
}

/*
 * The words that are asked for, in a table with more room than words. hsearch() looks at eight characters only, and so many symbols begin
 * alike that a look took as long as reading the line.
 */
static struct {
	struct word *slots;
	size_t mask;
} table;

static struct word *slot(struct word word)
{
	uint32_t hash = 2166136261;
	size_t at, i;

	for (i = 0; i < word.len; i++)
		hash = (hash ^ (unsigned char)word.at[i]) * 16777619;
	for (at = hash & table.mask; table.slots[at].len; at = (at + 1) & table.mask)
		if (table.slots[at].len == word.len && !memcmp(table.slots[at].at, word.at, word.len))
			break;
	return &table.slots[at];
}

static bool known(struct word word)
{
	return word.len && slot(word)->len;
}

static void know(const struct lines *lines, int nth)
{
	size_t size = 16, i;

	while (size < 2 * lines->count)
		size *= 2;
	table.mask = size - 1;
	table.slots = calloc(size, sizeof(*table.slots));
	if (!table.slots)
		die("calloc");
	for (i = 0; i < lines->count; i++) {
		struct word name = word(lines->all[i], nth);

		if (name.len)
			*slot(name) = name;
	}
}

static void symbols(int modules, char **module)
{
	struct lines names = read_lines("stdin", stdin), all = read_lines(KALLSYMS, fopen(KALLSYMS, "r"));
	/* What is printed of vmlinux already, and what is to be. */
	size_t done = 0, end = 0, i;

	know(&names, 0);
	for (i = 0; i < all.count; i++) {
		const char *tab = strchr(all.all[i], '\t');
		int m;

		if (tab) {
			for (m = 0; m < modules; m++) {
				size_t len = strlen(module[m]);

				if (!strncmp(tab + 2, module[m], len) && tab[2 + len] == ']')
					puts(all.all[i]);
			}
			continue;
		}
		if (known(word(all.all[i], 2))) {
			done = done + BEFORE > i ? done : i - BEFORE;
			end = i + 1 + BEHIND;
		}
		while (done < end && done <= i)
			puts(all.all[done++]);
	}
}

static void functions(const char *path)
{
	struct lines names = read_lines(path, fopen(path, "r")), all = read_lines(FUNCTIONS, fopen(FUNCTIONS, "r"));
	size_t i;

	know(&names, 2);
	for (i = 0; i < all.count; i++)
		if (known(word(all.all[i], 0)))
			puts(all.all[i]);
}

static void run(char **argv)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		die("a mount namespace");
	if (mount(argv[0], KALLSYMS, NULL, MS_BIND, NULL))
		die(argv[0]);
	if (mount(argv[1], FUNCTIONS, NULL, MS_BIND, NULL))
		die(argv[1]);
	execvp(argv[2], argv + 2);
	die(argv[2]);
}

int main(int argc, char **argv)
{
	if (argc >= 2 && !strcmp(argv[1], "symbols"))
		symbols(argc - 2, argv + 2);
	else if (argc == 3 && !strcmp(argv[1], "functions"))
		functions(argv[2]);
	else if (argc >= 5 && !strcmp(argv[1], "run"))
		run(argv + 2);
	else
		return 2;
	return fflush(stdout) ? 2 : 0;
}
