// SPDX-License-Identifier: GPL-2.0

//! Relocation: which fields depend on where things are, and what they hold.
//!
//! [`collect`] turns the object's relocations into fields of the three regions, before addresses are
//! known; [`apply`] fills them in. Kinds, sizes and ranges come from the model's table.

use crate::class::Class;
use crate::elf::{Home, Rela, Section};
use crate::layout::{Layout, Place, Region};
use crate::object::Object;
use crate::problem::Problems;
use lpatch_model::reloc::{self, Kind};
use std::collections::HashSet;
use thiserror::Error;

/// The compiler's call at the start of each function.
const FENTRY: &str = "__fentry__";
/// The 5-byte nop that the kernel puts in its place (arch/x86/include/asm/nops.h, BYTES_NOP5).
pub const NOP5: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];
const CALL: u8 = 0xe8;

/// Why a relocation cannot be applied.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RelocError {
    /// Not in the table.
    #[error("{place}: relocation against {symbol}: unknown relocation kind {kind}; known are NONE, 64, PC32, PLT32, 32, 32S, PC64, so compile with the kernel's flags (-mcmodel=kernel -fno-pic)")]
    Kind {
        /// Where.
        place: String,
        /// What it refers to.
        symbol: String,
        /// Its number.
        kind: u32,
    },
    /// Does not fit.
    #[error("{place}: {kind} against {symbol}: the value {value:#x} is out of range of the field; the code and {symbol} are too far apart, or the field is too small for an address")]
    Range {
        /// Where.
        place: String,
        /// What it refers to.
        symbol: String,
        /// Name of the kind.
        kind: &'static str,
        /// S+A or S+A-P.
        value: u64,
    },
    /// The field is out of its section.
    #[error("{place}: {kind} against {symbol}: the field lies beyond the end of the section; build the object again")]
    Site {
        /// Where.
        place: String,
        /// What it refers to.
        symbol: String,
        /// Name of the kind.
        kind: &'static str,
    },
    /// It refers to something that is not there.
    #[error("{place}: {kind} against {symbol}: {why}")]
    Target {
        /// Where.
        place: String,
        /// What it refers to.
        symbol: String,
        /// Name of the kind.
        kind: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// Two fields share bytes.
    #[error("{place}: two relocations overlap; build the object again")]
    Overlap {
        /// Where the second one is.
        place: String,
    },
    /// A call of __fentry__ that nothing announces.
    #[error("{place}: {what}; compile with -pg -mfentry -mrecord-mcount, as Kbuild does")]
    Fentry {
        /// Where.
        place: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// What a field refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The patch itself.
    Patch(Place),
    /// The undefined symbol with this index in the object.
    Kernel(usize),
}

impl Target {
    /// What a symbol of the object stands for, if that can be linked.
    pub fn of(object: &Object<'_>, layout: &Layout, symbol: usize) -> Option<Self> {
        let found = object.elf.symbols().get(symbol).filter(|_| symbol != 0)?;
        match found.home {
            Home::Undefined => Some(Self::Kernel(symbol)),
            Home::Section(index) => {
                let home = object.elf.sections().get(index)?;
                layout.place(home, found.value).map(Self::Patch)
            }
            Home::Absolute | Home::Common => None,
        }
    }
}

/// Where in the object a field comes from, for messages.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// Index of the section.
    pub section: usize,
    /// In the section.
    pub offset: u64,
    /// Index of the symbol.
    pub symbol: usize,
}

/// A field that depends on where things are.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Where it is.
    pub place: Place,
    /// What it holds.
    pub kind: &'static Kind,
    /// S.
    pub target: Target,
    /// A.
    pub addend: i64,
    /// Where it comes from.
    pub origin: Origin,
}

/// What [`collect`] found.
#[derive(Debug, Default)]
pub struct Fields {
    /// Sorted by place, without overlaps.
    pub list: Vec<Field>,
    /// Text offsets of fentry calls, which become nops; sorted.
    pub nops: Vec<u32>,
}

/// Start addresses of the regions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bases {
    /// Of the text.
    pub text: u64,
    /// Of the rodata.
    pub rodata: u64,
    /// Of the data.
    pub data: u64,
}

impl Bases {
    /// The address of a place.
    pub fn address(&self, place: Place) -> u64 {
        let base = match place.region {
            Region::Text => self.text,
            Region::Rodata => self.rodata,
            Region::Data => self.data,
        };
        base.wrapping_add(u64::from(place.offset))
    }
}

struct Collector<'c, 'd> {
    object: &'c Object<'d>,
    layout: &'c Layout,
    mcount: &'c HashSet<u32>,
    fields: Fields,
}

