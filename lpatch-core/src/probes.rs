// SPDX-License-Identifier: GPL-2.0

//! What was in the place of kprobes, asked of the kernel; see `shim/probes.c`.

use crate::{ffi, model::refusal::Refusal, model::verify, uapi::Reason};
use core::ptr::NonNull;
use kernel::prelude::*;

const _: () = assert!(ffi::LP_PROBES as usize == verify::PROBES_MAX);

/// Probes of ours beside those of others; they leave when it is dropped.
///
/// # Invariants
///
/// The pointer is from `lp_probes_new()`, and nobody else has it.
pub(crate) struct Probes(NonNull<ffi::lp_probes>);

impl Probes {
    pub(crate) fn new() -> Result<Self, Refusal> {
        // SAFETY: No requirements; we may sleep.
        let probes = NonNull::new(unsafe { ffi::lp_probes_new() });
        // INVARIANT: It has just been made.
        probes.map(Self).ok_or(Reason::Nomem.into())
    }

    /// The first byte of the instruction at `addr`, without any probe; `None`: there can be none.
    pub(crate) fn join(&mut self, addr: u64) -> Result<Option<u8>, Refusal> {
        let mut first = 0;
        // SAFETY: By the type invariant the first pointer is valid and ours; the other one is to a local variable. The kernel
        // takes any address: it looks itself whether that is of code that may be probed. We may sleep.
        let error = unsafe { ffi::lp_probes_join(self.0.as_ptr(), addr as usize, &mut first) };
        match error {
            0 => Ok(Some(first)),
            _ if error == ENOMEM.to_errno() => Err(Reason::Nomem.into()),
            _ => Ok(None),
        }
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is valid and ours, and it is not used afterwards. We may sleep.
        unsafe { ffi::lp_probes_free(self.0.as_ptr()) }
    }
}
