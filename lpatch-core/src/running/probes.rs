// SPDX-License-Identifier: GPL-2.0

//! Asks the kernel what was in the place of kprobes; see `shim/probes.c`.

use crate::{
    ffi,
    model::{refusal::Refusal, verify},
    running::{
        code,
        time::{now, wait_a_moment, FRESH_NS, GRACE_NS},
    },
    uapi::Reason,
};
use core::ptr::NonNull;
use kernel::{bindings, prelude::*};

const _: () = assert!(ffi::LP_PROBES as usize == verify::PROBES_MAX);

/// Probes of ours beside those of others; they leave when it is dropped.
///
/// # Invariants
///
/// The pointer is from `lp_probes_new()`, and nobody else has it.
struct Probes(NonNull<ffi::lp_probes>);

impl Probes {
    fn new() -> Result<Self, Refusal> {
        // SAFETY: No requirements; we may sleep.
        let probes = NonNull::new(unsafe { ffi::lp_probes_new() });
        // INVARIANT: It has just been made.
        probes.map(Self).ok_or(Reason::Nomem.into())
    }

    /// The first byte of the instruction at `addr`, without any probe; `None`: there can be none.
    fn join(&mut self, addr: u64) -> Result<Option<u8>, Refusal> {
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

/// Asks the kernel, about one function after the other. A question may take as long as a request waits; so the registry is not locked.
///
/// The kernel's kprobe optimizer begins whenever the probes at an instruction have changed. It waits for an RCU-tasks grace period, and
/// holds locks that are needed to change text or to have a probe. If some kernel thread never sleeps, our probe would wait for the
/// optimizer when it joins, and everybody else would when it has left. So a probe joins only when a grace period of our own has just ended:
/// then there is no such thread, or it began to spin within the last moment.
pub(crate) struct Asking {
    probes: Option<Probes>,
    /// Until then no grace period is needed.
    fresh_ns: u64,
    /// Whether a signal ends the wait.
    interruptible: bool,
    /// Where there were probes; those for which there was memory.
    found: KVec<u64>,
}

impl Asking {
    pub(crate) fn new(interruptible: bool) -> Self {
        Self {
            probes: None,
            fresh_ns: 0,
            interruptible,
            found: KVec::new(),
        }
    }

    /// Where there were probes.
    pub(crate) fn found(self) -> KVec<u64> {
        self.found
    }

    /// As [`verify::Kernel::original`].
    pub(crate) fn original(&mut self, addr: u64) -> Result<Option<u8>, Refusal> {
        self.wait_for_grace(addr)?;
        let mut there = [0];
        let known = code::read(addr, &mut there);
        let original = match &mut self.probes {
            Some(probes) => probes.join(addr),
            none => none.insert(Probes::new()?).join(addr),
        }?;
        // Where there was none, it is what it was.
        let probed = known && original.is_some_and(|original| original != there[0]);
        if probed && !self.found.contains(&addr) {
            let _ = self.found.push(addr, GFP_KERNEL);
        }
        Ok(original)
    }

    /// As [`verify::Kernel::forget_originals`].
    pub(crate) fn forget(&mut self) {
        self.probes = None;
    }

    fn wait_for_grace(&mut self, addr: u64) -> Result<(), Refusal> {
        if now() < self.fresh_ns {
            return Ok(());
        }
        // SAFETY: No requirements.
        let ticket = unsafe { ffi::lp_grace_begin() };
        // SAFETY: No requirements.
        unsafe { ffi::lp_grace_hurry() };
        let end = now().saturating_add(GRACE_NS);
        loop {
            // SAFETY: No requirements.
            let seen = unsafe { ffi::lp_event_count() };
            // SAFETY: No requirements.
            if unsafe { ffi::lp_grace_is_over(ticket) } != 0 {
                self.fresh_ns = now().saturating_add(FRESH_NS);
                return Ok(());
            }
            let left = end.saturating_sub(now());
            if left == 0 {
                return Err(Refusal::new(Reason::FuncProbed).value(addr));
            }
            // SAFETY: No requirements; we may sleep.
            let error = unsafe { ffi::lp_event_wait(seen, (left / 1_000_000 + 1) as u32) };
            if error == -(bindings::EINTR as i32) {
                if self.interruptible {
                    return Err(Reason::Interrupted.into());
                }
                wait_a_moment();
            }
        }
    }
}
