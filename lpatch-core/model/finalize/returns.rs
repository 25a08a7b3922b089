// SPDX-License-Identifier: GPL-2.0

//! Returns, which compilers write as `jmp __x86_return_thunk`, clang with a `cs` prefix in front.
//!
//! What the kernel makes of them depends on the CPU and on mitigations, and where the new target is depends on a variable
//! that is not exported. But it has finished lpatch_core too, so examples in there show it. The forms are those of
//! patch_return() and cpu_wants_rethunk_at() in arch/x86/kernel/alternative.c.

use super::super::num::wide;
use super::super::refusal::{ensure, Refusal};
use super::{displacement, target, CS, INT3, JMP};
use crate::uapi::Reason;

const LEN: usize = 5;
/// `ret`, padded with `int3` to the length of the jump that it replaces.
const RET: [u8; LEN] = [0xc3, INT3, INT3, INT3, INT3];
/// With the prefix.
const LONGER: usize = LEN + 1;
/// The half of a cache line in which ITS lets a branch be; in the lower half it needs a thunk.
pub(super) const UPPER_HALF: u64 = 0x20;

/// A return of lpatch_core, after the kernel finished it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example {
    /// Its address.
    pub at: u64,
    /// What is there.
    pub bytes: [u8; LEN],
}

/// What becomes of `jmp __x86_return_thunk`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// `ret`.
    Inline,
    /// A jump to this address.
    Thunk(u64),
    /// A jump to this address in the lower half of a cache line, else `ret`.
    ThunkInLowerHalf(u64),
}

impl Returns {
    /// Learns from two returns, one in the lower and one in the upper half of a cache line (bit 5 of the address).
    /// `thunk` is the address of `__x86_return_thunk`.
    pub fn learn(lower: Example, upper: Example, thunk: u64) -> Result<Self, Refusal> {
        let unknown = |at: u64| Refusal::new(Reason::Mitigation).value(at);
        ensure(lower.at & UPPER_HALF == 0, || unknown(lower.at))?;
        ensure(upper.at & UPPER_HALF != 0, || unknown(upper.at))?;
        let below = jumps_to(lower).ok_or_else(|| unknown(lower.at))?;
        let above = jumps_to(upper).ok_or_else(|| unknown(upper.at))?;
        let returns = match (below, above) {
            (None, None) => Self::Inline,
            (Some(below), Some(above)) if below == above => Self::Thunk(below),
            (Some(below), None) => Self::ThunkInLowerHalf(below),
            _ => return Err(unknown(upper.at)),
        };
        // The thunk that the compiler names is for code that the kernel has not finished: it warns.
        let finished = match returns {
            Self::Inline => true,
            Self::Thunk(target) | Self::ThunkInLowerHalf(target) => target != thunk,
        };
        ensure(finished, || unknown(lower.at))?;
        Ok(returns)
    }

    /// Writes the return at the start of `code`, whose address is `at`; `None` if there is no room, or the thunk is out of
    /// reach.
    pub(super) fn finish(&self, code: &mut [u8], at: u64) -> Option<()> {
        let len = length(code)?;
        let (site, rest) = code.get_mut(..len)?.split_first_chunk_mut::<LEN>()?;
        let to = match *self {
            Self::Thunk(to) => Some(to),
            Self::ThunkInLowerHalf(to) if at & UPPER_HALF == 0 => Some(to),
            _ => None,
        };
        *site = match to {
            Some(to) => {
                let [a, b, c, d] = displacement(at.wrapping_add(wide(LEN)), to)?;
                [JMP, a, b, c, d]
            }
            None => RET,
        };
        rest.fill(INT3);
        Some(())
    }
}

/// The length of the return that `code` begins with, as the compiler left it.
pub fn length(code: &[u8]) -> Option<usize> {
    match *code {
        [JMP, ..] => Some(LEN),
        [CS, JMP, ..] => Some(LONGER),
        _ => None,
    }
}

