// SPDX-License-Identifier: GPL-2.0

//! A stock kernel module, before it is loaded: what its functions look like and which bytes will change.

use crate::elf::{Elf, ElfError, Home, Symbol};
use crate::preimage::Preimage;
use crate::volatile::{padding, Ranges, SiteError, Table, TABLES};
use object::elf;
use std::collections::HashMap;
use thiserror::Error;

/// Why a module, or a function in it, cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum KmodError {
    /// Not a module.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// An instruction problem.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// A relocation that no module has.
    #[error("{section}+{offset:#x} has a relocation of unknown kind {kind}; this kernel is newer than this lpatch")]
    Reloc {
        /// Where.
        section: String,
        /// Where.
        offset: u64,
        /// R_X86_64_*.
        kind: u32,
    },
    /// A table of sites is malformed.
    #[error("a record of {table} leads nowhere; copy the module again")]
    BadTable {
        /// Which.
        table: &'static str,
    },
    /// The name does not exist.
    #[error("the module has no symbol {0}; see /proc/kallsyms after loading it for the name")]
    NotFound(String),
    /// The name is not enough.
    #[error("the module has {count} symbols {name}; say which with LPATCH_FUNC_POS, from 1 in the order of /proc/kallsyms")]
    Ambiguous {
        /// The name.
        name: String,
        /// How many have it.
        count: usize,
    },
    /// There are not as many.
    #[error("sympos of {name} is {sympos}, but the module has only {count} symbols of that name")]
    Sympos {
        /// The name.
        name: String,
        /// What was asked for.
        sympos: u32,
        /// How many there are.
        count: usize,
    },
    /// The symbol is data, or has no length.
    #[error("{0} is not a function of the module; replace functions only")]
    NotFunction(String),
    /// Cannot be redirected.
    #[error("{0} has no fentry site, so it cannot be redirected: it is notrace, noinstr, assembly or Rust; replace its callers")]
    NoFentry(String),
}

/// A place: section and offset in it.
type Place = (usize, u64);

/// A module file.
#[derive(Debug)]
pub struct Kmod<'d> {
    elf: Elf<'d>,
    volatile: HashMap<usize, Ranges>,
    fentry: Vec<Place>,
}

impl<'d> Kmod<'d> {
    /// Reads an uncompressed module.
    pub fn new(data: &'d [u8]) -> Result<Self, KmodError> {
        let elf = Elf::parse(data)?;
        let mut sites: HashMap<usize, Vec<(u64, u64)>> = HashMap::new();
        for section in elf.sections().iter().filter(|s| s.is_exec()) {
            let fields = sites.entry(section.index).or_default();
            for rela in elf.relas(section.index) {
                let len = match rela.kind {
                    elf::R_X86_64_NONE => continue,
                    elf::R_X86_64_64 | elf::R_X86_64_PC64 => 8,
                    elf::R_X86_64_32
                    | elf::R_X86_64_32S
                    | elf::R_X86_64_PC32
                    | elf::R_X86_64_PLT32 => 4,
                    kind => {
                        return Err(KmodError::Reloc {
                            section: section.name.into(),
                            offset: rela.offset,
                            kind,
                        })
                    }
                };
                fields.push((rela.offset, len));
            }
        }

        let mut fentry = Vec::new();
        for table in TABLES {
            for ((section, offset), record) in records(&elf, table)? {
                let code = code_at(&elf, (section, offset)).ok_or(KmodError::BadTable {
                    table: table.section,
                })?;
                let len = table
                    .length
                    .of(record, code)
                    .ok_or_else(|| table.unknown(offset, code))?;
                sites.entry(section).or_default().push((offset, len));
                if table.section == "__mcount_loc" {
                    fentry.push((section, offset));
                }
            }
        }
        let functions = elf.symbols().iter().filter(|s| s.kind == elf::STT_FUNC);
        // `__pfx_` names the padding; what is in front of it is the end of another function.
        for symbol in functions.filter(|s| !s.name.starts_with("__pfx_")) {
            let Home::Section(section) = symbol.home else {
                continue;
            };
            let code = elf.sections().get(section).map_or(&[][..], |s| s.data);
            let end = usize::try_from(symbol.value).unwrap_or(0);
            let len = padding(code.get(..end).unwrap_or_default());
            sites
                .entry(section)
                .or_default()
                .push((symbol.value - len, len));
        }
        let volatile = sites
            .into_iter()
            .map(|(section, sites)| (section, sites.into_iter().collect()))
            .collect();
        fentry.sort_unstable();
        Ok(Self {
            elf,
            volatile,
            fentry,
        })
    }

