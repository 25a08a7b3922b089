// SPDX-License-Identifier: GPL-2.0

//! Every relocated field holds what the relocation says.

use super::super::num::{index, wide};
use super::super::refusal::{ensure, Refusal};
use super::super::reloc;
use super::{Checker, Kernel};
use crate::uapi::{Reason, Reloc, TARGET_SYMBOL};
use core::mem::offset_of;

impl<K: Kernel> Checker<'_, '_, K> {
    pub(super) fn relocs(&self) -> Result<(), Refusal> {
        let relocs = &self.image.relocs;
        // The end of the field before: section, then offset.
        let mut end = (0, 0);
        for (i, entry) in relocs.iter().enumerate() {
            let refusal = |reason| Refusal::at(reason, i);
            let zero = |set: bool, field| {
                ensure(!set, || {
                    Refusal::at(Reason::Reserved, relocs.field(i, field))
                })
            };
            zero(entry.reserved != 0, offset_of!(Reloc, reserved))?;
            zero(entry.reserved2 != 0, offset_of!(Reloc, reserved2))?;

            let kind = reloc::lookup(entry.kind.into())
                .ok_or_else(|| refusal(Reason::RelocKind).value(entry.kind.into()))?;
            let start = index(entry.offset);
            ensure((entry.section, start) >= end, || {
                refusal(Reason::RelocOverlap)
            })?;
            end = (entry.section, start.saturating_add(kind.size));

            let (section, area) = self
                .image
                .section(entry.section)
                .zip(self.room.area(entry.section))
                .ok_or_else(|| refusal(Reason::RelocSite))?;
            let found = section
                .get(start..)
                .and_then(|field| kind.get(field))
                .ok_or_else(|| refusal(Reason::RelocSite))?;

            if self.target(&entry) == Some(0) && entry.target_kind == TARGET_SYMBOL {
                // Its module comes later, and then the field is written.
                ensure(found == 0, || refusal(Reason::RelocValue))?;
                continue;
            }
            let s = self
                .target(&entry)
                .ok_or_else(|| refusal(Reason::RelocTarget))?;
            let p = area.addr.wrapping_add(wide(start));
            let value = kind
                .value(s, entry.addend, p)
                .map_err(|out| refusal(Reason::RelocRange).value(out.value))?;
            ensure(found == value, || refusal(Reason::RelocValue).value(value))?;
        }
        Ok(())
    }

    /// The address of a relocation's target, the S of the calculation.
    fn target(&self, entry: &Reloc) -> Option<u64> {
        if entry.target_kind == TARGET_SYMBOL {
            return Some(self.image.symbols.get(index(entry.target))?.addr);
        }
        let area = self.room.area(entry.target_kind)?;
        let offset = u64::from(entry.target);
        // The end of a section is a place that code may compute with.
        (offset <= area.len).then(|| area.addr.wrapping_add(offset))
    }

    /// The relocation of the field at this place, in a table that has been verified.
    pub(super) fn reloc_at(&self, section: u8, offset: usize) -> Option<Reloc> {
        let relocs = &self.image.relocs;
        let key = |entry: &Reloc| (entry.section, index(entry.offset));
        let first = relocs.partition_point(|entry| key(entry) < (section, offset));
        // Fields without width may share the place.
        (first..relocs.len())
            .map_while(|i| relocs.get(i))
            .take_while(|entry| key(entry) == (section, offset))
            .find(|entry| entry.kind != 0)
    }
}
