// SPDX-License-Identifier: GPL-2.0

//! Mutations that know where the fields of an input are.
//!
//! An engine that changes bytes at random breaks the headers of an ELF file long before it gets to what the headers are
//! about. Here a field of a table is changed as a whole: to a telling number, by a little, or to what another entry has.

use crate::Random;

mod tables;

pub use tables::{elf, image, none, tagged_elf};

/// Entries of one size, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first.
    pub start: usize,
    /// Bytes of all.
    pub len: usize,
    /// Bytes of one.
    pub entry: usize,
}

const TELLING: [u64; 18] = [
    0,
    1,
    2,
    3,
    4,
    5,
    8,
    0xff,
    0xfff,
    0x1000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// Changes one field, or one entry, of one of the spans. False if there is none.
pub fn mutate(data: &mut [u8], spans: &[Span], random: &mut Random) -> bool {
    let fits = |span: &&Span| {
        span.entry > 0
            && span.len >= span.entry
            && span.start.saturating_add(span.len) <= data.len()
    };
    let spans: Vec<Span> = spans.iter().filter(fits).copied().collect();
    let Some(span) = random.pick(&spans) else {
        return false;
    };
    let count = span.len / span.entry;
    let entry = |random: &mut Random| span.start + random.below(count) * span.entry;
    let (to, from) = (entry(random), entry(random));
    // Fields are as wide as their alignment in the entry allows, or less.
    let width = random.pick(&[1, 2, 4, 8]).unwrap_or(1).min(span.entry);
    let field = random.below(span.entry / width) * width;
    let old = read(data, to + field, width);
    let new = match random.below(8) {
        0 | 1 => random.pick(&TELLING).unwrap_or(0),
        2 => old
            .wrapping_add(u64::try_from(random.below(17)).unwrap_or(0))
            .wrapping_sub(8),
        3 => old ^ (1 << random.below(64)),
        4 => u64::try_from(random.below(data.len() + 1)).unwrap_or(0),
        5 => {
            data.copy_within(from..from + span.entry, to);
            return true;
        }
        6 => {
            swap(data, from, to, span.entry);
            return true;
        }
        _ => read(data, from + field, width),
    };
    if let Some(place) = data.get_mut(to + field..to + field + width) {
        place.copy_from_slice(&new.to_le_bytes()[..width]);
    }
    true
}

fn read(data: &[u8], at: usize, width: usize) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(data.iter().skip(at).take(width)) {
        *to = *from;
    }
    u64::from_le_bytes(bytes)
}

fn swap(data: &mut [u8], first: usize, second: usize, len: usize) {
    for i in 0..len {
        data.swap(first + i, second + i);
    }
}
