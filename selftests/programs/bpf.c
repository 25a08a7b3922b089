// SPDX-License-Identifier: GPL-2.0
/*
 * A BPF program at a function of the kernel, as tracers attach one: it counts the calls.
 *
 *	bpf fentry|fexit FUNCTION [MODULE]	attaches it, says "attached" and stays until it is terminated; then
 *		detaches it and says "detached". SIGUSR1: says "calls N".
 *	bpf -l ...				attaches and detaches it again and again meanwhile; says "attached N times" in the end
 *
 * Ends with 1, and with the step and the error on stderr, if the kernel refuses.
 *
 * With the bare system call, since there is no libbpf in the guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Wider than those of older headers, whose spare bits are zero. */
#define KIND(info) ((info) >> 24 & 0x7f)
#define VLEN(info) ((info) & 0xffffff)

static void die(const char *step)
{
	fprintf(stderr, "bpf: %s: %s\n", step, strerror(errno));
	exit(1);
}

static void bad(const char *what)
{
	fprintf(stderr, "bpf: %s\n", what);
	exit(1);
}

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr, const char *step)
{
	int got = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	if (got < 0)
		die(step);
	return got;
}

/* What the kernel knows of its types, or of those that a module adds to them. */
struct btf {
	const struct btf_header *header;
	const char *types, *strings;
};

static struct btf read_btf(const char *object)
{
	size_t size = 0, room = 1 << 20;
	char path[128], *bytes = NULL;
	struct btf btf;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/btf/%s", object);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		die(path);
	do {
		room *= 2;
		bytes = realloc(bytes, room);
		if (!bytes)
			die(path);
		while ((got = read(fd, bytes + size, room - size)) > 0)
			size += got;
		if (got < 0)
			die(path);
	} while (size == room);
	close(fd);
	btf.header = (void *)bytes;
	if (size < sizeof(*btf.header) || btf.header->magic != BTF_MAGIC)
		bad("that is no BTF");
	btf.types = bytes + btf.header->hdr_len + btf.header->type_off;
	btf.strings = bytes + btf.header->hdr_len + btf.header->str_off;
	return btf;
}

/* The bytes that follow a type. */
static size_t extra(const struct btf_type *type)
{
	switch (KIND(type->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return 4;
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_DATASEC:
	case BTF_KIND_ENUM64:
		return VLEN(type->info) * 12;
	case BTF_KIND_ENUM:
	case BTF_KIND_FUNC_PROTO:
		return VLEN(type->info) * 8;
	default:
		return 0;
	}
}

/* The id of a function, or 0; *count is the number of types. A module's follow those of the kernel, and so do its strings. */
static uint32_t find(const struct btf *btf, uint32_t before, uint32_t strings_before, const char *name, uint32_t *count)
{
	const char *at = btf->types, *end = at + btf->header->type_len;
	uint32_t found = 0, n = 0;

	while (at < end) {
		const struct btf_type *type = (const void *)at;

		n++;
		if (KIND(type->info) == BTF_KIND_FUNC && type->name_off >= strings_before &&
		    !strcmp(btf->strings + type->name_off - strings_before, name))
			found = before + n;
		at += sizeof(*type) + extra(type);
	}
	*count = n;
	return found;
}

/* The kernel's handle of a module's types. */
static int module_btf(const char *module)
{
	uint32_t id = 0;

	for (;;) {
		struct bpf_btf_info info = { 0 };
		char name[64] = "";
		union bpf_attr attr;
		int fd;

		memset(&attr, 0, sizeof(attr));
		attr.start_id = id;
		bpf(BPF_BTF_GET_NEXT_ID, &attr, "looking for the module's types");
		id = attr.next_id;
		memset(&attr, 0, sizeof(attr));
		attr.btf_id = id;
		fd = bpf(BPF_BTF_GET_FD_BY_ID, &attr, "opening types");
		info.name = (uintptr_t)name;
		info.name_len = sizeof(name);
		memset(&attr, 0, sizeof(attr));
		attr.info.bpf_fd = fd;
		attr.info.info_len = sizeof(info);
		attr.info.info = (uintptr_t)&info;
		bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, "asking for the name of types");
		if (info.kernel_btf && !strcmp(name, module))
			return fd;
		close(fd);
	}
}

static int new_counter(const volatile uint64_t **counter)
{
	union bpf_attr attr;
	void *page;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = 4;
	attr.value_size = sizeof(uint64_t);
	attr.max_entries = 1;
	attr.map_flags = BPF_F_MMAPABLE;
	fd = bpf(BPF_MAP_CREATE, &attr, "making the counter");
	page = mmap(NULL, getpagesize(), PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		die("mapping the counter");
	*counter = page;
	return fd;
}

static int load(enum bpf_attach_type type, uint32_t function, int module, int map)
{
	struct bpf_insn program[] = {
		/* r1 = the counter, r2 = 1, atomically *r1 += r2, return 0 */
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = map },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 1 },
		{ .code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 1, .src_reg = 2, .imm = BPF_ADD },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_TRACING;
	attr.expected_attach_type = type;
	attr.insns = (uintptr_t)program;
	attr.insn_cnt = ARRAY_SIZE(program);
	attr.license = (uintptr_t)"GPL";
	attr.attach_btf_id = function;
	if (module >= 0)
		attr.attach_btf_obj_fd = module;
	strcpy(attr.prog_name, "selftest");
	return bpf(BPF_PROG_LOAD, &attr, "loading the program");
}

static int attach(int program)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.prog_fd = program;
	return bpf(BPF_RAW_TRACEPOINT_OPEN, &attr, "attaching the program");
}

/* Until it is terminated. */
static void stay(int program, const volatile uint64_t *counter, const sigset_t *set)
{
	int signal, link = attach(program);

	puts("attached");
	while (!sigwait(set, &signal) && signal == SIGUSR1)
		printf("calls %llu\n", (unsigned long long)*counter);
	close(link);
	puts("detached");
}

static void again_and_again(int program, const sigset_t *set)
{
	const struct timespec at_once = { 0 };
	unsigned long times = 0;

	puts("ready");
	do {
		close(attach(program));
		times++;
	} while (sigtimedwait(set, NULL, &at_once) != SIGTERM);
	printf("attached %lu times\n", times);
}

int main(int argc, char **argv)
{
	bool loop = argc > 1 && !strcmp(argv[1], "-l");
	const volatile uint64_t *counter;
	enum bpf_attach_type type;
	uint32_t function, count;
	int module = -1, program;
	struct btf btf;
	sigset_t set;

	argv += loop;
	argc -= loop;
	if (argc < 3 || argc > 4 || (strcmp(argv[1], "fentry") && strcmp(argv[1], "fexit")))
		bad("usage: bpf [-l] fentry|fexit FUNCTION [MODULE]");
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);

	btf = read_btf("vmlinux");
	function = find(&btf, 0, 0, argv[2], &count);
	if (argc == 4) {
		uint32_t strings = btf.header->str_len, before = count;

		btf = read_btf(argv[3]);
		function = find(&btf, before, strings, argv[2], &count);
		module = module_btf(argv[3]);
	}
	if (!function)
		bad("the kernel has no type for that function");
	type = strcmp(argv[1], "fentry") ? BPF_TRACE_FEXIT : BPF_TRACE_FENTRY;
	program = load(type, function, module, new_counter(&counter));
	if (loop)
		again_and_again(program, &set);
	else
		stay(program, counter, &set);
	return 0;
}
