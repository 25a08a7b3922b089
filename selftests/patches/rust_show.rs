// SPDX-License-Identifier: GPL-2.0

//! /proc/execdomains counts, in Rust.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::{bindings, fmt, prelude::*, seq_file::SeqFile, seq_print};

static READS: AtomicU32 = AtomicU32::new(40);

struct Sum<'a>(&'a [u32]);

impl fmt::Display for Sum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.iter().sum::<u32>())
    }
}

/// Takes the place of `execdomains_proc_show()` in kernel/exec_domain.c.
///
/// # Safety
///
/// `m` is a file that is being read.
#[no_mangle]
pub unsafe extern "C" fn lpatch_rust_show(m: *mut bindings::seq_file, _v: *mut c_void) -> c_int {
    // SAFETY: As the caller promises.
    let m = unsafe { SeqFile::from_raw(m) };
    let reads = READS.fetch_add(1, Ordering::Relaxed) + 1;
    let mut numbers = KVec::new();
    for number in 1..=reads {
        if numbers.push(number, GFP_KERNEL).is_err() {
            return ENOMEM.to_errno();
        }
    }
    seq_print!(m, "lpatch in Rust: read {reads}, sum {}\n", Sum(&numbers));
    0
}
