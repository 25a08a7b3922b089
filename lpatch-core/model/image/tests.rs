// SPDX-License-Identifier: GPL-2.0

//! The header and the extents, each field wrong once.

use super::*;
use crate::testing::{crc32, example, seal, Draft};
use proptest::prelude::*;
use std::vec::Vec;

const SIZE: usize = <uapi::Image as Wire>::SIZE;

/// The last multiple of 8.
const LAST: u32 = u32::MAX - 7;

/// Every extent of the header: its name, where it is, and the size of an entry.
const EXTENTS: [(&str, usize, usize); 17] = [
    ("text", offset_of!(uapi::Image, text), 1),
    ("rodata", offset_of!(uapi::Image, rodata), 1),
    ("data", offset_of!(uapi::Image, data), 1),
    ("strings", offset_of!(uapi::Image, strings), 1),
    ("funcs", offset_of!(uapi::Image, funcs), 48),
    ("masks", offset_of!(uapi::Image, masks), 8),
    ("symbols", offset_of!(uapi::Image, symbols), 24),
    ("relocs", offset_of!(uapi::Image, relocs), 24),
    ("orcs", offset_of!(uapi::Image, orcs), 12),
    ("exs", offset_of!(uapi::Image, exs), 12),
    ("bugs", offset_of!(uapi::Image, bugs), 16),
    ("sites", offset_of!(uapi::Image, sites), 8),
    ("ksyms", offset_of!(uapi::Image, ksyms), 16),
    ("colds", offset_of!(uapi::Image, colds), 24),
    ("callbacks", offset_of!(uapi::Image, callbacks), 16),
    ("states", offset_of!(uapi::Image, states), 16),
    ("alts", offset_of!(uapi::Image, alts), 16),
];

fn good() -> Vec<u8> {
    example().0.build()
}

fn parse(bytes: &[u8]) -> Result<(), Refusal> {
    Image::parse(bytes, crc32).map(drop)
}

/// What becomes of the example with these words at these offsets, and the right CRC.
fn with(words: &[(usize, u32)]) -> Result<(), Refusal> {
    let mut bytes = good();
    for &(at, word) in words {
        word.write(&mut bytes[at..]).expect("it is inside");
    }
    seal(&mut bytes);
    parse(&bytes)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::read(&bytes[at..]).expect("it is inside")
}

#[test]
fn tables_and_sections_are_what_was_put_in() {
    let (draft, _, _) = example();
    let bytes = draft.build();
    let image = Image::parse(&bytes, crc32).expect("it is right");
    assert_eq!(image.name(), b"example");
    assert_eq!(image.version(), b"1.0");
    assert_eq!(image.set(), b"main");
    assert!(image.replaces());
    assert_eq!(image.string(image.header.release), Ok(&b"7.2.12-test"[..]));
    assert_eq!(image.string(0), Ok(&b""[..]));
    assert_eq!(
        (image.text, image.rodata, image.data),
        (&draft.text[..], &draft.rodata[..], &draft.data[..])
    );
    for (section, bytes) in [image.text, image.rodata, image.data]
        .into_iter()
        .enumerate()
    {
        let section = u8::try_from(section).expect("it is small");
        assert_eq!(image.section(section), Some(bytes));
    }
    assert_eq!(image.section(3), None);

    assert_eq!(image.funcs.iter().collect::<Vec<_>>(), draft.funcs);
    assert_eq!(image.masks.iter().collect::<Vec<_>>(), draft.masks);
    assert_eq!(image.symbols.iter().collect::<Vec<_>>(), draft.symbols);
    assert_eq!(image.relocs.iter().collect::<Vec<_>>(), draft.relocs);
    assert_eq!(image.orcs.iter().collect::<Vec<_>>(), draft.orcs);
    assert_eq!(image.exs.iter().collect::<Vec<_>>(), draft.exs);
    assert_eq!(image.bugs.iter().collect::<Vec<_>>(), draft.bugs);
    assert_eq!(image.sites.iter().collect::<Vec<_>>(), draft.sites);
    assert_eq!(image.ksyms.iter().collect::<Vec<_>>(), draft.ksyms);
    assert_eq!(image.colds.iter().collect::<Vec<_>>(), draft.colds);
    assert_eq!(image.callbacks.iter().collect::<Vec<_>>(), draft.callbacks);
    assert_eq!(image.states.iter().collect::<Vec<_>>(), draft.states);
    assert_eq!(image.alts.iter().collect::<Vec<_>>(), draft.alts);
}

