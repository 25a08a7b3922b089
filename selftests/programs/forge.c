// SPDX-License-Identifier: GPL-2.0
/*
 * Edits a patch object and seals the result with the right CRC, so that the edit itself is what a loader finds.
 *
 *	forge FILE OUT EDIT
 *
 *	flip AT			one bit of the byte at this offset; the CRC stays as it was
 *	byte AT VALUE		the byte at this offset
 *	half AT VALUE		the 16-bit word at this offset
 *	note TYPE AT		one bit of the byte AT in the contents of the first note of that type
 *	reloc FROM TO		the type of the first relocation of type FROM in a section of code
 *	rename OLD NEW		a section; both names have the same length
 *	text OLD NEW		every place where the file has this text; both have the same length. FILE can be a module, too
 *	boundaries		prints where headers and sections begin and end, and one byte before and behind
 */
#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* See lpatch-loader/src/notes.rs. */
#define OWNER		"lpatch"
#define NOTE_CRC	5

static unsigned char *file;
static size_t size;
static Elf64_Ehdr *elf;

static void die(const char *what)
{
	fprintf(stderr, "forge: %s\n", what);
	exit(2);
}

static Elf64_Shdr *section(unsigned int i)
{
	return (Elf64_Shdr *)(file + elf->e_shoff) + i;
}

static char *section_name(unsigned int i)
{
	return (char *)file + section(elf->e_shstrndx)->sh_offset + section(i)->sh_name;
}

/* The contents of the first note of ours of this type. */
static unsigned char *note(uint32_t type)
{
	unsigned int i;

	for (i = 0; i < elf->e_shnum; i++) {
		uint64_t at = section(i)->sh_offset, end = at + section(i)->sh_size;

		if (section(i)->sh_type != SHT_NOTE)
			continue;
		while (at + sizeof(Elf64_Nhdr) <= end) {
			Elf64_Nhdr *n = (Elf64_Nhdr *)(file + at);
			char *owner = (char *)(n + 1);
			unsigned char *contents = (unsigned char *)owner + ((n->n_namesz + 3) & ~3U);

			if (n->n_type == type && n->n_namesz == sizeof(OWNER) && !strcmp(owner, OWNER))
				return contents;
			at = (uint64_t)(contents - file) + ((n->n_descsz + 3) & ~3U);
		}
	}
	return NULL;
}

/* IEEE 802.3, reflected, as in zlib. */
static uint32_t crc32(const unsigned char *data, size_t len)
{
	uint32_t crc = ~0U;
	int bit;

	while (len--) {
		crc ^= *data++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
	}
	return ~crc;
}

static void seal(unsigned char *crc)
{
	uint32_t value;

	if (!crc)
		die("the object is not sealed");
	memset(crc, 0, 4);
	value = crc32(file, size);
	memcpy(crc, &value, 4);
}

static void boundaries(void)
{
	unsigned int i;

	printf("0\n1\n%zu\n%zu\n", sizeof(*elf) - 1, sizeof(*elf));
	printf("%lu\n%lu\n%zu\n", elf->e_shoff, elf->e_shoff + sizeof(Elf64_Shdr), size - 1);
	for (i = 1; i < elf->e_shnum; i++) {
		const Elf64_Shdr *s = section(i);
		uint64_t end = s->sh_offset + (s->sh_type == SHT_NOBITS ? 0 : s->sh_size);

		printf("%lu\n%lu\n%lu\n", s->sh_offset, end, end + 1);
		if (end)
			printf("%lu\n", end - 1);
	}
}

static unsigned char *at(unsigned long offset, size_t len)
{
	if (offset > size || len > size - offset)
		die("beyond the end of the file");
	return file + offset;
}

static void reloc(unsigned long from, unsigned long to)
{
	unsigned int i;
	uint64_t k;

	for (i = 0; i < elf->e_shnum; i++) {
		Elf64_Rela *r = (Elf64_Rela *)(file + section(i)->sh_offset);

		if (section(i)->sh_type != SHT_RELA || !(section(section(i)->sh_info)->sh_flags & SHF_EXECINSTR))
			continue;
		for (k = 0; k < section(i)->sh_size / sizeof(*r); k++)
			if (ELF64_R_TYPE(r[k].r_info) == from) {
				r[k].r_info = ELF64_R_INFO(ELF64_R_SYM(r[k].r_info), to);
				return;
			}
	}
	die("no such relocation");
}

static void rename_section(const char *old, const char *new)
{
	unsigned int i;

	if (strlen(old) != strlen(new))
		die("the names differ in length");
	for (i = 1; i < elf->e_shnum; i++)
		if (!strcmp(section_name(i), old)) {
			memcpy(section_name(i), new, strlen(new));
			return;
		}
	die("no such section");
}

static void replace_text(const char *old, const char *new)
{
	size_t len = strlen(old), i;
	bool found = false;

	if (!len || strlen(new) != len)
		die("the texts differ in length");
	for (i = 0; i + len <= size; i++) {
		if (memcmp(file + i, old, len))
			continue;
		memcpy(file + i, new, len);
		found = true;
	}
	if (!found)
		die("no such text");
}

static void edit(int argc, char **argv)
{
	const char *verb = argv[0];
	unsigned long a = argc > 1 ? strtoul(argv[1], NULL, 0) : 0, b = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	/* Found before the edit, which may make it impossible. */
	unsigned char *crc = note(NOTE_CRC);

	if (!strcmp(verb, "flip") && argc == 2) {
		*at(a, 1) ^= (unsigned char)(1 << a % 8);
		return;
	}
	if (!strcmp(verb, "byte") && argc == 3) {
		*at(a, 1) = (unsigned char)b;
	} else if (!strcmp(verb, "half") && argc == 3) {
		memcpy(at(a, 2), (uint16_t[]){ (uint16_t)b }, 2);
	} else if (!strcmp(verb, "note") && argc == 3) {
		unsigned char *contents = note((uint32_t)a);

		if (!contents)
			die("no such note");
		contents[b] ^= 1;
	} else if (!strcmp(verb, "reloc") && argc == 3) {
		reloc(a, b);
	} else if (!strcmp(verb, "rename") && argc == 3) {
		rename_section(argv[1], argv[2]);
	} else if (!strcmp(verb, "text") && argc == 3) {
		replace_text(argv[1], argv[2]);
		/* A module has no seal. */
		if (!crc)
			return;
	} else {
		die("unknown edit");
	}
	seal(crc);
}

int main(int argc, char **argv)
{
	FILE *f;

	if (argc < 4)
		die("usage: forge FILE OUT EDIT");
	f = fopen(argv[1], "r");
	if (!f)
		die("the file cannot be read");
	fseek(f, 0, SEEK_END);
	size = (size_t)ftell(f);
	rewind(f);
	file = malloc(size);
	if (!file || fread(file, 1, size, f) != size || size < sizeof(*elf))
		die("the file cannot be read");
	fclose(f);
	elf = (Elf64_Ehdr *)file;

	if (!strcmp(argv[3], "boundaries")) {
		boundaries();
		return 0;
	}
	edit(argc - 3, argv + 3);
	f = fopen(argv[2], "w");
	if (!f || fwrite(file, 1, size, f) != size || fclose(f))
		die("the result cannot be written");
	return 0;
}
