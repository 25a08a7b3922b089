// SPDX-License-Identifier: GPL-2.0

//! Indirect branches, which compilers write as direct ones to `__x86_indirect_thunk_REGISTER`.
//!
//! The forms are those of patch_retpoline() and emit_indirect() in arch/x86/kernel/alternative.c. What decides is in
//! feature bits of the boot CPU, which are exported; branches of lpatch_core that the kernel finished have to agree with
//! what these rules say ([`Retpolines::agrees`]), or else nothing is loaded.

use super::super::num::wide;
use super::returns::UPPER_HALF;
use super::{displacement, nops, target, CALL, CS, INT3, JMP};

/// Bytes from one `__x86_indirect_thunk_*` to the next, in the order in which instructions number registers.
pub const THUNK_SIZE: u64 = 32;
/// Bytes from one thunk of ours for ITS to the next, in the same order.
pub const ITS_THUNK_SIZE: u64 = 64;
/// Registers with a thunk.
const REGISTERS: u64 = 16;
/// The stack pointer: nobody branches to what it points to.
const RSP: u8 = 4;

const LFENCE: [u8; 3] = [0x0f, 0xae, 0xe8];
/// Longest branch: cs and a call, or a conditional jump.
const LONGEST: usize = 6;

/// What becomes of indirect branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retpolines {
    /// The address of the first thunk.
    pub thunks: u64,
    /// What becomes of branches to them.
    pub form: Form,
}

/// What the kernel makes of a branch to a thunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It stays: X86_FEATURE_RETPOLINE without X86_FEATURE_RETPOLINE_LFENCE.
    Thunk,
    /// A branch to other thunks, of which those for calls count them: X86_FEATURE_CALL_DEPTH, and as above.
    Counted {
        /// Address of the first of them that are for calls.
        calls: u64,
        /// And for jumps.
        jumps: u64,
    },
    /// The branch itself, through the register.
    Inline {
        /// Behind an `lfence`: X86_FEATURE_RETPOLINE_LFENCE.
        lfence: bool,
        /// X86_FEATURE_INDIRECT_THUNK_ITS: address of the first of the thunks that branches in the lower half of a cache
        /// line take instead. The kernel makes thunks for each module; lpatch has some for all patches.
        its: Option<u64>,
    },
}

/// A branch to a thunk.
#[derive(Clone, Copy)]
struct Branch {
    len: usize,
    /// The condition, for conditional jumps.
    condition: Option<u8>,
    call: bool,
    register: u8,
}

impl Retpolines {
    /// The number of the register whose thunk is at this address.
    pub fn register(&self, addr: u64) -> Option<u8> {
        register(self.thunks, addr)
    }

    /// Finishes the branch at the start of `code`, whose address is `at`; `None` if it is none, or if what it has to reach
    /// is out of reach.
    pub(super) fn finish(&self, code: &mut [u8], at: u64) -> Option<()> {
        let branch = self.branch(code, at)?;
        let site = code.get_mut(..branch.len)?;
        let register = u64::from(branch.register);
        let (lfence, its) = match self.form {
            Form::Thunk => return Some(()),
            Form::Counted { calls, jumps } => {
                let thunks = if branch.call { calls } else { jumps };
                let thunk = thunks.wrapping_add(register.wrapping_mul(THUNK_SIZE));
                return redirect(site, at, thunk);
            }
            Form::Inline { lfence, its } => (lfence, its),
        };
        let mut out = Out {
            bytes: [INT3; LONGEST],
            len: 0,
        };
        if let Some(condition) = branch.condition {
            // Around the rest, on the opposite condition.
            let rest = u8::try_from(branch.len).ok()?.checked_sub(2)?;
            out.put(&[0x70 | (condition ^ 1), rest])?;
        }
        if lfence {
            out.put(&LFENCE)?;
        }
        let high = branch.register >= 8;
        // The last byte of the branch decides in which half of the line it is.
        let last = at
            .wrapping_add(wide(out.len))
            .wrapping_add(if high { 2 } else { 1 });
        if let Some(its) = its.filter(|_| last & UPPER_HALF == 0) {
            let thunk = its.wrapping_add(register.wrapping_mul(ITS_THUNK_SIZE));
            return redirect(site, at, thunk);
        }
        let width = if high { 3 } else { 2 };
        let Some(room) = branch
            .len
            .checked_sub(out.len)
            .and_then(|room| room.checked_sub(width))
        else {
            // Too short for it: it keeps its thunk, which has the same instructions.
            return Some(());
        };
        if branch.call {
            // Prefixes rather than nops behind it.
            for _ in 0..room {
                out.put(&[CS])?;
            }
        }
        if high {
            out.put(&[0x41])?;
        }
        let operation = if branch.call { 0xd0 } else { 0xe0 };
        out.put(&[0xff, operation | (branch.register & 7)])?;
        for (to, from) in site.iter_mut().zip(out.bytes) {
            *to = from;
        }
        nops::optimize(site);
        Some(())
    }

