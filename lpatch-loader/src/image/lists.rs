// SPDX-License-Identifier: GPL-2.0

//! The tables of an image that are made of what was resolved, with the strings of all.

use super::{to_u32, to_usize};
use crate::kallsyms::Length;
use crate::layout::PAGE;
use crate::link::Linked;
use crate::relocate::{Field, Target};
use lpatch_model::uapi::{self, Wire};
use std::collections::HashMap;

/// Strings of the image, each once. They stay where they are until the image is written: symbols of an object can
/// share the bytes of their names, so that all names are much longer than the object.
pub(super) struct Strings<'s> {
    pub(super) list: Vec<&'s str>,
    /// Bytes of all, with their NULs.
    pub(super) len: usize,
    known: HashMap<&'s str, u32>,
}

impl<'s> Strings<'s> {
    fn new() -> Self {
        Self {
            list: vec![""],
            len: 1,
            known: HashMap::from([("", 0)]),
        }
    }

    fn add(&mut self, text: &'s str) -> u32 {
        if let Some(offset) = self.known.get(text) {
            return *offset;
        }
        let offset = to_u32(self.len);
        self.len = self.len.saturating_add(text.len()).saturating_add(1);
        self.list.push(text);
        self.known.insert(text, offset);
        offset
    }
}

fn reloc(field: &Field, linked: &Linked<'_>) -> uapi::Reloc {
    let (target_kind, target) = match field.target {
        Target::Patch(place) => (place.region.code(), place.offset),
        Target::Kernel(symbol) => {
            let at = linked.resolved.of.get(symbol).copied().flatten();
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

/// A length of the kernel's, with the pages that are known to follow.
fn length(len: Length, extra_pages: Option<&u64>) -> u32 {
    let extra = extra_pages.copied().unwrap_or(0);
    let len = match len {
        Length::Exact(len) => len,
        Length::AtLeast(len) => len.saturating_add(extra.saturating_mul(PAGE)),
    };
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// The functions with their masks.
fn funcs<'s>(
    linked: &'s Linked<'_>,
    strings: &mut Strings<'s>,
    extra_pages: &[u64],
) -> (Vec<uapi::Func>, Vec<uapi::Mask>) {
    let (mut list, mut masks) = (Vec::new(), Vec::new());
    for (index, old) in linked.resolved.funcs.iter().enumerate() {
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
            old_len: length(old.len, extra_pages.get(index)),
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

fn colds<'s>(
    linked: &'s Linked<'_>,
    strings: &mut Strings<'s>,
    extra_pages: &[u64],
) -> Vec<uapi::Cold> {
    let extra = extra_pages.get(linked.resolved.funcs.len()..);
    let extra = extra.unwrap_or_default();
    let parts = linked.resolved.colds.iter().enumerate();
    parts
        .map(|(index, part)| uapi::Cold {
            func: to_u32(part.func),
            name: strings.add(&part.name),
            addr: part.addr,
            len: length(part.len, extra.get(index)),
            reserved: 0,
        })
        .collect()
}

fn callbacks<'s>(linked: &'s Linked<'_>, strings: &mut Strings<'s>) -> Vec<uapi::Callback> {
    let entries = linked.meta.callbacks.iter();
    entries
        .map(|entry| {
            let section = linked.object.elf.sections().get(entry.section);
            let place = section.and_then(|s| linked.layout.place(s, entry.offset));
            uapi::Callback {
                objname: strings.add(entry.objname),
                kind: entry.kind,
                offset: place.map_or(u32::MAX, |place| place.offset),
                reserved: 0,
            }
        })
        .collect()
}

/// The tables that are made of what was resolved, with the strings of all.
pub(super) struct Lists<'s> {
    pub(super) strings: Strings<'s>,
    pub(super) release: u32,
    pub(super) funcs: Vec<uapi::Func>,
    pub(super) masks: Vec<uapi::Mask>,
    pub(super) symbols: Vec<uapi::Symbol>,
    pub(super) relocs: Vec<uapi::Reloc>,
    pub(super) ksyms: Vec<uapi::Ksym>,
    pub(super) colds: Vec<uapi::Cold>,
    pub(super) callbacks: Vec<uapi::Callback>,
}

impl<'s> Lists<'s> {
    pub(super) fn new(linked: &'s Linked<'_>, extra_pages: &[u64]) -> Self {
        let mut strings = Strings::new();
        let (funcs, masks) = funcs(linked, &mut strings, extra_pages);
        let colds = colds(linked, &mut strings, extra_pages);
        let callbacks = callbacks(linked, &mut strings);
        let symbols = linked.resolved.symbols.iter();
        let symbols = symbols
            .map(|symbol| uapi::Symbol {
                name: strings.add(&symbol.name),
                objname: strings.add(&symbol.objname),
                addr: symbol.addr,
                sympos: symbol.sympos,
                reserved: 0,
            })
            .collect();
        let ksyms = linked.tables.symbols.iter();
        let ksyms = ksyms
            .map(|symbol| uapi::Ksym {
                name: strings.add(&symbol.name),
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
            colds,
            callbacks,
            relocs: fields.map(|field| reloc(field, linked)).collect(),
            ksyms,
        }
    }

    /// Bytes that an image takes with these tables.
    pub(super) fn image_size(&self, linked: &Linked<'_>) -> usize {
        fn bytes<T: Wire>(entries: &[T]) -> usize {
            entries.len().saturating_mul(T::SIZE)
        }
        let (layout, tables) = (&linked.layout, &linked.tables);
        let parts = [
            uapi::Image::SIZE,
            to_usize(layout.text_len),
            to_usize(layout.rodata_len),
            to_usize(layout.data_init_len),
            self.strings.len,
            bytes(&self.funcs),
            bytes(&self.masks),
            bytes(&self.symbols),
            bytes(&self.relocs),
            bytes(&tables.orcs),
            bytes(&tables.exs),
            bytes(&tables.bugs),
            bytes(&tables.sites),
            bytes(&tables.alts),
            bytes(&self.ksyms),
            bytes(&self.colds),
            bytes(&self.callbacks),
            bytes(&linked.meta.states),
        ];
        // Each part begins at a multiple of 8.
        parts
            .iter()
            .fold(0, |sum, part| sum.next_multiple_of(8).saturating_add(*part))
    }
}
