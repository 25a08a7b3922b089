// SPDX-License-Identifier: GPL-2.0

//! The tables of an object that the kernel keeps for all code: ORC, exceptions, bugs, sites, symbols.
//!
//! Shapes: `struct orc_entry` (arch/x86/include/asm/orc_types.h), `struct exception_table_entry`
//! (asm/extable.h), `struct bug_entry` (asm/bug.h: 16 bytes with a format, all pointers relative), `struct alt_instr`
//! (asm/alternative.h).

use crate::class::Class;
use crate::elf::{Rela, Section};
use crate::keys::{self, Branch};
use crate::ksyms::{self, PatchSymbol};
use crate::layout::{Layout, Place, Region};
use crate::object::Object;
use crate::problem::Problems;
use lpatch_model::uapi::{self, Alt, Bug, Ex, Orc, Site, Wire};
use object::elf;
use std::cell::Cell;
use std::collections::HashSet;
use thiserror::Error;

const ORC_LEN: usize = 6;
const EX_LEN: usize = 12;
const BUG_LEN: usize = 16;
const ALT_LEN: usize = 14;
/// ORC_TYPE_UNDEFINED in the bits 8 to 10 of the flags.
const ORC_TYPE_MASK: u16 = 7 << 8;

/// Why a table cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TableError {
    /// Not an array.
    #[error("section {section} has {len} bytes, not a multiple of {entry}; build the object again, for this kernel")]
    Length {
        /// The section.
        section: String,
        /// Its length.
        len: usize,
        /// Length of an entry.
        entry: usize,
    },
    /// An entry is malformed.
    #[error("section {section}: the entry at offset {at:#x} {what}; build the object again, for this kernel")]
    Entry {
        /// The section.
        section: String,
        /// Offset of the field.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A static branch cannot be redirected.
    #[error("{place}: {what}")]
    Branch {
        /// Where.
        place: String,
        /// What is wrong, and what to do.
        what: &'static str,
    },
    /// No unwind information.
    #[error("the code has no ORC unwind information; build the object through Kbuild, so that objtool runs")]
    NoOrc,
    /// .orc_unwind and .orc_unwind_ip disagree.
    #[error(
        "there are {entries} ORC entries but {ips} addresses for them; build the object again"
    )]
    OrcCount {
        /// Entries.
        entries: usize,
        /// Addresses.
        ips: usize,
    },
    /// No or a strange .orc_header.
    #[error("section .orc_header does not hold one hash of {} bytes; build the object with this kernel's objtool", uapi::ORC_HASH_LEN)]
    OrcHeader,
    /// A name the kernel cannot hold.
    #[error("symbol {0:?} has a longer name than the kernel takes ({max}); shorten it", max = uapi::SYM_LEN - 1)]
    LongName(String),
}

/// All tables, sorted as the image has them.
#[derive(Debug, Default)]
pub struct Tables<'d> {
    /// Hash of the ORC format.
    pub orc_hash: [u8; uapi::ORC_HASH_LEN],
    /// By offset.
    pub orcs: Vec<Orc>,
    /// By insn.
    pub exs: Vec<Ex>,
    /// By insn.
    pub bugs: Vec<Bug>,
    /// By offset.
    pub sites: Vec<Site>,
    /// By offset, those of one place in the order of the object.
    pub alts: Vec<Alt>,
    /// By place.
    pub symbols: Vec<PatchSymbol<'d>>,
}

/// A table's section with its relocations by offset.
pub(crate) struct Reader<'r, 'd> {
    pub(crate) object: &'r Object<'d>,
    pub(crate) layout: &'r Layout,
    section: &'r Section<'d>,
    relas: Vec<Rela>,
    /// Where the next one is, if they are asked for in their order, as they are.
    next: Cell<usize>,
}

