// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::testing::{crc32, dormant, example, Draft, FakeKernel};
use crate::uapi;
use std::vec;
use std::vec::Vec;

const HELPER: usize = 3;

/// What becomes of the arrival with a change of the patch or of the kernel with the module.
fn arrives(change: impl FnOnce(&mut Draft, &mut FakeKernel, &mut Found)) -> Result<(), Refusal> {
    let ((mut draft, ..), (.., mut kernel)) = (dormant(), example());
    let read = kernel.find("fs_read");
    let (addr, len) = (read.addr, read.size);
    let mut found = Found { addr, len };
    change(&mut draft, &mut kernel, &mut found);
    let bytes = draft.build();
    let image = Image::parse(&bytes, crc32)?;
    func(&image, 0, found, &kernel)
}

#[test]
fn a_function_that_came_is_checked() {
    assert_eq!(arrives(|_, _, _| ()), Ok(()));
    type Change = fn(&mut Draft, &mut FakeKernel, &mut Found);
    let cases: [(Reason, Change); 12] = [
        (Reason::FuncSymbol, |_, _, f| f.len += 1),
        (Reason::FuncSymbol, |_, _, f| f.len = 1 << 32),
        (Reason::FuncSymbol, |_, _, f| f.addr += 4),
        (Reason::FuncSymbol, |d, _, _| {
            d.funcs[0].name = d.string("fs_helper");
        }),
        (Reason::FuncObject, |_, _, f| f.addr = 0x1000),
        (Reason::FuncObject, |d, _, _| {
            d.funcs[0].objname = d.string("tinyfs2");
        }),
        (Reason::FuncOurs, |_, k, f| k.ours = f.addr..f.addr + 1),
        (Reason::FuncFentry, |_, k, _| k.text[1].1[0] = 0x90),
        (Reason::FuncPreimage, |_, k, _| k.text[1].1[6] ^= 1),
        (Reason::FuncPreimage, |d, _, _| d.funcs[0].pre_crc ^= 1),
        (Reason::FuncPreimage, |d, _, _| d.funcs[0].pre_len = 13),
        (Reason::FuncFentry, |_, k, _| {
            k.text.pop();
        }),
    ];
    for (number, (reason, change)) in cases.into_iter().enumerate() {
        let found = arrives(change).map_err(|refusal| (refusal.reason, refusal.at));
        assert_eq!(found, Err((reason, 0)), "case {number}");
    }
    // What is masked may be anything, and the pre-image need not be all of the function.
    assert_eq!(arrives(|_, k, _| k.text[1].1[3] ^= 1), Ok(()));
    let short = |d: &mut Draft, _: &mut FakeKernel, _: &mut Found| {
        d.funcs[0].pre_len = 0;
        d.funcs[0].mask_count = 0;
    };
    assert_eq!(arrives(short), Ok(()));
}

#[test]
fn a_function_that_does_not_exist() {
    let (draft, _, kernel) = dormant();
    let bytes = draft.build();
    let image = Image::parse(&bytes, crc32).expect("it is one");
    let found = func(&image, 2, Found { addr: 0, len: 0 }, &kernel);
    assert_eq!(found, Err(Refusal::at(Reason::FuncSymbol, 2)));
}

/// The three sections after the fields were put.
fn put_all(
    draft: &Draft,
    room: &Reservation,
    addr: impl Fn(usize) -> Option<u64>,
) -> Result<[Vec<u8>; 3], Refusal> {
    let bytes = draft.build();
    let image = Image::parse(&bytes, crc32)?;
    let mut sections = [image.text, image.rodata, image.data].map(<[u8]>::to_vec);
    fields(&image, room, addr, |section, offset, field| {
        let at = index(offset);
        sections[usize::from(section)][at..at + field.len()].copy_from_slice(field);
    })?;
    Ok(sections)
}

#[test]
fn fields_become_what_linking_makes_of_them() {
    let (mut draft, room, _) = dormant();
    // A wide one, an absolute one and one without width, too.
    draft.relocs[6].target = 3;
    draft.relocs[0].target_kind = TARGET_SYMBOL;
    draft.relocs[0].target = 3;
    let none = uapi::Reloc {
        kind: 0,
        ..draft.relocs[6]
    };
    draft.relocs.insert(4, none);
    draft.link(&room);
    // Twice, elsewhere the second time.
    for addr in [0xffff_ffff_c100_0040, 0xffff_ffff_c2ab_cde0] {
        let mut linked = draft.clone();
        linked.symbols[HELPER].addr = addr;
        linked.link(&room);
        let found = put_all(&draft, &room, |i| (i == HELPER).then_some(addr));
        let expected = [&linked.text, &linked.rodata, &linked.data].map(|s| s.clone());
        assert_eq!(found, Ok(expected));
        assert_ne!(draft.text, linked.text);
        // The image of before is where the next one begins.
        draft = linked;
    }
    // Who knows no address changes nothing.
    let same = [&draft.text, &draft.rodata, &draft.data].map(|s| s.clone());
    assert_eq!(put_all(&draft, &room, |_| None), Ok(same));
}

#[test]
fn only_fields_that_depend_on_symbols_are_put() {
    let (draft, room, _) = dormant();
    let bytes = draft.build();
    let image = Image::parse(&bytes, crc32).expect("it is one");
    let mut put = vec![];
    let all = |_| Some(0xffff_ffff_8100_0000);
    let found = fields(&image, &room, all, |section, offset, field| {
        put.push((section, offset, field.len()));
    });
    assert_eq!(found, Ok(()));
    assert_eq!(
        put,
        [
            (0, 16, 4),
            (0, 34, 4),
            (0, 48, 4),
            (0, 53, 4),
            (0, 67, 4),
            (0, 72, 4),
            (0, 105, 4),
            (0, 113, 4),
            (1, 0, 8),
            (2, 16, 4)
        ]
    );
}

#[test]
fn an_address_that_is_too_far_away() {
    let (draft, room, _) = dormant();
    let far = 0xffff_8880_0000_0000_u64;
    let p = room.text.addr + 67;
    let value = far.wrapping_sub(4).wrapping_sub(p);
    let found = put_all(&draft, &room, |i| (i == HELPER).then_some(far));
    assert_eq!(found, Err(Refusal::at(Reason::RelocRange, 6).value(value)));
}

/// What was verified stays in bounds; this does not rely on it.
#[test]
fn nothing_is_put_out_of_bounds() {
    let (draft, room, _) = dormant();
    for (offset, section) in [(125, 0), (u32::MAX, 0), (0, 3)] {
        let mut draft = draft.clone();
        draft.relocs[6].offset = offset;
        draft.relocs[6].section = section;
        let found = put_all(&draft, &room, |i| (i == HELPER).then_some(0));
        assert_eq!(found, Err(Refusal::at(Reason::RelocSite, 6)));
    }
    let mut unknown = draft;
    unknown.relocs[6].kind = 9;
    let found = put_all(&unknown, &room, |i| (i == HELPER).then_some(0));
    assert_eq!(found, Err(Refusal::at(Reason::RelocKind, 6)));
}
