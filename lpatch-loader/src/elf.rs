// SPDX-License-Identifier: GPL-2.0

//! Typed view of an ELF64 relocatable object for x86-64: sections, symbols, relocations.
//!
//! Nothing is copied: names and contents borrow from the file. After [`Elf::parse`] every range lies in
//! the file and no two sections share bytes, so work and memory are bounded by the file's size.

use crate::limits::{FILE_MAX, NAME_MAX};
use crate::visit::visit;
use object::elf::{FileHeader64, Rela64, SectionHeader64};
use object::read::elf::{FileHeader, SectionHeader, Sym};
use object::read::{SectionIndex, SymbolIndex};
use object::{elf, LittleEndian};
use thiserror::Error;

type Header = FileHeader64<LittleEndian>;
const LE: LittleEndian = LittleEndian;

/// Why a file is not a relocatable object that lpatch can read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ElfError {
    /// Longer than [`FILE_MAX`].
    #[error("file has {0} bytes, more than the limit of {FILE_MAX}; strip debug information with `objcopy -g`")]
    TooLong(usize),
    /// No ELF magic.
    #[error("not an ELF file; give a patch object, as `make patch` builds it")]
    NotElf,
    /// Not ELFCLASS64.
    #[error("ELF class is {0}, not 64-bit; compile the patch for x86-64")]
    Class(u8),
    /// Not ELFDATA2LSB.
    #[error("ELF data encoding is {0}, not little endian; compile the patch for x86-64")]
    Endian(u8),
    /// Not EM_X86_64.
    #[error("ELF machine is {0}, not x86-64 (62); compile the patch for x86-64")]
    Machine(u16),
    /// Not ET_REL.
    #[error(
        "ELF type is {0}, not a relocatable object (1); give the .o or .lpo, not a linked file"
    )]
    Type(u16),
    /// Something lies beyond the end of the file, or is malformed.
    #[error("{what} is truncated or malformed ({why}); copy or build the file again")]
    Truncated {
        /// Which part.
        what: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Longer than [`NAME_MAX`].
    #[error("{what} has {len} bytes, more than the limit of {NAME_MAX}; build the object again")]
    LongName {
        /// The name of what.
        what: String,
        /// Bytes.
        len: usize,
    },
    /// Two sections share bytes of the file.
    #[error("sections {first} and {second} overlap in the file; build the object again")]
    Overlap {
        /// Name of one.
        first: String,
        /// Name of the other.
        second: String,
    },
}

/// A part of the file, or of the address space, that belongs together.
#[derive(Clone, Copy, Debug)]
pub struct Section<'d> {
    /// Index in the section header table.
    pub index: usize,
    /// Its name.
    pub name: &'d str,
    /// SHT_*.
    pub kind: u32,
    /// SHF_*.
    pub flags: u64,
    /// Bytes in memory; more than `data.len()` only for SHT_NOBITS.
    pub size: u64,
    /// Alignment in bytes; 0 means 1.
    pub align: u64,
    /// Contents; empty for SHT_NOBITS.
    pub data: &'d [u8],
    /// Where `data` starts in the file.
    pub file_offset: usize,
}

impl Section<'_> {
    /// Whether it has SHF_ALLOC.
    pub fn is_alloc(&self) -> bool {
        self.flags & u64::from(elf::SHF_ALLOC) != 0
    }

    /// Whether it has SHF_EXECINSTR.
    pub fn is_exec(&self) -> bool {
        self.flags & u64::from(elf::SHF_EXECINSTR) != 0
    }

    /// Whether it has SHF_WRITE.
    pub fn is_write(&self) -> bool {
        self.flags & u64::from(elf::SHF_WRITE) != 0
    }
}

/// Where a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In the kernel, hopefully.
    Undefined,
    /// A number.
    Absolute,
    /// A tentative definition (-fcommon).
    Common,
    /// In the section with this index.
    Section(usize),
}

/// A symbol.
#[derive(Clone, Copy, Debug)]
pub struct Symbol<'d> {
    /// Its name; empty for section symbols.
    pub name: &'d str,
    /// Offset in its section.
    pub value: u64,
    /// Bytes.
    pub size: u64,
    /// STT_*.
    pub kind: u8,
    /// STB_*.
    pub binding: u8,
    /// Where it is.
    pub home: Home,
}

/// A relocation as the file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rela {
    /// Of the field in its section.
    pub offset: u64,
    /// Index of the symbol; 0: none.
    pub symbol: usize,
    /// R_X86_64_*.
    pub kind: u32,
    /// The addend.
    pub addend: i64,
}