/// Where a finished return jumps to, `Some(None)` if it does not jump, `None` if it is neither.
fn jumps_to(example: Example) -> Option<Option<u64>> {
    let [opcode, displacement @ ..] = example.bytes;
    if opcode == JMP {
        let end = example.at.wrapping_add(wide(LEN));
        return Some(Some(target(end, displacement)));
    }
    (example.bytes == RET).then_some(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THUNK: u64 = 0xffff_ffff_8200_0000;
    const OTHER: u64 = 0xffff_ffff_8200_0040;
    const CORE: u64 = 0xffff_ffff_c000_0000;

    fn jmp(at: u64, to: u64) -> [u8; 5] {
        let displacement = i64::try_from(i128::from(to) - i128::from(at) - 5).expect("it is near");
        let displacement = i32::try_from(displacement).expect("it is near");
        let mut bytes = [0xe9; 5];
        bytes[1..].copy_from_slice(&displacement.to_le_bytes());
        bytes
    }

    /// Examples that jump there, or with `None` do not.
    fn examples(lower: Option<u64>, upper: Option<u64>) -> (Example, Example) {
        let example = |at, to: Option<u64>| Example {
            at,
            bytes: to.map_or([0xc3, 0xcc, 0xcc, 0xcc, 0xcc], |to| jmp(at, to)),
        };
        (example(CORE + 0x40, lower), example(CORE + 0x60, upper))
    }

    fn learn(lower: Option<u64>, upper: Option<u64>) -> Result<Returns, Refusal> {
        let (lower, upper) = examples(lower, upper);
        Returns::learn(lower, upper, THUNK)
    }

    /// The return at this address.
    fn at(returns: Returns, at: u64) -> Option<[u8; 5]> {
        let mut code = [JMP, 0, 0, 0, 0, 0x90];
        returns.finish(&mut code, at)?;
        assert_eq!(code[5], 0x90);
        code.first_chunk().copied()
    }

    #[test]
    fn inline() {
        let returns = learn(None, None).expect("it is known");
        for place in [CORE + 3, CORE + 0x20] {
            assert_eq!(at(returns, place), Some(RET));
        }
    }

    /// As the kernel does it: the prefix goes, and what is left of the instruction traps.
    #[test]
    fn with_a_prefix() {
        for (returns, expected) in [
            (Returns::Inline, RET),
            (Returns::Thunk(OTHER), jmp(CORE, OTHER)),
        ] {
            let mut code = [CS, JMP, 1, 2, 3, 4, 0x90];
            assert_eq!(length(&code), Some(6));
            assert_eq!(returns.finish(&mut code, CORE), Some(()));
            assert_eq!(code[..5], expected);
            assert_eq!(code[5..], [INT3, 0x90]);
        }
        assert_eq!(length(&[JMP, 0]), Some(5));
        assert_eq!(length(&[CS, 0xe8]), None);
        assert_eq!(length(&[0xe8, JMP]), None);
        assert_eq!(length(&[]), None);
    }

    #[test]
    fn through_a_thunk() {
        let returns = learn(Some(OTHER), Some(OTHER)).expect("it is known");
        for place in [CORE + 0x1003, CORE + 0x1020] {
            assert_eq!(at(returns, place), Some(jmp(place, OTHER)));
        }
        assert_eq!(at(returns, CORE & !(1 << 34)), None);
        assert_eq!(returns.finish(&mut [0x90; 4], CORE), None);
    }

    #[test]
    fn its_needs_the_thunk_in_the_lower_half_of_a_line() {
        let returns = learn(Some(OTHER), None).expect("it is known");
        for offset in [0x1f, 0x20, 0x3f, 0x40, 0x60] {
            let place = CORE + offset;
            let lower = place & 0x20 == 0;
            let expected = if lower { jmp(place, OTHER) } else { RET };
            assert_eq!(at(returns, place), Some(expected));
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let reason = |result: Result<Returns, Refusal>| result.map_err(|r| r.reason);
        let unknown = Err(Reason::Mitigation);
        // Two thunks; a thunk in the upper half only; the kernel did not finish the examples.
        assert_eq!(reason(learn(Some(OTHER), Some(OTHER + 1))), unknown);
        assert_eq!(reason(learn(None, Some(OTHER))), unknown);
        assert_eq!(reason(learn(Some(THUNK), Some(THUNK))), unknown);
        assert_eq!(reason(learn(Some(THUNK), None)), unknown);

        let (lower, upper) = examples(None, None);
        assert_eq!(reason(Returns::learn(upper, lower, THUNK)), unknown);
        for twice in [lower, upper] {
            assert_eq!(reason(Returns::learn(twice, twice, THUNK)), unknown);
        }
        for byte in 0..5 {
            let mut odd = lower;
            odd.bytes[byte] ^= 0x10;
            assert_eq!(reason(Returns::learn(odd, upper, THUNK)), unknown);
        }
    }
}
