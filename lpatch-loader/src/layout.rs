// SPDX-License-Identifier: GPL-2.0

//! Where each section goes: text, rodata or data of the patch, at which offset.
//!
//! Unlikely code follows the other code, zeros follow the initialized data. The core sizes the
//! reservation from the lengths (model, `plan.rs`) and gives page-aligned addresses.

use crate::class::Class;
use crate::elf::{Home, Section};
use crate::keys;
use crate::limits::MEMORY_MAX;
use crate::object::Object;
use crate::problem::Problems;
use crate::relocate::Bases;
use lpatch_model::uapi;
use thiserror::Error;

/// What the arena is aligned to, in bytes.
pub const PAGE: u64 = 4096;

/// Why the sections cannot be laid out.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LayoutError {
    /// Too much.
    #[error("the {region} of the patch takes {len} bytes, more than the limit of {max}; split the patch")]
    TooBig {
        /// Which region.
        region: &'static str,
        /// Bytes.
        len: u64,
        /// Limit.
        max: u64,
    },
    /// No code.
    #[error("the object has no code; a patch replaces functions by functions of its own")]
    NoText,
}

/// One of the three parts of a patch in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Region {
    /// Code.
    Text,
    /// Constants.
    Rodata,
    /// Data and zeros.
    Data,
}

impl Region {
    /// All, in the order of their numbers.
    pub const ALL: [Region; 3] = [Region::Text, Region::Rodata, Region::Data];

    /// LPATCH_SEC_*.
    pub fn code(self) -> u8 {
        match self {
            Region::Text => uapi::SEC_TEXT,
            Region::Rodata => uapi::SEC_RODATA,
            Region::Data => uapi::SEC_DATA,
        }
    }

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Region::Text => "text",
            Region::Rodata => "rodata",
            Region::Data => "data",
        }
    }
}

/// Where something is in the patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// In which part.
    pub region: Region,
    /// At which byte.
    pub offset: u32,
}

/// Where all sections go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    places: Vec<Option<Place>>,
    /// Text offset of the stubs of static branches, behind all code of the object.
    pub stubs: u32,
    /// Bytes of text.
    pub text_len: u32,
    /// Bytes of rodata.
    pub rodata_len: u32,
    /// Bytes of initialized data.
    pub data_init_len: u32,
    /// Bytes of data with zeros.
    pub data_len: u32,
}

/// Position of a text section: ordinary code first, so that `.cold` parts lie together behind it.
fn text_rank(name: &str) -> u8 {
    match name {
        ".text" => 0,
        _ if name.starts_with(".text.unlikely") => 2,
        // Never run where it is.
        ".altinstr_replacement" => 3,
        _ => 1,
    }
}

/// Whether code refers to the bug table itself, as WARN with a format does: it passes its own entry.
fn refers_to_bugs(object: &Object<'_>) -> bool {
    let bugs = |symbol: usize| match object.elf.symbols().get(symbol).map(|s| s.home) {
        Some(Home::Section(at)) => object.class(at) == Class::Bugs,
        _ => false,
    };
    object
        .classified()
        .filter(|(_, class)| class.is_placed())
        .any(|(section, _)| object.elf.relas(section.index).any(|r| bugs(r.symbol)))
}

/// Puts sections one behind the other.
struct Cursor<'l> {
    places: &'l mut Vec<Option<Place>>,
    region: Region,
    len: u64,
}

impl Cursor<'_> {
    fn put(&mut self, section: &Section<'_>) -> Result<(), LayoutError> {
        if section.size == 0 {
            // A symbol can be in it all the same.
            return self.assign(section.index);
        }
        // Entries of the bug table are words, whatever the assembler was told.
        let align = section.align.clamp(4, PAGE);
        self.len = self.len.next_multiple_of(align);
        self.assign(section.index)?;
        // A sum of two numbers below 2^63; the limit is checked before the next one.
        self.len = self.len.saturating_add(section.size);
        self.check(MEMORY_MAX)
    }

    fn assign(&mut self, section: usize) -> Result<(), LayoutError> {
        let offset = u32::try_from(self.len).map_err(|_| self.too_big(MEMORY_MAX))?;
        if let Some(slot) = self.places.get_mut(section) {
            *slot = Some(Place {
                region: self.region,
                offset,
            });
        }
        Ok(())
    }

    fn too_big(&self, max: u64) -> LayoutError {
        LayoutError::TooBig {
            region: self.region.name(),
            len: self.len,
            max,
        }
    }

    fn check(&self, max: u64) -> Result<(), LayoutError> {
        if self.len > max {
            return Err(self.too_big(max));
        }
        Ok(())
    }

    /// The length so far, of bytes that the image carries.
    fn in_image(&self) -> Result<u32, LayoutError> {
        let max = u64::from(uapi::IMAGE_MAX);
        self.check(max)?;
        u32::try_from(self.len).map_err(|_| self.too_big(max))
    }
}

