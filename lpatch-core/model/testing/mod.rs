// SPDX-License-Identifier: GPL-2.0

//! For tests, here and in the loader: a builder of images and a kernel that answers from tables.

use crate::image::crc_of_image;
use crate::num::{index, wide};
use crate::reloc;
use crate::uapi::{self, Extent, Wire};
use crate::verify::{Kernel, Reservation};
use std::ops::Range;
use std::vec;
use std::vec::Vec;

mod example;
mod kernel;

pub use example::{dormant, example};
pub use kernel::{FakeKernel, FakeProbe, FakeSymbol};

/// CRC-32 as zlib's, for [`crate::image::Image::parse`].
pub fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(crc);
    hasher.update(bytes);
    hasher.finalize()
}

/// An image in the making. All parts can be changed before [`Draft::build`] puts them together.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The header; its sizes, extents and CRC are computed by [`Draft::build`].
    pub header: uapi::Image,
    /// Code.
    pub text: Vec<u8>,
    /// Constants.
    pub rodata: Vec<u8>,
    /// Initialized data.
    pub data: Vec<u8>,
    /// Strings, see [`Draft::string`].
    pub strings: Vec<u8>,
    /// Functions.
    pub funcs: Vec<uapi::Func>,
    /// Masks.
    pub masks: Vec<uapi::Mask>,
    /// Symbols.
    pub symbols: Vec<uapi::Symbol>,
    /// Relocations.
    pub relocs: Vec<uapi::Reloc>,
    /// ORC entries.
    pub orcs: Vec<uapi::Orc>,
    /// Exception table entries.
    pub exs: Vec<uapi::Ex>,
    /// Bug table entries.
    pub bugs: Vec<uapi::Bug>,
    /// Sites.
    pub sites: Vec<uapi::Site>,
    /// Symbols of the patch.
    pub ksyms: Vec<uapi::Ksym>,
    /// Cold parts of functions.
    pub colds: Vec<uapi::Cold>,
    /// Callbacks.
    pub callbacks: Vec<uapi::Callback>,
    /// States.
    pub states: Vec<uapi::State>,
    /// Alternatives.
    pub alts: Vec<uapi::Alt>,
}

impl Draft {
    /// A patch of this name, for this kernel, with nothing in it.
    pub fn new(name: &str, kernel: &FakeKernel) -> Self {
        let mut draft = Self {
            header: uapi::Image {
                magic: uapi::IMAGE_MAGIC,
                orc_hash: kernel.orc_hash,
                ..uapi::Image::default()
            },
            text: vec![],
            rodata: vec![],
            data: vec![],
            strings: vec![0],
            funcs: vec![],
            masks: vec![],
            symbols: vec![],
            relocs: vec![],
            orcs: vec![],
            exs: vec![],
            bugs: vec![],
            sites: vec![],
            ksyms: vec![],
            colds: vec![],
            callbacks: vec![],
            states: vec![],
            alts: vec![],
        };
        draft.header.name[..name.len()].copy_from_slice(name.as_bytes());
        draft.header.set[..4].copy_from_slice(b"main");
        draft.header.release = draft.string(&kernel.release);
        draft
    }

    /// The offset of a string, which is added if it is new.
    pub fn string(&mut self, string: &str) -> u32 {
        let mut offset = 0;
        for known in self.strings.split(|&b| b == 0) {
            if known == string.as_bytes() && offset < self.strings.len() {
                return narrow(offset);
            }
            offset += known.len() + 1;
        }
        let offset = narrow(self.strings.len());
        self.strings.extend_from_slice(string.as_bytes());
        self.strings.push(0);
        offset
    }

    /// The index of a symbol that the kernel has, which is added.
    pub fn symbol(&mut self, symbol: &FakeSymbol) -> u32 {
        let name = self.string(&symbol.name);
        let objname = self.string(symbol.objname());
        self.symbols.push(uapi::Symbol {
            name,
            objname,
            addr: symbol.addr,
            sympos: 0,
            reserved: 0,
        });
        narrow(self.symbols.len() - 1)
    }

    /// Adds a cold part, which is at `part`, of the function with the index `func`.
    pub fn cold(&mut self, func: u32, part: &FakeSymbol) {
        let cold = uapi::Cold {
            func,
            name: self.string(&part.name),
            addr: part.addr,
            len: narrow64(part.size),
            reserved: 0,
        };
        self.colds.push(cold);
    }

    /// Adds a callback that is at this offset of the text.
    pub fn callback(&mut self, objname: &str, kind: u32, offset: u32) {
        let callback = uapi::Callback {
            objname: self.string(objname),
            kind,
            offset,
            reserved: 0,
        };
        self.callbacks.push(callback);
    }

