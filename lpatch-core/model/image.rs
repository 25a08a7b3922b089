// SPDX-License-Identifier: GPL-2.0

//! The shape of an image: header, extents, strings. What the tables say is checked in `verify`.

use super::num::{index, wide};
use super::refusal::{ensure, Refusal};
use super::request;
use crate::uapi::{self, Extent, Reason, Wire};
use core::marker::PhantomData;
use core::mem::offset_of;

#[cfg(test)]
mod tests;

/// CRC-32 as zlib's `crc32()`: continues from the CRC of what came before, 0 at the start.
///
/// With the kernel's function: `|crc, bytes| !crc32_le(!crc, bytes)`.
pub type Crc32 = fn(u32, &[u8]) -> u32;

/// Longest string of an image, with its NUL.
pub const STRING_MAX: usize = 4096;

/// Most functions that a patch replaces.
///
/// For each of these entries the kernel's tables are searched, that of a module symbol by symbol, and no other request is served
/// meanwhile. No patch that does anything else than keep the core busy comes near these numbers.
pub const FUNCS_MAX: usize = 1 << 14;
/// Most symbols that an image refers to.
pub const SYMBOLS_MAX: usize = 1 << 16;
/// Of these, most that are of modules that are loaded.
pub const MODULE_SYMBOLS_MAX: usize = 1 << 12;
/// Most symbols that a patch has, which are searched like those of a module.
pub const KSYMS_MAX: usize = 1 << 16;
/// Most cold parts of functions.
pub const COLDS_MAX: usize = 1 << 15;
/// Most callbacks.
pub const CALLBACKS_MAX: usize = 1 << 10;
/// Most modules that functions and callbacks of a patch are about.
pub const OBJECTS_MAX: usize = 1 << 8;

/// A table of an image, read entry by entry.
pub struct Table<'a, T> {
    bytes: &'a [u8],
    /// Offset of the table in the image.
    offset: usize,
    entry: PhantomData<T>,
}

impl<T> Clone for Table<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Table<'_, T> {}

impl<'a, T: Wire> Table<'a, T> {
    /// A table of its own, outside of an image.
    pub fn over(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            offset: 0,
            entry: PhantomData,
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        // No entry type is empty; the maximum keeps the compiler from seeing a division by zero.
        self.bytes.len() / T::SIZE.max(1)
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The entry with this index, if there is one.
    pub fn get(&self, i: usize) -> Option<T> {
        T::read(self.bytes.get(i.checked_mul(T::SIZE)?..)?)
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + 'a
    where
        T: 'a,
    {
        let table = *self;
        (0..table.len()).map_while(move |i| table.get(i))
    }

    /// The offset in the image of a field, `offset` bytes into the entry with index `i`.
    pub fn field(&self, i: usize, offset: usize) -> usize {
        self.offset
            .saturating_add(i.saturating_mul(T::SIZE))
            .saturating_add(offset)
    }

    /// The number of leading entries for which `before` holds, in a table that is sorted by it.
    pub fn partition_point(&self, before: impl Fn(&T) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let mid = low.midpoint(high);
            match self.get(mid) {
                Some(entry) if before(&entry) => low = mid.saturating_add(1),
                _ => high = mid,
            }
        }
        low
    }
}

/// An image whose header is right and whose extents lie inside of it without overlap.
#[derive(Clone, Copy)]
pub struct Image<'a> {
    /// The header.
    pub header: uapi::Image,
    /// Code.
    pub text: &'a [u8],
    /// Constants.
    pub rodata: &'a [u8],
    /// Initialized data.
    pub data: &'a [u8],
    /// Strings; empty, or beginning and ending with NUL.
    strings: &'a [u8],
    /// Functions to replace.
    pub funcs: Table<'a, uapi::Func>,
    /// Bytes of these functions that differ from boot to boot.
    pub masks: Table<'a, uapi::Mask>,
    /// Symbols of the running kernel.
    pub symbols: Table<'a, uapi::Symbol>,
    /// Relocated fields.
    pub relocs: Table<'a, uapi::Reloc>,
    /// ORC entries.
    pub orcs: Table<'a, uapi::Orc>,
    /// Exception table entries.
    pub exs: Table<'a, uapi::Ex>,
    /// Bug table entries.
    pub bugs: Table<'a, uapi::Bug>,
    /// Instructions that the core finishes.
    pub sites: Table<'a, uapi::Site>,
    /// Symbols of the patch.
    pub ksyms: Table<'a, uapi::Ksym>,
    /// Cold parts of the functions to replace.
    pub colds: Table<'a, uapi::Cold>,
    /// Functions of the patch that the core calls.
    pub callbacks: Table<'a, uapi::Callback>,
    /// States that the patch makes or can deal with.
    pub states: Table<'a, uapi::State>,
    /// Instructions that are replaced on some CPUs.
    pub alts: Table<'a, uapi::Alt>,
    /// With which the image was checked.
    pub crc32: Crc32,
}

