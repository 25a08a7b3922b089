// SPDX-License-Identifier: GPL-2.0

//! Where code goes on by jumps, in place of returning.

use super::fentry::{self, Form};
use super::insn::{self, Flow, Insn};

const INT3: u8 = 0xcc;
/// Of a direct jump, of one with a condition, and of either if it does not lead far.
const JMP_LEN: usize = 5;
const JCC_LEN: usize = 6;
const SHORT_LEN: usize = 2;
const JMP8: u8 = 0xeb;
/// The kernel jumps over so many bytes, or more, in place of executing nops; more than the other number are not looked for.
const LONG_NOP: u8 = 10;
const LONGEST_ROOM: u8 = 40;
/// A return in the place of a jump.
const RETURN: [u8; JMP_LEN] = [0xc3, INT3, INT3, INT3, INT3];

/// A jump that may leave the code that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A jump to this address.
    To(u64),
    /// What may be a jump to this address, of which the first byte is not there: where a kprobe or somebody who changes code
    /// has put an int3. If a function begins there, it is one.
    Perhaps(u64),
    /// Through a register or memory, or code that cannot be read: to anywhere.
    Anywhere,
    /// The same: an int3 is in the place of its first byte. It may be gone when the code is read again.
    Hidden,
}

/// Places where an instruction may begin, from the one that is looked at: a bit for each. No instruction is longer than 15 bytes.
#[derive(Clone, Copy)]
struct Places(u64);

impl Places {
    const HERE: Self = Self(1);

    fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    fn behind(len: usize) -> Self {
        let len = u32::try_from(len).unwrap_or(0);
        Self(1_u64.wrapping_shl(len))
    }

    /// Behind a byte, `len` of them, that hide how long the last instruction is.
    fn somewhere_behind(len: usize) -> Self {
        let len = u32::try_from(len).unwrap_or(0);
        Self(0x7fff_u64.wrapping_shl(len))
    }

    /// Whether one begins here. The next place is looked at then.
    fn take_here(&mut self) -> bool {
        let here = self.0 & 1 != 0;
        self.0 >>= 1;
        here
    }
}

/// Calls `exit` for all jumps in `code`, which is at `base`, that do not stay in it. The first instruction that counts is at `begin`: what
/// stands at the fentry site of a function is not the function's own. `exit` says whether it knows what is there.
///
/// `fresh`: nobody has changed it since it was made, so that each int3 behind a return or a jump fills room, as many as there are. In other code, one
/// that neither the compiler nor the kernel has put there hides an instruction: of where that goes, nobody knows. Behind it, and behind a jump
/// to what nobody knows, which may be a probe's, everything is decoded that may be an instruction, until all of it comes to the same place
/// again. What jumps there is there perhaps.
pub fn each(code: &[u8], base: u64, begin: usize, fresh: bool, mut exit: impl FnMut(Exit) -> bool) {
    let len = u64::try_from(code.len()).unwrap_or(u64::MAX);
    let addr = |at: usize| base.wrapping_add(u64::try_from(at).unwrap_or(u64::MAX));
    // One to the beginning enters the function again.
    let stays = |to: u64| to != base && to.wrapping_sub(base) < len;
    let mut places = Places::HERE;
    // Whether nothing goes on here, from the instruction in front.
    let mut ended = false;
    for at in begin..code.len() {
        let rest = code.get(at..).unwrap_or_default();
        let certain = places.0 == 1;
        if !places.take_here() {
            continue;
        }
        if let [INT3, behind @ ..] = rest {
            if ended && certain && fresh {
                places.add(Places::HERE);
                continue;
            }
            let last = ended && certain && is_filler(rest);
            if !last {
                exit(Exit::Hidden);
            }
            // It may be the first byte of a jump.
            let mut jump = |displacement: i64, len: usize| {
                let to = addr(at.saturating_add(len)).wrapping_add_signed(displacement);
                if !stays(to) {
                    exit(Exit::Perhaps(to));
                }
            };
            if let [short, ..] = *behind {
                jump(i8::from_le_bytes([short]).into(), SHORT_LEN);
            }
            if let Some(near) = behind.first_chunk() {
                jump(i32::from_le_bytes(*near).into(), JMP_LEN);
            }
            if let [0x80..=0x8f, a, b, c, d, ..] = *behind {
                jump(i32::from_le_bytes([a, b, c, d]).into(), JCC_LEN);
            }
            if last {
                return;
            }
            places.add(Places::somewhere_behind(0));
            ended = false;
            continue;
        }
        let Some(found) = insn::decode(rest) else {
            exit(Exit::Anywhere);
            if certain {
                return;
            }
            continue;
        };
        let room = room(rest, found.len);
        places.add(Places::behind(
            found.len.saturating_add(room).saturating_sub(1),
        ));
        ended = ends(rest) || stops(rest) || ended && fills(rest);
        match (found.flow, found.relative) {
            (Flow::On, _) => {}
            (Flow::Jump, Some(field)) => {
                let end = addr(at.saturating_add(found.len));
                let to = end.wrapping_add_signed(field.value.into());
                if !stays(to) {
                    let jump = if certain {
                        Exit::To(to)
                    } else {
                        Exit::Perhaps(to)
                    };
                    if !exit(jump) && certain {
                        places.add(Places::somewhere_behind(found.len.saturating_sub(1)));
                    }
                }
            }
            (Flow::Jump, None) | (Flow::Indirect, _) => {
                exit(Exit::Anywhere);
            }
        }
    }
}

