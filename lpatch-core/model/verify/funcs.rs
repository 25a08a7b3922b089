// SPDX-License-Identifier: GPL-2.0

//! The functions to replace are what the patch was made for, and their replacements can run.

use super::super::fentry;
use super::super::num::{index, wide};
use super::super::offline;
use super::super::refusal::{ensure, Refusal};
use super::probes::Probes;
use super::symbols::{is_name, is_objname, Answer, Claim};
use super::{Checker, Kernel, VMLINUX};
use crate::uapi::{Func, Reason};
use core::ops::Range;

/// Bytes of a function that are read at once; they are on the stack.
const CHUNK: usize = 256;
/// How often a function that seems to differ is looked at.
const ROUNDS: usize = 8;
/// Bytes in which a fentry site is looked for.
const START: usize = 16;

/// By which the functions are sorted. Of those that have an address, nothing but that.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    addr: u64,
    objname: &'a [u8],
    name: &'a [u8],
    sympos: u32,
}

/// Whether the keys are in order and of two functions.
fn follows(before: Key<'_>, key: Key<'_>) -> bool {
    // The name is unique, so that a position can only lead to the same function.
    let unique = before.addr == 0
        && before.sympos == 0
        && (before.addr, before.objname, before.name) == (key.addr, key.objname, key.name);
    before < key && !unique
}

impl<K: Kernel> Checker<'_, '_, K> {
    pub(super) fn funcs(&self) -> Result<(), Refusal> {
        let funcs = &self.image.funcs;
        ensure(!funcs.is_empty(), || Reason::NoFuncs.into())?;
        let mut before = None;
        for (i, func) in funcs.iter().enumerate() {
            let dormant = self.is_dormant(&func)?;
            let key = self.key(&func, dormant)?;
            // In a sorted table, equal entries are neighbors.
            ensure(before.is_none_or(|before| follows(before, key)), || {
                Refusal::at(Reason::FuncTwice, i).value(func.old_addr)
            })?;
            before = Some(key);
            ensure(self.new_code(&func), || {
                Refusal::at(Reason::FuncNew, i).value(func.new_off.into())
            })?;
            if dormant {
                self.dormant(i, &func)?;
            } else {
                self.old_func(i, &func)?;
            }
        }
        Ok(())
    }

    /// Whether the function's module was not loaded when the image was made. The kernel itself always is.
    fn is_dormant(&self, func: &Func) -> Result<bool, Refusal> {
        let none = func.old_addr == 0 && func.old_len == 0;
        Ok(none && self.image.string(func.objname)? != VMLINUX)
    }