    /// Whether the kernel made of a branch of ours what these rules say. It was a call or jump to the thunk of `register`
    /// at the address `at`, as compilers write it, and `found` is there now. Thunks for ITS may be anywhere.
    pub fn agrees(&self, at: u64, register: u8, call: bool, found: &[u8]) -> bool {
        let check = || {
            let mut expected = [INT3; LONGEST];
            let cs = register >= 8;
            let len: usize = if cs { 6 } else { 5 };
            let thunk = self
                .thunks
                .wrapping_add(u64::from(register).wrapping_mul(THUNK_SIZE));
            let to = displacement(at.wrapping_add(wide(len)), thunk)?;
            let site = expected.get_mut(..len)?;
            let branch = [CS, if call { CALL } else { JMP }];
            let opcodes = branch.get(if cs { 0 } else { 1 }..)?;
            for (to, from) in site.iter_mut().zip(opcodes.iter().chain(&to)) {
                *to = *from;
            }
            self.finish(site, at)?;
            let found = found.get(..len)?;
            let its = matches!(self.form, Form::Inline { its: Some(_), .. })
                && matches!(site.get(len.checked_sub(5)?), Some(&(CALL | JMP)));
            // All but the displacement.
            let count = if its { len.checked_sub(4)? } else { len };
            Some(site.get(..count)? == found.get(..count)?)
        };
        check().unwrap_or(false)
    }

    /// The branch to a thunk that `code`, at the address `at`, begins with.
    fn branch(&self, code: &[u8], at: u64) -> Option<Branch> {
        let (len, to) = direct(code)?;
        let register = self.register(target(at.wrapping_add(wide(len)), to))?;
        let (condition, call) = match *code {
            [0x0f, condition, ..] => (Some(condition & 0xf), false),
            [CALL, ..] | [CS, CALL, ..] => (None, true),
            _ => (None, false),
        };
        Some(Branch {
            len,
            condition,
            call,
            register,
        })
    }
}

/// Length and displacement of the direct branch that `code` begins with: a call or a jump, perhaps with the prefix that
/// compilers give branches to thunks of high registers, or a conditional jump, as clang writes tail calls.
pub fn direct(code: &[u8]) -> Option<(usize, [u8; 4])> {
    let start = match *code {
        [CALL | JMP, ..] => 1,
        [CS, CALL | JMP, ..] | [0x0f, 0x80..=0x8f, ..] => 2,
        _ => return None,
    };
    let field = code.get(start..)?.first_chunk()?;
    Some((start.checked_add(field.len())?, *field))
}

/// The number of the register whose thunk, in an array that begins at `thunks`, is at this address.
pub fn register(thunks: u64, addr: u64) -> Option<u8> {
    let offset = addr.checked_sub(thunks)?;
    let number = offset / THUNK_SIZE;
    let is_thunk = offset % THUNK_SIZE == 0 && number < REGISTERS;
    let number = u8::try_from(number).ok().filter(|_| is_thunk)?;
    (number != RSP).then_some(number)
}

/// Sends a branch elsewhere.
fn redirect(site: &mut [u8], at: u64, to: u64) -> Option<()> {
    let field = displacement(at.wrapping_add(wide(site.len())), to)?;
    let (_, place) = site.split_last_chunk_mut()?;
    *place = field;
    Some(())
}

/// An instruction in the making.
struct Out {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Out {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len.checked_add(bytes.len())?;
        let place = self.bytes.get_mut(self.len..end)?;
        for (to, from) in place.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.len = end;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const THUNKS: u64 = 0xffff_ffff_8200_0000;
    const ITS: u64 = 0xffff_ffff_c010_0020;
    /// Upper half of a line.
    const AT: u64 = 0xffff_ffff_c000_1020;

