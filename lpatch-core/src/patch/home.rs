// SPDX-License-Identifier: GPL-2.0

//! The home of a patch whose code is in a kernel module.

use crate::{
    ffi,
    running::{modules::Pinned, names},
};
use core::ops::Range;

/// The module that a patch lives in, held.
pub(crate) struct Home {
    _module: Pinned,
    pub(crate) text: Range<usize>,
    pub(crate) rodata_len: u32,
    pub(crate) data_len: u32,
}

impl Home {
    /// In this module.
    pub(crate) fn new(module: Pinned, about: &ffi::lp_module) -> Self {
        Self {
            _module: module,
            text: about.text..about.text.saturating_add(about.text_len as usize),
            rodata_len: about.rodata_len,
            data_len: about.data_len,
        }
    }

    /// The length of a function in its text.
    pub(crate) fn length(&self, addr: u64) -> Option<u32> {
        let inside = usize::try_from(addr).is_ok_and(|addr| self.text.contains(&addr));
        let len = names::symbol_size(addr).filter(|_| inside)?;
        u32::try_from(len).ok()
    }
}
