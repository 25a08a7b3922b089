// SPDX-License-Identifier: GPL-2.0

//! Calls in the code of the kernel, as a return address shows them.

use crate::{
    ffi,
    model::callee::{self, Call},
};
use core::sync::atomic::{AtomicU8, Ordering};

/// Length of the call at a fentry site, which returns behind it.
pub(crate) const FENTRY_CALL: u64 = callee::SITE_LEN;

/// Length of the instruction in front of functions that counts calls, where the kernel has that; else 0.
static COUNT_LEN: AtomicU8 = AtomicU8::new(0);

/// Sets the length of the instruction that counts calls. Before there is a patch.
pub(crate) fn set_count_len(len: u8) {
    // Relaxed: who looks at a stack for a patch has the patch from who called this.
    COUNT_LEN.store(len, Ordering::Relaxed);
}

/// What was called in front of a return address, if that is known; see [`callee::direct`].
pub(crate) fn called(addr: u64) -> Option<Call> {
    let mut before = [0; callee::CALL_LEN];
    if !peek(addr - callee::CALL_LEN as u64, &mut before) {
        return None;
    }
    let mut call = callee::direct(before, addr)?;
    // Relaxed: as above.
    let len = COUNT_LEN.load(Ordering::Relaxed);
    let mut begins = [0; callee::COUNT.len()];
    if len > 0 && peek(call.target, &mut begins) && begins == callee::COUNT {
        call.target += u64::from(len);
    }
    Some(call)
}

/// Reads code, in any context. Whether there is memory.
fn peek(addr: u64, to: &mut [u8]) -> bool {
    // SAFETY: The buffer has that many bytes; any address may be asked about.
    unsafe { ffi::lp_peek(addr as usize, to.as_mut_ptr(), to.len() as u32) != 0 }
}