/// Collects the fields of all sections that become memory. `mcount` has the text offsets that
/// `__mcount_loc` lists.
pub fn collect(
    object: &Object<'_>,
    layout: &Layout,
    mcount: &HashSet<u32>,
    problems: &mut Problems,
) -> Fields {
    let mut collector = Collector {
        object,
        layout,
        mcount,
        fields: Fields::default(),
    };
    for section in object.elf.sections() {
        if let Some(start) = layout.section(section.index) {
            for rela in object.elf.relas(section.index) {
                if problems.is_full() {
                    break;
                }
                if let Err(error) = collector.rela(section, start, &rela) {
                    problems.push(error);
                }
            }
        }
    }
    collector.check_mcount(problems);
    let Fields { mut list, mut nops } = collector.fields;
    nops.sort_unstable();
    nops.dedup();
    list.sort_by_key(|f| f.place);
    for pair in list.windows(2) {
        if let [first, second] = pair {
            let end = u64::from(first.place.offset) + first.size();
            let same = first.place.region == second.place.region;
            if same && u64::from(second.place.offset) < end && !problems.is_full() {
                problems.push(RelocError::Overlap {
                    place: object.place(second.origin.section, second.origin.offset),
                });
            }
        }
    }
    let fields = Fields { list, nops };
    for nop in &fields.nops {
        if !problems.is_full() {
            if let Some(field) = fields.in_text(*nop, NOP5.len()) {
                problems.push(RelocError::Overlap {
                    place: object.place(field.origin.section, field.origin.offset),
                });
            }
        }
    }
    fields
}

impl Fields {
    /// A field of the text that has bytes of the `len` bytes from `start` on.
    pub fn in_text(&self, start: u32, len: usize) -> Option<&Field> {
        let end = u64::from(start).saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        let is_before =
            |f: &Field| f.place.region == Region::Text && u64::from(f.place.offset) < end;
        let last = self.list.partition_point(is_before).checked_sub(1)?;
        let field = self.list.get(last)?;
        (u64::from(field.place.offset) + field.size() > u64::from(start)).then_some(field)
    }
}

impl Collector<'_, '_> {
    fn rela(&mut self, section: &Section<'_>, start: Place, rela: &Rela) -> Result<(), RelocError> {
        let place = || self.object.place(section.index, rela.offset);
        let symbol = || self.object.elf.symbol_label(rela.symbol).to_owned();
        let kind = reloc::lookup(rela.kind).ok_or_else(|| RelocError::Kind {
            place: place(),
            symbol: symbol(),
            kind: rela.kind,
        })?;
        if kind.size == 0 {
            return Ok(());
        }
        let beyond = || RelocError::Site {
            place: place(),
            symbol: symbol(),
            kind: kind.name,
        };
        let at = usize::try_from(rela.offset).map_err(|_| beyond())?;
        section
            .data
            .get(at..)
            .and_then(|d| d.get(..kind.size))
            .ok_or_else(beyond)?;
        let offset = u32::try_from(rela.offset)
            .ok()
            .and_then(|o| start.offset.checked_add(o))
            .ok_or_else(beyond)?;
        let field_place = Place { offset, ..start };

        let bad_target = |why| RelocError::Target {
            place: place(),
            symbol: symbol(),
            kind: kind.name,
            why,
        };
        let target_symbol = self
            .object
            .elf
            .symbols()
            .get(rela.symbol)
            .filter(|_| rela.symbol != 0)
            .ok_or_else(|| bad_target("it names no symbol, as an absolute value does, which cannot be verified; use a constant"))?;
        let target = match target_symbol.home {
            Home::Undefined if target_symbol.name == FENTRY => {
                let nop = self.fentry(section, field_place, at, rela)?;
                self.fields.nops.push(nop);
                return Ok(());
            }
            Home::Undefined => Target::Kernel(rela.symbol),
            Home::Absolute => {
                return Err(bad_target(
                    "an absolute symbol cannot be verified; use a constant",
                ))
            }
            Home::Common => return Err(bad_target("a common symbol; compile with -fno-common")),
            Home::Section(index) => {
                let home = self.object.elf.sections().get(index);
                let home = home.ok_or_else(|| bad_target("its section does not exist"))?;
                match self.layout.place(home, target_symbol.value) {
                    Some(place) => Target::Patch(place),
                    None if self.layout.section(index).is_some() => {
                        return Err(bad_target("it lies beyond the end of its section"))
                    }
                    None => {
                        return Err(bad_target("its section is not part of the patch's memory"))
                    }
                }
            }
        };
        self.fields.list.push(Field {
            place: field_place,
            kind,
            target,
            addend: rela.addend,
            origin: Origin {
                section: section.index,
                offset: rela.offset,
                symbol: rela.symbol,
            },
        });
        Ok(())
    }

