// SPDX-License-Identifier: GPL-2.0
/*
 * sample COMMAND [ARGUMENT…]: runs it, and says where it was in the kernel, a thousand times a second of its time on a
 * CPU: "COUNT INNERMOST<CALLER<…", the most frequent first. Names are those of /proc/kallsyms; "?" where there is none.
 */
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES	256	/* of the ring; a power of two */

struct symbol {
	uint64_t address;
	char name[64];
};
static struct symbol *symbols;
static size_t count;

struct chain {
	unsigned int samples;
	char text[1024];
};
static struct chain chains[256];
static size_t different;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

static int by_samples(const void *a, const void *b)
{
	const struct chain *x = a, *y = b;

	return x->samples > y->samples ? -1 : x->samples < y->samples;
}

static void read_symbols(void)
{
	FILE *file = fopen("/proc/kallsyms", "r");
	size_t room = 0;
	char line[1024], name[64], type;
	unsigned long long address;

	if (!file)
		die("/proc/kallsyms");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%llx %c %63s", &address, &type, name) != 3 || !strchr("tTwW", type))
			continue;
		if (count == room) {
			room = room ? 2 * room : 1 << 17;
			symbols = realloc(symbols, room * sizeof(*symbols));
			if (!symbols)
				die("memory");
		}
		symbols[count].address = address;
		strcpy(symbols[count++].name, name);
	}
	fclose(file);
	qsort(symbols, count, sizeof(*symbols), by_address);
}

static const char *name_of(uint64_t address)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (symbols[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? symbols[low - 1].name : "?";
}

/* One sample: the interrupted instruction, then return addresses. */
static void take(const uint64_t *ips, uint64_t length)
{
	char text[1024] = "";
	size_t at = 0, i;

	for (i = 0; i < length; i++) {
		/* A mark, as PERF_CONTEXT_KERNEL. */
		if (ips[i] >= (uint64_t)-4095)
			continue;
		at += snprintf(text + at, sizeof(text) - at, "%s%s", at ? "<" : "", name_of(at ? ips[i] - 1 : ips[i]));
		if (at >= sizeof(text))
			break;
	}
	for (i = 0; i < different; i++)
		if (!strcmp(chains[i].text, text))
			break;
	if (i == different) {
		if (different == sizeof(chains) / sizeof(*chains))
			return;
		strcpy(chains[different++].text, text);
	}
	chains[i].samples++;
}

int main(int argc, char **argv)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 1000000,
		.sample_type = PERF_SAMPLE_CALLCHAIN,
		.exclude_user = 1,
		.exclude_callchain_user = 1,
		.disabled = 1,
		.enable_on_exec = 1,
	};
	size_t size = PAGES * 4096UL, i;
	struct perf_event_mmap_page *page;
	uint64_t at, head;
	int go[2], event, status;
	char *ring;
	pid_t pid;

	if (argc < 2)
		return 2;
	if (pipe(go))
		die("pipe");
	pid = fork();
	if (!pid) {
		char c;

		/* Not before somebody looks. */
		close(go[1]);
		if (read(go[0], &c, 1) != 0)
			_exit(126);
		execvp(argv[1], argv + 1);
		_exit(127);
	}
	event = syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (event < 0)
		die("perf_event_open");
	page = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_SHARED, event, 0);
	if (page == MAP_FAILED)
		die("mmap");
	close(go[0]);
	close(go[1]);
	if (waitpid(pid, &status, 0) != pid || status)
		die("the command");
	read_symbols();

	ring = (char *)page + 4096;
	head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
	for (at = 0; at < head;) {
		/* Records are multiples of eight bytes; one that goes over the end of the ring is put together. */
		uint64_t record[8192];
		struct perf_event_header header;
		size_t k;

		memcpy(&header, ring + at % size, sizeof(header));
		if (header.size < sizeof(header))
			break;
		for (k = 0; k < header.size / 8; k++)
			memcpy(&record[k], ring + (at + 8 * k) % size, 8);
		if (header.type == PERF_RECORD_SAMPLE)
			take(record + 2, record[1]);
		at += header.size;
	}
	qsort(chains, different, sizeof(*chains), by_samples);
	for (i = 0; i < different; i++)
		printf("%u %s\n", chains[i].samples, chains[i].text);
	return 0;
}
