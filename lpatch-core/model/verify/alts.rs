// SPDX-License-Identifier: GPL-2.0

//! The alternatives: what is replaced, and by what.
//!
//! What is here keeps the ranges apart, so that finishing one place changes nothing that another one reads, and makes sure
//! that nobody writes to a finished place later. Whether the instructions can be moved is seen when they are.

use super::super::finalize::alternatives::{CALL_LEN, INDIRECT_CALL, INDIRECT_LEN};
use super::super::num::index;
use super::super::refusal::{ensure, Refusal};
use super::super::reloc;
use super::tables::CALL;
use super::{Checker, Kernel};
use crate::uapi::{
    Alt, Reason, ALT_DIRECT_CALL, ALT_NOT, SEC_TEXT, SITE_CALL, SITE_LOCK, TARGET_SYMBOL,
};
use core::mem::offset_of;
use core::ops::Range;

impl<K: Kernel> Checker<'_, '_, K> {
    /// The relocations and sites have been verified.
    pub(super) fn alts(&self) -> Result<(), Refusal> {
        let alts = &self.image.alts;
        let mut before = 0..0;
        for (i, alt) in alts.iter().enumerate() {
            ensure(alt.reserved == 0, || {
                Refusal::at(Reason::Reserved, alts.field(i, offset_of!(Alt, reserved)))
            })?;
            let place = place(&alt);
            let known = alt.flags & !(ALT_NOT | ALT_DIRECT_CALL) == 0;
            let sorted = place.start >= before.end || place == before;
            let filled = !place.is_empty() && alt.repl_len <= alt.len;
            let inside = place.end <= self.image.text.len();
            ensure(known && sorted && filled && inside, || {
                Refusal::at(Reason::Alternative, i)
            })?;
            before = place;
        }
        for (i, alt) in alts.iter().enumerate() {
            let repl = replacement(&alt);
            let apart = repl.end <= self.image.text.len() && !self.is_replaced(&repl);
            let whole = self.has_whole_fields(&place(&alt)) && self.has_whole_fields(&repl);
            let sites =
                self.has_whole_sites(&place(&alt), true) && self.has_whole_sites(&repl, false);
            let direct = alt.flags & ALT_DIRECT_CALL == 0 || self.is_direct_call(&alt);
            ensure(apart && whole && sites && direct, || {
                Refusal::at(Reason::Alternative, i)
            })?;
        }
        Ok(())
    }

    /// Whether an alternative may replace bytes of this range; the table is sorted.
    pub(super) fn is_replaced(&self, range: &Range<usize>) -> bool {
        let alts = &self.image.alts;
        alts.partition_point(|alt| index(alt.offset) < range.end)
            .checked_sub(1)
            .and_then(|last| alts.get(last))
            .is_some_and(|alt| place(&alt).end > range.start)
    }

    /// Whether every relocated field that has bytes of the range lies in it, and is of a symbol that is there.
    fn has_whole_fields(&self, range: &Range<usize>) -> bool {
        let relocs = &self.image.relocs;
        let first = relocs.partition_point(|entry| {
            (entry.section, index(entry.offset)) < (SEC_TEXT, range.start)
        });
        let of_text = |i| relocs.get(i).filter(|entry| entry.section == SEC_TEXT);
        let end = |offset: u32, kind: u8| {
            let size = reloc::lookup(kind.into()).map_or(0, |kind| kind.size);
            index(offset).saturating_add(size)
        };
        let before = first.checked_sub(1).and_then(of_text);
        if before.is_some_and(|entry| end(entry.offset, entry.kind) > range.start) {
            return false;
        }
        (first..relocs.len())
            .map_while(of_text)
            .take_while(|entry| index(entry.offset) < range.end)
            .all(|entry| {
                let symbol = self.image.symbols.get(index(entry.target));
                let there = entry.target_kind != TARGET_SYMBOL
                    || symbol.is_some_and(|symbol| symbol.addr != 0);
                // A field without width says nothing, and any number of them could be in one place.
                entry.kind != 0 && there && end(entry.offset, entry.kind) <= range.end
            })
    }

    /// Whether every site that has bytes of the range lies in it. In a replacement there are none but those whose bytes
    /// remain what the relocations say, or are not touched at all once they were copied.
    fn has_whole_sites(&self, range: &Range<usize>, any: bool) -> bool {
        let sites = &self.image.sites;
        let first = sites.partition_point(|site| index(site.offset) < range.start);
        let end = |i| {
            let site = sites.get(i)?;
            let len = self.site_len(&site).unwrap_or(usize::MAX);
            Some((index(site.offset).saturating_add(len), site))
        };
        let before = first.checked_sub(1).and_then(end);
        if before.is_some_and(|(end, _)| end > range.start) {
            return false;
        }
        (first..sites.len())
            .map_while(end)
            .take_while(|(_, site)| index(site.offset) < range.end)
            .all(|(end, site)| {
                end <= range.end && (any || matches!(site.kind, SITE_CALL | SITE_LOCK))
            })
    }

    /// Whether it is a call through a pointer of the kernel that may become a direct one.
    fn is_direct_call(&self, alt: &Alt) -> bool {
        let (old, new) = (index(alt.offset), index(alt.repl));
        let starts = |at: usize, with: &[u8]| {
            let code = self.image.text.get(at..);
            code.is_some_and(|code| code.starts_with(with))
        };
        // Anywhere in a table of pointers.
        let pointer = self.relative_symbol(old.saturating_add(INDIRECT_CALL.len()));
        index(alt.len.into()) >= INDIRECT_LEN
            && index(alt.repl_len.into()) == CALL_LEN
            && starts(old, &INDIRECT_CALL)
            && starts(new, &[CALL])
            && pointer.is_some()
            && self.branches_to(new.saturating_add(1)) == Some(self.kernel.bug_func())
    }
}

/// The bytes that an alternative is about.
fn place(alt: &Alt) -> Range<usize> {
    let start = index(alt.offset);
    start..start.saturating_add(index(alt.len.into()))
}

/// The bytes of its replacement.
fn replacement(alt: &Alt) -> Range<usize> {
    let start = index(alt.repl);
    start..start.saturating_add(index(alt.repl_len.into()))
}
