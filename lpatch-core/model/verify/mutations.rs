// SPDX-License-Identifier: GPL-2.0

//! Every byte of the example, changed, and many at once.

use super::super::image::Image;
use super::super::num::index;
use super::super::reloc;
use super::*;
use crate::testing::{crc32, example, seal, Draft, FakeKernel};
use crate::uapi::{self, Wire};
use core::mem::offset_of;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

fn check(bytes: &[u8], room: &Reservation, kernel: &FakeKernel) -> Result<(), Refusal> {
    verify(&Image::parse(bytes, crc32)?, room, kernel)
}

/// For each byte of the example's image, whether a change of it must be refused.
fn claimed(draft: &Draft, bytes: &[u8]) -> Vec<bool> {
    let mut claimed = vec![false; bytes.len()];
    let header = uapi::Image::read(bytes).expect("it is an image");
    let mut claim = |start: usize, len: usize| claimed[start..start + len].fill(true);

    /// Offset and size of the named fields of a struct.
    fn fields<T: Wire>(all: &[(&str, usize)], names: &[&str]) -> Vec<(usize, usize)> {
        let ends = all.iter().skip(1).map(|field| field.1).chain([T::SIZE]);
        let all: Vec<_> = all.iter().zip(ends).collect();
        let find = |name: &&str| {
            let (field, end) = all
                .iter()
                .find(|(field, _)| field.0 == *name)
                .expect("it exists");
            (field.1, end - field.1)
        };
        names.iter().map(find).collect()
    }
    macro_rules! claim_table {
        ($table:ident, $ty:ident, $($field:literal)*) => {
            for (offset, size) in fields::<uapi::$ty>(uapi::$ty::FIELDS, &[$($field),*]) {
                for i in 0..index(header.$table.count) {
                    claim(index(header.$table.offset) + i * uapi::$ty::SIZE + offset, size);
                }
            }
        };
    }

    let names = [
        "magic",
        "header_size",
        "image_size",
        "release",
        "orc_hash",
        "reserved",
    ];
    for (offset, size) in fields::<uapi::Image>(uapi::Image::FIELDS, &names) {
        claim(offset, size);
    }
    // The lowest byte has the only flag.
    claim(offset_of!(uapi::Image, flags) + 1, 3);
    claim_table!(funcs, Func, "name" "objname" "old_len" "old_addr");
    claim_table!(funcs, Func, "pre_crc" "pre_len" "mask_first" "mask_count");
    claim_table!(masks, Mask, "offset" "len");
    claim_table!(symbols, Symbol, "name" "objname" "addr" "reserved");
    claim_table!(relocs, Reloc, "offset" "section" "kind" "target_kind" "reserved");
    claim_table!(relocs, Reloc, "target" "reserved2" "addend");
    claim_table!(orcs, Orc, "reserved");
    claim_table!(sites, Site, "offset" "kind" "reserved");
    claim_table!(ksyms, Ksym, "reserved");
    claim_table!(colds, Cold, "func" "name" "addr" "len" "reserved");
    claim_table!(callbacks, Callback, "kind" "offset" "reserved");
    claim_table!(states, State, "reserved");
    claim_table!(alts, Alt, "reserved");

    for entry in &draft.relocs {
        let section = [header.text, header.rodata, header.data][usize::from(entry.section)];
        let size = reloc::lookup(entry.kind.into()).expect("it is known").size;
        claim(index(section.offset) + index(entry.offset), size);
    }
    for site in &draft.sites {
        let len = match site.kind {
            uapi::SITE_SEAL => 4,
            // A call may become a jump.
            uapi::SITE_RETPOLINE => 0,
            _ => 1,
        };
        claim(index(header.text.offset) + index(site.offset), len);
    }
    // The strings of symbols, functions and cold parts, and the release.
    let of_symbols = draft
        .symbols
        .iter()
        .flat_map(|entry| [entry.name, entry.objname]);
    let of_funcs = draft
        .funcs
        .iter()
        .flat_map(|entry| [entry.name, entry.objname]);
    let of_colds = draft.colds.iter().map(|entry| entry.name);
    let strings = of_symbols.chain(of_funcs).chain(of_colds);
    for string in strings.chain([header.release]) {
        let rest = &draft.strings[index(string)..];
        let len = rest.iter().position(|&b| b == 0).expect("it ends") + 1;
        claim(index(header.strings.offset) + index(string), len);
    }
    claimed
}

