// SPDX-License-Identifier: GPL-2.0

//! Where a function's fentry site is.
//!
//! A function that ftrace can redirect begins with a 5-byte instruction that the compiler left for
//! it, behind the landing pad where there is one. It is necessary, not sufficient: only ftrace
//! knows its sites. But a function without it needs no question.
//!
//! ftrace rewrites its sites at any time, and nobody who only reads can keep it from that. It writes an int3 over the first byte,
//! then the other four bytes, then the first one, so a look meets the first byte of some instruction of a site, or the int3, and
//! behind it bytes of either. A look that takes two reads may have the old first byte with new ones behind it, too. All of that is
//! [`Form::Changing`]: there may be a site, and only ftrace can tell.

/// `endbr64`.
pub const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
/// What the kernel makes of the landing pad of a function whose address is never taken:
/// `nopl -42(%rax)`, see gen_endbr_poison() in arch/x86/include/asm/ibt.h.
pub const SEALED: [u8; 4] = [0x0f, 0x1f, 0x40, 0xd6];

/// `nopl 0(%rax,%rax,1)`: nothing is attached.
const NOP5: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];
/// `mov %rsp,-8(%rsp)`, which the loader puts in the place of the nop of a replacement function: it writes to the stack slot below,
/// in which the handler leaves the function's address, what is no text address, or backtraces would show it there.
pub const COVER: [u8; 5] = [0x48, 0x89, 0x64, 0x24, 0xf8];
const CALL: u8 = 0xe8;
const JMP: u8 = 0xe9;
/// What is in the place of the first byte while the others are written, see smp_text_poke_batch_finish() in
/// arch/x86/kernel/alternative.c.
const INT3: u8 = 0xcc;
/// The first byte of [`NOP5`].
const NOP: u8 = 0x0f;
const SITE_LEN: usize = 5;
const SITE_BYTES: u32 = 5;

/// What is at a fentry site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Nothing is attached.
    Nop,
    /// A call with this displacement, into ftrace or into a direct trampoline.
    Call(i32),
    /// A jump with this displacement, to a direct trampoline that does not return here.
    Jmp(i32),
    /// It cannot be told from this look: somebody writes it at this moment, or it is none.
    Changing,
}

/// A fentry site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fentry {
    /// From the function's start: 0, or 4 behind a landing pad.
    pub offset: u32,
    /// What it holds.
    pub form: Form,
}

/// The fentry site of a function that begins with these bytes (16 are plenty), if it can have one. The landing pad does not
/// change, so where the site is can be told from any look; what it holds, and whether ftrace has it in its list, cannot.
pub fn site(start: &[u8]) -> Option<Fentry> {
    let (offset, rest) = behind_pad(start);
    let insn: [u8; SITE_LEN] = *rest.first_chunk()?;
    let [opcode, displacement @ ..] = insn;
    let form = match opcode {
        CALL => Form::Call(i32::from_le_bytes(displacement)),
        JMP => Form::Jmp(i32::from_le_bytes(displacement)),
        _ if insn == NOP5 => Form::Nop,
        INT3 | NOP => Form::Changing,
        _ => return None,
    };
    Some(Fentry { offset, form })
}

/// How many bytes at a replacement function's start do nothing for who jumps to it: its landing pad, and its fentry site, with
/// a nop or with [`COVER`].
pub fn unused(start: &[u8]) -> u32 {
    let (pad, rest) = behind_pad(start);
    match rest.first_chunk() {
        Some(&(NOP5 | COVER)) => pad.saturating_add(SITE_BYTES),
        _ => 0,
    }
}