/// Whether all that the code of a function has ever done can be told from how it is now. It is in use by nobody at its fentry site, and has no
/// other place that the kernel or somebody else changes as it runs, nor one that may be such: no int3, and no nop of five bytes, as a static key leaves
/// it, but behind its last instruction. It does not go on behind its end.
pub fn is_plain(code: &[u8]) -> bool {
    let begin = match fentry::site(code) {
        Some(fentry) if fentry.form == Form::Nop => {
            usize::try_from(fentry.offset).map_or(code.len(), |at| at.saturating_add(JMP_LEN))
        }
        Some(_) => return false,
        None => 0,
    };
    let mut rest = code.get(begin..).unwrap_or_default();
    while let Some(found) = insn::decode(rest) {
        let (first, behind) = rest.split_at_checked(found.len).unwrap_or((rest, &[]));
        if matches!(first, [INT3, ..]) || is_switchable(found) {
            return false;
        }
        if ends(first) && is_filler(behind)
            || stops(first) && is_filler(behind) && !switches(behind)
        {
            return true;
        }
        rest = behind.get(room(rest, found.len)..).unwrap_or_default();
    }
    false
}

/// Whether this may be a branch of a static key that is off.
fn is_switchable(insn: Insn) -> bool {
    insn.nop && insn.len == JMP_LEN
}

/// Whether one may be in this filler.
fn switches(mut filler: &[u8]) -> bool {
    while let Some(found) = insn::decode(filler) {
        if is_switchable(found) {
            return true;
        }
        filler = filler.get(found.len..).unwrap_or_default();
    }
    false
}

/// How many int3 the kernel has put behind this instruction, which is `len` long: in a return that had been a jump, behind a jump of an alternative
/// that it made a short one, and behind a jump over the rest of a long one. Of a probe there can be none.
fn room(code: &[u8], len: usize) -> usize {
    let behind = code.get(len..).unwrap_or_default();
    let filled = |count: usize| {
        let all = behind.get(..count);
        all.is_some_and(|all| all.iter().all(|byte| *byte == INT3))
    };
    match code {
        [0xc3, ..] if code.starts_with(&RETURN) => JMP_LEN - 1,
        [JMP8, over, ..] if (LONG_NOP..=LONGEST_ROOM).contains(over) && filled((*over).into()) => {
            (*over).into()
        }
        [JMP8, ..] if filled(JMP_LEN - SHORT_LEN) => JMP_LEN - SHORT_LEN,
        _ => 0,
    }
}

/// Whether nothing may go on behind this instruction, if it is the last one: a call of what does not return, or a trap.
fn stops(code: &[u8]) -> bool {
    matches!(code, [0xe8, ..] | [0x0f, 0x0b])
}

/// Whether this is no more than what stands between functions, which count as part of the one in front: nops, and then perhaps int3. An int3
/// with something else behind it may be a probe's.
fn is_filler(mut code: &[u8]) -> bool {
    while let Some(found) = insn::decode(code) {
        if let [INT3, behind @ ..] = code {
            return behind.iter().all(|byte| *byte == INT3);
        }
        if !fills(code) {
            return false;
        }
        code = code.get(found.len..).unwrap_or_default();
    }
    code.is_empty()
}

/// Whether this instruction does nothing, as compilers fill room.
fn fills(code: &[u8]) -> bool {
    match code {
        [0x66 | 0x2e, rest @ ..] => fills(rest),
        [0x90, ..] | [0x0f, 0x1f, ..] => true,
        _ => false,
    }
}

