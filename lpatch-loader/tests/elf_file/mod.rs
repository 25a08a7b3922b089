// SPDX-License-Identifier: GPL-2.0

//! Writes small ELF64 files for tests: relocatable objects and executables.

use object::elf::{
    EM_X86_64, ET_EXEC, SHT_NOTE, SHT_RELA, SHT_STRTAB, SHT_SYMTAB, STB_GLOBAL, STT_FUNC,
    STT_SECTION,
};

/// A section to write.
pub(crate) struct Section {
    name: String,
    kind: u32,
    flags: u32,
    addr: u64,
    link: usize,
    info: usize,
    data: Vec<u8>,
}

impl Section {
    pub(crate) fn new(name: &str, kind: u32, flags: u32, data: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            kind,
            flags,
            addr: 0,
            link: 0,
            info: 0,
            data,
        }
    }

    /// Gives it an address, and so a program header.
    pub(crate) fn at(mut self, addr: u64) -> Self {
        self.addr = addr;
        self
    }
}

/// A file to write.
pub(crate) struct ElfFile {
    kind: u16,
    sections: Vec<Section>,
    /// Name, info, section, value, size. Locals come first in a file, so globals are kept apart.
    symbols: Vec<(String, u8, usize, u64, u64)>,
    /// Section, offset, kind, symbol, addend.
    relocs: Vec<(usize, u64, u32, usize, i64)>,
}

fn u64_of(value: usize) -> u64 {
    u64::try_from(value).unwrap()
}

fn u32_of(value: usize) -> u32 {
    u32::try_from(value).unwrap()
}

fn u16_of(value: usize) -> u16 {
    u16::try_from(value).unwrap()
}

impl ElfFile {
    pub(crate) fn new(kind: u16) -> Self {
        Self {
            kind,
            sections: vec![Section::new("", 0, 0, Vec::new())],
            symbols: vec![(String::new(), 0, 0, 0, 0)],
            relocs: Vec::new(),
        }
    }

    /// Adds a section and gives its index.
    pub(crate) fn add(&mut self, section: Section) -> usize {
        self.sections.push(section);
        self.sections.len() - 1
    }

    fn symbol(&mut self, name: &str, info: u8, section: usize, value: u64, size: u64) -> usize {
        self.symbols.push((name.into(), info, section, value, size));
        self.symbols.len() - 1
    }

    /// Adds a local function and gives its index.
    pub(crate) fn function(&mut self, name: &str, section: usize, value: u64, size: u64) -> usize {
        self.symbol(name, STT_FUNC, section, value, size)
    }

    /// Adds the symbol of a section and gives its index.
    pub(crate) fn section_symbol(&mut self, section: usize) -> usize {
        self.symbol("", STT_SECTION, section, 0, 0)
    }

    /// Adds an undefined symbol and gives its index.
    pub(crate) fn undefined(&mut self, name: &str) -> usize {
        self.symbol(name, STB_GLOBAL << 4, 0, 0, 0)
    }

    /// Adds a relocation.
    pub(crate) fn relocate(
        &mut self,
        section: usize,
        offset: u64,
        kind: u32,
        symbol: usize,
        addend: i64,
    ) {
        self.relocs.push((section, offset, kind, symbol, addend));
    }

