// SPDX-License-Identifier: GPL-2.0

//! Nops as the kernel writes them: few long ones in the place of many short ones.
//!
//! The rules are those of optimize_nops() and add_nop() in arch/x86/kernel/alternative.c, the encodings those of
//! arch/x86/include/asm/nops.h, which are gas's.

use super::super::insn;
use super::{INT3, JMP, JMP8};

/// `nop`, one byte.
pub(super) const NOP: u8 = 0x90;
/// Longest nop.
const LONGEST: usize = 11;
/// Bytes of a jump with a displacement of one byte, and of four.
const JMP8_LEN: usize = 2;
const JMP_LEN: usize = 5;

/// The nop of each length up to the longest: prefixes, then a core.
fn encoding(len: usize) -> (usize, &'static [u8]) {
    match len {
        1 => (0, &[NOP]),
        2 => (1, &[NOP]),
        3 => (0, &[0x0f, 0x1f, 0x00]),
        4 => (0, &[0x0f, 0x1f, 0x40, 0]),
        5 => (0, &[0x0f, 0x1f, 0x44, 0, 0]),
        6 => (1, &[0x0f, 0x1f, 0x44, 0, 0]),
        7 => (0, &[0x0f, 0x1f, 0x80, 0, 0, 0, 0]),
        8 => (0, &[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0]),
        9 => (0, &[0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0]),
        10 => (1, &[0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0]),
        _ => (2, &[0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0]),
    }
}

/// Fills `place`: with one nop, or with a jump to its end where none is long enough.
fn fill(place: &mut [u8]) {
    let len = place.len();
    let head: [u8; JMP_LEN];
    let (prefixes, core, rest): (usize, &[u8], u8) = if len <= LONGEST {
        let (prefixes, core) = encoding(len);
        (prefixes, core, 0)
    } else {
        let short = len.checked_sub(JMP8_LEN).filter(|_| len < 128);
        let used = match short.and_then(|distance| u8::try_from(distance).ok()) {
            Some(distance) => {
                head = [JMP8, distance, 0, 0, 0];
                JMP8_LEN
            }
            None => {
                let distance = u32::try_from(len.saturating_sub(JMP_LEN)).unwrap_or(0);
                let [a, b, c, d] = distance.to_le_bytes();
                head = [JMP, a, b, c, d];
                JMP_LEN
            }
        };
        (0, head.get(..used).unwrap_or(&[]), INT3)
    };
    let bytes = core::iter::repeat_n(0x66, prefixes)
        .chain(core.iter().copied())
        .chain(core::iter::repeat(rest));
    for (to, from) in place.iter_mut().zip(bytes) {
        *to = from;
    }
}

/// Puts one nop in the place of each run of nops. What follows an instruction that is not known stays as it is, and so
/// does a single nop at the end.
pub(super) fn optimize(code: &mut [u8]) {
    let len = code.len();
    let at = |code: &[u8], offset: usize| insn::decode(code.get(offset..)?);
    let mut start = 0;
    while let Some(found) = at(code, start) {
        let mut end = start.saturating_add(found.len);
        if found.nop {
            if end == len {
                return;
            }
            while let Some(next) = at(code, end).filter(|next| next.nop) {
                end = end.saturating_add(next.len);
            }
            if let Some(place) = code.get_mut(start..end) {
                fill(place);
            }
        }
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn optimized(mut code: Vec<u8>) -> Vec<u8> {
        optimize(&mut code);
        code
    }

    /// By the book: every encoding written out.
    const NOPS: [&[u8]; 12] = [
        &[],
        &[0x90],
        &[0x66, 0x90],
        &[0x0f, 0x1f, 0x00],
        &[0x0f, 0x1f, 0x40, 0x00],
        &[0x0f, 0x1f, 0x44, 0x00, 0x00],
        &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
        &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
        &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
        &[0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
        &[0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
        &[
            0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00,
        ],
    ];

    #[test]
    fn runs_of_nops_become_one() {
        for (len, nop) in NOPS.iter().enumerate() {
            assert_eq!(optimized(vec![0x90; len]), *nop);
        }
        let jump = |len: usize, head: &[u8]| [head, &vec![0xcc; len - head.len()]].concat();
        assert_eq!(optimized(vec![0x90; 12]), jump(12, &[0xeb, 10]));
        assert_eq!(optimized(vec![0x90; 127]), jump(127, &[0xeb, 125]));
        assert_eq!(optimized(vec![0x90; 128]), jump(128, &[0xe9, 123, 0, 0, 0]));
        assert_eq!(optimized(vec![0x90; 255]), jump(255, &[0xe9, 250, 0, 0, 0]));
    }

    #[test]
    fn other_instructions_stay() {
        // stac, three nops, rep movsb, two nops, an add whose immediate looks like nops.
        let code = vec![
            0x0f, 0x01, 0xcb, 0x90, 0x90, 0x90, 0xf3, 0xa4, 0x90, 0x90, 0x05, 0x90, 0x90, 0x90,
            0x90,
        ];
        let expected = [
            0x0f, 0x01, 0xcb, 0x0f, 0x1f, 0x00, 0xf3, 0xa4, 0x66, 0x90, 0x05, 0x90, 0x90, 0x90,
            0x90,
        ];
        assert_eq!(optimized(code), expected);
        // pause is none, a jump to the next instruction is one, and the last one stays.
        assert_eq!(optimized(vec![0xf3, 0x90, 0x90]), [0xf3, 0x90, 0x90]);
        let jump = vec![0xeb, 0x00, 0x90, 0xc3];
        assert_eq!(optimized(jump), [0x0f, 0x1f, 0x00, 0xc3]);
        let last = vec![0xc3, 0xe9, 0, 0, 0, 0];
        assert_eq!(optimized(last.clone()), last);
        // What is not known ends it.
        assert_eq!(optimized(vec![0x06, 0x90, 0x90]), [0x06, 0x90, 0x90]);
    }

    proptest! {
        #[test]
        fn boundaries_stay(pieces in prop::collection::vec(0..5_usize, 0..40)) {
            let insns: [&[u8]; 5] = [&[0x90], &[0x66, 0x90], &[0xc3], &[0x05, 0x90, 0x90, 0x90, 0x90], &[0x0f, 0x01, 0xca]];
            let code: Vec<u8> = pieces.iter().flat_map(|i| insns[*i].to_vec()).collect();
            let done = optimized(code.clone());
            prop_assert_eq!(done.len(), code.len());
            // Every instruction that does something is where it was.
            let mut at = 0;
            for i in pieces {
                if i > 1 {
                    prop_assert_eq!(&done[at..at + insns[i].len()], insns[i]);
                }
                at += insns[i].len();
            }
            prop_assert_eq!(optimized(done.clone()), done);
        }
    }
}
