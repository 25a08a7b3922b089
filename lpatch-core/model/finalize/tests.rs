// SPDX-License-Identifier: GPL-2.0

//! All kinds of places in one text, and alternatives of each form.

use super::calls::Counting;
use super::retpolines::{Form, Retpolines};
use super::returns::Returns;
use super::*;
use crate::fentry::{ENDBR64, SEALED};
use crate::uapi::{Wire, ALT_DIRECT_CALL, ALT_NOT, SEC_DATA, SEC_TEXT};
use std::vec;
use std::vec::Vec;

const BASE: u64 = 0xffff_ffff_c000_1000;
const THUNKS: u64 = 0xffff_ffff_8200_0000;
const BUG_FUNC: u64 = 0xffff_ffff_8100_0000;
const NOP_FUNC: u64 = 0xffff_ffff_8100_0100;
/// The pointer that the test's indirect call goes through.
const POINTER: u64 = 0xffff_ffff_8300_0008;
/// A feature that the CPU has, and one that it does not have.
const HAS: u16 = 33;
const LACKS: u16 = 34;

fn facts() -> Facts {
    Facts {
        returns: Returns::Inline,
        retpolines: Retpolines {
            thunks: THUNKS,
            form: Form::Inline {
                lfence: false,
                its: None,
            },
        },
        calls: None,
        seal: SEALED,
        features: Features::new(&[0, 2]).expect("they are few"),
        one_cpu: false,
        bug_func: BUG_FUNC,
        nop_func: NOP_FUNC,
    }
}

fn bytes<T: Wire>(entries: &[T]) -> Vec<u8> {
    let mut bytes = vec![0; entries.len() * T::SIZE];
    for (to, entry) in bytes.chunks_mut(T::SIZE).zip(entries) {
        entry.write(to).expect("it is long enough");
    }
    bytes
}

/// A text with what is recorded about it.
#[derive(Clone, Default)]
struct Code {
    text: Vec<u8>,
    sites: Vec<Site>,
    alts: Vec<Alt>,
    relocs: Vec<Reloc>,
    /// What the pointer holds.
    pointer: Option<u64>,
}

impl Code {
    /// A text of int3 with these bytes at these offsets.
    fn new(len: usize, pieces: &[(usize, &[u8])]) -> Self {
        let mut text = vec![0xcc; len];
        for (at, piece) in pieces {
            text[*at..*at + piece.len()].copy_from_slice(piece);
        }
        Self {
            text,
            ..Self::default()
        }
    }

    fn site(mut self, offset: u32, kind: u16) -> Self {
        self.sites.push(Site {
            offset,
            kind,
            reserved: 0,
        });
        self
    }

    /// `len` bytes at `offset` are replaced by `repl_len` at `repl`.
    fn alt(
        mut self,
        offset: u32,
        len: u8,
        repl: u32,
        repl_len: u8,
        feature: u16,
        flags: u16,
    ) -> Self {
        self.alts.push(Alt {
            offset,
            repl,
            feature,
            flags,
            len,
            repl_len,
            reserved: 0,
        });
        self
    }

    /// A field of 4 bytes that counts from its instruction, with this value.
    fn field(mut self, offset: u32, value: i32) -> Self {
        self.text[index(offset)..][..4].copy_from_slice(&value.to_le_bytes());
        self.reloc(offset, SEC_TEXT, 2)
    }

    fn reloc(mut self, offset: u32, section: u8, kind: u8) -> Self {
        self.relocs.push(Reloc {
            offset,
            section,
            kind,
            ..Reloc::default()
        });
        self.relocs
            .sort_by_key(|entry| (entry.section, entry.offset));
        self
    }

    fn finish(&self, facts: &Facts) -> Result<Vec<u8>, Refusal> {
        let (sites, alts, relocs) = (bytes(&self.sites), bytes(&self.alts), bytes(&self.relocs));
        let records = Records {
            sites: Table::over(&sites),
            alts: Table::over(&alts),
            relocs: Table::over(&relocs),
        };
        let mut text = self.text.clone();
        let word = |addr| self.pointer.filter(|_| addr == POINTER);
        finalize(&mut text, BASE, &records, facts, &word)?;
        Ok(text)
    }

