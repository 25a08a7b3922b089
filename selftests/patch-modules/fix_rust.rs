// SPDX-License-Identifier: GPL-2.0

//! A patch that is a kernel module in Rust: /proc/cmdline says who answers.

use core::ffi::{c_int, c_void};
use kernel::{bindings, prelude::*};

mod lpatch;

module! {
    type: Fix,
    name: "fix_rust",
    authors: ["The lpatch developers"],
    description: "replaces a function of the kernel",
    license: "GPL",
}

const TEXT: &[u8] = b"lpatch module fix_rust\n";

/// Takes the place of `cmdline_proc_show()` in fs/proc/cmdline.c.
unsafe extern "C" fn new_cmdline_proc_show(m: *mut bindings::seq_file, _v: *mut c_void) -> c_int {
    // SAFETY: The caller hands over a file that is being read; the pointer and the length are of one slice.
    unsafe { bindings::seq_write(m, TEXT.as_ptr().cast(), TEXT.len()) }
}

/// All tasks use the new function.
unsafe extern "C" fn post_patch(_object: *const lpatch::Object) {
    pr_info!("in force\n");
}

struct Fix;

impl kernel::Module for Fix {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let funcs = [lpatch::Func {
            old_name: c"cmdline_proc_show".as_ptr().cast(),
            new_func: new_cmdline_proc_show as *const c_void,
            ..lpatch::Func::END
        }];
        let about = lpatch::About {
            callbacks: &[lpatch::Callbacks {
                post_patch: Some(post_patch),
                ..lpatch::Callbacks::END
            }],
            states: &[lpatch::State { id: 1, version: 1 }],
            ..lpatch::About::DEFAULT
        };
        // SAFETY: The replacement has the type of the old function. Nothing behind this can fail.
        unsafe { lpatch::register(module, &funcs, about)? };
        Ok(Fix)
    }
}
