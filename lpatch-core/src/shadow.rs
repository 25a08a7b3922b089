// SPDX-License-Identifier: GPL-2.0

//! The end of shadow variables. Everything else about them is C's (`shim/shadow.c`), like those who use them.

use crate::ffi;

/// Frees what is left of them when it is dropped.
pub(crate) struct Shadows(());

impl Shadows {
    /// # Safety
    ///
    /// Once, from the module's initialization. The value is dropped when there are no patches.
    pub(crate) unsafe fn new() -> Self {
        Self(())
    }
}

impl Drop for Shadows {
    fn drop(&mut self) {
        // SAFETY: There are no patches, as `new` demands. No module calls us either: one that does holds a
        // reference, and with that the module does not go.
        unsafe { ffi::lp_shadow_exit() };
    }
}