    /// `len` finished bytes from `offset`; nothing else changes.
    fn becomes(&self, offset: usize, expected: &[u8]) {
        let mut whole = self.text.clone();
        whole[offset..offset + expected.len()].copy_from_slice(expected);
        let found = self.finish(&facts()).expect("it is done");
        assert_eq!(found[offset..offset + expected.len()], *expected);
        assert_eq!(found, whole);
    }

    fn refused(&self, reason: Reason, at: u64) {
        let found = self.finish(&facts()).map_err(|r| (r.reason, r.at));
        assert_eq!(found, Err((reason, at)));
    }
}

/// Bytes from here to there.
fn between(from: u64, to: u64) -> i32 {
    let distance = i128::from(to) - i128::from(from);
    i32::try_from(distance).expect("it is near")
}

#[test]
fn sites_of_all_kinds() {
    let thunk = between(BASE + 0x2a, THUNKS);
    let code = Code::new(
        0x40,
        &[
            (0x00, &ENDBR64),
            (0x08, &[0xe9, 1, 2, 3, 4]),
            (0x10, &[0xe8, 1, 2, 3, 4]),
            (0x18, &[0xf0, 0xff, 0x00]),
            (0x25, &[0xe8]),
            (0x26, &thunk.to_le_bytes()),
        ],
    )
    .site(0x00, SITE_SEAL)
    .site(0x08, SITE_RETURN)
    .site(0x10, SITE_CALL)
    .site(0x18, SITE_LOCK)
    .site(0x25, SITE_RETPOLINE);
    let mut expected = code.text.clone();
    expected[..4].copy_from_slice(&SEALED);
    expected[0x08..0x0d].copy_from_slice(&[0xc3, 0xcc, 0xcc, 0xcc, 0xcc]);
    expected[0x25..0x2a].copy_from_slice(&[0x2e, 0x2e, 0x2e, 0xff, 0xd0]);
    assert_eq!(code.finish(&facts()), Ok(expected.clone()));
    expected[0x18] = 0x3e;
    let one_cpu = Facts {
        one_cpu: true,
        ..facts()
    };
    assert_eq!(code.finish(&one_cpu), Ok(expected));
}

#[test]
fn sites_out_of_bounds_are_refused() {
    for (offset, kind) in [
        (0x3c, SITE_RETURN),
        (0x3d, SITE_SEAL),
        (u32::MAX, SITE_SEAL),
        (0x40, SITE_LOCK),
        (0x41, SITE_CALL),
        (0x3c, SITE_RETPOLINE),
        // No branch to a thunk.
        (0, SITE_RETPOLINE),
        (0, 0),
        (0, 6),
    ] {
        let code = Code::new(0x40, &[]).site(0, SITE_SEAL).site(offset, kind);
        code.refused(Reason::Site, 1);
    }
}

#[test]
fn the_last_one_that_fits_counts() {
    // stac on CPUs with it; clac instead where both are there.
    let code = Code::new(
        0x20,
        &[
            (0, &[0x90; 3]),
            (0x10, &[0x0f, 0x01, 0xcb]),
            (0x13, &[0x0f, 0x01, 0xca]),
        ],
    );
    let (stac, clac, none) = ([0x0f, 0x01, 0xcb], [0x0f, 0x01, 0xca], [0x0f, 0x1f, 0x00]);
    for (feature, flags, expected) in [
        (HAS, 0, stac),
        (LACKS, 0, none),
        (HAS, ALT_NOT, none),
        (LACKS, ALT_NOT, stac),
    ] {
        let code = code.clone().alt(0, 3, 0x10, 3, feature, flags);
        code.becomes(0, &expected);
        for (feature, expected) in [(HAS, clac), (LACKS, expected)] {
            code.clone()
                .alt(0, 3, 0x13, 3, feature, 0)
                .becomes(0, &expected);
        }
    }
    code.alt(0, 3, 0x10, 3, 64, 0)
        .refused(Reason::Alternative, 0);
}

#[test]
fn what_is_left_over_becomes_nops() {
    let code = Code::new(
        0x20,
        &[(0, &[0xf3, 0xa4, 0x90, 0x90, 0x90]), (0x10, &[0x0f, 0x31])],
    );
    // Shorter; empty; not replaced, where the padding of the original becomes one nop.
    let one = code.clone().alt(0, 5, 0x10, 2, HAS, 0);
    one.becomes(0, &[0x0f, 0x31, 0x0f, 0x1f, 0x00]);
    let none = code.clone().alt(0, 5, 0x20, 0, HAS, 0);
    none.becomes(0, &[0x0f, 0x1f, 0x44, 0x00, 0x00]);
    let old = code.clone().alt(0, 5, 0x10, 2, LACKS, 0);
    old.becomes(0, &[0xf3, 0xa4, 0x0f, 0x1f, 0x00]);
    // The longest of one place, which may be that of an entry that does not fit.
    let long = code.alt(0, 2, 0x10, 2, HAS, 0).alt(0, 5, 0x10, 2, LACKS, 0);
    long.becomes(0, &[0x0f, 0x31, 0x0f, 0x1f, 0x00]);
}

