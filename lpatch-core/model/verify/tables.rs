// SPDX-License-Identifier: GPL-2.0

//! The tables that the core adds to its own, and the instructions that it finishes.

use super::super::fentry::ENDBR64;
use super::super::finalize::{retpolines, returns};
use super::super::num::index;
use super::super::refusal::{ensure, Refusal};
use super::super::reloc;
use super::symbols::is_name;
use super::{Checker, Kernel};
use crate::uapi::{
    Ksym, Orc, Reason, Site, NO_OFFSET, SEC_TEXT, SITE_CALL, SITE_LOCK, SITE_RETPOLINE,
    SITE_RETURN, SITE_SEAL, TARGET_SYMBOL,
};
use core::mem::offset_of;

pub(super) const CALL: u8 = 0xe8;
const LOCK: u8 = 0xf0;

/// ORC_TYPE_CALL: an ordinary frame.
const ORC_TYPE_CALL: u16 = 2;
/// ORC_TYPE_REGS_PARTIAL, the last one.
const ORC_TYPE_MAX: u16 = 4;

/// The type in the 16 bits of struct orc_entry, or `None` if bits are set that it does not have.
const fn orc_type(bits: u16) -> Option<u16> {
    // From bit 0: sp_reg:4, bp_reg:4, type:3, signal:1.
    let ty = bits >> 8 & 0x7;
    if bits >> 12 == 0 && ty <= ORC_TYPE_MAX {
        Some(ty)
    } else {
        None
    }
}

/// Whether fixup_exception() (arch/x86/mm/extable.c) knows what to do: for other types it is a BUG.
const fn is_ex_type(data: u32) -> bool {
    // EX_TYPE_*, without NONE, the unused 4, and those that panic (MCE) or depend on the
    // configuration (ERETU): C code has no use for them.
    matches!(data & 0xff, 1..=3 | 5..=11 | 14..=20)
}

impl<K: Kernel> Checker<'_, '_, K> {
    /// The ORC entries cover the text from its start, in order.
    pub(super) fn orcs(&self) -> Result<(), Refusal> {
        let orcs = &self.image.orcs;
        // Other patches rely on it: the first slot of a run names its first byte (see `slots`).
        let first = orcs.get(0).map(|entry| entry.offset);
        ensure(first == Some(0), || Reason::Orc.into())?;
        let mut before = 0;
        for (i, entry) in orcs.iter().enumerate() {
            ensure(entry.reserved == 0, || {
                Refusal::at(Reason::Reserved, orcs.field(i, offset_of!(Orc, reserved)))
            })?;
            // The end of the text is where a terminator may be.
            let inside = index(entry.offset) <= self.image.text.len();
            let known = orc_type(entry.bits).is_some();
            ensure(inside && known && entry.offset >= before, || {
                Refusal::at(Reason::Orc, i)
            })?;
            before = entry.offset;
        }
        Ok(())
    }

    /// Whether an ordinary frame can be unwound at this offset of the text; the ORC entries have
    /// been verified.
    pub(super) fn unwinds(&self, offset: u32) -> bool {
        let orcs = &self.image.orcs;
        // Of several entries for one place, the last one counts.
        orcs.partition_point(|entry| entry.offset <= offset)
            .checked_sub(1)
            .and_then(|last| orcs.get(last))
            .is_some_and(|entry| orc_type(entry.bits) == Some(ORC_TYPE_CALL))
    }

    pub(super) fn exs(&self) -> Result<(), Refusal> {
        let len = self.image.text.len();
        let mut least = 0;
        for (i, entry) in self.image.exs.iter().enumerate() {
            let inside = index(entry.insn) < len && index(entry.fixup) < len;
            let sorted = u64::from(entry.insn) >= least;
            ensure(inside && sorted && is_ex_type(entry.data), || {
                Refusal::at(Reason::Extable, i)
            })?;
            least = u64::from(entry.insn).saturating_add(1);
        }
        Ok(())
    }