#[test]
fn no_byte_that_makes_a_claim_can_change() {
    let (draft, room, kernel) = example();
    let good = draft.build();
    let claimed = claimed(&draft, &good);
    let header = uapi::Image::read(&good).expect("it is an image");
    let kinds: Vec<usize> = (0..draft.relocs.len())
        .map(|i| i * uapi::Reloc::SIZE + offset_of!(uapi::Reloc, kind))
        .map(|offset| index(header.relocs.offset) + offset)
        .collect();
    let mut refused = 0;
    for byte in 0..good.len() {
        for change in [0x01, 0x80, 0xff, 0x20, 0x10] {
            let mut bad = good.clone();
            bad[byte] ^= change;
            // Without a new CRC nothing passes.
            let found = check(&bad, &room, &kernel).map_err(|refusal| refusal.reason);
            assert!(found.is_err(), "byte {byte} ^ {change:#x}");
            seal(&mut bad);
            let found = check(&bad, &room, &kernel);
            // R_X86_64_NONE claims nothing, so a field of another kind may become one.
            let nothing = bad[byte] == 0 && kinds.contains(&byte);
            assert!(
                found.is_err() || nothing || !claimed[byte],
                "byte {byte} ^ {change:#x}"
            );
            refused += usize::from(found.is_err());
        }
    }
    // Most of an image is claims.
    assert!(
        refused > good.len() * 5 / 2,
        "{refused} of {}",
        good.len() * 5
    );
}

#[test]
fn reserved_fields_are_named_by_their_offset() {
    let (draft, room, kernel) = example();
    let good = draft.build();
    let header = uapi::Image::read(&good).expect("it is an image");
    let at = |extent: uapi::Extent, offset: usize| index(extent.offset) + offset;
    for field in [
        offset_of!(uapi::Image, flags),
        offset_of!(uapi::Image, reserved),
        at(header.relocs, offset_of!(uapi::Reloc, reserved)),
        at(
            header.relocs,
            uapi::Reloc::SIZE + offset_of!(uapi::Reloc, reserved2),
        ),
        at(
            header.orcs,
            uapi::Orc::SIZE * 2 + offset_of!(uapi::Orc, reserved),
        ),
        at(header.sites, offset_of!(uapi::Site, reserved)),
        at(header.ksyms, offset_of!(uapi::Ksym, reserved)),
        at(header.symbols, offset_of!(uapi::Symbol, reserved)),
        at(
            header.colds,
            uapi::Cold::SIZE + offset_of!(uapi::Cold, reserved),
        ),
        at(header.callbacks, offset_of!(uapi::Callback, reserved)),
        at(
            header.states,
            uapi::State::SIZE + offset_of!(uapi::State, reserved),
        ),
        at(
            header.alts,
            uapi::Alt::SIZE + offset_of!(uapi::Alt, reserved),
        ),
    ] {
        let mut bad = good.clone();
        bad[field] |= 2;
        seal(&mut bad);
        let expected = Err(Refusal::at(Reason::Reserved, field));
        assert_eq!(check(&bad, &room, &kernel), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn damaged_images_do_not_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<[u8; 4]>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (draft, room, kernel) = example();
        let mut bytes = draft.build();
        let claimed = claimed(&draft, &bytes);
        let mut must_fail = false;
        for (at, with) in damage {
            // Aligned words, as fields are: lengths and offsets become anything.
            let at = at.index(bytes.len() / 4) * 4;
            must_fail |= (0..4).any(|i| bytes[at + i] != with[i] && claimed[at + i]);
            bytes[at..at + 4].copy_from_slice(&with);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
            must_fail = true;
        }
        seal(&mut bytes);
        let found = check(&bytes, &room, &kernel);
        prop_assert!(found.is_err() || !must_fail);
    }
}
