// SPDX-License-Identifier: GPL-2.0

//! What this boot's kernel makes of returns and landing pads, learned from examples, done to a
//! patch.
//!
//! The kernel decides at boot, from the CPU and the mitigations in force, and tells nobody. But it
//! has finished lpatch_core too, so the core carries code whose fate shows the decision. The forms
//! are those of patch_return(), cpu_wants_rethunk_at() and poison_endbr() in
//! arch/x86/kernel/alternative.c.

use super::fentry::{ENDBR64, SEALED};
use super::image::Table;
use super::num::{index, wide};
use super::refusal::{ensure, Refusal};
use super::reloc;
use crate::uapi::{Reason, Site, SITE_CALL, SITE_RETURN, SITE_SEAL};

const RETURN_LEN: usize = 5;
const JMP: u8 = 0xe9;
/// `ret`, padded with `int3` to the length of the jump that it replaces.
const RET: [u8; RETURN_LEN] = [0xc3, 0xcc, 0xcc, 0xcc, 0xcc];
/// The half of a cache line in which ITS lets a return be; in the lower half it needs a thunk.
const UPPER_HALF: u64 = 0x20;

/// A return site of lpatch_core, after the kernel finished it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example {
    /// Its address.
    pub at: u64,
    /// What is there.
    pub bytes: [u8; RETURN_LEN],
}

/// What becomes of `jmp __x86_return_thunk`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Return {
    Inline,
    /// A jump to this address.
    Thunk(u64),
    /// A jump to this address in the lower half of a cache line, else inline.
    ThunkInLowerHalf(u64),
}

/// What this boot's kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    ret: Return,
    seal: [u8; 4],
}

impl Facts {
    /// Learns from two return sites, one in the lower and one in the upper half of a cache line
    /// (bit 5 of the address), and from the landing pad of a function whose address is never taken.
    ///
    /// `thunk` is the address of `__x86_return_thunk`. `call_depth` says that the return thunk in
    /// use counts calls (its name is `call_depth_return_thunk`): then calls would have to be
    /// counted as well, which lpatch does not do.
    pub fn learn(
        lower: Example,
        upper: Example,
        seal: [u8; 4],
        thunk: u64,
        call_depth: bool,
    ) -> Result<Self, Refusal> {
        let unknown = |at: u64| Refusal {
            reason: Reason::Mitigation,
            at: 0,
            value: at,
        };
        ensure(!call_depth, || Reason::CallDepth.into())?;
        ensure(lower.at & UPPER_HALF == 0, || unknown(lower.at))?;
        ensure(upper.at & UPPER_HALF != 0, || unknown(upper.at))?;
        let below = target(lower).ok_or_else(|| unknown(lower.at))?;
        let above = target(upper).ok_or_else(|| unknown(upper.at))?;
        let ret = match (below, above) {
            (None, None) => Return::Inline,
            (Some(below), Some(above)) if below == above => Return::Thunk(below),
            (Some(below), None) => Return::ThunkInLowerHalf(below),
            _ => return Err(unknown(upper.at)),
        };
        // The thunk that the compiler names is for code that the kernel has not finished: it warns.
        let finished = match ret {
            Return::Inline => true,
            Return::Thunk(target) | Return::ThunkInLowerHalf(target) => target != thunk,
        };
        ensure(finished, || unknown(lower.at))?;
        ensure(seal == ENDBR64 || seal == SEALED, || {
            unknown(u32::from_le_bytes(seal).into())
        })?;
        Ok(Self { ret, seal })
    }

