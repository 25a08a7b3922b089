// SPDX-License-Identifier: GPL-2.0
/*
 * A caller that may open /dev/lpatch and has no capability.
 *
 *	nonroot			sends every request; exits with 1 if one is answered otherwise than LPATCH_R_PERM
 *	nonroot COMMAND ARG...	runs a command so
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../../lpatch-core/uapi/lpatch.h"

#define NOBODY 65534

int main(int argc, char **argv)
{
	static const struct {
		unsigned long cmd;
		__u32 size;
	} calls[] = {
		{ LPATCH_IOC_QUERY, sizeof(struct lpatch_query) },
		{ LPATCH_IOC_RESERVE, sizeof(struct lpatch_reserve) },
		{ LPATCH_IOC_LOAD, sizeof(struct lpatch_load) },
		{ LPATCH_IOC_ENABLE, sizeof(struct lpatch_op) },
		{ LPATCH_IOC_DISABLE, sizeof(struct lpatch_op) },
		{ LPATCH_IOC_UNLOAD, sizeof(struct lpatch_op) },
		{ LPATCH_IOC_LIST, sizeof(struct lpatch_list) },
		{ LPATCH_IOC_STATUS, sizeof(struct lpatch_status) },
	};
	size_t i;
	int fd, early, bad = 0;

	/* Opened by root and used by somebody else counts as somebody else's. */
	early = open("/dev/lpatch", O_RDWR);
	if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)) {
		perror("nonroot");
		return 2;
	}
	if (argc > 1) {
		close(early);
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		return 2;
	}
	fd = open("/dev/lpatch", O_RDWR);
	if (fd < 0 || early < 0) {
		perror("/dev/lpatch");
		return 2;
	}
	for (i = 0; i < 4 * sizeof(calls) / sizeof(calls[0]); i++) {
		union {
			struct lpatch_hdr hdr;
			char bytes[512];
		} r;
		int got;

		memset(&r, 0, sizeof(r));
		/* Refused before anything else is looked at: right or wrong, the answer is the same. */
		r.hdr.size = i % 2 ? calls[i / 4].size : 0;
		got = ioctl(i % 4 < 2 ? fd : early, calls[i / 4].cmd, &r) ? errno : 0;
		if (got == EPERM && r.hdr.reason == LPATCH_R_PERM)
			continue;
		printf("request %zu: errno %d reason %u\n", i / 4, got, r.hdr.reason);
		bad = 1;
	}
	return bad;
}
