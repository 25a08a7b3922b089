// SPDX-License-Identifier: GPL-2.0

//! The patch that the registry is busy with: callbacks of it are due before or after a transition. See `calling.rs`.

use crate::{ffi, model::refusal::Refusal, transition::engine::Kind, uapi::Reason};

/// What the registry is busy with.
pub(super) struct Busy {
    pub(super) patch: u64,
    pub(super) step: Step,
    /// The object whose callback is being called.
    pub(super) at: Option<usize>,
}

pub(super) enum Step {
    /// A request of this process is about to begin a transition of this kind.
    Before(Kind, u32),
    /// A transition has ended.
    Behind(End),
}

/// How a transition has ended.
pub(super) struct End {
    pub(super) enabled: bool,
    /// For the log.
    pub(super) how: &'static str,
    /// Somebody calls the callbacks.
    pub(super) taken: bool,
}

/// Refuses to wait for a callback from within a callback, which might be the same one.
pub(super) fn may_wait() -> Result<(), Refusal> {
    // SAFETY: No requirements.
    if unsafe { ffi::lp_current_is_active() } == 0 {
        return Ok(());
    }
    let pid = kernel::current!().pid().unsigned_abs();
    Err(Refusal::new(Reason::InCallback).value(pid.into()))
}