    fn retpolines(lfence: bool, its: bool) -> Retpolines {
        Retpolines {
            thunks: THUNKS,
            form: Form::Inline {
                lfence,
                its: its.then_some(ITS),
            },
        }
    }

    /// A branch with these opcodes to this address.
    fn to(opcodes: &[u8], at: u64, target: u64) -> Vec<u8> {
        let end = at + wide(opcodes.len()) + 4;
        let displacement = i64::try_from(i128::from(target) - i128::from(end)).expect("it is near");
        let displacement = i32::try_from(displacement).expect("it is near");
        [opcodes, &displacement.to_le_bytes()].concat()
    }

    fn finished(retpolines: Retpolines, opcodes: &[u8], at: u64, register: u64) -> Vec<u8> {
        let mut code = to(opcodes, at, THUNKS + 32 * register);
        let len = code.len();
        code.extend([0x90; 3]);
        retpolines.finish(&mut code, at).expect("it is a branch");
        assert_eq!(code[len..], [0x90; 3]);
        code.truncate(len);
        code
    }

    #[test]
    fn retpolines_stay_where_they_are_used() {
        let kept = Retpolines {
            thunks: THUNKS,
            form: Form::Thunk,
        };
        for (opcodes, register) in [(&[0xe8][..], 0), (&[0x2e, 0xe9], 11), (&[0x0f, 0x84], 11)] {
            let expected = to(opcodes, AT, THUNKS + 32 * register);
            assert_eq!(finished(kept, opcodes, AT, register), expected);
        }
    }

    #[test]
    fn counted_branches() {
        let counted = Retpolines {
            thunks: THUNKS,
            form: Form::Counted {
                calls: THUNKS + 0x1000,
                jumps: THUNKS + 0x2000,
            },
        };
        for (opcodes, register, base) in [
            (&[0xe8][..], 0, 0x1000),
            (&[0x2e, 0xe8], 11, 0x1000),
            (&[0xe9], 3, 0x2000),
            (&[0x0f, 0x84], 11, 0x2000),
        ] {
            let expected = to(opcodes, AT, THUNKS + base + 32 * register);
            assert_eq!(finished(counted, opcodes, AT, register), expected);
        }
    }

    #[test]
    fn inline_branches() {
        let inline = retpolines(false, false);
        let of = |opcodes: &[u8], register| finished(inline, opcodes, AT, register);
        assert_eq!(of(&[0xe8], 0), [0x2e, 0x2e, 0x2e, 0xff, 0xd0]);
        assert_eq!(of(&[0xe8], 7), [0x2e, 0x2e, 0x2e, 0xff, 0xd7]);
        assert_eq!(of(&[0x2e, 0xe8], 8), [0x2e, 0x2e, 0x2e, 0x41, 0xff, 0xd0]);
        assert_eq!(of(&[0x2e, 0xe8], 15), [0x2e, 0x2e, 0x2e, 0x41, 0xff, 0xd7]);
        assert_eq!(of(&[0xe8], 11), [0x2e, 0x2e, 0x41, 0xff, 0xd3]);
        assert_eq!(of(&[0xe9], 2), [0xff, 0xe2, 0xcc, 0xcc, 0xcc]);
        assert_eq!(of(&[0x2e, 0xe9], 11), [0x41, 0xff, 0xe3, 0xcc, 0xcc, 0xcc]);
        // je thunk: jne over it; jmp *%rdx.
        assert_eq!(of(&[0x0f, 0x84], 2), [0x75, 0x04, 0xff, 0xe2, 0xcc, 0xcc]);
        assert_eq!(of(&[0x0f, 0x8f], 11), [0x7e, 0x04, 0x41, 0xff, 0xe3, 0xcc]);
    }

    #[test]
    fn behind_lfence() {
        let lfence = retpolines(true, false);
        let of = |opcodes: &[u8], register| finished(lfence, opcodes, AT, register);
        assert_eq!(of(&[0xe8], 0), [0x0f, 0xae, 0xe8, 0xff, 0xd0]);
        assert_eq!(of(&[0xe9], 3), [0x0f, 0xae, 0xe8, 0xff, 0xe3]);
        assert_eq!(of(&[0x2e, 0xe8], 8), [0x0f, 0xae, 0xe8, 0x41, 0xff, 0xd0]);
        // No room: they keep the thunk, which is the same.
        for (opcodes, register) in [(&[0xe8][..], 8), (&[0x0f, 0x84], 2)] {
            let expected = to(opcodes, AT, THUNKS + 32 * register);
            assert_eq!(of(opcodes, register), expected);
        }
    }

