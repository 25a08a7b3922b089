// SPDX-License-Identifier: GPL-2.0

//! Alternatives: instructions that are replaced on CPUs with, or without, a feature.
//!
//! The kernel's way is apply_alternatives() in arch/x86/kernel/alternative.c. It finds the fields of a replacement that have
//! to be moved by decoding instructions; here each of them has to have a relocation as well, or it is a refusal. A branch
//! within a replacement needs neither: it moves along.

use super::super::image::Table;
use super::super::insn::{self, Insn, Relative};
use super::super::num::{index, wide};
use super::super::refusal::Refusal;
use super::super::reloc;
use super::nops::{self, NOP};
use super::{displacement, Facts, Records, CALL, INT3, JMP8};
use crate::uapi::{Alt, Reason, Reloc, ALT_DIRECT_CALL, ALT_NOT, SEC_TEXT};

/// `call *displacement(%rip)`, without the displacement.
pub(crate) const INDIRECT_CALL: [u8; 2] = [0xff, 0x15];
/// Bytes of a direct and of an indirect call.
pub(crate) const CALL_LEN: usize = 5;
pub(crate) const INDIRECT_LEN: usize = 6;
/// What a length of one byte can say.
const LONGEST: usize = 255;
/// By how much a jump becomes shorter when its displacement has one byte.
const SAVED: i64 = 3;

/// Puts in each place what this CPU gets.
pub(super) fn apply(
    text: &mut [u8],
    base: u64,
    records: &Records<'_>,
    facts: &Facts,
    word: &dyn Fn(u64) -> Option<u64>,
) -> Result<(), Refusal> {
    let alts = &records.alts;
    let mut next = 0;
    while let Some(first) = alts.get(next) {
        let mut place = Place {
            base,
            relocs: &records.relocs,
            facts,
            at: index(first.offset),
            len: index(first.len.into()),
        };
        let mut chosen = None;
        let mut end = next;
        while let Some(alt) = alts.get(end).filter(|alt| alt.offset == first.offset) {
            let refusal = || Refusal::at(Reason::Alternative, end).value(alt.feature.into());
            let has = facts.features.has(alt.feature).ok_or_else(refusal)?;
            if has != (alt.flags & ALT_NOT != 0) {
                chosen = Some((end, alt));
            }
            place.len = place.len.max(index(alt.len.into()));
            end = end.saturating_add(1);
        }
        let (i, feature) = chosen.map_or((next, first.feature), |(i, alt)| (i, alt.feature));
        place
            .finish(text, chosen.map(|(_, alt)| alt), word)
            .ok_or_else(|| Refusal::at(Reason::Alternative, i).value(feature.into()))?;
        next = end;
    }
    Ok(())
}

/// A place with alternatives.
struct Place<'r, 'i> {
    base: u64,
    relocs: &'r Table<'i, Reloc>,
    facts: &'r Facts,
    /// Offset in the text.
    at: usize,
    len: usize,
}

impl Place<'_, '_> {
    fn finish(
        &self,
        text: &mut [u8],
        alt: Option<Alt>,
        word: &dyn Fn(u64) -> Option<u64>,
    ) -> Option<()> {
        let mut room = [NOP; LONGEST];
        let code = room.get_mut(..self.len)?;
        let old = text.get(self.at..)?.get(..self.len)?;
        match alt {
            None => copy(code, old),
            Some(alt) if alt.flags & ALT_DIRECT_CALL != 0 => {
                let start = index(alt.repl);
                let repl = text.get(start..)?.get(..CALL_LEN)?;
                if let Some(call) = self.direct_call(old, (repl, start), word)? {
                    copy(code.get_mut(..CALL_LEN)?, &call);
                }
            }
            Some(alt) => {
                let start = index(alt.repl);
                let repl = text.get(start..)?.get(..index(alt.repl_len.into()))?;
                let replaced = code.get_mut(..repl.len())?;
                copy(replaced, repl);
                self.relocate(replaced, start)?;
            }
        }
        nops::optimize(code);
        copy(text.get_mut(self.at..)?.get_mut(..self.len)?, code);
        Some(())
    }