/// A parsed file.
#[derive(Debug)]
pub struct Elf<'d> {
    sections: Vec<Section<'d>>,
    symbols: Vec<Symbol<'d>>,
    /// For each section, the tables of relocations that apply to it.
    relas: Vec<Vec<&'d [Rela64<LittleEndian>]>>,
}

fn misfit(what: impl Into<String>) -> ElfError {
    ElfError::Truncated {
        what: what.into(),
        why: "it does not fit the file",
    }
}

fn check_identity(data: &[u8]) -> Result<&Header, ElfError> {
    if data.len() > FILE_MAX {
        return Err(ElfError::TooLong(data.len()));
    }
    if !data.starts_with(&elf::ELFMAG) {
        return Err(ElfError::NotElf);
    }
    // A truncated identification reads as class or encoding 0, which is as wrong as a bad one.
    let ident = |at: usize| data.get(at).copied().unwrap_or(0);
    if ident(4) != elf::ELFCLASS64 {
        return Err(ElfError::Class(ident(4)));
    }
    if ident(5) != elf::ELFDATA2LSB {
        return Err(ElfError::Endian(ident(5)));
    }
    let header = Header::parse(data).map_err(|_| misfit("the ELF header"))?;
    if header.e_machine(LE) != elf::EM_X86_64 {
        return Err(ElfError::Machine(header.e_machine(LE)));
    }
    if header.e_type(LE) != elf::ET_REL {
        return Err(ElfError::Type(header.e_type(LE)));
    }
    Ok(header)
}

/// A name; `what` says of what.
fn text(bytes: &[u8], what: impl Fn() -> String) -> Result<&str, ElfError> {
    if bytes.len() > NAME_MAX {
        return Err(ElfError::LongName {
            what: format!("the name of {}", what()),
            len: bytes.len(),
        });
    }
    std::str::from_utf8(bytes).map_err(|_| ElfError::Truncated {
        what: what(),
        why: "a name is not UTF-8",
    })
}

fn to_usize(value: u64, what: &str) -> Result<usize, ElfError> {
    usize::try_from(value).map_err(|_| ElfError::Truncated {
        what: what.into(),
        why: "an offset is out of range",
    })
}