#[test]
fn fields_move_with_their_instructions() {
    // stac; call; clac; mov near(%rip),%rax; je
    let insns = [
        0x0f, 0x01, 0xcb, 0xe8, 0, 0, 0, 0, 0x0f, 0x01, 0xca, 0x48, 0x8b, 0x05, 0, 0, 0, 0, 0x0f,
        0x84, 0, 0, 0, 0,
    ];
    let code = Code::new(0x100, &[(0x10, &[0x90; 24]), (0x80, &insns)])
        .field(0x84, 0x1000)
        .field(0x8e, -0x2000)
        .field(0x94, 0x7000)
        .alt(0x10, 24, 0x80, 24, HAS, 0);
    let mut expected = insns;
    expected[4..8].copy_from_slice(&0x1070_i32.to_le_bytes());
    expected[14..18].copy_from_slice(&(-0x1f90_i32).to_le_bytes());
    expected[20..24].copy_from_slice(&0x7070_i32.to_le_bytes());
    code.becomes(0x10, &expected);
    // The other way: the replacement is in front.
    let back = Code::new(0x100, &[(0x10, &[0xe8]), (0x80, &[0x90; 5])])
        .field(0x11, 0x1000)
        .alt(0x80, 5, 0x10, 5, HAS, 0);
    let [a, b, c, d] = (0x1000_i32 - 0x70).to_le_bytes();
    back.becomes(0x80, &[0xe8, a, b, c, d]);
    // An absolute field stays.
    let absolute = Code::new(
        0x40,
        &[(0x00, &[0x90; 7]), (0x20, &[0x48, 0xc7, 0xc7, 1, 2, 3, 4])],
    )
    .reloc(0x23, SEC_TEXT, 11)
    .reloc(0x23, SEC_DATA, 2)
    .alt(0, 7, 0x20, 7, HAS, 0);
    absolute.becomes(0, &[0x48, 0xc7, 0xc7, 1, 2, 3, 4]);
    // Out of reach.
    let far = Code::new(0x100, &[(0x80, &[0xe8])]).field(0x81, i32::MAX);
    far.alt(0, 5, 0x80, 5, HAS, 0)
        .refused(Reason::Alternative, 0);
}

#[test]
fn jumps_to_what_is_near_become_short() {
    let jump = |value: i32| {
        Code::new(0x200, &[(0, &[0x90; 5]), (0x100, &[0xe9])])
            .field(0x101, value)
            .alt(0, 5, 0x100, 5, HAS, 0)
    };
    // To 0x7f bytes behind the short jump at 0, and one byte further.
    let short = |target: i32| target - 0x105;
    jump(short(0x81)).becomes(0, &[0xeb, 0x7f, 0xcc, 0xcc, 0xcc]);
    jump(short(0x82)).becomes(0, &[0xe9, 0x7d, 0, 0, 0]);
    jump(short(2 - 0x80)).becomes(0, &[0xeb, 0x80, 0xcc, 0xcc, 0xcc]);
    jump(short(1 - 0x80)).becomes(0, &[0xe9, 0x7c, 0xff, 0xff, 0xff]);
}

#[test]
fn branches_within_a_replacement_stay() {
    // 1: dec %ecx; jne 1b; jmp to the end; nop
    let repl = [0xff, 0xc9, 0x75, 0xfc, 0xeb, 0x01, 0x90];
    let code = Code::new(0x40, &[(0, &[0x90; 7]), (0x20, &repl)]).alt(0, 7, 0x20, 7, HAS, 0);
    code.becomes(0, &repl);
    // Also if they are long, with a relocation or without.
    let long = [0xe9, 0x02, 0x00, 0x00, 0x00, 0x90, 0x90];
    let done = [0xe9, 0x02, 0x00, 0x00, 0x00, 0x90, 0x90];
    let code = Code::new(0x40, &[(0, &[0x90; 7]), (0x20, &long)]).alt(0, 7, 0x20, 7, HAS, 0);
    let mut expected = done;
    expected[5..].copy_from_slice(&[0x66, 0x90]);
    code.becomes(0, &expected);
    code.field(0x21, 2).becomes(0, &expected);
}

