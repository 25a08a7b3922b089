// SPDX-License-Identifier: GPL-2.0

//! Direct calls, which are counted where call depth is tracked (`retbleed=stuff`).
//!
//! The kernel writes an instruction that counts into the padding in front of each function that is called, and lets the
//! calls begin there: patch_call() and patch_dest() in arch/x86/kernel/callthunks.c. The core has an example of the
//! instruction. In the padding of its own functions a patch gets it here; other functions have it since the kernel, or a
//! module, was finished that calls them. A call of a function that does not have it stays as it is: the return
//! counts more calls than there were, and refills the return stack earlier than it had to.

use super::super::insn;
use super::super::num::wide;
use super::nops::NOP;
use super::{displacement, target, CALL};

/// Bytes of a direct call.
const LEN: usize = 5;
/// Padding in front of functions.
pub const PADDING: usize = 16;

/// The instruction that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counting {
    bytes: [u8; PADDING],
    len: usize,
    /// Where the bytes were copied from.
    at: u64,
}

impl Counting {
    /// From an example at this address, or `None` if it does not fit the padding or cannot be moved.
    pub fn new(example: &[u8], at: u64) -> Option<Self> {
        let mut counting = Self {
            bytes: [0; PADDING],
            len: example.len(),
            at,
        };
        let room = counting.bytes.get_mut(..example.len())?;
        for (to, from) in room.iter_mut().zip(example) {
            *to = *from;
        }
        (!example.is_empty() && counting.at(at)? == counting.bytes).then_some(counting)
    }

    /// What it was made from: the bytes, and where they were.
    pub fn example(&self) -> (&[u8], u64) {
        (self.bytes.get(..self.len).unwrap_or(&[]), self.at)
    }

    /// The instruction as it is at this address; behind it are zeros. `None` if what it refers to is out of reach.
    pub fn at(&self, at: u64) -> Option<[u8; PADDING]> {
        let moved = i64::from_ne_bytes(self.at.wrapping_sub(at).to_ne_bytes());
        let mut bytes = self.bytes;
        let mut start: usize = 0;
        while start < self.len {
            let found = insn::decode(bytes.get(start..self.len)?)?;
            if let Some(field) = found.relative {
                (field.size == 4).then_some(())?;
                let value = i64::from(field.value).checked_add(moved)?;
                let place = start.checked_add(field.at)?;
                let place = bytes.get_mut(place..)?.first_chunk_mut()?;
                *place = i32::try_from(value).ok()?.to_le_bytes();
            }
            start = start.checked_add(found.len)?;
        }
        Some(bytes)
    }

    /// Where a call of the kernel's function at this address may begin: at the instruction, at nops in its place, or at the
    /// function itself.
    pub(super) fn entry(
        &self,
        function: u64,
        word: &dyn Fn(u64) -> Option<u64>,
        nops: bool,
    ) -> u64 {
        let look = || {
            let pad = function.wrapping_sub(wide(self.len));
            let mut found = [0; PADDING];
            let (first, second) = found.split_first_chunk_mut::<8>()?;
            *first = word(pad)?.to_le_bytes();
            *second.first_chunk_mut::<8>()? = word(pad.wrapping_add(8))?.to_le_bytes();
            let found = found.get(..self.len)?;
            let counts = self.at(pad).is_some_and(|bytes| bytes.starts_with(found));
            (counts || nops && found.iter().all(|byte| *byte == NOP)).then_some(pad)
        };
        look().unwrap_or(function)
    }

    /// Finishes the call at the offset `site` of a text at the address `base`; `None` if there is none.
    pub(super) fn finish(
        &self,
        text: &mut [u8],
        base: u64,
        site: usize,
        word: &dyn Fn(u64) -> Option<u64>,
    ) -> Option<()> {
        let [opcode, field @ ..]: [u8; LEN] = *text.get(site..)?.first_chunk()?;
        (opcode == CALL).then_some(())?;
        let end = base.wrapping_add(wide(site)).wrapping_add(wide(LEN));
        let function = target(end, field);
        let own = function
            .checked_sub(base)
            .and_then(|offset| usize::try_from(offset).ok())
            .filter(|offset| *offset < text.len());
        let entry = match own {
            Some(offset) => self.count(text, base, offset),
            None => self.entry(function, word, false),
        };
        let [a, b, c, d] = displacement(end, entry)?;
        *text.get_mut(site..)?.first_chunk_mut()? = [CALL, a, b, c, d];
        Some(())
    }