impl<'a> Image<'a> {
    /// An image of nothing, for [`Self::fill`].
    pub fn empty(crc32: Crc32) -> Self {
        Self {
            header: uapi::Image::default(),
            text: &[],
            rodata: &[],
            data: &[],
            strings: &[],
            funcs: Table::over(&[]),
            masks: Table::over(&[]),
            symbols: Table::over(&[]),
            relocs: Table::over(&[]),
            orcs: Table::over(&[]),
            exs: Table::over(&[]),
            bugs: Table::over(&[]),
            sites: Table::over(&[]),
            ksyms: Table::over(&[]),
            colds: Table::over(&[]),
            callbacks: Table::over(&[]),
            states: Table::over(&[]),
            alts: Table::over(&[]),
            crc32,
        }
    }

    /// Reads and checks the header, the extents and the strings.
    pub fn parse(bytes: &'a [u8], crc32: Crc32) -> Result<Self, Refusal> {
        let mut image = Self::empty(crc32);
        image.fill(bytes)?;
        Ok(image)
    }

    /// Makes it the image in `bytes`, where it is: the value is large, and a kernel's stack is not. If these are refused, it is
    /// of no use.
    pub fn fill(&mut self, bytes: &'a [u8]) -> Result<(), Refusal> {
        read_header(bytes, self.crc32, &mut self.header)?;
        self.extents(bytes)?;
        self.few()?;
        self.disjoint()?;
        // Both ends are NUL: offset 0 is the empty string, and no string runs out of the extent.
        let strings = self.strings;
        let ends_in_nul = |bytes: &[u8]| bytes.first() == Some(&0) && bytes.last() == Some(&0);
        ensure(strings.is_empty() || ends_in_nul(strings), || {
            Refusal::at(Reason::ImageString, index(self.header.strings.offset))
        })?;
        self.string(self.header.release)?;
        request::name(&self.header.name, offset_of!(uapi::Image, name))?;
        request::version(&self.header.version, offset_of!(uapi::Image, version))?;
        request::name(&self.header.set, offset_of!(uapi::Image, set))?;
        Ok(())
    }

    /// Finds what the header has the extents of.
    fn extents(&mut self, bytes: &'a [u8]) -> Result<(), Refusal> {
        let header = &self.header;
        let extents = Extents { bytes, header };
        self.text = extents.section(&header.text, offset_of!(uapi::Image, text))?;
        self.rodata = extents.section(&header.rodata, offset_of!(uapi::Image, rodata))?;
        self.data = extents.section(&header.data, offset_of!(uapi::Image, data))?;
        self.strings = extents.section(&header.strings, offset_of!(uapi::Image, strings))?;
        self.funcs = extents.table(&header.funcs, offset_of!(uapi::Image, funcs))?;
        self.masks = extents.table(&header.masks, offset_of!(uapi::Image, masks))?;
        self.symbols = extents.table(&header.symbols, offset_of!(uapi::Image, symbols))?;
        self.relocs = extents.table(&header.relocs, offset_of!(uapi::Image, relocs))?;
        self.orcs = extents.table(&header.orcs, offset_of!(uapi::Image, orcs))?;
        self.exs = extents.table(&header.exs, offset_of!(uapi::Image, exs))?;
        self.bugs = extents.table(&header.bugs, offset_of!(uapi::Image, bugs))?;
        self.sites = extents.table(&header.sites, offset_of!(uapi::Image, sites))?;
        self.ksyms = extents.table(&header.ksyms, offset_of!(uapi::Image, ksyms))?;
        self.colds = extents.table(&header.colds, offset_of!(uapi::Image, colds))?;
        self.callbacks = extents.table(&header.callbacks, offset_of!(uapi::Image, callbacks))?;
        self.states = extents.table(&header.states, offset_of!(uapi::Image, states))?;
        self.alts = extents.table(&header.alts, offset_of!(uapi::Image, alts))?;
        Ok(())
    }

