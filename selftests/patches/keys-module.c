// SPDX-License-Identifier: GPL-2.0
/* A static key and a static call of a module, in the new version of a function of it. */

#include <linux/jump_label.h>
#include <linux/seq_file.h>
#include <linux/static_call.h>

#include <lpatch/patch.h>

/* Neither is exported; both are static in their module. */
extern struct static_key_false keys_target_key;
LPATCH_SYM(keys_target, keys_target_key, 0);
DECLARE_STATIC_CALL(keys_target_call, long (long value));
LPATCH_SYM(keys_target, __SCT__keys_target_call, 0);

static int lpatch_keys_target_show(struct seq_file *m, void *v)
{
	long called = static_call(keys_target_call)(10);
	const char *key = "off";

	if (static_branch_unlikely(&keys_target_key))
		key = "on";
	seq_printf(m, "new key %s call %ld\n", key, called);
	return 0;
}

LPATCH_FUNC(keys_target, keys_target_show, lpatch_keys_target_show);

LPATCH_NAME("keys-module");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("/proc/keys_target says what the patch sees of the module");