    /// The call of what the pointer holds that `old` calls through; `Some(None)` if that does nothing. The replacement, with
    /// its offset, is a call of `BUG_func`, or of the padding in front of it.
    fn direct_call(
        &self,
        old: &[u8],
        (repl, at): (&[u8], usize),
        word: &dyn Fn(u64) -> Option<u64>,
    ) -> Option<Option<[u8; CALL_LEN]>> {
        let field = old.strip_prefix(&INDIRECT_CALL)?.first_chunk()?;
        let start = self.base.wrapping_add(wide(self.at));
        let pointer = super::target(start.wrapping_add(wide(INDIRECT_LEN)), *field);
        let target = match word(pointer)? {
            0 => self.facts.bug_func,
            target => target,
        };
        if target == self.facts.nop_func {
            return Some(None);
        }
        let end = self
            .base
            .wrapping_add(wide(at))
            .wrapping_add(wide(CALL_LEN));
        let found = super::target(end, *repl.strip_prefix(&[CALL])?.first_chunk()?);
        let target = match &self.facts.calls {
            // Then so is this one, if it is counted.
            Some(calls) if found != self.facts.bug_func => calls.entry(target, word, true),
            _ => target,
        };
        let [a, b, c, d] = displacement(start.wrapping_add(wide(CALL_LEN)), target)?;
        Some(Some([CALL, a, b, c, d]))
    }

    /// Moves the fields of `code`, a copy of the replacement at the offset `start`, that count from where they are.
    fn relocate(&self, code: &mut [u8], start: usize) -> Option<()> {
        let moved = i64::try_from(start)
            .ok()?
            .checked_sub(i64::try_from(self.at).ok()?)?;
        let end = start.checked_add(code.len())?;
        let mut fields = self.fields(start, end);
        let mut at: usize = 0;
        while at < code.len() {
            let found = insn::decode(code.get(at..)?)?;
            let next = at.checked_add(found.len)?;
            if let Some(field) = found.relative {
                let place = start.checked_add(at)?.checked_add(field.at)?;
                let recorded = fields.take(place)?;
                if !is_inside(next, field, code.len()) {
                    (recorded && field.size == 4).then_some(())?;
                    let value = i64::from(field.value).checked_add(moved)?;
                    let bytes = i32::try_from(value).ok()?.to_le_bytes();
                    copy(
                        code.get_mut(at..)?.get_mut(field.at..)?.get_mut(..4)?,
                        &bytes,
                    );
                    shorten(code.get_mut(at..next)?, found, value);
                }
            }
            at = next;
        }
        fields.is_done().then_some(())
    }

    /// The relative fields from the offset `start` to `end` that have a relocation.
    fn fields(&self, start: usize, end: usize) -> Fields<'_> {
        let first = self
            .relocs
            .partition_point(|entry| (entry.section, index(entry.offset)) < (SEC_TEXT, start));
        Fields {
            relocs: self.relocs,
            next: first,
            end,
        }
    }
}

/// Relocations in the order of their places.
struct Fields<'r> {
    relocs: &'r Table<'r, Reloc>,
    next: usize,
    end: usize,
}

impl Fields<'_> {
    /// The place of the next relative field.
    fn peek(&mut self) -> Option<usize> {
        loop {
            let entry = self.relocs.get(self.next)?;
            let place = index(entry.offset);
            if entry.section != SEC_TEXT || place >= self.end {
                return None;
            }
            let kind = reloc::lookup(entry.kind.into());
            if kind.is_some_and(|kind| kind.pc_relative) {
                return Some(place);
            }
            self.next = self.next.saturating_add(1);
        }
    }

    /// Whether the field at `place` has a relocation; `None` if one before it was not asked for.
    fn take(&mut self, place: usize) -> Option<bool> {
        match self.peek() {
            Some(next) if next < place => None,
            Some(next) if next == place => {
                self.next = self.next.saturating_add(1);
                Some(true)
            }
            _ => Some(false),
        }
    }

    /// Whether all were asked for.
    fn is_done(&mut self) -> bool {
        self.peek().is_none()
    }
}

/// Whether a field of an instruction that ends at `next` leads to one of `len` bytes, or to their end.
fn is_inside(next: usize, field: Relative, len: usize) -> bool {
    let target = i64::try_from(next)
        .ok()
        .and_then(|next| next.checked_add(field.value.into()));
    let target = target.and_then(|target| usize::try_from(target).ok());
    target.is_some_and(|target| target <= len)
}

/// Makes a jump to what is near a short one, as the kernel does.
fn shorten(code: &mut [u8], found: Insn, value: i64) {
    let near = value
        .checked_add(SAVED)
        .and_then(|value| i8::try_from(value).ok());
    if let (true, Some(near), [opcode, distance, rest @ ..]) = (found.jmp32, near, code) {
        *opcode = JMP8;
        [*distance] = near.to_le_bytes();
        rest.fill(INT3);
    }
}

fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}
