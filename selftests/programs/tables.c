// SPDX-License-Identifier: GPL-2.0
/*
 * Prints what lpatch_core's tables hold, so that two moments can be compared, and checks that the ORC table is
 * sorted from its first entry to its last, as the kernel's search needs it.
 *
 *	tables SYMBOLS		SYMBOLS is a copy of /proc/kallsyms, or a part of it
 *
 * One line for each table: name, bytes, FNV-1a hash. Exits with 1 if the ORC table is not sorted.
 */
#include "../../lpatch-core/src/shim/layout.h"
#include "kernel.h"

#define PAGE 4096

enum { TEXT, TEXT_END, ORC_IP, ORC, EX, BUG, SYMBOLS };

static struct symbol symbols[SYMBOLS] = {
	[TEXT] = { "lp_arena_text", 0 },       [TEXT_END] = { "lp_arena_text_end", 0 },
	[ORC_IP] = { "lp_table_orc_ip", 0 },   [ORC] = { "lp_table_orc", 0 },
	[EX] = { "lp_table_ex", 0 },	       [BUG] = { "lp_table_bug", 0 },
};

static struct kernel kernel;

static void *bytes(int which, size_t len)
{
	void *to = malloc(len);
	size_t done, part;

	errno = 0;
	if (!to || !symbols[which].addr)
		cannot(symbols[which].name);
	/* Module memory is read page by page; a larger read may be cut. */
	for (done = 0; done < len; done += part) {
		part = len - done < PAGE ? len - done : PAGE;
		if (read_kernel(&kernel, symbols[which].addr + done, (char *)to + done, part))
			cannot(symbols[which].name);
	}
	return to;
}

static void print(int which, const void *data, size_t len)
{
	const unsigned char *byte = data;
	uint64_t hash = 0xcbf29ce484222325;
	size_t i;

	for (i = 0; i < len; i++)
		hash = (hash ^ byte[i]) * 0x100000001b3;
	printf("%s %zu %016llx\n", symbols[which].name, len, (unsigned long long)hash);
}

/*
 * The table is for LP_CORE_ORCS entries of the module, of which it uses some, and the slots of the arena behind
 * them; what is left at the end is zero and the kernel does not look at it.
 */
static int sorted(const int32_t *ip, size_t count, size_t slots)
{
	const uint64_t base = symbols[ORC_IP].addr;
	uint64_t last = 0, addr = 0;
	size_t used, i;

	for (used = count; used && !ip[used - 1]; used--)
		;
	if (used < slots) {
		printf("the ORC table has %zu entries, less than the arena's %zu\n", used, slots);
		return 0;
	}
	for (i = 0; i < used; i++) {
		addr = base + i * sizeof(*ip) + (uint64_t)(int64_t)ip[i];
		if (addr < last) {
			printf("ORC entry %zu is for %llx, the one before for %llx\n", i,
			       (unsigned long long)addr, (unsigned long long)last);
			return 0;
		}
		last = addr;
		/* Behind the module's own entries: each page of the arena has its slots. */
		if (i == used - slots && addr != symbols[TEXT].addr) {
			printf("the first slot is for %llx, the arena begins at %llx\n",
			       (unsigned long long)addr, (unsigned long long)symbols[TEXT].addr);
			return 0;
		}
	}
	printf("sorted: %zu entries, of them %zu for the arena\n", used, slots);
	return 1;
}

int main(int argc, char **argv)
{
	size_t pages, orcs, exs, len;
	int32_t *ip;
	void *data;
	int ok;

	if (argc != 2) {
		fputs("usage: tables SYMBOLS\n", stderr);
		return 2;
	}
	find_symbols(argv[1], symbols, SYMBOLS);
	open_kernel(&kernel);
	pages = (symbols[TEXT_END].addr - symbols[TEXT].addr) / PAGE;
	orcs = LP_CORE_ORCS + pages * LP_ORC_PER_PAGE;
	exs = LP_CORE_EXS + pages * LP_EX_PER_PAGE;

	len = orcs * sizeof(*ip);
	ip = bytes(ORC_IP, len);
	print(ORC_IP, ip, len);
	ok = sorted(ip, orcs, pages * LP_ORC_PER_PAGE);
	len = orcs * LP_ORC_SIZE;
	data = bytes(ORC, len);
	print(ORC, data, len);
	len = exs * LP_EX_SIZE;
	data = bytes(EX, len);
	print(EX, data, len);
	len = (LP_CORE_BUGS + LP_BUG_SLOTS) * (size_t)LP_BUG_SIZE;
	data = bytes(BUG, len);
	print(BUG, data, len);
	return !ok;
}