    /// Puts the instruction in front of a function of the patch, if there is padding, and gives the address where calls of
    /// it begin.
    fn count(&self, text: &mut [u8], base: u64, function: usize) -> u64 {
        let mut place = || {
            let start = function.checked_sub(self.len)?;
            let pad = text.get_mut(start..function)?;
            let at = base.wrapping_add(wide(start));
            let bytes = self.at(at)?;
            let bytes = bytes.get(..self.len)?;
            (pad == bytes || pad.iter().all(|byte| *byte == NOP)).then_some(())?;
            for (to, from) in pad.iter_mut().zip(bytes) {
                *to = *from;
            }
            Some(at)
        };
        place().unwrap_or(base.wrapping_add(wide(function)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    const BASE: u64 = 0xffff_ffff_c000_1000;
    const EXAMPLE: u64 = 0xffff_ffff_c000_0123;
    const FUNCTION: u64 = 0xffff_ffff_8100_0040;
    /// The variable that is counted in.
    const DEPTH: u64 = 0xffff_ffff_8300_0000;

    /// `sarq $5, %gs:depth(%rip)` at this address.
    fn sar(at: u64) -> Vec<u8> {
        let [a, b, c, d] = displacement(at + 9, DEPTH).expect("it is near");
        vec![0x65, 0x48, 0xc1, 0x3d, a, b, c, d, 0x05]
    }

    fn counting() -> Counting {
        Counting::new(&sar(EXAMPLE), EXAMPLE).expect("it can be moved")
    }

    fn call(text: &mut [u8], at: usize, to: u64) {
        let end = BASE + wide(at) + 5;
        text[at] = 0xe8;
        text[at + 1..at + 5].copy_from_slice(&displacement(end, to).expect("it is near"));
    }

    /// A kernel in which these bytes end where the function begins.
    fn word(pad: &[u8]) -> impl Fn(u64) -> Option<u64> + '_ {
        move |addr| {
            let mut found = [0xcc; 8];
            for (i, byte) in found.iter_mut().enumerate() {
                let back = FUNCTION.checked_sub(addr + wide(i));
                let back = back.and_then(|back| usize::try_from(back).ok());
                let at = back.and_then(|back| pad.len().checked_sub(back));
                *byte = at.and_then(|at| pad.get(at)).copied().unwrap_or(0xcc);
            }
            Some(u64::from_le_bytes(found))
        }
    }

    #[test]
    fn the_example_moves() {
        for at in [FUNCTION - 9, BASE, EXAMPLE] {
            let moved = counting().at(at).expect("it is near");
            assert_eq!(moved[..9], sar(at));
        }
        assert_eq!(counting().at(BASE - (1 << 33)), None);
        assert_eq!(Counting::new(&[], EXAMPLE), None);
        assert_eq!(Counting::new(&[0x90; 17], EXAMPLE), None);
        assert_eq!(Counting::new(&[0x06], EXAMPLE), None);
        assert_eq!(Counting::new(&[0xeb, 0x10], EXAMPLE), None);
    }

    #[test]
    fn calls_of_the_patch_itself() {
        let mut text = vec![0x90; 0x80];
        call(&mut text, 0x10, BASE + 0x40);
        call(&mut text, 0x20, BASE + 0x40);
        let mut expected = text.clone();
        expected[0x37..0x40].copy_from_slice(&sar(BASE + 0x37));
        call(&mut expected, 0x10, BASE + 0x37);
        call(&mut expected, 0x20, BASE + 0x37);
        for site in [0x10, 0x20] {
            let done = counting().finish(&mut text, BASE, site, &|_| None);
            assert_eq!(done, Some(()));
        }
        assert_eq!(text, expected);
        // No padding: other code, the start of the text, its end.
        for (to, before) in [(0x40, 0xcc), (8, 0x90), (0x80, 0x90)] {
            let mut text = vec![0x90; 0x80];
            text[0x37] = before;
            call(&mut text, 0x50, BASE + to);
            let same = text.clone();
            assert_eq!(
                counting().finish(&mut text, BASE, 0x50, &|_| None),
                Some(())
            );
            assert_eq!(text, same);
        }
        // No call, half of one.
        assert_eq!(counting().finish(&mut text, BASE, 0x11, &|_| None), None);
        assert_eq!(counting().finish(&mut text, BASE, 0x7d, &|_| None), None);
        assert_eq!(
            counting().finish(&mut text, BASE, usize::MAX, &|_| None),
            None
        );
    }

    #[test]
    fn calls_of_the_kernel() {
        let mut text = vec![0xcc; 0x40];
        call(&mut text, 0, FUNCTION);
        let same = text.clone();
        let mut counted = text.clone();
        call(&mut counted, 0, FUNCTION - 9);
        let ready = sar(FUNCTION - 9);
        let mut other = ready.clone();
        other[5] ^= 1;
        for (pad, expected) in [(&ready, &counted), (&other, &same), (&vec![0x90; 9], &same)] {
            let mut text = same.clone();
            let done = counting().finish(&mut text, BASE, 0, &word(pad));
            assert_eq!((done, &text), (Some(()), expected));
        }
        let mut text = same.clone();
        assert_eq!(counting().finish(&mut text, BASE, 0, &|_| None), Some(()));
        assert_eq!(text, same);
        let nops = vec![0x90; 9];
        assert_eq!(counting().entry(FUNCTION, &word(&nops), true), FUNCTION - 9);
        assert_eq!(counting().entry(FUNCTION, &word(&nops), false), FUNCTION);
        assert_eq!(counting().entry(FUNCTION, &word(&other), true), FUNCTION);
    }
}