    /// Adds a state.
    pub fn state(&mut self, id: u64, version: u32) {
        self.states.push(uapi::State {
            id,
            version,
            reserved: 0,
        });
    }

    /// Adds a function to replace: its code, which is at `old`, and the new code's place.
    pub fn func(
        &mut self,
        kernel: &FakeKernel,
        old: &FakeSymbol,
        new: Range<u32>,
        masks: &[Range<u32>],
    ) {
        let mut code = vec![0; index(narrow64(old.size))];
        assert!(kernel.read_text(old.addr, &mut code), "the code is there");
        for mask in masks {
            code[index(mask.start)..index(mask.end)].fill(0);
        }
        let func = uapi::Func {
            name: self.string(&old.name),
            objname: self.string(old.objname()),
            sympos: 0,
            old_len: narrow64(old.size),
            old_addr: old.addr,
            new_off: new.start,
            new_len: new.end - new.start,
            pre_crc: crc32(0, &code),
            pre_len: narrow64(old.size),
            mask_first: narrow(self.masks.len()),
            mask_count: narrow(masks.len()),
        };
        self.funcs.push(func);
        self.masks.extend(masks.iter().map(|mask| uapi::Mask {
            offset: mask.start,
            len: mask.end - mask.start,
        }));
    }

    /// Writes every relocated field, for these addresses.
    pub fn link(&mut self, room: &Reservation) {
        for entry in &self.relocs {
            let kind = reloc::lookup(entry.kind.into()).expect("the kind is known");
            let s = match entry.target_kind {
                uapi::TARGET_SYMBOL => Some(self.symbols[index(entry.target)].addr),
                section => {
                    let area = room.area(section).expect("it is a section");
                    Some(area.addr + u64::from(entry.target))
                }
            };
            let area = room.area(entry.section).expect("it is a section");
            let p = area.addr + u64::from(entry.offset);
            let bytes = match entry.section {
                uapi::SEC_TEXT => &mut self.text,
                uapi::SEC_RODATA => &mut self.rodata,
                _ => &mut self.data,
            };
            // A symbol without an address is not there yet.
            let value = s
                .filter(|s| *s != 0)
                .map_or(0, |s| kind.value(s, entry.addend, p).expect("it fits"));
            let field = &mut bytes[index(entry.offset)..];
            kind.put(field, value).expect("it is inside");
        }
    }

    /// The image.
    pub fn build(&self) -> Vec<u8> {
        fn table<T: Wire>(out: &mut Vec<u8>, entries: &[T]) -> Extent {
            let offset = out.len();
            out.resize(offset + entries.len() * T::SIZE, 0);
            for (bytes, entry) in out[offset..].chunks_mut(T::SIZE).zip(entries) {
                entry.write(bytes).expect("it is long enough");
            }
            pad(out);
            Extent {
                offset: narrow(offset),
                count: narrow(entries.len()),
            }
        }
        fn pad(out: &mut Vec<u8>) {
            out.resize(out.len().next_multiple_of(8), 0);
        }
        let mut out = vec![0; uapi::Image::SIZE];
        pad(&mut out);
        let mut header = self.header;
        header.text = table(&mut out, &self.text);
        header.rodata = table(&mut out, &self.rodata);
        header.data = table(&mut out, &self.data);
        header.strings = table(&mut out, &self.strings);
        header.funcs = table(&mut out, &self.funcs);
        header.masks = table(&mut out, &self.masks);
        header.symbols = table(&mut out, &self.symbols);
        header.relocs = table(&mut out, &self.relocs);
        header.orcs = table(&mut out, &self.orcs);
        header.exs = table(&mut out, &self.exs);
        header.bugs = table(&mut out, &self.bugs);
        header.sites = table(&mut out, &self.sites);
        header.ksyms = table(&mut out, &self.ksyms);
        header.colds = table(&mut out, &self.colds);
        header.callbacks = table(&mut out, &self.callbacks);
        header.states = table(&mut out, &self.states);
        header.alts = table(&mut out, &self.alts);
        header.header_size = narrow(uapi::Image::SIZE);
        header.image_size = narrow(out.len());
        header.write(&mut out).expect("it is long enough");
        seal(&mut out);
        out
    }
}

/// Puts the right CRC into an image.
pub fn seal(image: &mut [u8]) {
    const FIELD: usize = core::mem::offset_of!(uapi::Image, crc32);
    if let Some(crc) = crc_of_image(image, crc32) {
        crc.write(&mut image[FIELD..]).expect("it is long enough");
    }
}

fn narrow(value: usize) -> u32 {
    narrow64(wide(value))
}

fn narrow64(value: u64) -> u32 {
    u32::try_from(value).expect("tests are small")
}
