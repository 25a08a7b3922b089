// SPDX-License-Identifier: GPL-2.0

//! The length decoder, compared with iced-x86: where both know an instruction they agree on its length, its relative
//! field, and on what does nothing.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, OpKind};
use lpatch_model::insn::{decode, Insn, Relative, MAX};

/// Where the instruction is, for operands relative to it.
const AT: u64 = 0x1000_0000;

pub(crate) fn run(input: &[u8]) {
    // One behind the other, and from each byte of the first few.
    let mut at = 0;
    while let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) {
        let len = compare(rest);
        at += if at < 16 { 1 } else { len.max(1) };
    }
}

/// Compares what begins here; its length, 0 if it is not known.
fn compare(bytes: &[u8]) -> usize {
    let ours = decode(bytes);
    if let Some(found) = ours {
        assert!(
            (1..=MAX).contains(&found.len) && found.len <= bytes.len(),
            "{bytes:02x?}: {found:?}"
        );
    }
    let mut decoder = Decoder::with_ip(64, bytes, AT, DecoderOptions::NONE);
    let theirs = decoder.decode();
    let (Some(ours), false) = (ours, theirs.is_invalid()) else {
        return 0;
    };
    let shown = bytes.get(..ours.len.max(theirs.len())).unwrap_or(bytes);
    assert_eq!(ours.len, theirs.len(), "{shown:02x?}");
    let relative = relative(&decoder, &theirs, bytes);
    assert_eq!(ours.relative, relative, "{shown:02x?}");
    assert!(!ours.nop || does_nothing(&theirs, &ours), "{shown:02x?}");
    ours.len
}

/// The relative field that the other decoder sees.
fn relative(decoder: &Decoder<'_>, insn: &Instruction, bytes: &[u8]) -> Option<Relative> {
    let constants = decoder.get_constant_offsets(insn);
    let branch = (0..insn.op_count()).any(|i| {
        matches!(
            insn.op_kind(i),
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64
        )
    });
    let begins = matches!(insn.code(), Code::Xbegin_rel16 | Code::Xbegin_rel32);
    let (at, size) = if branch || begins {
        (constants.immediate_offset(), constants.immediate_size())
    } else if insn.is_ip_rel_memory_operand() {
        (
            constants.displacement_offset(),
            constants.displacement_size(),
        )
    } else {
        return None;
    };
    let field = bytes.get(at..)?;
    let value = match size {
        1 => i32::from(i8::from_le_bytes(*field.first_chunk()?)),
        2 => i32::from(i16::from_le_bytes(*field.first_chunk()?)),
        _ => i32::from_le_bytes(*field.first_chunk()?),
    };
    Some(Relative { at, value, size })
}

/// Whether it is one of the instructions that do nothing.
fn does_nothing(insn: &Instruction, ours: &Insn) -> bool {
    use iced_x86::Mnemonic;
    let to_next = ours.relative.is_some_and(|field| field.value == 0);
    let same = insn.op0_register() == insn.op1_register();
    match insn.mnemonic() {
        Mnemonic::Nop => true,
        Mnemonic::Jmp => to_next,
        Mnemonic::Mov => same,
        Mnemonic::Lea => insn.op0_register() == insn.memory_base(),
        _ => false,
    }
}
