// SPDX-License-Identifier: GPL-2.0

//! For tests, here and in the loader: a builder of images and a kernel that answers from tables.

use crate::image::crc_of_image;
use crate::num::{index, wide};
use crate::reloc;
use crate::uapi::{self, Extent, Wire};
use crate::verify::{Kernel, Reservation, Symbol};
use std::ops::Range;
use std::string::String;
use std::vec;
use std::vec::Vec;

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
        };
        draft.header.name[..name.len()].copy_from_slice(name.as_bytes());
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
        });
        narrow(self.symbols.len() - 1)
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
                uapi::TARGET_SYMBOL => self.symbols[index(entry.target)].addr,
                section => {
                    let area = room.area(section).expect("it is a section");
                    area.addr + u64::from(entry.target)
                }
            };
            let area = room.area(entry.section).expect("it is a section");
            let p = area.addr + u64::from(entry.offset);
            let bytes = match entry.section {
                uapi::SEC_TEXT => &mut self.text,
                uapi::SEC_RODATA => &mut self.rodata,
                _ => &mut self.data,
            };
            let value = kind.value(s, entry.addend, p).expect("it fits");
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

/// A symbol of a [`FakeKernel`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeSymbol {
    /// Its address.
    pub addr: u64,
    /// Its size.
    pub size: u64,
    /// Its name.
    pub name: String,
    /// Its module.
    pub module: Option<String>,
}

impl FakeSymbol {
    /// A symbol; `objname` as in the ABI.
    pub fn new(addr: u64, size: u64, name: &str, objname: &str) -> Self {
        Self {
            addr,
            size,
            name: name.into(),
            module: (objname != "vmlinux").then(|| objname.into()),
        }
    }

    /// The module's name, or "vmlinux".
    pub fn objname(&self) -> &str {
        self.module.as_deref().unwrap_or("vmlinux")
    }
}

/// A kernel that answers from tables.
#[derive(Clone, Debug, Default)]
pub struct FakeKernel {
    /// Its symbols.
    pub symbols: Vec<FakeSymbol>,
    /// Its text: address and bytes of each piece.
    pub text: Vec<(u64, Vec<u8>)>,
    /// Its release.
    pub release: String,
    /// The hash of its ORC format.
    pub orc_hash: [u8; uapi::ORC_HASH_LEN],
    /// Where lpatch_core and its arena are.
    pub ours: Range<u64>,
}

impl FakeKernel {
    /// The symbol of this name.
    pub fn find(&self, name: &str) -> &FakeSymbol {
        let found = self.symbols.iter().find(|symbol| symbol.name == name);
        found.expect("the kernel has it")
    }
}

impl Kernel for FakeKernel {
    fn symbol(&self, addr: u64, with: &mut dyn FnMut(Symbol<'_>)) -> bool {
        let found = self.symbols.iter().find(|symbol| {
            let offset = addr.checked_sub(symbol.addr);
            offset.is_some_and(|offset| offset < symbol.size)
        });
        if let Some(symbol) = found {
            with(Symbol {
                name: symbol.name.as_bytes(),
                offset: addr - symbol.addr,
                size: symbol.size,
                module: symbol.module.as_deref().map(str::as_bytes),
            });
        }
        found.is_some()
    }

    fn read_text(&self, addr: u64, out: &mut [u8]) -> bool {
        let found = self.text.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(addr.checked_sub(*start)?).ok()?;
            bytes.get(from..from.checked_add(out.len())?)
        });
        if let Some(bytes) = found {
            out.copy_from_slice(bytes);
        }
        found.is_some()
    }

    fn release(&self) -> &[u8] {
        self.release.as_bytes()
    }

    fn orc_hash(&self) -> [u8; uapi::ORC_HASH_LEN] {
        self.orc_hash
    }

    fn is_ours(&self, addr: u64) -> bool {
        self.ours.contains(&addr)
    }
}