impl<'r, 'd> Reader<'r, 'd> {
    fn new(
        object: &'r Object<'d>,
        layout: &'r Layout,
        section: &'r Section<'d>,
        entry: usize,
    ) -> Result<Self, TableError> {
        if section.data.len() % entry != 0 {
            return Err(TableError::Length {
                section: section.name.into(),
                len: section.data.len(),
                entry,
            });
        }
        let relas = object.elf.relas(section.index);
        let mut relas: Vec<Rela> = relas.filter(|r| r.kind != elf::R_X86_64_NONE).collect();
        relas.sort_by_key(|r| r.offset);
        Ok(Self {
            object,
            layout,
            section,
            relas,
            next: Cell::new(0),
        })
    }

    /// The relocation of the field at an offset; of several, the last one.
    fn field(&self, offset: u64) -> Option<&Rela> {
        let is_last = |at: usize| {
            let here = self.relas.get(at).is_some_and(|r| r.offset == offset);
            here && self.relas.get(at + 1).is_none_or(|r| r.offset != offset)
        };
        let mut at = self.next.get();
        if !is_last(at) {
            at = self
                .relas
                .partition_point(|r| r.offset <= offset)
                .checked_sub(1)?;
        }
        self.next.set(at + 1);
        self.relas.get(at).filter(|r| r.offset == offset)
    }

    pub(crate) fn bad(&self, at: usize, what: &'static str) -> TableError {
        TableError::Entry {
            section: self.section.name.into(),
            at,
            what,
        }
    }

    fn word<T: Wire>(&self, at: usize) -> Result<T, TableError> {
        let bytes = self.section.data.get(at..).unwrap_or_default();
        T::read(bytes).ok_or_else(|| self.bad(at, "is cut off"))
    }

    /// The relocation of the field at `at`.
    pub(crate) fn rela(&self, at: usize) -> Option<Rela> {
        self.field(u64::try_from(at).ok()?).copied()
    }

    /// Where the pointer at `at` leads, or `None` if it is zero.
    fn pointer(&self, at: usize, kinds: &[u32]) -> Result<Option<Place>, TableError> {
        let key = u64::try_from(at).map_err(|_| self.bad(at, "is out of range"))?;
        let Some(rela) = self.field(key) else {
            return match self.word::<u32>(at)? {
                0 => Ok(None),
                _ => Err(self.bad(at, "has a pointer without a relocation")),
            };
        };
        if !kinds.contains(&rela.kind) {
            return Err(self.bad(at, "has a relocation of another kind than expected"));
        }
        let place = self
            .object
            .local_target(rela)
            .and_then(|(section, offset)| {
                let section = self.object.elf.sections().get(section)?;
                self.layout.place(section, offset)
            });
        match place {
            Some(place) => Ok(Some(place)),
            None => Err(self.bad(at, "points to what is not part of the patch's memory")),
        }
    }

    /// The text offset that the pointer at `at` leads to.
    pub(crate) fn text(&self, at: usize, kinds: &[u32]) -> Result<u32, TableError> {
        match self.pointer(at, kinds)? {
            Some(Place {
                region: Region::Text,
                offset,
            }) if offset < self.layout.text_len => Ok(offset),
            _ => Err(self.bad(at, "does not point to code of the patch")),
        }
    }

    /// Like [`Self::text`]; the end of a section is a place as well.
    fn text_end(&self, at: usize, kinds: &[u32]) -> Result<u32, TableError> {
        match self.pointer(at, kinds)? {
            Some(Place {
                region: Region::Text,
                offset,
            }) => Ok(offset),
            _ => Err(self.bad(at, "does not point to code of the patch")),
        }
    }

    fn rodata(&self, at: usize) -> Result<u32, TableError> {
        match self.pointer(at, RELATIVE)? {
            None => Ok(uapi::NO_OFFSET),
            Some(Place {
                region: Region::Rodata,
                offset,
            }) if offset < self.layout.rodata_len => Ok(offset),
            Some(_) => Err(self.bad(at, "does not point to a constant of the patch")),
        }
    }

