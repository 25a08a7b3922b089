// SPDX-License-Identifier: GPL-2.0

//! A transition: every task moves from one version of the patched functions to another, one at a time.
//!
//! Enabling, disabling and replacing patches are all this; what *from* and *to* mean at each site is the
//! business of the table that the handler finds its site in. Reversing is moving back.
//!
//! **The invariant**: no task executes a function of *to* while one of *from* is on its stack, or the other
//! way round.

pub mod atomic;
mod counters;
pub mod evidence;
pub mod set;
pub mod stack;
mod task;

pub use counters::{Cause, Counters};
pub use task::Task;

/// A version of the patched functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What was in force before.
    From,
    /// What comes into force.
    To,
}
