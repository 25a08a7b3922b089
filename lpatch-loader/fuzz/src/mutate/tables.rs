// SPDX-License-Identifier: GPL-2.0

//! Where the tables of an input are: of an ELF file by its section headers, of an image by its extents.

use super::Span;
use lpatch_uapi::{self as uapi, Extent, Wire};

/// Bytes of a section header.
const HEADER: usize = 64;

/// For inputs whose fields nobody knows.
pub fn none(_: &[u8]) -> Vec<Span> {
    Vec::new()
}

fn number<T: Wire + TryInto<usize>>(data: &[u8], at: usize) -> Option<usize> {
    T::read(data.get(at..)?)?.try_into().ok()
}

/// The header of an ELF file, its section headers, and what they describe.
pub fn elf(data: &[u8]) -> Vec<Span> {
    let mut spans = vec![Span {
        start: 0,
        len: 64,
        entry: 64,
    }];
    let table = number::<u64>(data, 40).zip(number::<u16>(data, 60));
    if let Some((start, count)) = table {
        let headers = Span {
            start,
            len: count * HEADER,
            entry: HEADER,
        };
        // Often, since all depends on them.
        spans.extend([headers; 4]);
        for index in 0..count {
            spans.extend(section(data, start.saturating_add(index * HEADER)));
        }
    }
    spans
}

fn section(data: &[u8], header: usize) -> Option<Span> {
    let kind: u32 = Wire::read(data.get(header.checked_add(4)?..)?)?;
    let start = number::<u64>(data, header.checked_add(24)?)?;
    let len = number::<u64>(data, header.checked_add(32)?)?;
    let entry = match kind {
        object::elf::SHT_NOBITS | object::elf::SHT_NULL => return None,
        object::elf::SHT_SYMTAB | object::elf::SHT_RELA => 24,
        object::elf::SHT_NOTE => 4,
        // Tables of the kernel's have entries of 4, 6, 12, 14 or 16 bytes; names and code have no entries.
        _ => [4, 6, 8, 12, 14, 16, 24, 32]
            .into_iter()
            .find(|n| len % n == 0 && len / n < 64)
            .unwrap_or(4),
    };
    Some(Span { start, len, entry })
}

/// The same behind a first byte that says what the rest is.
pub fn tagged_elf(data: &[u8]) -> Vec<Span> {
    let mut spans = elf(data.get(1..).unwrap_or_default());
    for span in &mut spans {
        span.start = span.start.saturating_add(1);
    }
    spans
}

/// The header of an image, its extents, and what they describe.
pub fn image(data: &[u8]) -> Vec<Span> {
    let Some(header) = uapi::Image::read(data) else {
        return Vec::new();
    };
    let extents = std::mem::offset_of!(uapi::Image, text);
    let mut spans = vec![
        Span {
            start: 0,
            len: uapi::Image::SIZE,
            entry: uapi::Image::SIZE,
        },
        Span {
            start: extents,
            len: uapi::Image::SIZE - extents,
            entry: Extent::SIZE,
        },
    ];
    let mut add = |extent: Extent, entry: usize| {
        let start = usize::try_from(extent.offset).unwrap_or(0);
        let count = usize::try_from(extent.count).unwrap_or(0);
        let len = count.saturating_mul(entry);
        // Twice: the entries are where the checks are.
        spans.extend([Span { start, len, entry }; 2]);
    };
    for (extent, entry) in [
        (header.text, 1),
        (header.rodata, 1),
        (header.data, 1),
        (header.strings, 1),
        (header.funcs, uapi::Func::SIZE),
        (header.masks, uapi::Mask::SIZE),
        (header.symbols, uapi::Symbol::SIZE),
        (header.relocs, uapi::Reloc::SIZE),
        (header.orcs, uapi::Orc::SIZE),
        (header.exs, uapi::Ex::SIZE),
        (header.bugs, uapi::Bug::SIZE),
        (header.sites, uapi::Site::SIZE),
        (header.ksyms, uapi::Ksym::SIZE),
        (header.colds, uapi::Cold::SIZE),
        (header.callbacks, uapi::Callback::SIZE),
        (header.states, uapi::State::SIZE),
        (header.alts, uapi::Alt::SIZE),
    ] {
        add(extent, entry);
    }
    spans
}