#[test]
fn tables_by_index() {
    let (draft, _, _) = example();
    let bytes = draft.build();
    let table = Image::parse(&bytes, crc32).expect("it is right").orcs;
    assert_eq!(table.len(), draft.orcs.len());
    assert!(!table.is_empty());
    for (i, entry) in draft.orcs.iter().enumerate() {
        assert_eq!(table.get(i), Some(*entry));
        assert_eq!(uapi::Orc::read(&bytes[table.field(i, 0)..]), Some(*entry));
        assert_eq!(
            table.partition_point(|other| other.offset < entry.offset),
            i
        );
    }
    assert_eq!(table.get(draft.orcs.len()), None);
    assert_eq!(table.get(usize::MAX), None);
    assert_eq!(table.partition_point(|_| true), draft.orcs.len());
    assert_eq!(Table::<uapi::Orc>::over(&[]).partition_point(|_| true), 0);
}

#[test]
fn the_smallest_image() {
    let (_, _, kernel) = example();
    assert_eq!(parse(&Draft::new("a", &kernel).build()), Ok(()));
    let mut empty = std::vec![0; SIZE];
    let mut header = uapi::Image {
        magic: uapi::IMAGE_MAGIC,
        header_size: 344,
        image_size: 344,
        ..uapi::Image::default()
    };
    header.name[0] = b'a';
    header.set[0] = b'a';
    header.write(&mut empty).expect("it is long enough");
    seal(&mut empty);
    // No strings: there is not even an empty one for the release.
    assert_eq!(parse(&empty), Err(Refusal::at(Reason::ImageString, 0)));
}

#[test]
fn every_truncation_is_refused() {
    let good = good();
    for len in 0..good.len() {
        let mut bytes = good[..len].to_vec();
        seal(&mut bytes);
        assert_eq!(parse(&bytes), Err(Reason::ImageHeader.into()), "{len}");
    }
    let mut longer = good;
    longer.push(0);
    seal(&mut longer);
    assert_eq!(parse(&longer), Err(Reason::ImageHeader.into()));
}

#[test]
fn header_fields() {
    let new = |reason: Reason| Err(Refusal::new(reason));
    let at = |reason, at| Err(Refusal::at(reason, at));
    assert_eq!(with(&[]), Ok(()));
    assert_eq!(with(&[(0, 0x4d49_504d)]), new(Reason::ImageMagic));
    for size in [0, 335, 337, u32::MAX] {
        assert_eq!(with(&[(4, size)]), new(Reason::ImageHeader));
        assert_eq!(with(&[(8, size)]), new(Reason::ImageHeader));
    }
    for (field, known) in [
        (offset_of!(uapi::Image, flags), uapi::IMG_REPLACE),
        (offset_of!(uapi::Image, reserved), 0),
    ] {
        for bit in (0..32).map(|bit| 1 << bit) {
            let refused = at(Reason::Reserved, field);
            let expected = if bit & known == 0 { refused } else { Ok(()) };
            assert_eq!(with(&[(field, bit)]), expected);
        }
        assert_eq!(with(&[(field, 0)]), Ok(()));
    }
    let name = offset_of!(uapi::Image, name);
    assert_eq!(with(&[(name, 0), (name + 4, 0)]), at(Reason::Name, name));
    assert_eq!(with(&[(name, 0x2f2f)]), at(Reason::Name, name));
    let set = offset_of!(uapi::Image, set);
    assert_eq!(with(&[(set, 0)]), at(Reason::Name, set));
    assert_eq!(with(&[(set, 0x2f2f)]), at(Reason::Name, set));
    assert_eq!(with(&[(set + 60, u32::MAX)]), at(Reason::Name, set));
    let version = offset_of!(uapi::Image, version);
    assert_eq!(with(&[(version, 0x20)]), at(Reason::Name, version));
    assert_eq!(with(&[(version + 28, u32::MAX)]), at(Reason::Name, version));
    assert_eq!(with(&[(version, 0), (version + 4, 0)]), Ok(()));
    let release = offset_of!(uapi::Image, release);
    assert_eq!(with(&[(release, 9999)]), at(Reason::ImageString, 9999));
}

