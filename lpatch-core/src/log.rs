// SPDX-License-Identifier: GPL-2.0

//! What the log shows of names and numbers.

use kernel::{fmt, prelude::*};

/// A name for the log.
pub(crate) struct Name<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.split(|b| *b == 0).next().unwrap_or_default();
        f.write_str(core::str::from_utf8(name).unwrap_or("?"))
    }
}

/// A value for the log, whose readers are not to learn where things are: an address of the kernel is not shown. No symbol is asked for
/// either, as the log is written with interrupts off.
pub(crate) struct Shown(pub(crate) u64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // They are in the upper half; errnos, ids, lengths and checksums are not.
        if self.0 >> 63 == 0 {
            f.write_fmt(fmt!("{:#x}", self.0))
        } else {
            f.write_str("an address")
        }
    }
}