#[test]
fn fields_without_a_relocation_are_refused() {
    let code = Code::new(
        0x100,
        &[(0x80, &[0xe8, 0x00, 0x10, 0x00, 0x00, 0x90, 0x90])],
    );
    let code = code.alt(0, 7, 0x80, 7, HAS, 0);
    code.refused(Reason::Alternative, 0);
    code.clone()
        .reloc(0x81, SEC_TEXT, 4)
        .finish(&facts())
        .expect("it has one");
    // Of something else; one too many, before and behind; one that is not relative.
    code.clone()
        .reloc(0x82, SEC_TEXT, 4)
        .refused(Reason::Alternative, 0);
    let both = code.clone().reloc(0x81, SEC_TEXT, 4);
    both.clone()
        .reloc(0x80, SEC_TEXT, 4)
        .refused(Reason::Alternative, 0);
    both.clone()
        .reloc(0x85, SEC_TEXT, 4)
        .refused(Reason::Alternative, 0);
    code.clone()
        .reloc(0x81, SEC_TEXT, 11)
        .refused(Reason::Alternative, 0);
    // Behind the replacement they are none of its.
    both.reloc(0x87, SEC_TEXT, 4)
        .finish(&facts())
        .expect("it has one");
    // A short jump out; an instruction that is not known, or cut off.
    for insn in [[0xeb, 0x20, 0x90], [0x06, 0x90, 0x90], [0x90, 0xe8, 0x00]] {
        let code = Code::new(0x40, &[(0x20, &insn)]).alt(0, 3, 0x20, 3, HAS, 0);
        code.refused(Reason::Alternative, 0);
    }
}

#[test]
fn calls_through_pointers_become_direct() {
    let field = between(BASE + 0x16, POINTER).to_le_bytes();
    let call = |pointer: Option<u64>| {
        let code = Code::new(
            0x80,
            &[
                (0x10, &[0xff, 0x15]),
                (0x12, &field),
                (0x16, &[0x90]),
                (0x40, &[0xe8]),
            ],
        );
        let mut code = code.field(0x41, between(BASE + 0x45, BUG_FUNC)).alt(
            0x10,
            7,
            0x40,
            5,
            HAS,
            ALT_DIRECT_CALL,
        );
        code.pointer = pointer;
        code
    };
    let target = 0xffff_ffff_8180_0000;
    let to = |target| {
        let [a, b, c, d] = between(BASE + 0x15, target).to_le_bytes();
        [0xe8, a, b, c, d, 0x66, 0x90]
    };
    call(Some(target)).becomes(0x10, &to(target));
    call(Some(0)).becomes(0x10, &to(BUG_FUNC));
    call(Some(NOP_FUNC)).becomes(0x10, &[0x0f, 0x1f, 0x80, 0, 0, 0, 0]);
    call(None).refused(Reason::Alternative, 0);
    call(Some(target - (1 << 33))).refused(Reason::Alternative, 0);
    // A later entry has something better.
    let better = call(Some(target));
    let mut cli = better.clone().alt(0x10, 7, 0x60, 1, HAS, 0);
    cli.text[0x60] = 0xfa;
    cli.becomes(0x10, &[0xfa, 0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00]);
    // Not replaced, it stays a call through the pointer.
    let mut kept = better.clone();
    kept.alts[0].feature = LACKS;
    kept.becomes(0x10, &[&[0xff, 0x15][..], &field, &[0x90]].concat());
    let mut other = better;
    other.text[0x11] = 0x14;
    other.refused(Reason::Alternative, 0);
}

