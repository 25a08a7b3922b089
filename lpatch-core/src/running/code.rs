// SPDX-License-Identifier: GPL-2.0

//! The code of the kernel: what is there now, and where some of it is.

use crate::{ffi, model::fentry, running::time::wait_a_moment};
use core::ops::Range;

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

/// The page, of whatever size, in which an address is, if it is mapped executable.
pub(super) fn executable(addr: u64) -> Option<Range<u64>> {
    let (mut start, mut end) = (0, 0);
    // SAFETY: The pointers are to local variables; any address may be asked about.
    let found = unsafe { ffi::lp_executable(addr as usize, &mut start, &mut end) } != 0;
    found.then_some(start as u64..end as u64)
}

/// Whether a fentry site is a jump. If the site is being written at this moment, this looks again, for a while. After that it may be called
/// a site that somebody else uses too.
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

/// The address of a symbol that the kernel exports for its own code. Nothing there is read or called by its name.
macro_rules! exported {
    ($(#[$doc:meta])* $name:ident is $symbol:literal if $built:meta) => {
        $(#[$doc])*
        pub(super) fn $name() -> u64 {
            #[cfg($built)]
            {
                extern "C" {
                    #[link_name = $symbol]
                    static SYMBOL: u8;
                }
                (&raw const SYMBOL) as u64
            }
            #[cfg(not($built))]
            0
        }
    };
}

exported! {
    /// The return thunk; 0: there is none.
    return_thunk is "__x86_return_thunk" if CONFIG_MITIGATION_RETHUNK
}
exported! {
    /// The first of the thunks for indirect branches; 0: there are none.
    indirect_thunks is "__x86_indirect_thunk_rax" if CONFIG_MITIGATION_RETPOLINE
}
exported! {
    /// The first of those that count calls; 0: there are none.
    indirect_call_thunks is "__x86_indirect_call_thunk_rax" if CONFIG_MITIGATION_CALL_DEPTH_TRACKING
}
exported! {
    /// The first of those for jumps where calls are counted; 0: there are none.
    indirect_jump_thunks is "__x86_indirect_jump_thunk_rax" if CONFIG_MITIGATION_CALL_DEPTH_TRACKING
}
exported! {
    /// `BUG_func`, for which alternatives have a rule.
    bug_func is "BUG_func" if all()
}
exported! {
    /// `nop_func`, for which they have another one.
    nop_func is "nop_func" if all()
}
