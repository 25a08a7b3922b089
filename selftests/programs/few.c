// SPDX-License-Identifier: GPL-2.0
/*
 * The part of the kernel's long lists that tests need. awk takes several seconds for that under software emulation.
 *
 *	few symbols [MODULE...] <NAMES	the lines of /proc/kallsyms for the first word of each line of NAMES in vmlinux, with
 *					the two before and the three behind, and all lines of the modules
 *	few functions SYMBOLS		those of ftrace's list of functions whose names are in a file as the above makes it
 */
#include <search.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	for (text = strtok(text, "\n"); text; text = strtok(NULL, "\n"))
		out.all[out.count++] = text;
	return out;
}

/* The n-th word of a line from 0, ended by a NUL, or NULL. It is good until the next call. */
static char *word(const char *line, int n)
{
	static char copy[1024];
	char *one;

	snprintf(copy, sizeof(copy), "%s", line);
	for (one = strtok(copy, " \t"); one && n; n--)
		one = strtok(NULL, " \t");
	return one;
}

static bool known(const char *name)
{
	return name && hsearch((ENTRY){ .key = (char *)name }, FIND);
}

static void know(const struct lines *lines, int nth)
{
	size_t i;

	if (!hcreate(2 * lines->count + 16))
		die("hcreate");
	for (i = 0; i < lines->count; i++) {
		const char *name = word(lines->all[i], nth);
		ENTRY entry = { .key = name ? strdup(name) : NULL };

		if (entry.key && !hsearch(entry, ENTER))
			die("hsearch");
	}
}

static void symbols(int modules, char **module)
{
	struct lines names = read_lines("stdin", stdin), all = read_lines(KALLSYMS, fopen(KALLSYMS, "r"));
	/* What is printed of vmlinux already, and what is to be. */
	size_t done = 0, end = 0, i;

	know(&names, 0);
	for (i = 0; i < all.count; i++) {
		const char *tab = strchr(all.all[i], '\t'), *space = strrchr(all.all[i], ' ');
		int m;

		if (tab) {
			for (m = 0; m < modules; m++) {
				size_t len = strlen(module[m]);

				if (!strncmp(tab + 2, module[m], len) && tab[2 + len] == ']')
					puts(all.all[i]);
			}
			continue;
		}
		if (space && known(space + 1)) {
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

int main(int argc, char **argv)
{
	if (argc >= 2 && !strcmp(argv[1], "symbols"))
		symbols(argc - 2, argv + 2);
	else if (argc == 3 && !strcmp(argv[1], "functions"))
		functions(argv[2]);
	else
		return 2;
	return fflush(stdout) ? 2 : 0;
}
