/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reads the running kernel: addresses from a copy of /proc/kallsyms, memory from /proc/kcore. For programs of
 * one file, so everything is here.
 */
#ifndef _LPATCH_SELFTESTS_KERNEL_H
#define _LPATCH_SELFTESTS_KERNEL_H

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KCORE_SEGMENTS 256

struct kernel {
	int kcore;
	int segments;
	Elf64_Phdr segment[KCORE_SEGMENTS];
};

struct symbol {
	const char *name;
	uint64_t addr;
};

static inline void cannot(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "not as expected");
	exit(2);
}

/* Fills in the addresses; 0 for a name that is not there. Of several of one name the first counts. */
static inline void find_symbols(const char *path, struct symbol *symbols, size_t count)
{
	FILE *file = fopen(path, "r");
	char line[1024], name[512], letter;
	unsigned long long addr;
	size_t i;

	if (!file)
		cannot(path);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%llx %c %511s", &addr, &letter, name) != 3)
			cannot(path);
		for (i = 0; i < count; i++)
			if (!symbols[i].addr && !strcmp(symbols[i].name, name))
				symbols[i].addr = addr;
	}
	fclose(file);
}

static inline void open_kernel(struct kernel *k)
{
	Elf64_Ehdr header;
	int i;

	errno = 0;
	k->kcore = open("/proc/kcore", O_RDONLY | O_CLOEXEC);
	if (k->kcore < 0 || pread(k->kcore, &header, sizeof(header), 0) != sizeof(header))
		cannot("/proc/kcore");
	if (header.e_phnum > KCORE_SEGMENTS)
		cannot("segments of /proc/kcore");
	k->segments = header.e_phnum;
	for (i = 0; i < k->segments; i++)
		if (pread(k->kcore, &k->segment[i], sizeof(k->segment[i]),
			  (off_t)(header.e_phoff + (uint64_t)i * sizeof(k->segment[i]))) !=
		    sizeof(k->segment[i]))
			cannot("/proc/kcore");
}

/* Returns 0 if all of it could be read. */
static inline int read_kernel(const struct kernel *k, uint64_t addr, void *to, size_t len)
{
	int i;

	for (i = 0; i < k->segments; i++) {
		const Elf64_Phdr *s = &k->segment[i];

		if (s->p_type == PT_LOAD && addr >= s->p_vaddr && addr - s->p_vaddr < s->p_memsz &&
		    len <= s->p_memsz - (addr - s->p_vaddr))
			return pread(k->kcore, to, len, (off_t)(s->p_offset + (addr - s->p_vaddr))) !=
			       (ssize_t)len;
	}
	return -1;
}

#endif /* _LPATCH_SELFTESTS_KERNEL_H */