    /// The symbols that /proc/kallsyms shows for the module, in its order, with their sections.
    pub fn symbols(&self) -> impl Iterator<Item = (usize, &Symbol<'d>)> + '_ {
        self.elf.symbols().iter().filter_map(|symbol| {
            let Home::Section(at) = symbol.home else {
                return None;
            };
            let section = self.elf.sections().get(at)?;
            let shown = section.is_alloc()
                && !section.name.starts_with(".init")
                && !symbol.name.is_empty()
                && !symbol.name.starts_with(".L")
                && symbol.name != "L0";
            shown.then_some((at, symbol))
        })
    }

    /// Finds a function that can be replaced.
    pub fn function(&self, name: &str, sympos: Option<u32>) -> Result<Place, KmodError> {
        let place = self.find(name, sympos)?;
        let (section, offset) = place;
        let exec = self
            .elf
            .sections()
            .get(section)
            .is_some_and(|s| s.is_exec());
        if !exec {
            return Err(KmodError::NotFunction(name.into()));
        }
        // Behind an ENDBR or not.
        let has_fentry = [offset, offset.wrapping_add(4)]
            .iter()
            .any(|site| self.fentry.binary_search(&(section, *site)).is_ok());
        if !has_fentry {
            return Err(KmodError::NoFentry(name.into()));
        }
        Ok(place)
    }

    /// Finds a symbol; the position counts as upstream livepatch does.
    pub fn find(&self, name: &str, sympos: Option<u32>) -> Result<Place, KmodError> {
        let all: Vec<Place> = self
            .symbols()
            .filter(|(_, symbol)| symbol.name == name)
            .map(|(section, symbol)| (section, symbol.value))
            .collect();
        match (all.as_slice(), sympos) {
            ([], _) => Err(KmodError::NotFound(name.into())),
            ([place], None) => Ok(*place),
            (_, None) => Err(KmodError::Ambiguous {
                name: name.into(),
                count: all.len(),
            }),
            (_, Some(sympos)) => usize::try_from(sympos)
                .ok()
                .and_then(|at| all.get(at.checked_sub(1)?).copied())
                .ok_or_else(|| KmodError::Sympos {
                    name: name.into(),
                    sympos,
                    count: all.len(),
                }),
        }
    }

    /// The pre-image of the function at a place: up to the next symbol of its section, or its end.
    pub fn preimage(&self, (section, offset): Place) -> Option<Preimage> {
        let code = code_at(&self.elf, (section, offset))?;
        let next = self
            .symbols()
            .filter(|(at, symbol)| *at == section && symbol.value > offset)
            .map(|(_, symbol)| symbol.value - offset)
            .min();
        let code = match next {
            Some(len) => code.get(..usize::try_from(len).ok()?)?,
            None => code,
        };
        let masks = self
            .volatile
            .get(&section)
            .map(|ranges| ranges.within(offset, u32::try_from(code.len()).unwrap_or(u32::MAX)))
            .unwrap_or_default();
        Preimage::new(code, masks)
    }
}

fn code_at<'d>(elf: &Elf<'d>, (section, offset): Place) -> Option<&'d [u8]> {
    elf.sections()
        .get(section)?
        .data
        .get(usize::try_from(offset).ok()?..)
}

/// The sites of a table and its records; a record begins with a relocation that names the site.
fn records<'d>(elf: &Elf<'d>, table: &Table) -> Result<Vec<(Place, &'d [u8])>, KmodError> {
    let bad = || KmodError::BadTable {
        table: table.section,
    };
    let mut list = Vec::new();
    for section in elf.sections().iter().filter(|s| s.name == table.section) {
        let kind = if table.absolute {
            elf::R_X86_64_64
        } else {
            elf::R_X86_64_PC32
        };
        let heads: HashMap<u64, _> = elf
            .relas(section.index)
            .filter(|rela| rela.kind == kind)
            .map(|rela| (rela.offset, rela))
            .collect();
        for (index, record) in section.data.chunks_exact(table.record).enumerate() {
            let at = u64::try_from(index * table.record).map_err(|_| bad())?;
            let rela = heads.get(&at).ok_or_else(bad)?;
            let symbol = elf.symbols().get(rela.symbol).ok_or_else(bad)?;
            let Home::Section(home) = symbol.home else {
                return Err(bad());
            };
            // The field is relative to itself, so S+A is the site for both kinds.
            let site = symbol
                .value
                .checked_add_signed(rela.addend)
                .ok_or_else(bad)?;
            list.push(((home, site), record));
        }
    }
    Ok(list)
}