    /// What is searched for is so little that it does not take long.
    fn few(&self) -> Result<(), Refusal> {
        for (len, max, field) in [
            (self.funcs.len(), FUNCS_MAX, offset_of!(uapi::Image, funcs)),
            (
                self.symbols.len(),
                SYMBOLS_MAX,
                offset_of!(uapi::Image, symbols),
            ),
            (self.ksyms.len(), KSYMS_MAX, offset_of!(uapi::Image, ksyms)),
            (self.colds.len(), COLDS_MAX, offset_of!(uapi::Image, colds)),
            (
                self.callbacks.len(),
                CALLBACKS_MAX,
                offset_of!(uapi::Image, callbacks),
            ),
        ] {
            ensure(len <= max, || {
                Refusal::at(Reason::TooBig, field).value(wide(max))
            })?;
        }
        Ok(())
    }

    /// The name of the patch, without padding.
    pub fn name(&self) -> &[u8] {
        trim(&self.header.name)
    }

    /// The version of the patch, without padding.
    pub fn version(&self) -> &[u8] {
        trim(&self.header.version)
    }

    /// The set that the patch belongs to, without padding.
    pub fn set(&self) -> &[u8] {
        trim(&self.header.set)
    }

    /// Whether the patch is cumulative: it replaces all others of its set.
    pub fn replaces(&self) -> bool {
        self.header.flags & uapi::IMG_REPLACE != 0
    }

    /// All strings.
    pub fn strings(&self) -> &'a [u8] {
        self.strings
    }

    /// The string at this offset of the strings, without NUL. Entries without number may refer to one, so it is not long.
    pub fn string(&self, offset: u32) -> Result<&'a [u8], Refusal> {
        let found = self.strings.get(index(offset)..).and_then(|rest| {
            let rest = rest.get(..STRING_MAX).unwrap_or(rest);
            let len = rest.iter().position(|&b| b == 0)?;
            rest.get(..len)
        });
        found.ok_or_else(|| Refusal::at(Reason::ImageString, index(offset)))
    }

    /// The bytes of a section, or `None` for a number that is not one of a section.
    pub fn section(&self, section: u8) -> Option<&'a [u8]> {
        match section {
            uapi::SEC_TEXT => Some(self.text),
            uapi::SEC_RODATA => Some(self.rodata),
            uapi::SEC_DATA => Some(self.data),
            _ => None,
        }
    }

    /// No two extents share a byte, and none shares one with the header.
    fn disjoint(&self) -> Result<(), Refusal> {
        let spans = self.spans();
        for (i, second) in spans.iter().enumerate() {
            for first in spans.iter().take(i) {
                let apart = first.end <= second.start || second.end <= first.start;
                // An empty extent takes no byte.
                let empty = first.start == first.end || second.start == second.end;
                ensure(apart || empty, || {
                    Refusal::at(Reason::ImageOverlap, second.field)
                })?;
            }
        }
        Ok(())
    }

    fn spans(&self) -> [Span; 18] {
        fn table<T: Wire>(table: &Table<'_, T>, field: usize) -> Span {
            Span::new(table.offset, table.bytes.len(), field)
        }
        let section = |extent: Extent, field: usize| {
            Span::new(index(extent.offset), index(extent.count), field)
        };
        let header = &self.header;
        [
            Span::new(0, <uapi::Image as Wire>::SIZE, 0),
            section(header.text, offset_of!(uapi::Image, text)),
            section(header.rodata, offset_of!(uapi::Image, rodata)),
            section(header.data, offset_of!(uapi::Image, data)),
            section(header.strings, offset_of!(uapi::Image, strings)),
            table(&self.funcs, offset_of!(uapi::Image, funcs)),
            table(&self.masks, offset_of!(uapi::Image, masks)),
            table(&self.symbols, offset_of!(uapi::Image, symbols)),
            table(&self.relocs, offset_of!(uapi::Image, relocs)),
            table(&self.orcs, offset_of!(uapi::Image, orcs)),
            table(&self.exs, offset_of!(uapi::Image, exs)),
            table(&self.bugs, offset_of!(uapi::Image, bugs)),
            table(&self.sites, offset_of!(uapi::Image, sites)),
            table(&self.ksyms, offset_of!(uapi::Image, ksyms)),
            table(&self.colds, offset_of!(uapi::Image, colds)),
            table(&self.callbacks, offset_of!(uapi::Image, callbacks)),
            table(&self.states, offset_of!(uapi::Image, states)),
            table(&self.alts, offset_of!(uapi::Image, alts)),
        ]
    }
}

