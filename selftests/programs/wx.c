// SPDX-License-Identifier: GPL-2.0
/*
 * Walks the kernel's page tables and finds what is writable and executable at once.
 *
 *	wx self				test the walk on tables made up here
 *	wx list SYMBOLS			print the ranges that are both, "first behind" in hex
 *	wx check SYMBOLS KNOWN		exit with 1 if there is one that KNOWN, a list as above, does not have
 *	wx loop SYMBOLS KNOWN SECONDS	the same again and again
 *
 * SYMBOLS is a copy of /proc/kallsyms, or a part of it. An address counts as writable if all levels of the tables
 * say so, and as executable if no level forbids it (Intel SDM vol. 3, "Access Rights"). Before it believes
 * itself, the walk has to find the kernel's text executable only and its data writable only.
 */
#include <stdbool.h>
#include <time.h>

#include "kernel.h"

#define ENTRIES		512
#define PRESENT		(1ULL << 0)
#define WRITABLE	(1ULL << 1)
#define LARGE		(1ULL << 7)
#define NO_EXECUTE	(1ULL << 63)
#define ADDRESS		0x000ffffffffff000ULL

#define RANGES		1024

struct range {
	uint64_t first;
	uint64_t behind;
};

struct landmark {
	struct symbol symbol;
	bool writable;
	bool executable;
	bool met;
};

struct walk {
	/* Reads the table at a physical address. */
	int (*read)(void *ctx, uint64_t phys, uint64_t table[ENTRIES]);
	void *ctx;
	int levels;
	uint64_t root;
	uint64_t path[6];
	unsigned long tables, pages, writable, executable, moved;
	struct range found[RANGES];
	int count;
	struct landmark *landmarks;
	int landmark_count;
};

static uint64_t span(int level)
{
	return 1ULL << (12 + 9 * (level - 1));
}

/* An address with its sign extended, as the processor wants it. */
static uint64_t canonical(const struct walk *w, uint64_t addr)
{
	int unused = 64 - (12 + 9 * w->levels);

	return (uint64_t)((int64_t)(addr << unused) >> unused);
}

static int index_of(uint64_t addr, int level)
{
	return (int)(addr / span(level) % ENTRIES);
}

/* The tables may change while they are read: is the way to this address still the one that was taken? */
static bool still_there(struct walk *w, uint64_t addr, int leaf)
{
	uint64_t table[ENTRIES], at = w->root;
	int level;

	for (level = w->levels; level >= leaf; level--) {
		if (w->read(w->ctx, at, table) || table[index_of(addr, level)] != w->path[level])
			return false;
		at = w->path[level] & ADDRESS;
	}
	return true;
}

static void leaf(struct walk *w, uint64_t addr, int level, bool writable, bool executable)
{
	const uint64_t size = span(level);
	int i;

	w->pages++;
	w->writable += writable;
	w->executable += executable;
	for (i = 0; i < w->landmark_count; i++) {
		struct landmark *l = &w->landmarks[i];

		if (l->symbol.addr < addr || l->symbol.addr - addr >= size)
			continue;
		l->met = true;
		if (l->writable == writable && l->executable == executable)
			continue;
		printf("%s is %swritable and %sexecutable\n", l->symbol.name, writable ? "" : "not ",
		       executable ? "" : "not ");
		exit(1);
	}
	if (!writable || !executable)
		return;
	if (!still_there(w, addr, level)) {
		w->moved++;
		return;
	}
	if (w->count && w->found[w->count - 1].behind == addr) {
		w->found[w->count - 1].behind += size;
		return;
	}
	if (w->count == RANGES)
		cannot("number of ranges");
	w->found[w->count++] = (struct range){ addr, addr + size };
}

