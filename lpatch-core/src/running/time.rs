// SPDX-License-Identifier: GPL-2.0

//! The time, and how long grace periods take.

use kernel::{
    bindings,
    time::{delay::fsleep, Delta},
};

/// How long a request waits for a grace period, or for a module.
pub(crate) const GRACE_NS: u64 = 10_000_000_000;
/// For so long after the end of a grace period of RCU tasks the core believes that the next one will end, too.
pub(crate) const FRESH_NS: u64 = 250_000_000;

/// Nanoseconds since the kernel was booted.
pub(crate) fn now() -> u64 {
    // SAFETY: No requirements.
    unsafe { bindings::ktime_get() }.unsigned_abs()
}

/// Sleeps for a tick or two, to wait for a change of which nobody tells.
pub(crate) fn wait_a_moment() {
    fsleep(Delta::from_millis(5));
}