/// The bytes that an extent takes, and where in the header the extent is.
struct Span {
    start: usize,
    end: usize,
    field: usize,
}

impl Span {
    fn new(start: usize, len: usize, field: usize) -> Self {
        Self {
            start,
            end: start.saturating_add(len),
            field,
        }
    }
}

/// Reads the header and checks all of it that needs no extent.
fn read_header(bytes: &[u8], crc32: Crc32, header: &mut uapi::Image) -> Result<(), Refusal> {
    let wrong = || Refusal::new(Reason::ImageHeader);
    let too_big = || Refusal::new(Reason::TooBig).value(uapi::IMAGE_MAX.into());
    ensure(bytes.len() <= index(uapi::IMAGE_MAX), too_big)?;
    *header = uapi::Image::read(bytes).ok_or_else(wrong)?;
    ensure(header.magic == uapi::IMAGE_MAGIC, || {
        Reason::ImageMagic.into()
    })?;
    ensure(
        index(header.header_size) == <uapi::Image as Wire>::SIZE,
        wrong,
    )?;
    ensure(index(header.image_size) == bytes.len(), wrong)?;

    let found = crc_of_image(bytes, crc32).ok_or_else(wrong)?;
    ensure(header.crc32 == found, || {
        Refusal::new(Reason::ImageCrc).value(found.into())
    })?;

    for (field, offset) in [
        (
            header.flags & !uapi::IMG_REPLACE,
            offset_of!(uapi::Image, flags),
        ),
        (header.reserved, offset_of!(uapi::Image, reserved)),
    ] {
        ensure(field == 0, || Refusal::at(Reason::Reserved, offset))?;
    }
    Ok(())
}

/// The CRC that the header of this image should hold, or `None` if the image is too short.
pub fn crc_of_image(bytes: &[u8], crc32: Crc32) -> Option<u32> {
    const FIELD: usize = offset_of!(uapi::Image, crc32);
    let (before, rest) = bytes.split_at_checked(FIELD)?;
    let (field, after) = rest.split_at_checked(<u32 as Wire>::SIZE)?;
    let zeros = [0; <u32 as Wire>::SIZE];
    let crc = crc32(crc32(0, before), zeros.get(..field.len())?);
    Some(crc32(crc, after))
}

/// The extents of a header, with the bytes that they are about.
struct Extents<'a, 'h> {
    bytes: &'a [u8],
    header: &'h uapi::Image,
}

impl<'a> Extents<'a, '_> {
    /// The bytes of `count` entries; `field` is where in the header the extent is.
    fn get(&self, extent: &Extent, entry: usize, field: usize) -> Result<&'a [u8], Refusal> {
        let find = || {
            let start = index(extent.offset);
            let end = start.checked_add(index(extent.count).checked_mul(entry)?)?;
            // An offset of 0 means that an extent is empty, not that it holds the header.
            let behind_header = extent.count == 0 || extent.offset >= self.header.header_size;
            let aligned = extent.offset % 8 == 0;
            (aligned && behind_header)
                .then(|| self.bytes.get(start..end))
                .flatten()
        };
        let outside = || Refusal::at(Reason::ImageExtent, field).value(wide(self.bytes.len()));
        find().ok_or_else(outside)
    }

    fn section(&self, extent: &Extent, field: usize) -> Result<&'a [u8], Refusal> {
        self.get(extent, 1, field)
    }

    fn table<T: Wire>(&self, extent: &Extent, field: usize) -> Result<Table<'a, T>, Refusal> {
        Ok(Table {
            bytes: self.get(extent, T::SIZE, field)?,
            offset: index(extent.offset),
            entry: PhantomData,
        })
    }
}

/// What comes before the first NUL.
fn trim(field: &[u8]) -> &[u8] {
    field.split(|&b| b == 0).next().unwrap_or(field)
}
