// SPDX-License-Identifier: GPL-2.0
/*
 * Loads stock modules and writes down what the kernel made of them, for `selftests/oracle` to compare.
 *
 *	oracle LIST DIR KALLSYMS [its] [text]
 *
 * LIST, which `oracle plan` wrote on the host, has lines "module NAME FILE", in the order in which they can be loaded, and
 * after each of them "section NAME LENGTH" for what is to be read; 0 if only its address is wanted. KALLSYMS is where to put a copy of
 * /proc/kallsyms. In DIR:
 *
 *	index	"module NAME", "section NAME ADDRESS LENGTH OFFSET"; "failed NAME ERROR"; "kernel ADDRESS LENGTH OFFSET"
 *	memory	the bytes, at these offsets
 *	words	"ADDRESS VALUE", 8 bytes each: static keys, keys of static calls, and with "its" what branches to thunks
 *		lead to. Which they are is in the memory of the modules
 *
 * "text" is for the text of the kernel itself. All numbers but LENGTH and ERROR are hexadecimal.
 */
#include "kernel.h"

#include <sys/stat.h>
#include <sys/syscall.h>

#define MODULES 4096
#define WORDS (1 << 20)
#define PAGE 4096

struct section {
	char name[128];
	uint64_t addr;
	size_t len;
	unsigned char *bytes;
};

static struct kernel kernel;
static FILE *index_file, *memory_file, *words_file;
static uint64_t written, seen[WORDS];
static struct section sections[256];
static int section_count;

static FILE *create(const char *dir, const char *name)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	errno = 0;
	file = fopen(path, "w");
	if (!file)
		cannot(path);
	return file;
}

/* As much as can be read at once, and page by page where that is less. Returns 0 if all of it was. */
static int read_all(uint64_t addr, unsigned char *to, size_t len)
{
	size_t done, part;

	if (!read_kernel(&kernel, addr, to, len))
		return 0;
	for (done = 0; done < len; done += part) {
		part = PAGE - (addr + done) % PAGE;
		if (part > len - done)
			part = len - done;
		if (read_kernel(&kernel, addr + done, to + done, part))
			return -1;
	}
	return 0;
}

static void write_all(const void *bytes, size_t len)
{
	errno = 0;
	if (len && fwrite(bytes, len, 1, memory_file) != 1)
		cannot("memory");
	written += len;
}

/* One word, if it is not known yet. */
static void word(uint64_t addr)
{
	uint64_t at = addr * 0x9e3779b97f4a7c15 >> 44, value;

	while (seen[at % WORDS] && seen[at % WORDS] != addr)
		at++;
	if (!addr || seen[at % WORDS] == addr)
		return;
	seen[at % WORDS] = addr;
	if (!read_all(addr, (unsigned char *)&value, sizeof(value)))
		fprintf(words_file, "%llx %llx\n", (unsigned long long)addr, (unsigned long long)value);
}

static struct section *find(const char *name)
{
	int i;

	for (i = 0; i < section_count; i++)
		if (!strcmp(sections[i].name, name) && sections[i].bytes)
			return &sections[i];
	return NULL;
}

static const unsigned char *code(uint64_t addr, size_t len)
{
	int i;

	for (i = 0; i < section_count; i++) {
		const struct section *s = &sections[i];

		if (s->bytes && addr >= s->addr && addr - s->addr <= s->len && len <= s->len - (addr - s->addr))
			return s->bytes + (addr - s->addr);
	}
	return NULL;
}

static int32_t field(const unsigned char *at)
{
	int32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* Keys, which the low bits of a relative pointer say more about. */
static void jump_keys(void)
{
	const struct section *s = find("__jump_table");
	int64_t key;
	size_t at;

	for (at = 0; s && at + 16 <= s->len; at += 16) {
		memcpy(&key, s->bytes + at + 8, sizeof(key));
		word((s->addr + at + 8 + (uint64_t)key) & ~3ull);
	}
}

static void call_keys(void)
{
	const struct section *s = find(".static_call_sites");
	size_t at;

	for (at = 0; s && at + 8 <= s->len; at += 8)
		word((s->addr + at + 4 + (uint64_t)(int64_t)field(s->bytes + at + 4)) & ~3ull);
}

/* What the branches that were written for thunks lead to now. */
static void thunks(void)
{
	const struct section *s = find(".retpoline_sites");
	const unsigned char *insn;
	uint64_t site;
	size_t at, start;

	for (at = 0; s && at + 4 <= s->len; at += 4) {
		site = s->addr + at + (uint64_t)(int64_t)field(s->bytes + at);
		insn = code(site, 6);
		if (!insn)
			continue;
		start = insn[0] == 0x2e || insn[0] == 0x0f;
		if ((insn[0] == 0x0f && (insn[1] & 0xf0) == 0x80) || (insn[start] & 0xfe) == 0xe8)
			word(site + start + 5 + (uint64_t)(int64_t)field(insn + start + 1));
	}
}

static int load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return errno;
	if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)
		err = errno;
	close(fd);
	return err;
}