    /// The text offset of the fentry call whose operand is at `at` in `section`.
    fn fentry(
        &self,
        section: &Section<'_>,
        field: Place,
        at: usize,
        rela: &Rela,
    ) -> Result<u32, RelocError> {
        let bad = |what| RelocError::Fentry {
            place: self.object.place(section.index, rela.offset),
            what,
        };
        let opcode = at.checked_sub(1).and_then(|at| section.data.get(at));
        match (opcode, field.offset.checked_sub(1)) {
            (Some(&CALL), Some(offset)) if field.region == Region::Text => {
                if self.mcount.contains(&offset) {
                    Ok(offset)
                } else {
                    Err(bad("a call of __fentry__ that __mcount_loc does not list"))
                }
            }
            _ => Err(bad("a use of __fentry__ that is not a call")),
        }
    }

    /// Every listed site must be a call that became a nop, or a nop already.
    fn check_mcount(&self, problems: &mut Problems) {
        let calls: HashSet<u32> = self.fields.nops.iter().copied().collect();
        let mut rest: Vec<u32> = self.mcount.difference(&calls).copied().collect();
        rest.sort_unstable();
        let mut sections: Vec<(u32, &[u8])> = self
            .object
            .of(Class::Text)
            .filter_map(|s| Some((self.layout.section(s.index)?.offset, s.data)))
            .collect();
        sections.sort_unstable();
        for offset in rest {
            let behind = sections.partition_point(|(start, _)| *start <= offset);
            let section = behind.checked_sub(1).and_then(|at| sections.get(at));
            let is_nop = section.is_some_and(|(start, data)| {
                let within = usize::try_from(offset - start).unwrap_or(usize::MAX);
                data.get(within..)
                    .is_some_and(|bytes| bytes.starts_with(&NOP5))
            });
            if !is_nop && !problems.is_full() {
                let place = format!("text+{offset:#x}");
                let what = "__mcount_loc lists what is neither a call of __fentry__ nor a nop";
                problems.push(RelocError::Fentry { place, what });
            }
        }
    }
}

impl Field {
    /// The displacement at the end of an instruction to what is `addend` bytes behind the target.
    pub(crate) fn displacement(place: Place, target: Target, addend: i64, origin: Origin) -> Self {
        // Field and instruction end together.
        const BACK: i64 = 4;
        Self {
            place,
            kind: &reloc::DISPLACEMENT,
            target,
            addend: addend.saturating_sub(BACK),
            origin,
        }
    }

    pub(crate) fn size(&self) -> u64 {
        // 0, 4 or 8.
        u64::try_from(self.kind.size).unwrap_or(8)
    }
}

/// Fills in all fields. `sections` are the bytes of text, rodata and data; `address_of` gives the address of
/// an undefined symbol, or `None` if it is not there: then the field holds zeros.
pub fn apply(
    object: &Object<'_>,
    fields: &Fields,
    bases: &Bases,
    sections: [&mut [u8]; 3],
    address_of: impl Fn(usize) -> Option<u64>,
    problems: &mut Problems,
) {
    let [text, rodata, data] = sections;
    for field in &fields.list {
        if problems.is_full() {
            break;
        }
        let s = match field.target {
            Target::Patch(place) => Some(bases.address(place)),
            Target::Kernel(symbol) => address_of(symbol),
        };
        let place = || object.place(field.origin.section, field.origin.offset);
        let symbol = || object.elf.symbol_label(field.origin.symbol).to_owned();
        let p = bases.address(field.place);
        let value = match s.map_or(Ok(0), |s| field.kind.value(s, field.addend, p)) {
            Ok(value) => value,
            Err(out) => {
                problems.push(RelocError::Range {
                    place: place(),
                    symbol: symbol(),
                    kind: field.kind.name,
                    value: out.value,
                });
                continue;
            }
        };
        let bytes = match field.place.region {
            Region::Text => &mut *text,
            Region::Rodata => &mut *rodata,
            Region::Data => &mut *data,
        };
        let put = usize::try_from(field.place.offset)
            .ok()
            .and_then(|at| bytes.get_mut(at..))
            .and_then(|bytes| field.kind.put(bytes, value));
        if put.is_none() {
            problems.push(RelocError::Site {
                place: place(),
                symbol: symbol(),
                kind: field.kind.name,
            });
        }
    }
    for offset in &fields.nops {
        let site = usize::try_from(*offset)
            .ok()
            .and_then(|at| text.get_mut(at..));
        if let Some(bytes) = site.and_then(|s| s.first_chunk_mut()) {
            *bytes = NOP5;
        }
    }
}
