// SPDX-License-Identifier: GPL-2.0

//! The names of a patch: its own, those of its functions, and those that the kernel shows of its code.

use crate::{arena::symbols::Names, patch::reserved::Reserved, uapi};
use kernel::prelude::*;

/// The strings of a patch and its symbols.
pub(super) struct Strings {
    /// The name of the patch itself.
    pub(super) patch: KVVec<u8>,
    pub(super) strings: KVVec<u8>,
    pub(super) ksyms: KVVec<uapi::Ksym>,
}

impl Strings {
    pub(super) fn at(&self, reserved: &Reserved) -> Names<'_> {
        let runs = &reserved.runs;
        Names {
            name: &self.patch,
            text_end: runs.text.addr + reserved.request.text_len as usize,
            strings: &self.strings,
            ksyms: &self.ksyms,
            sections: [runs.text.addr, runs.rodata.addr, runs.data.addr],
        }
    }

    pub(super) fn get(&self, offset: u32) -> &[u8] {
        let rest = self.strings.get(offset as usize..).unwrap_or_default();
        rest.split(|b| *b == 0).next().unwrap_or_default()
    }
}
