// SPDX-License-Identifier: GPL-2.0

//! A linked patch as an ELF file that tools can show: sections where they were linked, and symbols.
//!
//! An executable (ET_EXEC) for x86-64: `.text`, `.rodata`, `.data`, `.bss` as far as there are bytes, a segment for each, and a
//! symbol table: the patch's functions and objects with their sizes, then what it refers to in the kernel, absolute. The
//! code is what the loader hands to the core: what this boot's kernel would finish in it (returns, alternatives) is open.

use crate::image::Built;
use crate::layout::Region;
use crate::link::Linked;
use crate::relocate::Bases;
use lpatch_model::image::Image;
use lpatch_model::refusal::Refusal;
use object::elf;

const HEADER_LEN: usize = 64;
const PROGRAM_LEN: usize = 56;
const SECTION_LEN: usize = 64;
const SYMBOL_LEN: usize = 24;
const PAGE: u64 = 4096;

/// A section to write.
struct Section<'a> {
    name: &'static str,
    kind: u32,
    flags: u32,
    addr: u64,
    data: &'a [u8],
    /// Bytes in memory.
    size: u64,
    link: usize,
    /// Of a symbol table: its first global symbol.
    info: usize,
    entry: usize,
    align: u64,
}

/// A number in a field that is wide enough for what can be in a patch.
fn to_u64(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

fn to_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn to_u16(value: usize) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

/// Names, one behind the other.
struct Strings(Vec<u8>);

impl Strings {
    fn add(&mut self, name: &str) -> u32 {
        let at = to_u32(self.0.len());
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(0);
        at
    }
}

/// A symbol table as it grows.
struct Symbols {
    table: Vec<u8>,
    strings: Strings,
}

impl Symbols {
    fn add(&mut self, name: &str, binding: u8, kind: u8, section: u16, value: u64, size: u64) {
        let name = self.strings.add(name);
        self.table.extend_from_slice(&name.to_le_bytes());
        self.table.extend_from_slice(&[binding << 4 | kind, 0]);
        self.table.extend_from_slice(&section.to_le_bytes());
        self.table.extend_from_slice(&value.to_le_bytes());
        self.table.extend_from_slice(&size.to_le_bytes());
    }

    fn len(&self) -> usize {
        self.table.len() / SYMBOL_LEN
    }
}

/// What of a patch becomes memory.
fn memory<'a>(linked: &Linked<'_>, bases: &Bases, image: &Image<'a>) -> Vec<Section<'a>> {
    let layout = &linked.layout;
    let section = |name, flags, addr, data: &'a [u8]| Section {
        name,
        kind: elf::SHT_PROGBITS,
        flags: flags | elf::SHF_ALLOC,
        addr,
        data,
        size: to_u64(data.len()),
        link: 0,
        info: 0,
        entry: 0,
        align: PAGE,
    };
    let init = u64::from(layout.data_init_len);
    let mut bss = section(".bss", elf::SHF_WRITE, bases.data.wrapping_add(init), &[]);
    bss.kind = elf::SHT_NOBITS;
    bss.size = u64::from(layout.data_len).saturating_sub(init);
    bss.align = 1;
    let all = [
        section(".text", elf::SHF_EXECINSTR, bases.text, image.text),
        section(".rodata", 0, bases.rodata, image.rodata),
        section(".data", elf::SHF_WRITE, bases.data, image.data),
        bss,
    ];
    all.into_iter().filter(|section| section.size > 0).collect()
}

/// The symbols: local ones first, as the format wants it, and the index of the first other one.
fn symbols(linked: &Linked<'_>, bases: &Bases, sections: &[Section<'_>]) -> (Symbols, usize) {
    let mut symbols = Symbols {
        table: vec![0; SYMBOL_LEN],
        strings: Strings(vec![0]),
    };
    let number = |region: Region, is_zeros: bool| {
        let name = match region {
            Region::Text => ".text",
            Region::Rodata => ".rodata",
            Region::Data if is_zeros => ".bss",
            Region::Data => ".data",
        };
        let at = sections.iter().position(|section| section.name == name);
        at.map_or(elf::SHN_ABS, |at| to_u16(at + 1))
    };
    let mut add = |is_local: bool| {
        let own = linked.tables.symbols.iter();
        for symbol in own.filter(|s| s.letter.is_ascii_lowercase() == is_local) {
            let kind = match symbol.place.region {
                Region::Text => elf::STT_FUNC,
                _ => elf::STT_OBJECT,
            };
            let section = number(
                symbol.place.region,
                symbol.letter.eq_ignore_ascii_case(&b'b'),
            );
            let binding = if is_local {
                elf::STB_LOCAL
            } else {
                elf::STB_GLOBAL
            };
            let addr = bases.address(symbol.place);
            symbols.add(
                &symbol.name,
                binding,
                kind,
                section,
                addr,
                symbol.size.into(),
            );
        }
        symbols.len()
    };
    let first_global = add(true);
    add(false);
    for symbol in linked
        .resolved
        .symbols
        .iter()
        .filter(|symbol| symbol.addr != 0)
    {
        // Without a type: functions and data, of whose sizes nothing is known.
        let (binding, kind) = (elf::STB_GLOBAL, elf::STT_NOTYPE);
        symbols.add(&symbol.name, binding, kind, elf::SHN_ABS, symbol.addr, 0);
    }
    (symbols, first_global)
}