    pub(super) fn bugs(&self) -> Result<(), Refusal> {
        let rodata = self.image.rodata;
        // A string ends if it begins at or before the last NUL.
        let last_nul = rodata.iter().rposition(|&b| b == 0);
        let ends =
            |offset: u32| offset == NO_OFFSET || last_nul.is_some_and(|nul| index(offset) <= nul);
        let mut least = 0;
        for (i, entry) in self.image.bugs.iter().enumerate() {
            let inside = index(entry.insn) < self.image.text.len();
            let sorted = u64::from(entry.insn) >= least;
            let strings = ends(entry.format) && ends(entry.file);
            ensure(inside && sorted && strings, || Refusal::at(Reason::Bug, i))?;
            least = u64::from(entry.insn).saturating_add(1);
        }
        Ok(())
    }

    /// The sites are instructions of their kind, in order, without overlap.
    pub(super) fn sites(&self) -> Result<(), Refusal> {
        let sites = &self.image.sites;
        let mut end = 0;
        for (i, site) in sites.iter().enumerate() {
            ensure(site.reserved == 0, || {
                Refusal::at(Reason::Reserved, sites.field(i, offset_of!(Site, reserved)))
            })?;
            let start = index(site.offset);
            let len = self.site_len(&site);
            ensure(start >= end && len.is_some(), || {
                Refusal::at(Reason::Site, i)
            })?;
            end = start.saturating_add(len.unwrap_or(0));
        }
        Ok(())
    }

    /// The length of a site, if the text has an instruction of its kind there.
    pub(super) fn site_len(&self, site: &Site) -> Option<usize> {
        let start = index(site.offset);
        let bytes = self.image.text.get(start..)?;
        match site.kind {
            SITE_RETURN => {
                let len = returns::length(bytes)?;
                let field = start.checked_add(len)?.checked_sub(4)?;
                let thunk = self.branches_to(field)?;
                (thunk == self.kernel.return_thunk()).then_some(len)
            }
            SITE_SEAL => bytes.starts_with(&ENDBR64).then_some(ENDBR64.len()),
            SITE_CALL => {
                let insn: &[u8; 5] = bytes.first_chunk()?;
                (insn.first() == Some(&CALL)).then_some(insn.len())
            }
            SITE_RETPOLINE => {
                let (len, field) = retpolines::direct(bytes)?;
                let field = start.checked_add(len)?.checked_sub(field.len())?;
                let thunk = self.branches_to(field)?;
                retpolines::register(self.kernel.indirect_thunks(), thunk).map(|_| len)
            }
            SITE_LOCK => (bytes.first() == Some(&LOCK)).then_some(1),
            _ => None,
        }
    }

    /// The address of the symbol that the branch with its displacement at this offset of the text goes to, by its
    /// relocation, or `None` if it does not go to a symbol, or to one that is not there yet.
    pub(super) fn branches_to(&self, field: usize) -> Option<u64> {
        let (addr, addend) = self.relative_symbol(field)?;
        (addend == -4).then_some(addr)
    }

    /// The address of the symbol, and the addend, of a displacement at this offset of the text.
    pub(super) fn relative_symbol(&self, field: usize) -> Option<(u64, i64)> {
        let entry = self.reloc_at(SEC_TEXT, field)?;
        let kind = u32::from(entry.kind);
        let is_relative = kind == reloc::PC32 || kind == reloc::PLT32;
        let symbol = (entry.target_kind == TARGET_SYMBOL && is_relative)
            .then(|| self.image.symbols.get(index(entry.target)))??;
        (symbol.addr != 0).then_some((symbol.addr, entry.addend))
    }

    /// The patch's own symbols, which stack traces and /proc/kallsyms show.
    pub(super) fn ksyms(&self) -> Result<(), Refusal> {
        let ksyms = &self.image.ksyms;
        for (i, entry) in ksyms.iter().enumerate() {
            ensure(entry.reserved == 0, || {
                Refusal::at(Reason::Reserved, ksyms.field(i, offset_of!(Ksym, reserved)))
            })?;
            let name = self.image.string(entry.name)?;
            let end = u64::from(entry.offset).saturating_add(entry.size.into());
            let area = self.room.area(entry.section);
            let inside = area.is_some_and(|area| end <= area.len);
            let letter = matches!(
                entry.letter,
                b't' | b'T' | b'r' | b'R' | b'd' | b'D' | b'b' | b'B' | b'w' | b'W' | b'v' | b'V'
            );
            ensure(is_name(name) && inside && letter, || {
                Refusal::at(Reason::Ksym, i)
            })?;
        }
        Ok(())
    }
}