/// Where calls are counted, that of BUG_func in a replacement may be one that begins in front of it; then so does the call
/// that it becomes, if there is room for counting.
#[test]
fn direct_calls_may_be_counted() {
    const TARGET: u64 = 0xffff_ffff_8180_0000;
    let nop3 = [0x0f, 0x1f, 0x00];
    let facts = Facts {
        calls: Counting::new(&nop3, BASE),
        ..facts()
    };
    let field = between(BASE + 0x16, POINTER).to_le_bytes();
    let pads = [[0x90; 8], [0x0f, 0x1f, 0, 0, 0, 0, 0, 0], [0xcc; 8]];
    for (replacement, pad, expected) in [
        (BUG_FUNC - 3, pads[0], TARGET - 3),
        (BUG_FUNC - 3, pads[1], TARGET - 3),
        (BUG_FUNC - 3, pads[2], TARGET),
        (BUG_FUNC, pads[1], TARGET),
    ] {
        let code = Code::new(
            0x80,
            &[(0x10, &[0xff, 0x15]), (0x12, &field), (0x40, &[0xe8])],
        )
        .field(0x41, between(BASE + 0x45, replacement))
        .alt(0x10, 6, 0x40, 5, HAS, ALT_DIRECT_CALL);
        let (alts, relocs) = (bytes(&code.alts), bytes(&code.relocs));
        let records = Records {
            sites: Table::over(&[]),
            alts: Table::over(&alts),
            relocs: Table::over(&relocs),
        };
        let word = |addr| match addr {
            POINTER => Some(TARGET),
            _ if addr == TARGET - 3 => Some(u64::from_le_bytes(pad)),
            _ => Some(0),
        };
        let mut text = code.text.clone();
        assert_eq!(finalize(&mut text, BASE, &records, &facts, &word), Ok(()));
        let [a, b, c, d] = between(BASE + 0x15, expected).to_le_bytes();
        assert_eq!(text[0x10..0x16], [0xe8, a, b, c, d, 0x90]);
    }
    // Calls of the patch itself, by their sites.
    let code = Code::new(0x40, &[(0, &[0xe8]), (0x1d, &[0x90; 3])])
        .field(1, 0x1b)
        .site(0, SITE_CALL);
    let text = code.finish(&facts).expect("it is done");
    assert_eq!(text[..5], [0xe8, 0x18, 0, 0, 0]);
    assert_eq!(text[0x1d..0x20], nop3);
    let none = Code::new(0x40, &[]).site(0, SITE_CALL).finish(&facts);
    assert_eq!(none, Err(Refusal::at(Reason::Site, 0).value(BASE)));
}

#[test]
fn an_alternative_takes_what_became_of_its_branches() {
    // Landing pads and lock prefixes that it replaces are not touched any more.
    let code = Code::new(
        0x40,
        &[(0, &[0xf0, 0xff, 0x00]), (0x20, &[0x90, 0xff, 0x00])],
    )
    .site(0, SITE_LOCK)
    .alt(0, 3, 0x20, 3, HAS, 0);
    let one_cpu = Facts {
        one_cpu: true,
        ..facts()
    };
    let found = code.finish(&one_cpu).expect("it is done");
    assert_eq!(found[..3], [0x90, 0xff, 0x00]);
    let pad = Code::new(0x40, &[(0, &ENDBR64), (0x20, &[0xfa])])
        .site(0, SITE_SEAL)
        .alt(0, 4, 0x20, 1, HAS, 0);
    pad.becomes(0, &[0xfa, 0x0f, 0x1f, 0x00]);
    // An indirect branch in the original is finished, and padded.
    let thunk = between(BASE + 5, THUNKS);
    let call = Code::new(
        0x40,
        &[(0, &[0xe8]), (1, &thunk.to_le_bytes()), (5, &[0x90; 3])],
    )
    .site(0, SITE_RETPOLINE)
    .alt(0, 8, 0x20, 1, LACKS, 0);
    call.becomes(0, &[0x2e, 0x2e, 0x2e, 0xff, 0xd0, 0x0f, 0x1f, 0x00]);
}

#[test]
fn alternatives_out_of_bounds_are_refused() {
    let code = Code::new(0x40, &[(0x20, &[0x90; 8])]);
    for (offset, len, repl, repl_len) in [
        (0x3c, 5, 0x20, 5),
        (u32::MAX, 5, 0x20, 5),
        (0, 5, 0x3c, 5),
        (0, 5, u32::MAX, 5),
        (0, 5, 0x20, 6),
    ] {
        let bad = code.clone().alt(offset, len, repl, repl_len, HAS, 0);
        bad.refused(Reason::Alternative, 0);
    }
    let far = code
        .alt(0, 5, 0x20, 5, HAS, 0)
        .alt(8, 5, 0x20, 5, u16::MAX, ALT_NOT);
    far.refused(Reason::Alternative, 1);
}
