// SPDX-License-Identifier: GPL-2.0

//! What is kept of a patch that was unloaded, see `lingering.rs`.

use crate::patch::Patch;

/// A patch that was unloaded.
pub(super) struct Lingering {
    pub(super) patch: Patch,
    /// The grace period that began when the last transition before had ended. `None`: what that transition has left is not settled yet.
    pub(super) ticket: Option<usize>,
    /// Not to be looked at before.
    pub(super) from_ns: u64,
}