    /// By which the functions are sorted: those without an address, then by address.
    fn key(&self, func: &Func, dormant: bool) -> Result<Key<'_>, Refusal> {
        let image = self.image;
        Ok(if dormant {
            Key {
                objname: image.string(func.objname)?,
                name: image.string(func.name)?,
                sympos: func.sympos,
                addr: 0,
            }
        } else {
            Key {
                addr: func.old_addr,
                ..Key::default()
            }
        })
    }

    /// A function that is not there has a name to find it by, and a pre-image that makes sense.
    fn dormant(&self, i: usize, func: &Func) -> Result<(), Refusal> {
        let objname = self.image.string(func.objname)?;
        ensure(is_objname(objname), || Refusal::at(Reason::FuncObject, i))?;
        let name = self.image.string(func.name)?;
        ensure(is_name(name), || Refusal::at(Reason::FuncSymbol, i))?;
        ensure(self.masks(func).is_some(), || {
            Refusal::at(Reason::FuncPreimage, i)
        })
    }

    /// What is at the function's address is what the patch was made for.
    pub(super) fn old_func(&self, i: usize, func: &Func) -> Result<(), Refusal> {
        self.old_code(i, func)?;
        self.pre_image(i, func)
    }

    /// The replacement lies in the text, and the stack of a task that enters it can be unwound.
    fn new_code(&self, func: &Func) -> bool {
        let end = index(func.new_off).checked_add(index(func.new_len));
        let inside = end.is_some_and(|end| end <= self.image.text.len());
        func.new_len > 0 && inside && self.unwinds(func.new_off)
    }

    /// The address is that of the function, and the function can be redirected.
    fn old_code(&self, i: usize, func: &Func) -> Result<(), Refusal> {
        let refusal = |reason| Refusal::at(reason, i).value(func.old_addr);
        ensure(!self.kernel.is_ours(func.old_addr), || {
            refusal(Reason::FuncOurs)
        })?;
        let claim = Claim {
            addr: func.old_addr,
            name: self.image.string(func.name)?,
            objname: self.image.string(func.objname)?,
            size: Some(func.old_len.into()),
        };
        match self.ask(&claim) {
            Answer::True => {}
            Answer::OtherSymbol => return Err(refusal(Reason::FuncSymbol)),
            Answer::OtherSize(size) => return Err(refusal(Reason::FuncSymbol).value(size)),
            Answer::OtherObject => return Err(refusal(Reason::FuncObject)),
        }
        ensure(self.has_fentry(func), || refusal(Reason::FuncFentry))?;
        ensure(!offline::may_execute(claim.name), || {
            refusal(Reason::FuncOffline)
        })
    }

    /// Whether the function begins as one that ftrace can redirect.
    fn has_fentry(&self, func: &Func) -> bool {
        let mut start = [0; START];
        start
            .get_mut(..index(func.old_len).min(START))
            .is_some_and(|start| {
                self.kernel.read_text(func.old_addr, start) && fentry::site(start).is_some()
            })
    }

    /// The function's bytes are those that the patch was made for. The value is the CRC-32 of what is there, or 0 if the claim itself
    /// makes no sense.
    fn pre_image(&self, i: usize, func: &Func) -> Result<(), Refusal> {
        let differs = |found: u32| Refusal::at(Reason::FuncPreimage, i).value(found.into());
        let masks = self.masks(func).filter(|_| func.pre_len <= func.old_len);
        let masks = masks.ok_or_else(|| differs(0))?;
        let mut probes = Probes::new();
        let result = self.compare(func, &masks, &mut probes);
        // Whatever it was: those who were asked for their bytes are let go.
        self.kernel.forget_originals();
        // And whatever went wrong, with this function it did.
        let of_this = |refusal: Refusal| Refusal::at(refusal.reason, i).value(refusal.value);
        result.map_err(of_this)?.map_err(differs)
    }

    /// The same; the inner error is the CRC-32 of what is there, or 0.
    fn compare(
        &self,
        func: &Func,
        masks: &Range<usize>,
        probes: &mut Probes,
    ) -> Result<Result<(), u32>, Refusal> {
        let mut found = self.hash(func, masks.clone(), probes);
        for _ in 0..ROUNDS {
            match found {
                Some(crc) if func.pre_len == 0 || crc == func.pre_crc => return Ok(Ok(())),
                None => break,
                // Probes come and go while we look.
                Some(_) => self.find_probes(func, masks, probes)?,
            }
            found = self.hash(func, masks.clone(), probes);
        }
        Ok(match found {
            Some(crc) if crc == func.pre_crc => Ok(()),
            other => Err(other.unwrap_or(0)),
        })
    }

    /// The CRC-32 of a function's bytes without what is masked, and with these probes taken out.
    fn hash(&self, func: &Func, mut masks: Range<usize>, probes: &Probes) -> Option<u32> {
        let len = index(func.pre_len);
        let mut buffer = [0; CHUNK];
        let mut crc = 0;
        let mut start = 0;
        while start < len {
            let chunk = buffer.get_mut(..len.saturating_sub(start).min(CHUNK))?;
            let addr = func.old_addr.wrapping_add(wide(start));
            if !self.kernel.read_text(addr, chunk) {
                return None;
            }
            probes.take_out(chunk, start);
            self.hide(chunk, start, &mut masks);
            crc = (self.image.crc32)(crc, chunk);
            start = start.saturating_add(CHUNK);
        }
        Some(crc)
    }

    /// The indices of a function's masks, if these are sorted, apart and inside of the pre-image.
    fn masks(&self, func: &Func) -> Option<Range<usize>> {
        let first = index(func.mask_first);
        let masks = first..first.checked_add(index(func.mask_count))?;
        let mut least = 0;
        for i in masks.clone() {
            let mask = self.image.masks.get(i)?;
            let end = mask.offset.checked_add(mask.len)?;
            // As each mask takes a byte of the pre-image, there are not more than it has.
            if mask.len == 0 || mask.offset < least || end > func.pre_len {
                return None;
            }
            least = end;
        }
        Some(masks)
    }

    /// Zeros the masked bytes of a chunk that begins `start` bytes into a function, and advances
    /// the masks to the first one that goes on behind the chunk.
    pub(super) fn hide(&self, chunk: &mut [u8], start: usize, masks: &mut Range<usize>) {
        let end = start.saturating_add(chunk.len());
        while let Some(mask) = self.image.masks.get(masks.start) {
            let from = index(mask.offset);
            let to = from.saturating_add(index(mask.len));
            if masks.start >= masks.end || from >= end {
                return;
            }
            let hidden = from.saturating_sub(start)..to.min(end).saturating_sub(start);
            if let Some(hidden) = chunk.get_mut(hidden) {
                hidden.fill(0);
            }
            if to > end {
                return;
            }
            masks.start = masks.start.saturating_add(1);
        }
    }
}