static void load_all(FILE *list)
{
	char line[1024], name[128], path[512];
	int err;

	while (fgets(line, sizeof(line), list)) {
		if (sscanf(line, "module %127s %511s", name, path) != 2)
			continue;
		err = load(path);
		if (err)
			fprintf(index_file, "failed %s %d\n", name, err);
	}
}

/* Where the kernel put a section; 0 if it did not. */
static uint64_t address(const char *module, const char *name)
{
	unsigned long long addr = 0;
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/module/%s/sections/%s", module, name);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (fscanf(file, "%llx", &addr) != 1)
		addr = 0;
	fclose(file);
	return addr;
}

static void finish_module(int its)
{
	int i;

	jump_keys();
	call_keys();
	if (its)
		thunks();
	for (i = 0; i < section_count; i++)
		free(sections[i].bytes);
	section_count = 0;
}

static void read_section(const char *module, const char *name, size_t len)
{
	struct section *s = &sections[section_count];

	snprintf(s->name, sizeof(s->name), "%s", name);
	s->addr = address(module, name);
	s->len = len;
	s->bytes = NULL;
	if (!s->addr)
		return;
	if (len) {
		s->bytes = malloc(len);
		errno = 0;
		if (!s->bytes || read_all(s->addr, s->bytes, len))
			cannot(module);
	}
	fprintf(index_file, "section %s %llx %zu %llx\n", name, (unsigned long long)s->addr, len,
		(unsigned long long)written);
	write_all(s->bytes, len);
	if (section_count < 255)
		section_count++;
}

static void read_modules(FILE *list, int its)
{
	char line[1024], name[128], section[128], path[512];
	struct stat there;
	int live = 0;
	size_t len;

	rewind(list);
	while (fgets(line, sizeof(line), list)) {
		if (sscanf(line, "module %127s", name) == 1) {
			finish_module(its);
			snprintf(path, sizeof(path), "/sys/module/%s/sections", name);
			live = !stat(path, &there);
			if (live)
				fprintf(index_file, "module %s\n", name);
		} else if (live && sscanf(line, "section %127s %zu", section, &len) == 2) {
			read_section(name, section, len);
		}
	}
	finish_module(its);
}

static void copy_kallsyms(const char *path)
{
	static char buffer[1 << 16];
	int from = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC), to = creat(path, 0600);
	ssize_t len;

	errno = 0;
	if (from < 0 || to < 0)
		cannot(path);
	while ((len = read(from, buffer, sizeof(buffer))) > 0)
		if (write(to, buffer, (size_t)len) != len)
			cannot(path);
	close(from);
	close(to);
}

static void read_range(uint64_t addr, size_t len)
{
	unsigned char *bytes = malloc(len);

	errno = 0;
	if (!addr || !bytes || read_all(addr, bytes, len))
		cannot("the kernel");
	fprintf(index_file, "kernel %llx %zu %llx\n", (unsigned long long)addr, len, (unsigned long long)written);
	write_all(bytes, len);
	free(bytes);
}

int main(int argc, char **argv)
{
	enum { PV_OPS, STEXT, ETEXT, SYMBOLS };
	struct symbol symbols[SYMBOLS] = { { "pv_ops", 0 }, { "_stext", 0 }, { "_etext", 0 } };
	int i, its = 0, text = 0;
	FILE *list;

	if (argc < 4) {
		fprintf(stderr, "usage: oracle LIST DIR KALLSYMS [its] [text]\n");
		return 2;
	}
	for (i = 4; i < argc; i++) {
		its |= !strcmp(argv[i], "its");
		text |= !strcmp(argv[i], "text");
	}
	list = fopen(argv[1], "r");
	if (!list)
		cannot(argv[1]);
	index_file = create(argv[2], "index");
	memory_file = create(argv[2], "memory");
	words_file = create(argv[2], "words");
	load_all(list);
	copy_kallsyms(argv[3]);
	find_symbols(argv[3], symbols, SYMBOLS);
	open_kernel(&kernel);
	read_modules(list, its);
	read_range(symbols[PV_OPS].addr, 1024);
	if (text)
		read_range(symbols[STEXT].addr, symbols[ETEXT].addr - symbols[STEXT].addr);
	errno = 0;
	if (fclose(index_file) || fclose(memory_file) || fclose(words_file))
		cannot(argv[2]);
	return 0;
}