#[test]
fn the_crc_is_zlibs_with_the_field_as_zero() {
    assert_eq!(crc32(0, b"123456789"), 0xcbf4_3926);
    assert_eq!(crc32(crc32(0, b"1234"), b"56789"), 0xcbf4_3926);
    let mut bytes = good();
    let right = word(&bytes, 12);
    bytes[12..16].fill(0);
    assert_eq!(right, crc32(0, &bytes));
    let refused = Refusal::new(Reason::ImageCrc).value(right.into());
    assert_eq!(parse(&bytes), Err(refused));
    assert_eq!(crc_of_image(&bytes[..15], crc32), None);
}

#[test]
fn too_big() {
    let len = index(uapi::IMAGE_MAX);
    let mut bytes = std::vec![0; len + 1];
    let refused = Refusal::new(Reason::TooBig).value(uapi::IMAGE_MAX.into());
    assert_eq!(parse(&bytes), Err(refused));
    bytes.pop();
    assert_eq!(parse(&bytes), Err(Reason::ImageMagic.into()));
}

#[test]
fn more_entries_than_are_searched_for() {
    type Grow = fn(&mut Draft, usize);
    let (mut draft, _, _) = example();
    let rows: [(usize, usize, Grow); 5] = [
        (offset_of!(uapi::Image, funcs), FUNCS_MAX, |draft, len| {
            draft.funcs.resize(len, draft.funcs[0])
        }),
        (
            offset_of!(uapi::Image, symbols),
            SYMBOLS_MAX,
            |draft, len| {
                draft.symbols.resize(len, draft.symbols[0]);
            },
        ),
        (offset_of!(uapi::Image, ksyms), KSYMS_MAX, |draft, len| {
            draft.ksyms.resize(len, draft.ksyms[0]);
        }),
        (offset_of!(uapi::Image, colds), COLDS_MAX, |draft, len| {
            draft.colds.resize(len, draft.colds[0]);
        }),
        (
            offset_of!(uapi::Image, callbacks),
            CALLBACKS_MAX,
            |draft, len| draft.callbacks.resize(len, draft.callbacks[0]),
        ),
    ];
    for (field, max, grow) in rows {
        grow(&mut draft, max);
        assert_eq!(parse(&draft.build()), Ok(()), "{max} at {field}");
        grow(&mut draft, max + 1);
        let refused = Refusal::at(Reason::TooBig, field).value(wide(max));
        assert_eq!(parse(&draft.build()), Err(refused));
        grow(&mut draft, 1);
    }
}

#[test]
fn a_string_is_not_long() {
    let (mut draft, _, _) = example();
    let at = draft.string(&"x".repeat(STRING_MAX - 1));
    let bytes = draft.build();
    let image = Image::parse(&bytes, crc32).expect("it is right");
    assert_eq!(image.string(at).map(<[u8]>::len), Ok(STRING_MAX - 1));
    let at = draft.string(&"x".repeat(STRING_MAX));
    let bytes = draft.build();
    let image = Image::parse(&bytes, crc32).expect("it is right");
    assert_eq!(
        image.string(at),
        Err(Refusal::at(Reason::ImageString, index(at)))
    );
    // What ends it is near enough to be found.
    assert_eq!(image.string(at + 1).map(<[u8]>::len), Ok(STRING_MAX - 1));
}

