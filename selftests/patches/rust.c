// SPDX-License-Identifier: GPL-2.0
/* /proc/execdomains by a function in Rust: rust_show.rs. */

#include <linux/seq_file.h>

#include <lpatch/patch.h>

int lpatch_rust_show(struct seq_file *m, void *v);
LPATCH_FUNC(vmlinux, execdomains_proc_show, lpatch_rust_show);

LPATCH_NAME("rust");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("/proc/execdomains counts, in Rust");
