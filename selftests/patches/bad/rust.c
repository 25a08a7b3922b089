// SPDX-License-Identifier: GPL-2.0
/*
 * Replaces a Rust function. Its mangled name has a hash of the compiler, so the Makefile takes the
 * name from the target's symbols and writes it into the header.
 */

#include <linux/types.h>

#include <lpatch/patch.h>

#include "rust-function.h"

static void lpatch_rust(void)
{
}

LPATCH_FUNC(vmlinux, RUST_FUNCTION, lpatch_rust);

LPATCH_NAME("bad-rust");