/// Refuses sections that share bytes: a small file could otherwise describe any amount of work.
fn check_overlap(sections: &[Section<'_>]) -> Result<(), ElfError> {
    let mut used: Vec<&Section<'_>> = sections.iter().filter(|s| !s.data.is_empty()).collect();
    used.sort_by_key(|s| s.file_offset);
    for pair in used.windows(2) {
        if let [first, second] = pair {
            if first.file_offset + first.data.len() > second.file_offset {
                return Err(ElfError::Overlap {
                    first: first.name.into(),
                    second: second.name.into(),
                });
            }
        }
    }
    Ok(())
}

impl<'d> Elf<'d> {
    /// Reads headers, sections, symbols and relocation tables.
    pub fn parse(data: &'d [u8]) -> Result<Self, ElfError> {
        let header = check_identity(data)?;
        let table = header
            .sections(LE, data)
            .map_err(|_| misfit("the section header table"))?;
        if table.is_empty() {
            return Err(ElfError::Truncated {
                what: "the section header table".into(),
                why: "there is none",
            });
        }

        let mut sections = Vec::with_capacity(table.len());
        for (index, raw) in table.enumerate() {
            let name = table
                .section_name(LE, raw)
                .map_err(|_| misfit(format!("the name of section {}", index.0)))?;
            let name = text(name, || format!("section {}", index.0))?;
            sections.push(Self::section(index.0, name, raw, data)?);
        }
        check_overlap(&sections)?;

        let mut relas = vec![Vec::new(); sections.len()];
        for (section, raw) in sections.iter().zip(table.iter()) {
            let bad = |why| ElfError::Truncated {
                what: format!("section {}", section.name),
                why,
            };
            if section.kind == elf::SHT_REL {
                return Err(bad("relocations without addends are not used on x86-64"));
            }
            if let Some((list, _)) = raw
                .rela(LE, data)
                .map_err(|_| misfit(format!("section {}", section.name)))?
            {
                let target = to_usize(u64::from(raw.sh_info(LE)), section.name)?;
                relas
                    .get_mut(target)
                    .filter(|_| target != 0)
                    .ok_or(bad("it applies to a section that does not exist"))?
                    .push(list);
            }
        }

        let symbols = Self::symbols_of(&table, data)?;
        Ok(Self {
            sections,
            symbols,
            relas,
        })
    }

    fn section(
        index: usize,
        name: &'d str,
        raw: &SectionHeader64<LittleEndian>,
        data: &'d [u8],
    ) -> Result<Section<'d>, ElfError> {
        let what = || format!("section {name}");
        let contents = raw.data(LE, data).map_err(|_| misfit(what()))?;
        let align = raw.sh_addralign(LE);
        if align != 0 && !align.is_power_of_two() {
            return Err(ElfError::Truncated {
                what: what(),
                why: "its alignment is not a power of two",
            });
        }
        let file_offset = match contents.len() {
            0 => 0,
            _ => to_usize(raw.sh_offset(LE), name)?,
        };
        // The first header is special: its size counts the sections when they are too many.
        let size = if index == 0 { 0 } else { raw.sh_size(LE) };
        Ok(Section {
            index,
            name,
            kind: raw.sh_type(LE),
            flags: raw.sh_flags(LE),
            size,
            align,
            data: contents,
            file_offset,
        })
    }

    fn symbols_of(
        table: &object::read::elf::SectionTable<'d, Header>,
        data: &'d [u8],
    ) -> Result<Vec<Symbol<'d>>, ElfError> {
        let raw = table
            .symbols(LE, data, elf::SHT_SYMTAB)
            .map_err(|_| misfit("the symbol table"))?;
        let mut symbols = Vec::with_capacity(raw.len());
        for (index, symbol) in raw.symbols().iter().enumerate() {
            let index = SymbolIndex(index);
            let what = || format!("symbol {}", index.0);
            let name = raw.symbol_name(LE, symbol).map_err(|_| misfit(what()))?;
            let name = text(name, what)?;
            let home = match symbol.st_shndx(LE) {
                elf::SHN_UNDEF => Home::Undefined,
                elf::SHN_ABS => Home::Absolute,
                elf::SHN_COMMON => Home::Common,
                _ => {
                    let section = raw
                        .symbol_section(LE, symbol, index)
                        .map_err(|_| misfit(what()))?;
                    match section {
                        Some(SectionIndex(at)) if at < table.len() => Home::Section(at),
                        _ => {
                            return Err(ElfError::Truncated {
                                what: what(),
                                why: "it is in a section that does not exist",
                            })
                        }
                    }
                }
            };
            symbols.push(Symbol {
                name,
                value: symbol.st_value(LE),
                size: symbol.st_size(LE),
                kind: symbol.st_type(),
                binding: symbol.st_bind(),
                home,
            });
        }
        Ok(symbols)
    }

    /// All sections; the position is the index.
    pub fn sections(&self) -> &[Section<'d>] {
        &self.sections
    }

    /// All symbols; the position is the index.
    pub fn symbols(&self) -> &[Symbol<'d>] {
        &self.symbols
    }

    /// The relocations that apply to a section, in the order of the file.
    pub fn relas(&self, section: usize) -> impl Iterator<Item = Rela> + '_ {
        self.relas
            .get(section)
            .into_iter()
            .flatten()
            .flat_map(|list| list.iter())
            .inspect(|_| visit())
            .map(|rela| Rela {
                offset: rela.r_offset.get(LE),
                // Out of range on a 32-bit host becomes an index that no table has.
                symbol: usize::try_from(rela.r_sym(LE, false)).unwrap_or(usize::MAX),
                kind: rela.r_type(LE, false),
                addend: rela.r_addend.get(LE),
            })
    }

    /// What to call a symbol in a message: its name, or the name of its section.
    pub fn symbol_label(&self, index: usize) -> &'d str {
        let Some(symbol) = self.symbols.get(index) else {
            return "?";
        };
        match (symbol.name, symbol.home) {
            ("", Home::Section(at)) => self.sections.get(at).map_or("?", |s| s.name),
            ("", _) => "?",
            (name, _) => name,
        }
    }

    /// The function that covers an offset in a section, for messages.
    pub fn function_at(&self, section: usize, offset: u64) -> Option<&'d str> {
        self.symbols
            .iter()
            .find(|s| {
                s.kind == elf::STT_FUNC
                    && s.home == Home::Section(section)
                    && offset
                        .checked_sub(s.value)
                        .is_some_and(|within| within < s.size)
            })
            .map(|s| s.name)
    }
}