static void walk_table(struct walk *w, uint64_t phys, int level, uint64_t addr, bool writable, bool executable)
{
	uint64_t table[ENTRIES];
	int i;

	if (w->read(w->ctx, phys, table)) {
		/* A table that was freed after we saw it; a root that cannot be read is no walk at all. */
		if (level == w->levels)
			cannot("top table");
		w->moved++;
		return;
	}
	w->tables++;
	/* The kernel's half. */
	for (i = level == w->levels ? ENTRIES / 2 : 0; i < ENTRIES; i++) {
		const uint64_t entry = table[i];
		const uint64_t at = canonical(w, addr + (uint64_t)i * span(level));
		const bool can_write = writable && entry & WRITABLE;
		const bool can_execute = executable && !(entry & NO_EXECUTE);

		if (!(entry & PRESENT))
			continue;
		w->path[level] = entry;
		if (level == 1 || (level <= 3 && entry & LARGE))
			leaf(w, at, level, can_write, can_execute);
		else
			walk_table(w, entry & ADDRESS, level - 1, at, can_write, can_execute);
	}
}

static void walk(struct walk *w)
{
	w->count = 0;
	w->tables = w->pages = w->writable = w->executable = 0;
	walk_table(w, w->root, w->levels, 0, true, true);
}

/* --- the running kernel */

struct running {
	struct kernel kernel;
	uint64_t page_offset;
	uint64_t top;
};

static int read_running(void *ctx, uint64_t phys, uint64_t table[ENTRIES])
{
	struct running *r = ctx;
	/* The root is known by its virtual address only. */
	uint64_t addr = phys == r->top ? phys : r->page_offset + phys;

	return read_kernel(&r->kernel, addr, table, ENTRIES * sizeof(table[0]));
}

static struct landmark landmarks[] = {
	{ { "_stext", 0 }, false, true, false },
	{ { "init_task", 0 }, true, false, false },
	{ { "lp_arena_text", 0 }, false, true, false },
	{ { "lp_arena_rodata", 0 }, false, false, false },
	{ { "lp_arena_data", 0 }, true, false, false },
};

#define LANDMARKS (int)(sizeof(landmarks) / sizeof(landmarks[0]))
/* The kernel's own are always there. */
#define LANDMARKS_MIN 2

static void open_running(struct walk *w, struct running *r, const char *path)
{
	struct symbol symbols[2 + LANDMARKS] = { { "init_top_pgt", 0 }, { "page_offset_base", 0 } };
	int i;

	for (i = 0; i < LANDMARKS; i++)
		symbols[2 + i] = landmarks[i].symbol;
	find_symbols(path, symbols, 2 + LANDMARKS);
	for (i = 0; i < LANDMARKS; i++)
		landmarks[i].symbol.addr = symbols[2 + i].addr;
	errno = 0;
	if (!symbols[0].addr || !symbols[1].addr)
		cannot("init_top_pgt and page_offset_base in the symbols");
	open_kernel(&r->kernel);
	if (read_kernel(&r->kernel, symbols[1].addr, &r->page_offset, sizeof(r->page_offset)))
		cannot("page_offset_base");
	r->top = symbols[0].addr;

	w->read = read_running;
	w->ctx = r;
	w->root = r->top;
	/* With 57 bits of address all memory is mapped lower than 48 bits reach. */
	w->levels = r->page_offset >> 48 == 0xffff ? 4 : 5;
	w->landmarks = landmarks;
	w->landmark_count = LANDMARKS;
}

static void check_landmarks(void)
{
	int i;

	for (i = 0; i < LANDMARKS; i++) {
		if (!landmarks[i].met && (landmarks[i].symbol.addr || i < LANDMARKS_MIN)) {
			printf("%s was not found in the page tables\n", landmarks[i].symbol.name);
			exit(2);
		}
	}
}

static int read_known(const char *path, struct range *known)
{
	FILE *file = fopen(path, "r");
	unsigned long long first, behind;
	int count = 0;

	if (!file)
		cannot(path);
	while (count < RANGES && fscanf(file, "%llx %llx", &first, &behind) == 2)
		known[count++] = (struct range){ first, behind };
	fclose(file);
	return count;
}