    fn add_tables(&mut self) {
        let mut names = vec![0];
        let mut table = Vec::new();
        for (name, info, section, value, size) in &self.symbols {
            let at = if name.is_empty() { 0 } else { names.len() };
            names.extend(name.as_bytes());
            names.push(0);
            table.extend(u32_of(at).to_le_bytes());
            table.extend([*info, 0]);
            table.extend(u16_of(*section).to_le_bytes());
            table.extend(value.to_le_bytes());
            table.extend(size.to_le_bytes());
        }
        let strtab = self.add(Section::new(".strtab", SHT_STRTAB, 0, names));
        let mut symtab = Section::new(".symtab", SHT_SYMTAB, 0, table);
        symtab.link = strtab;
        let symtab = self.add(symtab);
        let mut targets: Vec<usize> = self.relocs.iter().map(|r| r.0).collect();
        targets.sort_unstable();
        targets.dedup();
        for target in targets {
            let mut data = Vec::new();
            for (_, offset, kind, symbol, addend) in self.relocs.iter().filter(|r| r.0 == target) {
                data.extend(offset.to_le_bytes());
                data.extend((u64_of(*symbol) << 32 | u64::from(*kind)).to_le_bytes());
                data.extend(addend.to_le_bytes());
            }
            let name = format!(".rela{}", self.sections[target].name);
            let mut rela = Section::new(&name, SHT_RELA, 0, data);
            rela.link = symtab;
            rela.info = target;
            self.add(rela);
        }
    }

    /// The file's bytes.
    pub(crate) fn write(mut self) -> Vec<u8> {
        if self.kind != ET_EXEC {
            self.add_tables();
        }
        let names_at = self.add(Section::new(".shstrtab", SHT_STRTAB, 0, Vec::new()));
        let mut names = Vec::new();
        let name_offsets: Vec<usize> = self
            .sections
            .iter()
            .map(|section| {
                let at = names.len();
                names.extend(section.name.as_bytes());
                names.push(0);
                at
            })
            .collect();
        self.sections[names_at].data = names;

        let mapped = self.sections.iter().filter(|s| s.addr != 0).count();
        let mut body = vec![0; 64 + mapped * 56];
        let mut offsets = Vec::new();
        for section in &self.sections {
            body.resize(body.len().next_multiple_of(8), 0);
            offsets.push(body.len());
            body.extend(&section.data);
        }
        body.resize(body.len().next_multiple_of(8), 0);
        let table_at = body.len();
        for ((section, offset), name) in self.sections.iter().zip(&offsets).zip(&name_offsets) {
            let entry: u64 = match section.kind {
                SHT_SYMTAB | SHT_RELA => 24,
                _ => 0,
            };
            // A note's alignment is 4, in its program header too.
            let align: u64 = if section.kind == SHT_NOTE { 4 } else { 8 };
            body.extend(u32_of(*name).to_le_bytes());
            body.extend(section.kind.to_le_bytes());
            body.extend(u64::from(section.flags).to_le_bytes());
            body.extend(section.addr.to_le_bytes());
            body.extend(u64_of(if section.kind == 0 { 0 } else { *offset }).to_le_bytes());
            body.extend(u64_of(section.data.len()).to_le_bytes());
            body.extend(u32_of(section.link).to_le_bytes());
            body.extend(u32_of(section.info).to_le_bytes());
            body.extend(align.to_le_bytes());
            body.extend(entry.to_le_bytes());
        }

        let mut header = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
        header.resize(16, 0);
        header.extend(self.kind.to_le_bytes());
        header.extend(EM_X86_64.to_le_bytes());
        header.extend(1_u32.to_le_bytes());
        header.extend(0_u64.to_le_bytes());
        header.extend((if mapped == 0 { 0 } else { 64_u64 }).to_le_bytes());
        header.extend(u64_of(table_at).to_le_bytes());
        header.extend(0_u32.to_le_bytes());
        for half in [64, 56, mapped, 64, self.sections.len(), names_at] {
            header.extend(u16_of(half).to_le_bytes());
        }
        for (section, offset) in self.sections.iter().zip(&offsets) {
            if section.addr == 0 {
                continue;
            }
            let kind: u32 = if section.kind == SHT_NOTE { 4 } else { 1 };
            header.extend(kind.to_le_bytes());
            header.extend(5_u32.to_le_bytes());
            let len = u64_of(section.data.len());
            let align = if section.kind == SHT_NOTE { 4 } else { 8 };
            for word in [u64_of(*offset), section.addr, section.addr, len, len, align] {
                header.extend(word.to_le_bytes());
            }
        }
        body[..header.len()].copy_from_slice(&header);
        body
    }
}