/// A small kernel, room in its arena, and a patch in which every table has entries.
///
/// The patch replaces `cmdline_proc_show` of vmlinux by the code at 0 and `fs_read` of the module
/// `tinyfs` by the code at 64. It is linked and valid.
pub fn example() -> (Draft, Reservation, FakeKernel) {
    let kernel = kernel();
    let room = room();
    let mut draft = Draft::new("example", &kernel);
    draft.header.version[..3].copy_from_slice(b"1.0");
    code(&mut draft);
    relocations(&mut draft, &kernel);
    tables(&mut draft);
    // The masks reach over the border of the chunks in which the core reads.
    let show = kernel.find("cmdline_proc_show");
    draft.func(&kernel, show, 0..48, &[4..9, 250..262, 599..600]);
    draft.func(&kernel, kernel.find("fs_read"), 64..80, &[0..2, 2..5]);
    draft.link(&room);
    (draft, room, kernel)
}

fn kernel() -> FakeKernel {
    const TEXT: u64 = 0xffff_ffff_8100_0000;
    const MODULE: u64 = 0xffff_ffff_c100_0000;
    // No byte is zero: a mask that hides another byte changes the CRC.
    let body = |seed: u8, len: u8, times: usize| -> Vec<u8> {
        let piece: Vec<u8> = (0..len).map(|i| (i ^ seed) | 1).collect();
        piece.repeat(times)
    };
    // endbr64 and a call to a tracer; a jump to another, in a function shorter than what is read of
    // it at most.
    let mut show = body(0x5a, 200, 3);
    show[..9].copy_from_slice(&[0xf3, 0x0f, 0x1e, 0xfa, 0xe8, 0x11, 0x22, 0x33, 0x44]);
    let mut read = body(0x33, 12, 1);
    read[..5].copy_from_slice(&[0xe9, 0x11, 0x22, 0x33, 0x44]);
    FakeKernel {
        symbols: vec![
            FakeSymbol::new(TEXT, 32, "__x86_return_thunk", "vmlinux"),
            FakeSymbol::new(TEXT + 0x100, 0x80, "_printk", "vmlinux"),
            FakeSymbol::new(TEXT + 0x1000, 600, "cmdline_proc_show", "vmlinux"),
            FakeSymbol::new(TEXT + 0x10_0000, 8, "jiffies", "vmlinux"),
            FakeSymbol::new(MODULE, 12, "fs_read", "tinyfs"),
            FakeSymbol::new(MODULE + 0x40, 64, "fs_helper", "tinyfs"),
        ],
        text: vec![(TEXT + 0x1000, show), (MODULE, read)],
        release: "7.2.12-test".into(),
        orc_hash: core::array::from_fn(|i| 0x40 | u8::try_from(i).expect("it is short")),
        ours: 0xffff_ffff_c000_0000..0xffff_ffff_c040_0000,
    }
}

fn room() -> Reservation {
    let area = |offset: u64, len| crate::verify::Area {
        addr: 0xffff_ffff_c000_0000 + offset,
        len,
    };
    Reservation {
        text: area(0x1000, 128),
        rodata: area(0x10_0000, 64),
        data: area(0x20_0000, 256),
        orcs: 8,
        exs: 4,
        bugs: 2,
    }
}

fn code(draft: &mut Draft) {
    draft.text = vec![0xcc; 128];
    let mut put = |at: usize, bytes: &[u8]| draft.text[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0xf3, 0x0f, 0x1e, 0xfa]); // endbr64
    put(4, &[0x48, 0x83, 0xec, 0x08]); // sub $8,%rsp
    put(8, &[0x48, 0xc7, 0xc7, 0, 0, 0, 0]); // mov $rodata,%rdi
    put(15, &[0xe8, 0, 0, 0, 0]); // call _printk
    put(20, &[0x48, 0x8b, 0x05, 0, 0, 0, 0]); // mov data(%rip),%rax
    put(27, &[0x0f, 0x0b]); // ud2
    put(29, &[0x48, 0x83, 0xc4, 0x08]); // add $8,%rsp
    put(33, &[0xe9, 0, 0, 0, 0]); // jmp __x86_return_thunk
    put(64, &[0x8b, 0x07]); // mov (%rdi),%eax
    put(66, &[0xe8, 0, 0, 0, 0]); // call fs_helper
    put(71, &[0xe9, 0, 0, 0, 0]); // jmp __x86_return_thunk
    draft.rodata = vec![0; 32];
    draft.rodata[8..16].copy_from_slice(b"fix: %d\n");
    draft.rodata[20..26].copy_from_slice(b"file.c");
    draft.data = vec![0x77; 48];
}

