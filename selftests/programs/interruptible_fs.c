// SPDX-License-Identifier: GPL-2.0
/*
 * interruptible_fs DIRECTORY: mounts a filesystem in user mode there that has one file, "slow". Who asks for it first waits until it is
 * interrupted, and is told EINTR then, as the protocol allows; who asks later is answered at once. It says what happens, a word a line:
 * mounted, asked, gave_up, answered.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define ROOT FUSE_ROOT_ID
#define SLOW 2

static int device;

static void answer(uint64_t unique, int error, void *data, size_t len)
{
	struct fuse_out_header out = { .len = (uint32_t)(sizeof(out) + len), .error = -error, .unique = unique };
	struct iovec parts[] = { { &out, sizeof(out) }, { data, len } };

	/* Whoever asked may be gone. */
	if (writev(device, parts, 2) < 0 && errno != ENOENT)
		perror("answer");
}

static struct fuse_attr attributes(uint64_t node)
{
	struct fuse_attr attr = { .ino = node, .nlink = 1, .mode = node == ROOT ? S_IFDIR | 0755 : S_IFREG | 0644, .blksize = 4096 };

	return attr;
}

static void serve(const struct fuse_in_header *in)
{
	static uint64_t waits;
	static int asked;

	switch (in->opcode) {
	case FUSE_INIT: {
		struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = 4096 };

		answer(in->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_GETATTR: {
		struct fuse_attr_out out = { .attr = attributes(in->nodeid) };

		answer(in->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_LOOKUP: {
		struct fuse_entry_out out = { .nodeid = SLOW, .attr = attributes(SLOW) };

		if (in->nodeid != ROOT || strcmp((const char *)(in + 1), "slow")) {
			answer(in->unique, ENOENT, NULL, 0);
		} else if (!asked++) {
			waits = in->unique;
			puts("asked");
		} else {
			answer(in->unique, 0, &out, sizeof(out));
			puts("answered");
		}
		break;
	}
	case FUSE_INTERRUPT: {
		const struct fuse_interrupt_in *what = (const void *)(in + 1);

		if (what->unique == waits) {
			answer(waits, EINTR, NULL, 0);
			puts("gave_up");
		}
		break;
	}
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		break;
	default:
		answer(in->unique, ENOSYS, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	static uint64_t buffer[2 * FUSE_MIN_READ_BUFFER / sizeof(uint64_t)];
	char options[128];

	if (argc != 2) {
		fputs("usage: interruptible_fs DIRECTORY\n", stderr);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (device < 0) {
		perror("/dev/fuse");
		return 2;
	}
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
	if (mount("interruptible_fs", argv[1], "fuse", 0, options)) {
		perror("mount");
		return 2;
	}
	puts("mounted");
	for (;;) {
		if (read(device, buffer, sizeof(buffer)) >= (ssize_t)sizeof(struct fuse_in_header))
			serve((const void *)buffer);
		else if (errno == ENODEV)
			return 0;
	}
}
