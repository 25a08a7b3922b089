// SPDX-License-Identifier: GPL-2.0

//! lpatch_core replaces functions of the running kernel.

use kernel::prelude::*;

mod ffi;

module! {
    type: Core,
    name: "lpatch_core",
    authors: ["The lpatch developers"],
    description: "Replaces functions of the running kernel",
    license: "GPL",
}

struct Core;

/// The ftrace handler's question; nothing is redirected yet.
#[no_mangle]
extern "C" fn lpatch_redirect(_table: *const kernel::ffi::c_void, _ip: usize) -> usize {
    0
}

impl kernel::Module for Core {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let arena = (&raw const ffi::lp_arena_text) as usize..(&raw const ffi::lp_arena_text_end) as usize;
        pr_info!("{} KiB of text for patches\n", arena.len() >> 10);
        Ok(Self)
    }
}
