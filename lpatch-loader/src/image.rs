// SPDX-License-Identifier: GPL-2.0

//! Builds the image that the core loads; `lpatch.h` defines it.
//!
//! Sections are relocated in place in the image, so that one copy of them is in memory. What was built
//! is parsed again with the core's own parser.

use crate::entry;
use crate::kallsyms::Length;
use crate::layout::{Layout, LayoutError, Region, PAGE};
use crate::link::Linked;
use crate::problem::Problems;
use crate::relocate::{self, Bases, Field, Target};
use lpatch_model::image::{crc_of_image, Crc32};
use lpatch_model::refusal::Refusal;
use lpatch_model::uapi::{self, Extent, Wire};
use std::collections::HashMap;
use std::ops::Range;

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

/// Strings of the image, each once.
struct Strings {
    bytes: Vec<u8>,
    known: HashMap<String, u32>,
}

impl Strings {
    fn new() -> Self {
        Self {
            bytes: vec![0],
            known: HashMap::from([(String::new(), 0)]),
        }
    }

    fn add(&mut self, text: &str) -> u32 {
        if let Some(offset) = self.known.get(text) {
            return *offset;
        }
        let offset = to_u32(self.bytes.len());
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self.known.insert(text.into(), offset);
        offset
    }
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
            let to = bytes.get_mut(to_usize(place.offset)..);
            for (to, from) in to.into_iter().flatten().zip(section.data) {
                *to = *from;
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

fn reloc(field: &Field, linked: &Linked<'_>) -> uapi::Reloc {
    let (target_kind, target) = match field.target {
        Target::Patch(place) => (place.region.code(), place.offset),
        Target::Kernel(symbol) => {
            let at = linked.resolved.of.get(&symbol).copied();
            (uapi::TARGET_SYMBOL, at.map_or(u32::MAX, to_u32))
        }
    };
    uapi::Reloc {
        offset: field.place.offset,
        section: field.place.region.code(),
        // All kinds in the table are below 256.
        kind: u8::try_from(field.kind.number).unwrap_or(u8::MAX),
        target_kind,
        reserved: 0,
        target,
        reserved2: 0,
        addend: field.addend,
    }
}

/// The functions with their masks.
fn funcs(
    linked: &Linked<'_>,
    strings: &mut Strings,
    extra_pages: &[u64],
) -> (Vec<uapi::Func>, Vec<uapi::Mask>) {
    let (mut list, mut masks) = (Vec::new(), Vec::new());
    for (index, old) in linked.resolved.funcs.iter().enumerate() {
        let extra = extra_pages.get(index).copied().unwrap_or(0);
        let old_len = match old.len {
            Length::Exact(len) => len,
            Length::AtLeast(len) => len.saturating_add(extra.saturating_mul(PAGE)),
        };
        let Some(entry) = linked.meta.funcs.get(old.entry) else {
            continue;
        };
        let section = linked.object.elf.sections().get(entry.section);
        let place = section.and_then(|s| linked.layout.place(s, entry.offset));
        let preimage = linked.preimages.get(old.entry);
        let mask_first = to_u32(masks.len());
        let own = preimage.map(|p| p.masks.as_slice()).unwrap_or_default();
        masks.extend_from_slice(own);
        list.push(uapi::Func {
            name: strings.add(&old.name),
            objname: strings.add(&old.objname),
            sympos: old.sympos,
            old_len: u32::try_from(old_len).unwrap_or(u32::MAX),
            old_addr: old.addr,
            new_off: place.map_or(u32::MAX, |p| p.offset),
            new_len: u32::try_from(entry.len).unwrap_or(u32::MAX),
            pre_crc: preimage.map_or(0, |p| p.crc),
            pre_len: preimage.map_or(0, |p| p.len),
            mask_first,
            mask_count: to_u32(own.len()),
        });
    }
    (list, masks)
}

/// The tables that are made of what was resolved, with the strings of all.
struct Lists {
    strings: Strings,
    release: u32,
    funcs: Vec<uapi::Func>,
    masks: Vec<uapi::Mask>,
    symbols: Vec<uapi::Symbol>,
    relocs: Vec<uapi::Reloc>,
    ksyms: Vec<uapi::Ksym>,
}

impl Lists {
    fn new(linked: &Linked<'_>, extra_pages: &[u64]) -> Self {
        let mut strings = Strings::new();
        let (funcs, masks) = funcs(linked, &mut strings, extra_pages);
        let symbols = linked.resolved.symbols.iter();
        let symbols = symbols
            .map(|symbol| uapi::Symbol {
                name: strings.add(&symbol.name),
                objname: strings.add(&symbol.objname),
                addr: symbol.addr,
            })
            .collect();
        let ksyms = linked.tables.symbols.iter();
        let ksyms = ksyms
            .map(|symbol| uapi::Ksym {
                name: strings.add(symbol.name),
                offset: symbol.place.offset,
                size: symbol.size,
                section: symbol.place.region.code(),
                letter: symbol.letter,
                reserved: 0,
            })
            .collect();
        let fields = linked.fields.list.iter();
        Self {
            release: strings.add(&linked.release),
            strings,
            funcs,
            masks,
            symbols,
            relocs: fields.map(|field| reloc(field, linked)).collect(),
            ksyms,
        }
    }

    /// Bytes that an image takes with these tables.
    fn image_size(&self, linked: &Linked<'_>) -> usize {
        fn bytes<T: Wire>(entries: &[T]) -> usize {
            entries.len().saturating_mul(T::SIZE)
        }
        let (layout, tables) = (&linked.layout, &linked.tables);
        let parts = [
            uapi::Image::SIZE,
            to_usize(layout.text_len),
            to_usize(layout.rodata_len),
            to_usize(layout.data_init_len),
            self.strings.bytes.len(),
            bytes(&self.funcs),
            bytes(&self.masks),
            bytes(&self.symbols),
            bytes(&self.relocs),
            bytes(&tables.orcs),
            bytes(&tables.exs),
            bytes(&tables.bugs),
            bytes(&tables.sites),
            bytes(&self.ksyms),
        ];
        // Each part begins at a multiple of 8.
        parts
            .iter()
            .fold(0, |sum, part| sum.next_multiple_of(8).saturating_add(*part))
    }
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
        entry::cover(text, funcs);
    }
    problems.or([text, rodata, data])
}

/// Builds the image for these addresses. Where kallsyms does not tell a function's length exactly, it is taken
/// to reach to the end of its page and `extra_pages` further; the index is that of `resolved.funcs`.
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
        flags: 0,
        release: lists.release,
        name: padded(&linked.info.name),
        version: padded(&linked.info.version),
        orc_hash: tables.orc_hash,
        reserved: 0,
        text,
        rodata,
        data,
        strings: out.table(&lists.strings.bytes),
        funcs: out.table(&lists.funcs),
        masks: out.table(&lists.masks),
        symbols: out.table(&lists.symbols),
        relocs: out.table(&lists.relocs),
        orcs: out.table(&tables.orcs),
        exs: out.table(&tables.exs),
        bugs: out.table(&tables.bugs),
        sites: out.table(&tables.sites),
        ksyms: out.table(&lists.ksyms),
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
