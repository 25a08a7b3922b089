// SPDX-License-Identifier: GPL-2.0

//! Builds the image that the core loads; `lpatch.h` defines it.
//!
//! Sections are relocated in place in the image, so that one copy of them is in memory. What was built
//! is parsed again with the core's own parser.

use crate::entry;
use crate::keys;
use crate::layout::{Layout, LayoutError, Region};
use crate::link::Linked;
use crate::problem::Problems;
use crate::relocate::{self, Bases};
use lists::Lists;
use lpatch_model::image::{crc_of_image, Crc32};
use lpatch_model::refusal::Refusal;
use lpatch_model::uapi::{self, Extent, Wire};
use std::ops::Range;

mod lists;

/// CRC-32 as the model wants it: continues from the CRC of what came before.
pub const CRC: Crc32 = |crc, bytes| {
    let mut hasher = crc32fast::Hasher::new_with_initial(crc);
    hasher.update(bytes);
    hasher.finalize()
};

/// An image, ready to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The image.
    pub bytes: Vec<u8>,
}

/// Lengths in an image; one that does not fit makes an image that [`check`] refuses.
fn to_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn to_usize(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// The image as it grows.
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn align(&mut self) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        to_u32(self.bytes.len())
    }

    /// Appends a table.
    fn table<T: Wire>(&mut self, entries: &[T]) -> Extent {
        let offset = self.align();
        let mut at = self.bytes.len();
        self.bytes.resize(at + entries.len() * T::SIZE, 0);
        for entry in entries {
            if let Some(bytes) = self.bytes.get_mut(at..) {
                // There is room for every entry.
                let _ = entry.write(bytes);
            }
            at += T::SIZE;
        }
        Extent {
            offset,
            count: to_u32(entries.len()),
        }
    }

    /// Appends strings, each with its NUL.
    fn strings(&mut self, list: &[&str]) -> Extent {
        let offset = self.align();
        let start = self.bytes.len();
        for text in list {
            self.bytes.extend_from_slice(text.as_bytes());
            self.bytes.push(0);
        }
        Extent {
            offset,
            count: to_u32(self.bytes.len() - start),
        }
    }

    /// Appends bytes.
    fn section(&mut self, len: u32, fill: u8) -> (Extent, Range<usize>) {
        let offset = self.align();
        let start = self.bytes.len();
        let end = start + to_usize(len);
        self.bytes.resize(end, fill);
        (Extent { offset, count: len }, start..end)
    }
}

/// A name in a fixed field, padded with zeros; too long a name was refused before.
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [0; N];
    for (to, from) in field.iter_mut().take(N - 1).zip(text.bytes()) {
        *to = from;
    }
    field
}

/// Copies the sections of an object into their places.
fn copy(linked: &Linked<'_>, layout: &Layout, region: Region, bytes: &mut [u8]) {
    for section in linked.object.elf.sections() {
        let Some(place) = layout.section(section.index) else {
            continue;
        };
        if place.region == region {
            let start = to_usize(place.offset);
            // The layout has room for all of it.
            if let Some(to) = bytes.get_mut(start..start.saturating_add(section.data.len())) {
                to.copy_from_slice(section.data);
            }
        }
    }
}

/// Cuts the three sections out of the image, to be written at the same time.
fn split(bytes: &mut [u8], ranges: [Range<usize>; 3]) -> [&mut [u8]; 3] {
    let mut rest = bytes;
    let mut base = 0;
    ranges.map(|range| {
        let (_, tail) = std::mem::take(&mut rest).split_at_mut(range.start - base);
        let (section, tail) = tail.split_at_mut(range.len());
        base = range.end;
        rest = tail;
        section
    })
}

/// Appends the three sections, relocated for these addresses.
fn sections(
    linked: &Linked<'_>,
    bases: &Bases,
    funcs: &[uapi::Func],
    out: &mut Writer,
) -> Result<[Extent; 3], Problems> {
    let layout = &linked.layout;
    // What is between two text sections is never run; if it is, it traps.
    let (text, text_range) = out.section(layout.text_len, 0xcc);
    let (rodata, rodata_range) = out.section(layout.rodata_len, 0);
    let (data, data_range) = out.section(layout.data_init_len, 0);
    let mut parts = split(
        &mut out.bytes,
        [text_range.clone(), rodata_range, data_range],
    );
    for (region, bytes) in Region::ALL.into_iter().zip(&mut parts) {
        copy(linked, layout, region, bytes);
    }
    let [text_bytes, ..] = &mut parts;
    keys::write(&linked.branches, text_bytes);
    let mut problems = Problems::default();
    relocate::apply(
        &linked.object,
        &linked.fields,
        bases,
        parts,
        |symbol| linked.resolved.address(symbol),
        &mut problems,
    );
    if let Some(text) = out.bytes.get_mut(text_range) {
        entry::cover(text, funcs, &linked.fields);
    }
    problems.or([text, rodata, data])
}

/// Builds the image for these addresses. Where kallsyms does not tell the length of a function or cold part exactly,
/// it is taken to reach to the end of its page and `extra_pages` further; there, `resolved.colds` follow
/// `resolved.funcs`.
pub fn build(linked: &Linked<'_>, bases: &Bases, extra_pages: &[u64]) -> Result<Built, Problems> {
    let lists = Lists::new(linked, extra_pages);
    let size = lists.image_size(linked);
    if size > to_usize(uapi::IMAGE_MAX) {
        return Err(Problems::from(LayoutError::TooBig {
            region: "image",
            len: u64::from(to_u32(size)),
            max: u64::from(uapi::IMAGE_MAX),
        }));
    }
    // All at once: an image that grows would be in memory twice.
    let mut out = Writer {
        bytes: Vec::with_capacity(size),
    };
    out.bytes.resize(uapi::Image::SIZE, 0);
    let [text, rodata, data] = sections(linked, bases, &lists.funcs, &mut out)?;

    let tables = &linked.tables;
    let mut header = uapi::Image {
        magic: uapi::IMAGE_MAGIC,
        header_size: to_u32(uapi::Image::SIZE),
        image_size: 0,
        crc32: 0,
        flags: if linked.info.cumulative {
            uapi::IMG_REPLACE
        } else {
            0
        },
        release: lists.release,
        name: padded(&linked.info.name),
        version: padded(&linked.info.version),
        set: padded(&linked.info.set),
        orc_hash: tables.orc_hash,
        reserved: 0,
        text,
        rodata,
        data,
        strings: out.strings(&lists.strings.list),
        funcs: out.table(&lists.funcs),
        masks: out.table(&lists.masks),
        symbols: out.table(&lists.symbols),
        relocs: out.table(&lists.relocs),
        orcs: out.table(&tables.orcs),
        exs: out.table(&tables.exs),
        bugs: out.table(&tables.bugs),
        sites: out.table(&tables.sites),
        ksyms: out.table(&lists.ksyms),
        colds: out.table(&lists.colds),
        callbacks: out.table(&lists.callbacks),
        states: out.table(&linked.meta.states),
        alts: out.table(&tables.alts),
    };
    header.image_size = to_u32(out.bytes.len());
    let _ = header.write(&mut out.bytes);
    header.crc32 = crc_of_image(&out.bytes, CRC).unwrap_or(0);
    let _ = header.write(&mut out.bytes);
    Ok(Built { bytes: out.bytes })
}

/// Parses an image with the core's parser.
pub fn check(bytes: &[u8]) -> Result<(), Refusal> {
    lpatch_model::image::Image::parse(bytes, CRC).map(|_| ())
}
