// SPDX-License-Identifier: GPL-2.0

//! Where code goes on by jumps, in place of returning.

use super::insn::{self, Flow};

const INT3: u8 = 0xcc;
/// Of a direct jump.
const JMP_LEN: usize = 5;

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
}

/// Calls `exit` for all jumps in `code`, which is at `base`, that do not stay in it. The first instruction that counts is at `begin`: what
/// stands at the fentry site of a function is not the function's own.
pub fn each(code: &[u8], base: u64, begin: usize, mut exit: impl FnMut(Exit)) {
    let mut at = begin;
    let len = u64::try_from(code.len()).unwrap_or(u64::MAX);
    let addr = |at: usize| base.wrapping_add(u64::try_from(at).unwrap_or(u64::MAX));
    // One to the beginning enters the function again.
    let stays = |to: u64| to != base && to.wrapping_sub(base) < len;
    while let Some(rest) = code.get(at..).filter(|rest| !rest.is_empty()) {
        if let [INT3, behind @ ..] = rest {
            // Behind a return or a jump it stops speculation, and between functions it fills room.
            if let Some(displacement) = behind.first_chunk() {
                let end = addr(at.saturating_add(JMP_LEN));
                let to = end.wrapping_add_signed(i32::from_le_bytes(*displacement).into());
                if !stays(to) {
                    exit(Exit::Perhaps(to));
                }
            }
            at = at.saturating_add(1);
            continue;
        }
        let Some(found) = insn::decode(rest) else {
            return exit(Exit::Anywhere);
        };
        at = at.saturating_add(found.len);
        match (found.flow, found.relative) {
            (Flow::On, _) => {}
            (Flow::Jump, Some(field)) => {
                let to = addr(at).wrapping_add_signed(field.value.into());
                if !stays(to) {
                    exit(Exit::To(to));
                }
            }
            (Flow::Jump, None) | (Flow::Indirect, _) => exit(Exit::Anywhere),
        }
    }
}

/// What a jump to something with a name comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A return.
    Return,
    /// A jump through a register, or one that the kernel turns to elsewhere as it runs.
    Anywhere,
    /// Code, which may jump on.
    Code,
}

/// What a jump to the symbol with this name comes to: some of the kernel's are no functions. `lp_its_thunks` are ours.
pub fn target(name: &[u8]) -> Target {
    let begins = |with: &[u8]| name.starts_with(with);
    let returns = name.ends_with(b"return_thunk");
    let anywhere = begins(b"__x86_indirect_") || begins(b"__SCT__") || begins(b"lp_its_thunks");
    match () {
        () if returns => Target::Return,
        () if anywhere => Target::Anywhere,
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
        each(code, BASE, 0, |exit| all.push(exit));
        all
    }

    #[test]
    fn kinds_of_jumps() {
        // A call, an operand relative to the instruction pointer, and a return with what stops speculation.
        let stays: [&[u8]; 5] = [
            &[0xe8, 0x00, 0x10, 0x00, 0x00],
            &[0x48, 0x8b, 0x05, 0x00, 0x10, 0x00, 0x00],
            &[0xc3, 0xcc, 0x90],
            &[0xeb, 0x01, 0x90, 0xc3],
            &[0x90, 0x74, 0xfe, 0xff, 0xd0],
        ];
        for code in stays {
            assert_eq!(exits(code), [], "{code:02x?}");
        }
        let leaves: [(&[u8], Exit); 10] = [
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
            (
                &[0xcc, 0x00, 0x10, 0x00, 0x00],
                Exit::Perhaps(BASE + 0x1005),
            ),
        ];
        for (code, exit) in leaves {
            assert_eq!(exits(code).first(), Some(&exit), "{code:02x?}");
        }
    }

    #[test]
    fn what_is_at_the_beginning_may_not_count() {
        let jump = [0xe9, 0x00, 0x10, 0x00, 0x00];
        let mut all = Vec::new();
        each(&[jump, jump].concat(), BASE, 5, |exit| all.push(exit));
        assert_eq!(all, [Exit::To(BASE + 0x100a)]);
    }

    #[test]
    fn names() {
        for name in [
            "__x86_return_thunk",
            "srso_alias_return_thunk",
            "its_return_thunk",
        ] {
            assert_eq!(target(name.as_bytes()), Target::Return, "{name}");
        }
        for name in [
            "__x86_indirect_thunk_r11",
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
        fn any_bytes(code in prop::collection::vec(any::<u8>(), 0..80), base: u64) {
            let len = u64::try_from(code.len()).expect("it is short");
            each(&code, base, 0, |exit| if let Exit::To(to) = exit {
                assert!(to == base || to.wrapping_sub(base) >= len);
            });
        }
    }
}