fn table<'a>(name: &'static str, kind: u32, data: &'a [u8]) -> Section<'a> {
    Section {
        name,
        kind,
        flags: 0,
        addr: 0,
        data,
        size: to_u64(data.len()),
        link: 0,
        info: 0,
        entry: 0,
        align: 8,
    }
}

/// Appends numbers of 64 bits.
fn words(out: &mut Vec<u8>, words: &[u64]) {
    words
        .iter()
        .for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
}

/// The file.
fn write(sections: &[Section<'_>], strings: usize) -> Vec<u8> {
    let loaded = sections.iter().filter(|section| section.addr != 0).count();
    let mut out = vec![0; HEADER_LEN + loaded * PROGRAM_LEN];
    let mut offsets = Vec::with_capacity(sections.len());
    for section in sections {
        // An offset in the file is that of the address in its page.
        let align = usize::try_from(section.align).unwrap_or(1);
        out.resize(out.len().next_multiple_of(align), 0);
        offsets.push(out.len());
        out.extend_from_slice(section.data);
    }
    out.resize(out.len().next_multiple_of(8), 0);
    let table_at = out.len();
    let mut names = Strings(vec![0]);
    // The first one stands for none.
    out.resize(table_at + SECTION_LEN, 0);
    for (section, offset) in sections.iter().zip(&offsets) {
        out.extend_from_slice(&names.add(section.name).to_le_bytes());
        out.extend_from_slice(&section.kind.to_le_bytes());
        let offset = to_u64(*offset);
        words(
            &mut out,
            &[section.flags.into(), section.addr, offset, section.size],
        );
        out.extend_from_slice(&to_u32(section.link).to_le_bytes());
        out.extend_from_slice(&to_u32(section.info).to_le_bytes());
        words(&mut out, &[section.align, to_u64(section.entry)]);
    }

    let mut head = Vec::with_capacity(HEADER_LEN + loaded * PROGRAM_LEN);
    head.extend_from_slice(&elf::ELFMAG);
    head.extend_from_slice(&[elf::ELFCLASS64, elf::ELFDATA2LSB, elf::EV_CURRENT]);
    head.resize(16, 0);
    head.extend_from_slice(&elf::ET_EXEC.to_le_bytes());
    head.extend_from_slice(&elf::EM_X86_64.to_le_bytes());
    head.extend_from_slice(&u32::from(elf::EV_CURRENT).to_le_bytes());
    words(&mut head, &[0, to_u64(HEADER_LEN), to_u64(table_at)]);
    head.extend_from_slice(&0u32.to_le_bytes());
    let halves = [
        HEADER_LEN,
        PROGRAM_LEN,
        loaded,
        SECTION_LEN,
        sections.len() + 1,
        strings,
    ];
    halves
        .iter()
        .for_each(|half| head.extend_from_slice(&to_u16(*half).to_le_bytes()));
    for (section, offset) in sections.iter().zip(&offsets).filter(|(s, _)| s.addr != 0) {
        let mut flags = elf::PF_R;
        for (flag, bit) in [(elf::SHF_WRITE, elf::PF_W), (elf::SHF_EXECINSTR, elf::PF_X)] {
            flags |= if section.flags & flag != 0 { bit } else { 0 };
        }
        head.extend_from_slice(&elf::PT_LOAD.to_le_bytes());
        head.extend_from_slice(&flags.to_le_bytes());
        let (offset, len) = (to_u64(*offset), to_u64(section.data.len()));
        words(
            &mut head,
            &[
                offset,
                section.addr,
                section.addr,
                len,
                section.size,
                section.align,
            ],
        );
    }
    if let Some(to) = out.get_mut(..head.len()) {
        to.copy_from_slice(&head);
    }
    out
}

/// The patch, linked for these addresses, which are those that `built` was built for.
///
/// # Errors
///
/// `built` is no image.
pub fn elf_image(linked: &Linked<'_>, bases: &Bases, built: &Built) -> Result<Vec<u8>, Refusal> {
    let image = Image::parse(&built.bytes, crate::image::CRC)?;
    let mut sections = memory(linked, bases, &image);
    let (symbols, first_global) = symbols(linked, bases, &sections);
    let mut symtab = table(".symtab", elf::SHT_SYMTAB, &symbols.table);
    symtab.info = first_global;
    symtab.entry = SYMBOL_LEN;
    // Numbers begin with 1: the table of strings follows the symbols.
    symtab.link = sections.len() + 2;
    let mut names = Strings(vec![0]);
    sections.push(symtab);
    sections.push(table(".strtab", elf::SHT_STRTAB, &symbols.strings.0));
    for section in &sections {
        names.add(section.name);
    }
    names.add(".shstrtab");
    sections.push(table(".shstrtab", elf::SHT_STRTAB, &names.0));
    let strings = sections.len();
    Ok(write(&sections, strings))
}