    #[test]
    fn its_needs_a_thunk_in_the_lower_half_of_a_line() {
        let its = retpolines(false, true);
        let lower = AT - 0x20;
        assert_eq!(
            finished(its, &[0xe8], lower, 2),
            to(&[0xe8], lower, ITS + 2 * 64)
        );
        assert_eq!(
            finished(its, &[0x2e, 0xe9], lower, 9),
            to(&[0x2e, 0xe9], lower, ITS + 9 * 64)
        );
        assert_eq!(
            finished(its, &[0x0f, 0x85], lower, 1),
            to(&[0x0f, 0x85], lower, ITS + 64)
        );
        assert_eq!(finished(its, &[0xe9], AT, 2)[..2], [0xff, 0xe2]);
        // The second byte of the branch is the first of the upper half; with a high register, the third.
        assert_eq!(finished(its, &[0xe9], AT - 1, 2)[..2], [0xff, 0xe2]);
        assert_eq!(finished(its, &[0xe9], AT - 2, 2)[0], 0xe9);
        assert_eq!(finished(its, &[0x2e, 0xe9], AT - 2, 9)[..2], [0x41, 0xff]);
        assert_eq!(finished(its, &[0x2e, 0xe9], AT - 3, 9)[0], 0x2e);
        // Behind the jump around it.
        assert_eq!(finished(its, &[0x0f, 0x84], AT - 3, 2)[0], 0x75);
        assert_eq!(finished(its, &[0x0f, 0x84], AT - 4, 2)[0], 0x0f);
        assert_eq!(finished(its, &[0xe9], AT + 0x1f, 2)[0], 0xe9);
        // Out of reach.
        let mut code = to(&[0xe8], lower, THUNKS);
        let far = Retpolines {
            form: Form::Inline {
                lfence: false,
                its: Some(ITS - (1 << 34)),
            },
            ..its
        };
        assert_eq!(far.finish(&mut code, lower), None);
    }

    #[test]
    fn only_branches_to_thunks() {
        let inline = retpolines(false, false);
        let finish = |mut code: Vec<u8>| inline.finish(&mut code, AT);
        for target in [THUNKS - 32, THUNKS + 1, THUNKS + 32 * 4, THUNKS + 32 * 16] {
            assert_eq!(finish(to(&[0xe8], AT, target)), None, "{target:#x}");
        }
        for opcodes in [&[0xe8][..], &[0xe9], &[0x2e, 0xe9], &[0x0f, 0x80]] {
            assert_eq!(finish(to(opcodes, AT, THUNKS)), Some(()));
            let mut short = to(opcodes, AT, THUNKS);
            short.pop();
            assert_eq!(finish(short), None);
        }
        for opcodes in [
            &[0xeb][..],
            &[0x3e, 0xe8],
            &[0x2e, 0x0f, 0x84],
            &[0x0f, 0x90],
        ] {
            assert_eq!(finish(to(opcodes, AT, THUNKS)), None);
        }
    }

    #[test]
    fn examples_have_to_agree() {
        for (lfence, its) in [(false, false), (true, false), (false, true)] {
            let rules = retpolines(lfence, its);
            for at in [AT, AT - 0x20] {
                for (register, call, opcodes) in [
                    (0, true, &[0xe8][..]),
                    (0, false, &[0xe9]),
                    (11, true, &[0x2e, 0xe8]),
                    (11, false, &[0x2e, 0xe9]),
                ] {
                    let good = finished(rules, opcodes, at, register.into());
                    assert!(rules.agrees(at, register, call, &good));
                    assert!(!rules.agrees(at, register, !call, &good));
                    assert!(!rules.agrees(at, register, call, &good[1..]));
                    let kept = to(opcodes, at, THUNKS + 32 * u64::from(register));
                    // With ITS only the place of the thunk tells them apart.
                    let thunk = its && at != AT;
                    assert_eq!(rules.agrees(at, register, call, &kept), thunk);
                    let mut other = good.clone();
                    other[0] ^= 1;
                    assert!(!rules.agrees(at, register, call, &other));
                }
            }
        }
        // Another module's thunk for ITS.
        let lower = AT - 0x20;
        let theirs = to(&[0xe8], lower, ITS + 0x5000);
        assert!(retpolines(false, true).agrees(lower, 0, true, &theirs));
    }
}