/// Whether nothing goes on behind this instruction: a return or a jump without a condition.
fn ends(code: &[u8]) -> bool {
    match code {
        [0x40..=0x4f | 0x2e | 0x3e | 0xf2 | 0xf3, rest @ ..] => ends(rest),
        [0xc2 | 0xc3 | 0xe9 | 0xeb, ..] => true,
        [0xff, operand, ..] => operand & 0o070 == 0o040,
        _ => false,
    }
}

/// In the names of parts that the compiler has moved elsewhere.
const COLD: &[u8] = b".cold";

/// What a jump to something with a name comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A return.
    Return,
    /// A jump through a register, or one that the kernel turns to elsewhere as it runs.
    Anywhere,
    /// Code, which may jump on.
    Code,
    /// The same: a part of a function, which is entered anywhere.
    Part,
}

/// What a jump to the symbol with this name comes to: some of the kernel's are no functions. `lp_its_thunks` are ours.
pub fn target(name: &[u8]) -> Target {
    // Of several names of an address, the first one may be an alias for the early boot code.
    let name = name.strip_prefix(b"__pi_").unwrap_or(name);
    let begins = |with: &[u8]| name.starts_with(with);
    let returns = name.ends_with(b"return_thunk");
    let anywhere = begins(b"__x86_indirect_") || begins(b"__SCT__") || begins(b"lp_its_thunks");
    match () {
        () if returns => Target::Return,
        () if anywhere => Target::Anywhere,
        () if name.windows(COLD.len()).any(|part| part == COLD) => Target::Part,
        () => Target::Code,
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const BASE: u64 = 0xffff_ffff_8100_0000;

    fn exits(code: &[u8]) -> Vec<Exit> {
        let mut all = Vec::new();
        each(code, BASE, 0, false, |exit| {
            all.push(exit);
            true
        });
        all
    }

    #[test]
    fn kinds_of_jumps() {
        // A call, an operand relative to the instruction pointer, and a return with what stops speculation.
        let stays: [&[u8]; 6] = [
            &[0xe8, 0x00, 0x10, 0x00, 0x00],
            &[0x48, 0x8b, 0x05, 0x00, 0x10, 0x00, 0x00],
            &[0xc3, 0xcc],
            &[0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0x31, 0xf6, 0xc3, 0x90, 0xcc],
            &[0xeb, 0x01, 0x90, 0xc3],
            &[0x90, 0x74, 0xfe, 0xff, 0xd0],
        ];
        for code in stays {
            assert_eq!(exits(code), [], "{code:02x?}");
        }
        let leaves: [(&[u8], Exit); 9] = [
            (&[0xe9, 0x00, 0x10, 0x00, 0x00], Exit::To(BASE + 0x1005)),
            (
                &[0x0f, 0x85, 0x00, 0x10, 0x00, 0x00],
                Exit::To(BASE + 0x1006),
            ),
            (&[0xeb, 0x10], Exit::To(BASE + 0x12)),
            (&[0x75, 0xf0], Exit::To(BASE - 0xe)),
            // To its own beginning, which is a call of it.
            (&[0x90, 0xeb, 0xfd], Exit::To(BASE)),
            (&[0xff, 0xe0], Exit::Anywhere),
            (&[0x41, 0xff, 0xe3], Exit::Anywhere),
            (&[0xff, 0x24, 0xc5, 0x00, 0x10, 0x00, 0x00], Exit::Anywhere),
            // Not an instruction.
            (&[0x06], Exit::Anywhere),
        ];
        for (code, exit) in leaves {
            assert_eq!(exits(code).first(), Some(&exit), "{code:02x?}");
        }
    }

    /// `xor %esi, %esi; jmp`, with a probe at the first: what is left of it is a multiplication that swallows the jump.
    #[test]
    fn an_int3_does_not_hide_the_jumps_behind_it() {
        let code = [0xcc, 0xf6, 0xe9, 0x00, 0x10, 0x00, 0x00, 0xc3, 0xcc];
        assert!(exits(&code).contains(&Exit::Perhaps(BASE + 0x1007)));
        // The first instruction of a block, behind a return and its filler.
        let block = [&RETURN[..], &code].concat();
        assert!(exits(&block).contains(&Exit::Perhaps(BASE + 0x100c)));
        // Nothing that may be an instruction is passed over in silence.
        let unknown = [0xcc, 0x90, 0x06, 0x06, 0x06];
        assert!(exits(&unknown).contains(&Exit::Anywhere));
        // What comes behind is certain again.
        let later = [&code[..7], &[0x90; 20], &[0xe9, 0x00, 0x10, 0x00, 0x00]].concat();
        assert_eq!(exits(&later).last(), Some(&Exit::To(BASE + 0x1020)));
    }

    /// What the kernel leaves of alternatives.
    #[test]
    fn an_int3_behind_a_short_jump() {
        let jump = [0xeb, 0x7f, 0xcc, 0xcc, 0xcc];
        let over = [&[0xeb, 0x0a][..], &[0xcc; 10]].concat();
        let next = [0x31, 0xf6, 0xc3, 0x90];
        for code in [&jump[..], &over] {
            let whole = [code, &[0x90; 0x80], &next].concat();
            assert_eq!(exits(&whole), [], "{code:02x?}");
            // One more is somebody's.
            let probed = [code, &[0xcc, 0xf6], &[0x90; 0x80], &next].concat();
            assert!(exits(&probed).contains(&Exit::Hidden), "{code:02x?}");
        }
        // One less, and one that is not jumped over.
        let code = [&[0xeb, 0x7f, 0xcc, 0xcc][..], &[0x90; 0x80], &next].concat();
        assert!(exits(&code).contains(&Exit::Hidden));
        let code = [&over[..], &[0xcc], &[0x90; 0x80], &next].concat();
        assert!(exits(&code).contains(&Exit::Hidden));
        // It leaves the function all the same.
        assert_eq!(exits(&jump), [Exit::To(BASE + 0x81)]);
    }

    /// `jmp` to 52 bytes in front, of which nothing can be told from a filler, but where it leads.
    #[test]
    fn an_int3_at_the_end_may_be_a_jump() {
        let code = [0xe8, 0x00, 0x10, 0x00, 0x00, 0xcc, 0xcc];
        assert_eq!(exits(&code), [Exit::Perhaps(BASE - 45)]);
    }

    /// What the loader puts between functions.
    #[test]
    fn an_int3_of_fresh_code_fills_room() {
        let code = [0xc3, 0xcc, 0xcc, 0xeb, 0x40, 0xcc, 0x90, 0xcc, 0xc3];
        let found = |fresh| {
            let mut all = Vec::new();
            each(&code, BASE, 0, fresh, |exit| {
                all.push(exit);
                true
            });
            all
        };
        assert_eq!(found(true), [Exit::To(BASE + 0x45)]);
        assert_eq!(found(false)[0], Exit::Hidden);
        // Where it may be one of a probe all the same.
        let mut all = Vec::new();
        each(&[0x90, 0xcc, 0x40], BASE, 0, true, |exit| {
            all.push(exit);
            true
        });
        assert_eq!(all[0], Exit::Hidden);
    }

    /// Each kind, without its first byte. One with a condition may have a byte in front, which leads to the part of the function that is
    /// elsewhere.
    #[test]
    fn what_an_int3_may_hide() {
        let near: [&[u8]; 2] = [
            &[0xcc, 0xfc, 0x0f, 0x00, 0x00],
            &[0xcc, 0x85, 0xfb, 0x0f, 0x00, 0x00, 0xc3],
        ];
        for code in near {
            let found = exits(code);
            assert_eq!(found[0], Exit::Hidden);
            assert!(found.contains(&Exit::Perhaps(BASE + 0x1001)), "{found:?}");
        }
        let code = [0xcc, 0x75, 0xfb, 0x0f, 0x00, 0x00, 0xc3];
        assert!(!exits(&code).contains(&Exit::Perhaps(BASE + 0x1001)));
        assert!(exits(&[0xcc, 0x40]).contains(&Exit::Perhaps(BASE + 0x42)));
        assert!(exits(&[0x90, 0xcc, 0xf0]).contains(&Exit::Perhaps(BASE - 0xd)));
        // Through a register; wherever the probe is, and where it swallows the jump.
        let anywhere: [&[u8]; 5] = [
            &[0xcc, 0xe0, 0xcc],
            &[0x31, 0xf6, 0xcc, 0xe0, 0xcc, 0xcc, 0xcc, 0xcc, 0x90],
            &[0xcc, 0xf6, 0xff, 0xe0, 0x90],
            &[0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xe0, 0x90],
            // With nothing that would tell a filler from a probe.
            &[0xc3, 0xcc, 0xe0, 0x90],
        ];
        for code in anywhere {
            assert!(exits(code).contains(&Exit::Hidden), "{code:02x?}");
        }
        assert_eq!(target(b"foo.cold"), Target::Part);
        assert_eq!(target(b"foo.cold.3"), Target::Part);
        assert_eq!(target(b"cold_foo"), Target::Code);
    }

    #[test]
    fn what_is_plain() {
        let jump = [0xe9, 0x00, 0x10, 0x00, 0x00];
        let nop = [0x0f, 0x1f, 0x44, 0x00, 0x00];
        let pad = [0xf3, 0x0f, 0x1e, 0xfa];
        let mov = [0x48, 0x89, 0xf8];
        let long = [0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0];
        let plain: [&[&[u8]]; 8] = [
            &[&nop, &jump],
            &[&pad, &nop, &mov, &jump, &[0xcc, 0xcc]],
            &[&nop, &mov, &[0xc3, 0xcc]],
            &[&nop, &[0x74, 0x05], &RETURN, &jump],
            &[&nop, &[0x74, 0x05], &jump, &[0xe8, 0x00, 0x10, 0x00, 0x00]],
            &[&nop, &mov, &[0x0f, 0x0b]],
            &[&mov, &[0xc3]],
            &[
                &nop,
                &[0x74, 0x05],
                &jump,
                &jump,
                &nop,
                &[0x90],
                &long,
                &[0xcc, 0xcc],
            ],
        ];
        for code in plain {
            assert!(is_plain(&code.concat()), "{code:02x?}");
        }
        let others: [&[&[u8]]; 13] = [
            &[],
            &[&nop],
            // Somebody uses it, or is about to.
            &[&[0xe8, 0x00, 0x10, 0x00, 0x00], &jump],
            &[&jump, &jump],
            &[&[0xcc, 0x1f, 0x44, 0x00, 0x00], &jump],
            // A probe, or what may hide one; a static key.
            &[&nop, &[0xcc, 0x89, 0xf8], &jump],
            &[&nop, &[0x74, 0x02, 0xc3, 0xcc], &jump],
            &[&nop, &RETURN, &[0xcc, 0x85, 0x00, 0x10, 0x00, 0x00], &jump],
            &[&nop, &mov, &nop, &jump],
            &[&nop, &jump, &[0xcc, 0x90]],
            // A static key behind a call, and what may be a probed return.
            &[&nop, &[0xe8, 0x00, 0x10, 0x00, 0x00], &nop, &[0xcc]],
            // It goes on behind the end, or cannot be read.
            &[&nop, &jump, &mov],
            &[&nop, &[0x06], &jump],
        ];
        for code in others {
            assert!(!is_plain(&code.concat()), "{code:02x?}");
        }
    }

    /// The jump of a probe covers five bytes, and the rest of the last instruction there is left.
    #[test]
    fn a_jump_to_what_nobody_knows_does_not_hide_those_behind_it() {
        let code = [
            0xe9, 0x00, 0x10, 0x00, 0x00, 0xf6, 0xe9, 0x00, 0x10, 0x00, 0x00,
        ];
        let mut all = Vec::new();
        each(&code, BASE, 0, false, |exit| {
            all.push(exit);
            !matches!(exit, Exit::To(_))
        });
        assert!(all.contains(&Exit::Perhaps(BASE + 0x100b)));
    }

    #[test]
    fn what_is_at_the_beginning_may_not_count() {
        let jump = [0xe9, 0x00, 0x10, 0x00, 0x00];
        let mut all = Vec::new();
        each(&[jump, jump].concat(), BASE, 5, false, |exit| {
            all.push(exit);
            true
        });
        assert_eq!(all, [Exit::To(BASE + 0x100a)]);
    }

    #[test]
    fn names() {
        for name in [
            "__x86_return_thunk",
            "__pi___x86_return_thunk",
            "srso_alias_return_thunk",
            "its_return_thunk",
        ] {
            assert_eq!(target(name.as_bytes()), Target::Return, "{name}");
        }
        for name in [
            "__x86_indirect_thunk_r11",
            "__pi___x86_indirect_thunk_rax",
            "__x86_indirect_its_thunk_rax",
            "__x86_indirect_jump_thunk_rax",
            "__SCT__cond_resched",
            "lp_its_thunks",
        ] {
            assert_eq!(target(name.as_bytes()), Target::Anywhere, "{name}");
        }
        for name in ["mutex_lock", "x86_return", "my__SCT__"] {
            assert_eq!(target(name.as_bytes()), Target::Code, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes(code in prop::collection::vec(any::<u8>(), 0..80), base: u64, fresh: bool, to_somebody: bool) {
            let len = u64::try_from(code.len()).expect("it is short");
            each(&code, base, 0, fresh, |exit| {
                if let Exit::To(to) = exit {
                    assert!(to == base || to.wrapping_sub(base) >= len);
                }
                to_somebody
            });
        }
    }
}