#[test]
fn extents_outside_of_the_image() {
    let good = good();
    let len = u32::try_from(good.len()).expect("it is small");
    for (name, field, entry) in EXTENTS {
        let entry = u32::try_from(entry).expect("it is small");
        let (offset, count) = (word(&good, field), word(&good, field + 4));
        let outside = Err(Refusal::at(Reason::ImageExtent, field).value(len.into()));
        for (offset, count) in [
            (offset, (len - offset) / entry + 1),
            (offset, u32::MAX),
            (len, 1),
            (LAST, 1),
            (LAST, u32::MAX),
            (LAST, 0),
            // Not aligned; in the header.
            (offset + 4, count),
            (offset + 1, 0),
            (0, 1),
            (240, 1),
        ] {
            let found = with(&[(field, offset), (field + 4, count)]);
            assert_eq!(found, outside, "{name} at {offset}, {count}");
        }
        // An empty one may be anywhere.
        if !matches!(name, "strings") {
            for offset in [0, offset, len] {
                let found = with(&[(field, offset), (field + 4, 0)]);
                assert_eq!(found, Ok(()), "{name} at {offset}");
            }
        }
    }
}

#[test]
fn extents_that_share_a_byte() {
    let good = good();
    for (i, (_, field, _)) in EXTENTS.into_iter().enumerate() {
        for (j, (_, other, _)) in EXTENTS.into_iter().enumerate() {
            // The strings would not be strings elsewhere.
            if i == j || EXTENTS[i].0 == "strings" {
                continue;
            }
            let (_, later, _) = EXTENTS[i.max(j)];
            let offset = word(&good, other);
            let overlap = Err(Refusal::at(Reason::ImageOverlap, later));
            assert_eq!(with(&[(field, offset), (field + 4, 1)]), overlap);
        }
    }
}

#[test]
fn strings_end_inside() {
    let good = good();
    let field = offset_of!(uapi::Image, strings);
    let (start, count) = (word(&good, field), word(&good, field + 4));
    let refused = Err(Refusal::at(Reason::ImageString, index(start)));
    let mut bytes = good.clone();
    bytes[index(start)] = b'x';
    seal(&mut bytes);
    assert_eq!(parse(&bytes), refused);
    let mut bytes = good.clone();
    bytes[index(start + count) - 1] = b'x';
    seal(&mut bytes);
    assert_eq!(parse(&bytes), refused);
    assert_eq!(with(&[(field + 4, count - 1)]), refused);

    let image = Image::parse(&good, crc32).expect("it is right");
    assert_eq!(image.string(count - 1), Ok(&b""[..]));
    for offset in [count, u32::MAX] {
        assert_eq!(
            image.string(offset),
            Err(Refusal::at(Reason::ImageString, index(offset)))
        );
    }
}

/// Where the extents begin in the header.
const FIRST: usize = offset_of!(uapi::Image, text);

proptest! {
    #[test]
    fn any_header_is_parsed_without_panic(
        header in prop::collection::vec(any::<u8>(), SIZE - FIRST), len in 0..64_usize,
        small in any::<bool>(),
    ) {
        // The fields in front are right, so that the extents are looked at.
        let mut bytes = good();
        bytes.truncate(SIZE + len * 8);
        bytes.resize(SIZE + len * 8, 0);
        let size = u32::try_from(bytes.len()).expect("it is small");
        size.write(&mut bytes[8..]).expect("it is inside");
        for (i, byte) in header.into_iter().enumerate() {
            // Small numbers are more often right.
            bytes[FIRST + i] = if small && i % 4 > 0 { 0 } else { byte };
        }
        seal(&mut bytes);
        if let Ok(image) = Image::parse(&bytes, crc32) {
            prop_assert!(image.string(image.header.release).is_ok());
        }
    }
}