/// The length of a landing pad, and what follows it.
fn behind_pad(start: &[u8]) -> (u32, &[u8]) {
    match start.split_first_chunk() {
        Some((&(ENDBR64 | SEALED), rest)) => (4, rest),
        _ => (0, start),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn at(offset: u32, form: Form) -> Option<Fentry> {
        Some(Fentry { offset, form })
    }

    #[test]
    fn forms_and_landing_pads() {
        let nop: &[u8] = &[0x0f, 0x1f, 0x44, 0x00, 0x00];
        let call: &[u8] = &[0xe8, 0xfc, 0xff, 0xff, 0xff];
        let jmp: &[u8] = &[0xe9, 0x00, 0x01, 0x00, 0x00];
        let pads: [(u32, &[u8]); 3] = [
            (0, &[]),
            (4, &[0xf3, 0x0f, 0x1e, 0xfa]),
            (4, &[0x0f, 0x1f, 0x40, 0xd6]),
        ];
        for (offset, pad) in pads {
            let start = |insn: &[u8]| [pad, insn, &[0x55, 0xc3]].concat();
            assert_eq!(site(&start(nop)), at(offset, Form::Nop));
            assert_eq!(site(&start(call)), at(offset, Form::Call(-4)));
            assert_eq!(site(&start(jmp)), at(offset, Form::Jmp(256)));
            assert_eq!(unused(&start(nop)), offset + 5);
            assert_eq!(unused(&start(&COVER)), offset + 5);
            assert_eq!(unused(&start(call)), 0);
            assert_eq!(unused(&start(jmp)), 0);
        }
    }

    /// The instructions that ftrace writes to a site.
    const INSNS: [[u8; 5]; 4] = [
        NOP5,
        [0xe8, 0xfc, 0xff, 0xff, 0xff],
        [0xe8, 0x10, 0x20, 0x30, 0x40],
        [0xe9, 0x00, 0x01, 0x00, 0x00],
    ];

    /// What is at a site while `old` becomes `new`, in the order of time.
    fn poke(old: [u8; 5], new: [u8; 5]) -> [[u8; 5]; 4] {
        let int3 = |insn: [u8; 5]| [&[INT3], &insn[1..]].concat().try_into().expect("it is 5");
        [old, int3(old), int3(new), new]
    }

    #[test]
    fn a_site_that_is_written_is_one() {
        for pad in [&[][..], &ENDBR64, &SEALED] {
            for (old, new) in INSNS
                .iter()
                .flat_map(|a| INSNS.iter().map(move |b| (*a, *b)))
            {
                let states = poke(old, new);
                // A look reads one byte after the other, or several at once: none is of an earlier moment than one before it.
                for times in (0..1024_u32).map(|n| [0, 2, 4, 6, 8].map(|shift| (n >> shift) & 3)) {
                    if !times.is_sorted() {
                        continue;
                    }
                    let mut seen = [0; 5];
                    for (at, (byte, time)) in seen.iter_mut().zip(times).enumerate() {
                        *byte = states[usize::try_from(time).expect("it is small")][at];
                    }
                    let found = site(&[pad, &seen, &[0x55, 0xc3]].concat());
                    let offset = u32::try_from(pad.len()).expect("it is small");
                    assert_eq!(found.map(|found| found.offset), Some(offset), "{seen:02x?}");
                    if seen[0] == INT3 {
                        assert_eq!(found, at(offset, Form::Changing));
                    }
                }
            }
        }
    }

    #[test]
    fn functions_without_a_site() {
        let others: [&[u8]; 7] = [
            &[],
            &[0xf3, 0x0f, 0x1e, 0xfa],
            // push %rbp; mov %rsp,%rbp; …
            &[0x55, 0x48, 0x89, 0xe5, 0x90, 0x90, 0x90, 0x90, 0x90],
            // xor %eax,%eax; ret
            &[0xf3, 0x0f, 0x1e, 0xfa, 0x31, 0xc0, 0xc3, 0xcc, 0xcc],
            // A nop of 5 bytes, but not the kernel's.
            &[0x66, 0x0f, 0x1f, 0x40, 0x00],
            // endbr32 is no landing pad in a 64-bit kernel.
            &[0xf3, 0x0f, 0x1e, 0xfb, 0x0f, 0x1f, 0x44, 0x00, 0x00],
            // One byte short.
            &[0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x1f, 0x44, 0x00],
        ];
        for bytes in others {
            assert_eq!(site(bytes), None, "{bytes:02x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Some(found) = site(&bytes) {
                let at: usize = found.offset.try_into().expect("it is small");
                let tail: Vec<u8> = bytes[at..].to_vec();
                prop_assert!(tail.len() >= 5);
                prop_assert_eq!(site(&tail), Some(Fentry { offset: 0, ..found }));
            }
        }
    }
}
