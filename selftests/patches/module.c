// SPDX-License-Identifier: GPL-2.0
/*
 * A function of a loadable module: the file "status" of a mounted binfmt_misc says "patched".
 *
 * It calls a function that vmlinux exports, and one that is static in the module, which is why the
 * module has to be named for that symbol. scanarg() ends the string at the delimiter.
 */

#include <linux/fs.h>
#include <linux/string.h>

#include <lpatch/patch.h>

extern char *scanarg(char *s, char del);

static char status[] = "patched\n|not to be seen\n";

static ssize_t lpatch_bm_status_read(struct file *file, char __user *buf, size_t nbytes,
				     loff_t *ppos)
{
	const char *rest;

	status[8] = '|';
	rest = scanarg(status, '|');
	return simple_read_from_buffer(buf, nbytes, ppos, status, rest - status - 1);
}

LPATCH_FUNC(binfmt_misc, bm_status_read, lpatch_bm_status_read);
LPATCH_SYM(binfmt_misc, scanarg, 0);

LPATCH_NAME("module");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("the status file of binfmt_misc says patched");