impl Layout {
    /// Lays out an object.
    pub fn plan(object: &Object<'_>) -> Result<Self, LayoutError> {
        let mut places = vec![None; object.elf.sections().len()];
        let mut layout = Self::default();

        let mut text: Vec<_> = object.of(Class::Text).collect();
        text.sort_by_key(|s| text_rank(s.name));
        let mut cursor = Cursor {
            places: &mut places,
            region: Region::Text,
            len: 0,
        };
        for section in text {
            cursor.put(section)?;
        }
        let stubs = keys::room(object);
        if stubs > 0 && cursor.len > 0 {
            cursor.len = cursor.len.next_multiple_of(u64::from(keys::STUB));
            layout.stubs = cursor.in_image()?;
            cursor.len = cursor.len.saturating_add(stubs);
        }
        layout.text_len = cursor.in_image()?;

        cursor.region = Region::Rodata;
        cursor.len = 0;
        for section in object.of(Class::Rodata) {
            cursor.put(section)?;
        }
        layout.rodata_len = cursor.in_image()?;

        cursor.region = Region::Data;
        cursor.len = 0;
        for section in object.of(Class::Data) {
            cursor.put(section)?;
        }
        if refers_to_bugs(object) {
            // The core makes the entries that traps are looked up in; this copy is for the code
            // that names its entry, and for its "once" flags.
            for section in object.of(Class::Bugs) {
                cursor.put(section)?;
            }
        }
        layout.data_init_len = cursor.in_image()?;
        for section in object.of(Class::Bss) {
            cursor.put(section)?;
        }
        layout.data_len = u32::try_from(cursor.len).map_err(|_| cursor.too_big(MEMORY_MAX))?;

        layout.places = places;
        let carried = [layout.text_len, layout.rodata_len, layout.data_init_len].map(u64::from);
        let carried: u64 = carried.iter().sum();
        let max = u64::from(uapi::IMAGE_MAX);
        if carried > max {
            return Err(LayoutError::TooBig {
                region: "contents",
                len: carried,
                max,
            });
        }
        if layout.text_len == 0 {
            return Err(LayoutError::NoText);
        }
        Ok(layout)
    }

    /// The layout of what is in memory already: `place` gives region and address of a section. The regions reach from
    /// their first section to their last one, whatever is in between.
    ///
    /// `None` if a region is longer than 4 GiB.
    pub fn found(
        object: &Object<'_>,
        place: impl Fn(&Section<'_>) -> Option<(Region, u64)>,
    ) -> Option<(Self, Bases)> {
        let sections = object.elf.sections();
        let found: Vec<_> = sections
            .iter()
            .filter_map(|s| place(s).map(|(region, addr)| (s, region, addr)))
            .collect();
        let of = |region| found.iter().filter(move |(_, r, _)| *r == region);
        let base = |region| of(region).map(|(_, _, addr)| *addr).min().unwrap_or(0);
        let bases = Bases {
            text: base(Region::Text),
            rodata: base(Region::Rodata),
            data: base(Region::Data),
        };
        let len = |region| {
            let ends = of(region).map(|(s, _, addr)| addr.saturating_add(s.size));
            u32::try_from(ends.max().unwrap_or(0).saturating_sub(base(region))).ok()
        };
        let mut layout = Self {
            places: vec![None; sections.len()],
            ..Self::default()
        };
        layout.text_len = len(Region::Text)?;
        layout.rodata_len = len(Region::Rodata)?;
        layout.data_init_len = len(Region::Data)?;
        layout.data_len = layout.data_init_len;
        for (section, region, addr) in &found {
            let offset = u32::try_from(addr.checked_sub(base(*region))?).ok()?;
            let region = *region;
            *layout.places.get_mut(section.index)? = Some(Place { region, offset });
        }
        Some((layout, bases))
    }

    /// Where a section starts, or `None` if it does not become memory.
    pub fn section(&self, section: usize) -> Option<Place> {
        self.places.get(section).copied().flatten()
    }

    /// Where an offset in a section lies; the end of the section counts.
    pub fn place(&self, section: &Section<'_>, offset: u64) -> Option<Place> {
        let start = self.section(section.index)?;
        if offset > section.size {
            return None;
        }
        let offset = start.offset.checked_add(u32::try_from(offset).ok()?)?;
        Some(Place { offset, ..start })
    }

    /// Like [`Self::plan`], with the error collected.
    pub fn collect(object: &Object<'_>, problems: &mut Problems) -> Option<Self> {
        Self::plan(object)
            .map_err(|error| problems.push(error))
            .ok()
    }
}