    /// The bytes of a return at this address, or `None` if the thunk is out of reach.
    fn return_at(&self, at: u64) -> Option<[u8; RETURN_LEN]> {
        let target = match self.ret {
            Return::Thunk(target) => target,
            Return::ThunkInLowerHalf(target) if at & UPPER_HALF == 0 => target,
            _ => return Some(RET),
        };
        let mut bytes = [JMP; RETURN_LEN];
        let (_, field) = bytes.split_first_mut()?;
        // A displacement counts from the end of the instruction, 4 bytes behind the field.
        let kind = reloc::lookup(reloc::PC32)?;
        let value = kind.value(target, -4, at.wrapping_add(1)).ok()?;
        kind.put(field, value)?;
        Some(bytes)
    }
}

/// Where a finished return jumps to, `Some(None)` if it does not jump, `None` if it is neither.
fn target(example: Example) -> Option<Option<u64>> {
    let [opcode, displacement @ ..] = example.bytes;
    if opcode == JMP {
        let displacement = i32::from_le_bytes(displacement);
        let end = example.at.wrapping_add(wide(RETURN_LEN));
        return Some(Some(end.wrapping_add_signed(displacement.into())));
    }
    (example.bytes == RET).then_some(None)
}

/// Finishes the sites of a verified image whose text, `text`, runs at `base`.
///
/// What it writes depends only on the place and the facts, so doing it again changes nothing. A
/// refusal points at the site.
pub fn finalize(
    text: &mut [u8],
    base: u64,
    sites: Table<'_, Site>,
    facts: &Facts,
) -> Result<(), Refusal> {
    for (i, site) in sites.iter().enumerate() {
        let refusal = || Refusal::at(Reason::Site, i);
        let at = base.wrapping_add(site.offset.into());
        let start = index(site.offset);
        match site.kind {
            SITE_RETURN => {
                let field = text
                    .get_mut(start..)
                    .and_then(<[u8]>::first_chunk_mut)
                    .ok_or_else(refusal)?;
                *field = facts
                    .return_at(at)
                    .ok_or_else(|| Refusal::at(Reason::RelocRange, i).value(at))?;
            }
            SITE_SEAL => {
                let field = text
                    .get_mut(start..)
                    .and_then(<[u8]>::first_chunk_mut)
                    .ok_or_else(refusal)?;
                *field = facts.seal;
            }
            // Without call depth tracking a call stays as it is.
            SITE_CALL => {}
            _ => return Err(refusal()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uapi::Wire;
    use std::vec;
    use std::vec::Vec;

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

    /// Examples that both jump to, or with `None` do not.
    fn examples(lower: Option<u64>, upper: Option<u64>) -> (Example, Example) {
        let example = |at, to: Option<u64>| Example {
            at,
            bytes: to.map_or([0xc3, 0xcc, 0xcc, 0xcc, 0xcc], |to| jmp(at, to)),
        };
        (example(CORE + 0x40, lower), example(CORE + 0x60, upper))
    }

    fn learn(lower: Option<u64>, upper: Option<u64>) -> Result<Facts, Refusal> {
        let (lower, upper) = examples(lower, upper);
        Facts::learn(lower, upper, SEALED, THUNK, false)
    }

    /// The text after each of these sites was finished.
    fn finish(facts: &Facts, base: u64, sites: &[(u32, u16)]) -> Result<Vec<u8>, Refusal> {
        let mut table = vec![0; sites.len() * Site::SIZE];
        for (entry, &(offset, kind)) in table.chunks_mut(Site::SIZE).zip(sites) {
            let site = Site {
                offset,
                kind,
                reserved: 0,
            };
            site.write(entry).expect("it is long enough");
        }
        let mut text = vec![0x90; 0x80];
        finalize(&mut text, base, Table::over(&table), facts)?;
        Ok(text)
    }

    #[test]
    fn inline_returns() {
        let facts = learn(None, None).expect("it is known");
        let text = finish(&facts, CORE, &[(3, SITE_RETURN), (0x20, SITE_RETURN)]);
        let text = text.expect("it is done");
        assert_eq!(text[2..9], [0x90, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0x90]);
        assert_eq!(text[0x20..0x26], [0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0x90]);
    }

    #[test]
    fn returns_through_a_thunk() {
        let facts = learn(Some(OTHER), Some(OTHER)).expect("it is known");
        let base = CORE + 0x1000;
        let text = finish(&facts, base, &[(3, SITE_RETURN), (0x20, SITE_RETURN)]);
        let text = text.expect("it is done");
        assert_eq!(text[3..8], jmp(base + 3, OTHER));
        assert_eq!(text[0x20..0x25], jmp(base + 0x20, OTHER));
        let far = finish(&facts, CORE & !(1 << 34), &[(3, SITE_RETURN)]);
        assert_eq!(far.map_err(|r| r.reason), Err(Reason::RelocRange));
    }

    #[test]
    fn its_needs_the_thunk_in_the_lower_half_of_a_line() {
        let facts = learn(Some(OTHER), None).expect("it is known");
        let sites = [0x1f, 0x20, 0x3f, 0x40, 0x60].map(|offset| (offset, SITE_RETURN));
        // The base moves the halves.
        for base in [CORE, CORE + 0x20] {
            for (offset, kind) in sites {
                let text = finish(&facts, base, &[(offset, kind)]).expect("it is done");
                let at = base + u64::from(offset);
                let expected = if at & 0x20 == 0 { jmp(at, OTHER) } else { RET };
                assert_eq!(text[index(offset)..index(offset) + 5], expected);
            }
        }
    }

    #[test]
    fn landing_pads() {
        for seal in [SEALED, ENDBR64] {
            let (lower, upper) = examples(None, None);
            let facts = Facts::learn(lower, upper, seal, THUNK, false).expect("it is known");
            let text = finish(&facts, CORE, &[(8, SITE_SEAL), (16, SITE_CALL)]);
            let text = text.expect("it is done");
            assert_eq!(text[8..12], seal);
            assert!(text[12..].iter().all(|&b| b == 0x90));
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let reason = |result: Result<Facts, Refusal>| result.map_err(|r| r.reason);
        let unknown = Err(Reason::Mitigation);
        // Two thunks; a thunk in the upper half only; the kernel did not finish the examples.
        assert_eq!(reason(learn(Some(OTHER), Some(OTHER + 1))), unknown);
        assert_eq!(reason(learn(None, Some(OTHER))), unknown);
        assert_eq!(reason(learn(Some(THUNK), Some(THUNK))), unknown);
        assert_eq!(reason(learn(Some(THUNK), None)), unknown);

        let (lower, upper) = examples(None, None);
        let swapped = Facts::learn(upper, lower, SEALED, THUNK, false);
        assert_eq!(reason(swapped), unknown);
        for twice in [lower, upper] {
            let twice = Facts::learn(twice, twice, SEALED, THUNK, false);
            assert_eq!(reason(twice), unknown);
        }
        let osp_nop = [0x66, 0x0f, 0x1f, 0x00];
        let seal = Facts::learn(lower, upper, osp_nop, THUNK, false);
        assert_eq!(reason(seal), unknown);
        let call_depth = Facts::learn(lower, upper, SEALED, THUNK, true);
        assert_eq!(reason(call_depth), Err(Reason::CallDepth));
        for byte in 0..5 {
            let mut odd = lower;
            odd.bytes[byte] ^= 0x10;
            assert_eq!(
                reason(Facts::learn(odd, upper, SEALED, THUNK, false)),
                unknown
            );
        }
    }

    #[test]
    fn sites_out_of_bounds_are_refused() {
        let facts = learn(None, None).expect("it is known");
        let refused = Err(Refusal::at(Reason::Site, 1));
        for (offset, kind) in [
            (0x7c, SITE_RETURN),
            (0x7d, SITE_SEAL),
            (u32::MAX, SITE_SEAL),
            (0, 0),
            (0, 4),
        ] {
            assert_eq!(
                finish(&facts, CORE, &[(0, SITE_SEAL), (offset, kind)]),
                refused
            );
        }
    }
}