fn relocations(draft: &mut Draft, kernel: &FakeKernel) {
    let mut symbol = |name| (uapi::TARGET_SYMBOL, draft.symbol(kernel.find(name)));
    let thunk = symbol("__x86_return_thunk");
    let printk = symbol("_printk");
    let jiffies = symbol("jiffies");
    let helper = symbol("fs_helper");
    let (rodata, data) = ((uapi::SEC_RODATA, 8), (uapi::SEC_DATA, 200));
    // To below 4 GiB, for the unsigned kind.
    let low = 1_i64 << 32;
    for (section, offset, kind, (target_kind, target), addend) in [
        (uapi::SEC_TEXT, 11, 11, rodata, 0),
        (uapi::SEC_TEXT, 16, 4, printk, -4),
        (uapi::SEC_TEXT, 23, 2, data, -4),
        (uapi::SEC_TEXT, 34, 4, thunk, -4),
        (uapi::SEC_TEXT, 67, 4, helper, -4),
        (uapi::SEC_TEXT, 72, 2, thunk, -4),
        (uapi::SEC_RODATA, 0, 1, jiffies, 3),
        (uapi::SEC_DATA, 0, 1, (uapi::SEC_TEXT, 64), 0),
        (uapi::SEC_DATA, 8, 24, (uapi::SEC_DATA, 256), -8),
        (uapi::SEC_DATA, 16, 10, jiffies, low),
        (uapi::SEC_DATA, 20, 1, (uapi::SEC_RODATA, 0), 0),
    ] {
        draft.relocs.push(uapi::Reloc {
            offset,
            section,
            kind,
            target_kind,
            reserved: 0,
            target,
            reserved2: 0,
            addend,
        });
    }
}

fn tables(draft: &mut Draft) {
    // sp_reg SP, type CALL; and type UNDEFINED.
    for (offset, sp_offset, bits) in [
        (0, 8, 0x0203),
        (8, 16, 0x0203),
        (33, 8, 0x0203),
        (38, 0, 0),
        (64, 8, 0x0203),
        (128, 0, 0),
    ] {
        draft.orcs.push(uapi::Orc {
            offset,
            sp_offset,
            bp_offset: 0,
            bits,
            reserved: 0,
        });
    }
    for (insn, fixup, data) in [(20, 29, 1), (64, 71, 3)] {
        draft.exs.push(uapi::Ex { insn, fixup, data });
    }
    draft.bugs.push(uapi::Bug {
        insn: 27,
        format: uapi::NO_OFFSET,
        file: 20,
        line: 7,
        flags: 1,
    });
    for (offset, kind) in [
        (0, uapi::SITE_SEAL),
        (15, uapi::SITE_CALL),
        (33, uapi::SITE_RETURN),
        (66, uapi::SITE_CALL),
        (71, uapi::SITE_RETURN),
    ] {
        draft.sites.push(uapi::Site {
            offset,
            kind,
            reserved: 0,
        });
    }
    for (name, section, letter, offset, size) in [
        ("new_show", uapi::SEC_TEXT, b't', 0, 38),
        ("new_read", uapi::SEC_TEXT, b'T', 64, 12),
        ("counter", uapi::SEC_DATA, b'b', 200, 56),
    ] {
        let name = draft.string(name);
        draft.ksyms.push(uapi::Ksym {
            name,
            offset,
            size,
            section,
            letter,
            reserved: 0,
        });
    }
}