    /// Reads an entry at each multiple of `len`.
    fn each<T>(
        &self,
        len: usize,
        list: &mut Vec<T>,
        problems: &mut Problems,
        read: impl Fn(&Self, usize) -> Result<T, TableError>,
    ) {
        for at in (0..self.section.data.len()).step_by(len) {
            if problems.is_full() {
                break;
            }
            match read(self, at) {
                Ok(entry) => list.push(entry),
                Err(error) => problems.push(error),
            }
        }
    }
}

/// Kinds of 32-bit displacements.
pub(crate) const RELATIVE: &[u32] = &[elf::R_X86_64_PC32, elf::R_X86_64_PLT32];
const ABSOLUTE: &[u32] = &[elf::R_X86_64_64];

/// Reads all entries of the sections of one class.
pub(crate) fn read_all<T>(
    object: &Object<'_>,
    layout: &Layout,
    class: Class,
    len: usize,
    problems: &mut Problems,
    read: impl Fn(&Reader<'_, '_>, usize) -> Result<T, TableError>,
) -> Vec<T> {
    let mut list = Vec::new();
    for section in object.of(class) {
        match Reader::new(object, layout, section, len) {
            Ok(reader) => reader.each(len, &mut list, problems, &read),
            Err(error) => problems.push(error),
        }
    }
    list
}

/// Text offsets that `__mcount_loc` lists.
pub fn mcount(object: &Object<'_>, layout: &Layout, problems: &mut Problems) -> HashSet<u32> {
    let list = read_all(object, layout, Class::Mcount, 8, problems, |r, at| {
        r.text(at, ABSOLUTE)
    });
    list.into_iter().collect()
}

fn orc_hash(object: &Object<'_>) -> Result<[u8; uapi::ORC_HASH_LEN], TableError> {
    // Objects linked with `ld -r` carry one copy each.
    let mut hash = None;
    for section in object.of(Class::OrcHeader) {
        for chunk in section.data.chunks(uapi::ORC_HASH_LEN) {
            let chunk = <[u8; uapi::ORC_HASH_LEN]>::try_from(chunk);
            let chunk = chunk.map_err(|_| TableError::OrcHeader)?;
            if *hash.get_or_insert(chunk) != chunk {
                return Err(TableError::OrcHeader);
            }
        }
    }
    hash.ok_or(TableError::OrcHeader)
}

fn orcs(object: &Object<'_>, layout: &Layout, problems: &mut Problems) -> Vec<Orc> {
    let entries = read_all(object, layout, Class::Orc, ORC_LEN, problems, |r, at| {
        Ok((
            r.word::<i16>(at)?,
            r.word::<i16>(at + 2)?,
            r.word::<u16>(at + 4)?,
        ))
    });
    // The address of a terminator may be the end of the text, which `place` allows.
    let ips = read_all(object, layout, Class::OrcIp, 4, problems, |r, at| {
        r.text_end(at, RELATIVE)
    });
    if entries.len() != ips.len() {
        problems.push(TableError::OrcCount {
            entries: entries.len(),
            ips: ips.len(),
        });
        return Vec::new();
    }
    if entries.is_empty() {
        problems.push(TableError::NoOrc);
        return Vec::new();
    }
    let make = |(offset, (sp_offset, bp_offset, bits))| Orc {
        offset,
        sp_offset,
        bp_offset,
        bits,
        reserved: 0,
    };
    let mut list: Vec<Orc> = ips.into_iter().zip(entries).map(make).collect();
    let undefined = |orc: &Orc| orc.bits & ORC_TYPE_MASK == 0;
    list.retain(|orc| orc.offset < layout.text_len || !undefined(orc));
    // Where one section ends and the next begins, the terminator gives way; the kernel's own sort
    // puts it to the left, where no lookup finds it (orc_sort_cmp).
    list.sort_by_key(|orc| (orc.offset, !undefined(orc)));
    list.dedup_by(|next, kept| {
        let same = next.offset == kept.offset;
        if same {
            *kept = *next;
        }
        same
    });
    list
}

