// SPDX-License-Identifier: GPL-2.0

//! The atomics of a transition: those of `core`, or those of loom where its tests run.
//!
//! The feature `loom` exists on the host only. Counters that nobody decides by stay with `core`, so that
//! they add nothing to what loom has to explore.

#[cfg(not(feature = "loom"))]
pub use core::sync::atomic::{fence, AtomicIsize, AtomicU64, AtomicUsize, Ordering};
#[cfg(feature = "loom")]
pub use loom::sync::atomic::{fence, AtomicIsize, AtomicU64, AtomicUsize, Ordering};
