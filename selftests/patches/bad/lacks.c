// SPDX-License-Identifier: GPL-2.0
/* Needs a symbol that its module does not have, which is seen when the module comes. */

#include <linux/fs.h>

#include <lpatch/patch.h>

extern int lpatch_no_such_symbol(void);

static ssize_t new_bm_status_read(struct file *file, char __user *buf, size_t nbytes, loff_t *ppos)
{
	return lpatch_no_such_symbol();
}

LPATCH_FUNC(binfmt_misc, bm_status_read, new_bm_status_read);
LPATCH_SYM(binfmt_misc, lpatch_no_such_symbol, 0);

LPATCH_NAME("lacks");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("a symbol that its module does not have");