fn sites(
    object: &Object<'_>,
    layout: &Layout,
    fentry: &[u32],
    problems: &mut Problems,
) -> Vec<Site> {
    let mut list = Vec::new();
    for kind in [
        uapi::SITE_RETURN,
        uapi::SITE_SEAL,
        uapi::SITE_CALL,
        uapi::SITE_RETPOLINE,
        uapi::SITE_LOCK,
    ] {
        let offsets = read_all(object, layout, Class::Sites(kind), 4, problems, |r, at| {
            r.text(at, RELATIVE)
        });
        let sites = offsets.into_iter().map(|offset| Site {
            offset,
            kind,
            reserved: 0,
        });
        // objtool lists the calls of __fentry__ too; they are nops now.
        list.extend(
            sites.filter(|s| s.kind != uapi::SITE_CALL || fentry.binary_search(&s.offset).is_err()),
        );
    }
    list.sort_by_key(|s| (s.offset, s.kind));
    list.dedup();
    list
}

fn alts(object: &Object<'_>, layout: &Layout, problems: &mut Problems) -> Vec<Alt> {
    let class = Class::Alternatives;
    let mut list = read_all(object, layout, class, ALT_LEN, problems, |r, at| {
        Ok(Alt {
            offset: r.text(at, RELATIVE)?,
            // An empty replacement may be behind all others.
            repl: r.text_end(at + 4, RELATIVE)?,
            feature: r.word(at + 8)?,
            flags: r.word(at + 10)?,
            len: r.word(at + 12)?,
            repl_len: r.word(at + 13)?,
            reserved: 0,
        })
    });
    // Those of one place stay in their order: the last one that fits counts.
    list.sort_by_key(|alt| alt.offset);
    // Where alternatives are nested, the outer one has more padding, and all have to fill it.
    for place in list.chunk_by_mut(|a, b| a.offset == b.offset) {
        let len = place.iter().map(|alt| alt.len).max().unwrap_or(0);
        place.iter_mut().for_each(|alt| alt.len = len);
    }
    list
}

impl<'d> Tables<'d> {
    /// Reads all tables. `fentry` has the sorted text offsets that become nops, `branches` those that get stubs.
    pub fn read(
        object: &Object<'d>,
        layout: &Layout,
        fentry: &[u32],
        branches: &[Branch],
        problems: &mut Problems,
    ) -> Self {
        let orc_hash = orc_hash(object).unwrap_or_else(|error| {
            problems.push(error);
            Default::default()
        });
        let mut exs = read_all(object, layout, Class::Extable, EX_LEN, problems, |r, at| {
            Ok(Ex {
                insn: r.text(at, RELATIVE)?,
                fixup: r.text(at + 4, RELATIVE)?,
                data: r.word(at + 8)?,
            })
        });
        exs.sort_by_key(|e| e.insn);
        let mut bugs = read_all(object, layout, Class::Bugs, BUG_LEN, problems, |r, at| {
            Ok(Bug {
                insn: r.text(at, RELATIVE)?,
                format: r.rodata(at + 4)?,
                file: r.rodata(at + 8)?,
                line: r.word(at + 12)?,
                flags: r.word(at + 14)?,
            })
        });
        bugs.sort_by_key(|b| b.insn);
        let mut orcs = orcs(object, layout, problems);
        // The stubs are behind all other code.
        orcs.extend(keys::orcs(object, branches, &orcs, problems));
        Self {
            orc_hash,
            orcs,
            exs,
            bugs,
            sites: sites(object, layout, fentry, problems),
            alts: alts(object, layout, problems),
            symbols: ksyms::symbols(object, layout, branches, problems),
        }
    }
}