/* How many ranges are not within a known one; prints them. */
static int compare(const struct walk *w, const struct range *known, int count)
{
	int i, k, new = 0;

	for (i = 0; i < w->count; i++) {
		for (k = 0; k < count; k++)
			if (w->found[i].first >= known[k].first && w->found[i].behind <= known[k].behind)
				break;
		if (k < count)
			continue;
		new++;
		printf("writable and executable: %llx to %llx\n", (unsigned long long)w->found[i].first,
		       (unsigned long long)w->found[i].behind);
	}
	return new;
}

/* --- tables made up */

static uint64_t fake[16][ENTRIES];

static int read_fake(void *ctx, uint64_t phys, uint64_t table[ENTRIES])
{
	(void)ctx;
	if (phys >> 12 >= sizeof(fake) / sizeof(fake[0]))
		return -1;
	memcpy(table, fake[phys >> 12], sizeof(fake[0]));
	return 0;
}

/* Maps addr by one entry of the given level, with these flags in the entry and those in the tables above. */
static int fake_finds(int levels, int level, uint64_t addr, uint64_t flags, uint64_t above, uint64_t *first)
{
	struct walk *w = calloc(1, sizeof(*w));
	uint64_t table = 0;
	int at, found;

	memset(fake, 0, sizeof(fake));
	w->read = read_fake;
	w->levels = levels;
	for (at = levels; at > level; at--, table++)
		fake[table][index_of(addr, at)] = (table + 1) << 12 | PRESENT |
						  (at == level + 1 ? above : WRITABLE);
	fake[table][index_of(addr, level)] = 0x40000000 | flags | (level > 1 ? LARGE : 0);
	walk(w);
	found = w->count;
	*first = w->found[0].first;
	free(w);
	return found;
}

static int self(void)
{
	const uint64_t both = PRESENT | WRITABLE, addr = 0xffffffffc0a00000;
	int levels, level, bad = 0;
	uint64_t first;

#define EXPECT(want, flags, above)                                                                 \
	do {                                                                                        \
		if (fake_finds(levels, level, addr, flags, above, &first) != (want) ||              \
		    ((want) && first != (addr & ~(span(level) - 1)))) {                             \
			printf("levels %d level %d: " #want " wanted for %s, %s\n", levels, level,  \
			       #flags, #above);                                                     \
			bad = 1;                                                                    \
		}                                                                                   \
	} while (0)
	for (levels = 4; levels <= 5; levels++)
		for (level = 1; level <= 3; level++) {
			EXPECT(1, both, WRITABLE);
			EXPECT(0, both | NO_EXECUTE, WRITABLE);
			EXPECT(0, both, WRITABLE | NO_EXECUTE);
			EXPECT(0, PRESENT, WRITABLE);
			EXPECT(0, both, 0ULL);
			EXPECT(0, WRITABLE, WRITABLE);
		}
	return bad;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static struct range known[RANGES];
	static struct running running;
	static struct walk w;
	unsigned long walks = 0;
	int known_count = 0, i, new;
	double end = 0;

	if (argc == 2 && !strcmp(argv[1], "self"))
		return self();
	if (!(argc == 3 && !strcmp(argv[1], "list")) && !(argc == 4 && !strcmp(argv[1], "check")) &&
	    !(argc == 5 && !strcmp(argv[1], "loop"))) {
		fputs("usage: wx self | list SYMBOLS | check SYMBOLS KNOWN | loop SYMBOLS KNOWN SECONDS\n",
		      stderr);
		return 2;
	}
	open_running(&w, &running, argv[2]);
	if (argc >= 4)
		known_count = read_known(argv[3], known);
	if (argc == 5)
		end = now() + strtod(argv[4], NULL);
	do {
		walk(&w);
		walks++;
		check_landmarks();
		new = argc >= 4 ? compare(&w, known, known_count) : 0;
	} while (!new && now() < end);

	if (argc == 3)
		for (i = 0; i < w.count; i++)
			printf("%llx %llx\n", (unsigned long long)w.found[i].first,
			       (unsigned long long)w.found[i].behind);
	else
		printf("%lu walks of %d levels; the last one: %lu tables, %lu mappings, %lu writable, %lu executable, %d both\n",
		       walks, w.levels, w.tables, w.pages, w.writable, w.executable, w.count);
	return new ? 1 : 0;
}
