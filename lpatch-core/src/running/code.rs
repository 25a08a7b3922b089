// SPDX-License-Identifier: GPL-2.0

//! The code of the kernel: what is there now, and where some of it is.

use crate::{ffi, model::fentry, running::time::wait_a_moment};

/// How often a site that is being written is looked at, with a moment between two looks.
const LOOKS: usize = 20;

/// Copies kernel memory; fails where none is mapped.
pub(crate) fn read(addr: u64, out: &mut [u8]) -> bool {
    // SAFETY: `out` is writable for its length; the source may be any address.
    unsafe { ffi::lp_read_kernel(out.as_mut_ptr().cast(), addr as usize, out.len()) == 0 }
}

/// 8 bytes of kernel memory, or `None` where none is mapped.
pub(crate) fn word(addr: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    read(addr, &mut bytes).then(|| u64::from_ne_bytes(bytes))
}

/// Whether a fentry site is a jump. One that is written at this moment is looked at again, until it has been for a while, by which
/// time it may be called one that somebody else uses too.
pub(crate) fn jumps_at(ip: u64) -> bool {
    for _ in 0..LOOKS {
        let mut site = [0; 5];
        let found = read(ip, &mut site).then(|| fentry::site(&site));
        match found.flatten().map(|found| found.form) {
            Some(fentry::Form::Jmp(_)) => return true,
            Some(fentry::Form::Changing) => wait_a_moment(),
            _ => return false,
        }
    }
    false
}

/// The address of the return thunk.
pub(super) fn return_thunk() -> u64 {
    // SAFETY: No requirements.
    unsafe { ffi::lp_return_thunk() as u64 }
}

/// Where the thunks for indirect branches begin; 0: there are none.
pub(super) fn indirect_thunks() -> u64 {
    // SAFETY: No requirements.
    unsafe { ffi::lp_indirect_thunks() as u64 }
}

/// The address of `BUG_func`.
pub(super) fn bug_func() -> u64 {
    // SAFETY: No requirements.
    unsafe { ffi::lp_bug_func() as u64 }
}
