// SPDX-License-Identifier: GPL-2.0

//! The text of a patch as it was loaded, and what has become of it.
//!
//! This is a copy, not a checksum, because the question is which byte has changed. It takes as much memory again as the text.

use crate::{
    arena::memory::INT3,
    model::{compare::differences, refusal::Refusal},
    running::{code, names},
    uapi,
};
use core::ops::Range;
use kernel::{page::PAGE_SIZE, prelude::*};

/// What the text of a patch has to be. Empty for a patch that lives in a module.
pub(super) struct Loaded(KVVec<u8>);

/// How the text of a patch differs from what was loaded.
pub(crate) struct Compared {
    /// As many as were asked for.
    pub(crate) list: KVVec<uapi::Difference>,
    /// How many there are.
    pub(crate) count: usize,
    /// How many bytes differ.
    pub(crate) bytes: usize,
    /// How many were compared.
    pub(crate) len: usize,
}

impl Loaded {
    pub(super) fn new(text: KVVec<u8>) -> Self {
        Self(text)
    }

    /// The text, without what is behind it in its last page.
    pub(super) fn text(&self) -> &[u8] {
        &self.0
    }

    /// A field of the patch was written.
    pub(super) fn put(&mut self, section: u8, offset: usize, field: &[u8]) {
        let end = offset.saturating_add(field.len());
        if section == uapi::SEC_TEXT {
            if let Some(to) = self.0.get_mut(offset..end) {
                to.copy_from_slice(field);
            }
        }
    }

    /// Compares the text at these addresses, which are whole pages, and describes the first `limit` differences.
    pub(super) fn compare(&self, text: Range<usize>, limit: usize) -> Result<Compared, Refusal> {
        let mut found = KVVec::from_elem(0u8, PAGE_SIZE, GFP_KERNEL)?;
        let mut loaded = KVVec::from_elem(0u8, PAGE_SIZE, GFP_KERNEL)?;
        let mut all = Compared {
            list: KVVec::new(),
            count: 0,
            bytes: 0,
            len: text.len(),
        };
        for at in (0..text.len()).step_by(PAGE_SIZE) {
            if !code::read((text.start + at) as u64, &mut found) {
                return Err(uapi::Reason::Fault.into());
            }
            let own = self.0.get(at..).unwrap_or_default();
            let own = &own[..own.len().min(PAGE_SIZE)];
            loaded.fill(INT3);
            loaded[..own.len()].copy_from_slice(own);
            for run in differences(&loaded, &found, uapi::DIFFERENCE_LEN) {
                all.count += 1;
                all.bytes += run.len();
                if all.list.len() < limit {
                    let offset = at + run.start;
                    let addr = (text.start + offset) as u64;
                    let one = difference(addr, offset, &loaded[run.clone()], &found[run]);
                    all.list.push(one, GFP_KERNEL)?;
                }
            }
        }
        Ok(all)
    }
}

/// Describes bytes that differ; they are no more than there is room for.
fn difference(addr: u64, offset: usize, loaded: &[u8], found: &[u8]) -> uapi::Difference {
    let mut one = uapi::Difference {
        offset: offset as u32,
        len: loaded.len() as u32,
        ..Default::default()
    };
    one.loaded[..loaded.len()].copy_from_slice(loaded);
    one.found[..found.len()].copy_from_slice(found);
    // The last byte stays NUL.
    let room = one.symbol.len() - 1;
    names::symbol_text(addr, &mut one.symbol[..room]);
    one
}
