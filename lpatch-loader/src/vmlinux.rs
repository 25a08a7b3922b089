// SPDX-License-Identifier: GPL-2.0

//! The image of a kernel, before it ran: what its functions look like and which of their bytes will change.
//!
//! The image is the payload of a bzImage: an ELF file without symbols, followed by the relocation table that
//! the decompressor applies when the kernel is placed at random. That table is, from the end backwards:
//! 32-bit entries that name 32-bit fields, a zero, entries that name 64-bit fields, a zero
//! (arch/x86/tools/relocs.c, handle_relocations() in arch/x86/boot/compressed/misc.c). Each entry is the low
//! half of the field's link address, whose high half is all ones.

use crate::kallsyms::{Found, Kallsyms, Length as SymbolLength};
use crate::meta::VMLINUX;
use crate::preimage::Preimage;
use crate::volatile::{
    padding, Length, Ranges, SiteError, Table, PADDING, RUNTIME_CONSTS, TABLES, UNSUPPORTED,
};
use object::elf::{FileHeader64, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{elf, LittleEndian};
use thiserror::Error;

const LE: LittleEndian = LittleEndian;
const BANNER: &[u8] = b"Linux version ";

/// Why a kernel image, or a function in it, cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum VmlinuxError {
    /// Not an ELF executable for x86-64.
    #[error(
        "not the ELF image of an x86-64 kernel ({0}); give vmlinux, or a bzImage with zstd payload"
    )]
    NotVmlinux(&'static str),
    /// No relocation table at the end.
    #[error("the image has no relocation table at its end ({0}); give the bzImage instead of the vmlinux that went into it")]
    NoRelocs(&'static str),
    /// Built for FineIBT.
    #[error("the kernel has CFI sites (section {UNSUPPORTED}), which lpatch does not support yet")]
    Cfi,
    /// Image and symbols disagree.
    #[error("the symbol list is not of this vmlinux: {0}; dump /proc/kallsyms of the same build")]
    WrongSymbols(String),
    /// The name does not exist.
    #[error("the target kernel has no symbol {0}; see its /proc/kallsyms for the name")]
    NotFound(String),
    /// The name is not enough.
    #[error("the target kernel has {count} symbols {name}; say which with LPATCH_FUNC_POS, from 1 in the order of /proc/kallsyms")]
    Ambiguous {
        /// The name.
        name: String,
        /// How many have it.
        count: usize,
    },
    /// There are not as many.
    #[error(
        "sympos of {name} is {sympos}, but the target kernel has only {count} symbols of that name"
    )]
    Sympos {
        /// The name.
        name: String,
        /// What was asked for.
        sympos: u32,
        /// How many there are.
        count: usize,
    },
    /// An instruction problem.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// Something that must be in a kernel is not.
    #[error("the image has no {0}; give the vmlinux of the target kernel")]
    Missing(&'static str),
    /// A table of sites ends in the middle of a record, or leads nowhere.
    #[error("the table {table} of the image is malformed; copy the image again")]
    BadTable {
        /// Which.
        table: String,
    },
    /// The symbol is data.
    #[error("{0} is not a function of the target kernel; replace functions only")]
    NotFunction(String),
    /// Freed after boot.
    #[error(
        "{0} is an __init function: the kernel freed it after boot, so there is nothing to replace"
    )]
    Init(String),
    /// Cannot be redirected.
    #[error("{0} has no fentry site, so it cannot be redirected: it is notrace, noinstr, assembly, Rust or in a directory built without ftrace; replace its callers")]
    NoFentry(String),
}

/// A kernel image with its symbols.
#[derive(Debug)]
pub struct Vmlinux<'d> {
    segments: Vec<(u64, &'d [u8])>,
    symbols: Symbols,
    volatile: Ranges,
    fentry: Vec<u64>,
    init: Option<(u64, u64)>,
    release: String,
    build_id: Vec<u8>,
}

/// Symbols at the addresses where the kernel was linked.
#[derive(Debug)]
struct Symbols {
    kallsyms: Kallsyms,
    /// From there to where it ran when the list was made.
    offset: u64,
}

impl Symbols {
    fn link_addr(&self, found: &Found<'_>) -> u64 {
        found.addr.wrapping_sub(self.offset)
    }

    fn named<'k>(&'k self, name: &'k str) -> Vec<Found<'k>> {
        let all = self.kallsyms.by_name(name);
        all.filter(|found| found.objname == VMLINUX).collect()
    }

    /// The address of a symbol that exists once.
    fn unique(&self, name: &str) -> Option<u64> {
        match self.named(name).as_slice() {
            [found] => Some(self.link_addr(found)),
            _ => None,
        }
    }
}

/// What is read from the ELF file itself.
struct Image<'d> {
    segments: Vec<(u64, &'d [u8])>,
    sections: Vec<(&'d str, u64, u64)>,
    build_id: Vec<u8>,
    end: usize,
}

impl<'d> Image<'d> {
    fn parse(data: &'d [u8]) -> Result<Self, VmlinuxError> {
        let not = |why| move |_: object::Error| VmlinuxError::NotVmlinux(why);
        let header = FileHeader64::<LittleEndian>::parse(data).map_err(not("no ELF64 header"))?;
        if header.e_machine(LE) != elf::EM_X86_64 || header.e_type(LE) != elf::ET_EXEC {
            return Err(VmlinuxError::NotVmlinux("machine or type is another"));
        }
        let programs = header
            .program_headers(LE, data)
            .map_err(not("no program headers"))?;
        let table = header
            .sections(LE, data)
            .map_err(not("no section headers"))?;

        let mut segments = Vec::new();
        let mut build_id = None;
        for program in programs {
            let bytes = program
                .data(LE, data)
                .map_err(|()| VmlinuxError::NotVmlinux("truncated segment"))?;
            match program.p_type(LE) {
                elf::PT_LOAD => segments.push((program.p_vaddr(LE), bytes)),
                elf::PT_NOTE => build_id = build_id.or(gnu_build_id(program, data)),
                _ => (),
            }
        }
        let mut sections = Vec::new();
        let mut end = 0;
        for raw in table.iter() {
            let name = table
                .section_name(LE, raw)
                .map_err(not("section names are malformed"))?;
            if let (Ok(name), true) = (std::str::from_utf8(name), raw.sh_addr(LE) != 0) {
                sections.push((name, raw.sh_addr(LE), raw.sh_size(LE)));
            }
            if let Some((offset, size)) = raw.file_range(LE) {
                end = end.max(offset.saturating_add(size));
            }
        }
        let headers = u64::from(header.e_shnum(LE)) * u64::from(header.e_shentsize(LE));
        end = end.max(header.e_shoff(LE).saturating_add(headers));
        Ok(Self {
            segments,
            sections,
            build_id: build_id.ok_or(VmlinuxError::Missing("build-id"))?,
            end: usize::try_from(end).unwrap_or(usize::MAX),
        })
    }

    /// All bytes from an address to the end of its segment.
    fn from(&self, addr: u64) -> Option<&'d [u8]> {
        from(&self.segments, addr)
    }

    fn bytes(&self, addr: u64, len: u64) -> Option<&'d [u8]> {
        self.from(addr)?.get(..usize::try_from(len).ok()?)
    }
}

fn from<'d>(segments: &[(u64, &'d [u8])], addr: u64) -> Option<&'d [u8]> {
    segments.iter().find_map(|(start, bytes)| {
        let at = usize::try_from(addr.checked_sub(*start)?).ok()?;
        bytes.get(at..).filter(|rest| !rest.is_empty())
    })
}

fn gnu_build_id(program: &ProgramHeader64<LittleEndian>, data: &[u8]) -> Option<Vec<u8>> {
    let mut notes = program.notes(LE, data).ok()??;
    while let Ok(Some(note)) = notes.next() {
        if note.name() == b"GNU" && note.n_type(LE) == elf::NT_GNU_BUILD_ID {
            return Some(note.desc().to_vec());
        }
    }
    None
}

/// Low half of a link address to the address: the kernel is linked into the top 2 GiB.
fn extend(low: u32) -> u64 {
    0xffff_ffff_0000_0000 | u64::from(low)
}

/// The fields that move with the kernel, as address and length.
fn relocated(data: &[u8], image: &Image<'_>) -> Result<Vec<(u64, u64)>, VmlinuxError> {
    let tail = data.get(image.end..).unwrap_or_default();
    if tail.is_empty() {
        return Err(VmlinuxError::NoRelocs("it ends with its ELF sections"));
    }
    // The table ends with the file; what precedes it may be padding of any length.
    let mut words = tail
        .rchunks_exact(4)
        .map(|chunk| u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]));
    let mut fields = Vec::new();
    for len in [4, 8] {
        loop {
            match words.next() {
                None => return Err(VmlinuxError::NoRelocs("its start is missing")),
                Some(0) => break,
                Some(low) if image.bytes(extend(low), len).is_some() => {
                    fields.push((extend(low), len));
                }
                Some(_) => return Err(VmlinuxError::NoRelocs("an entry is not in the image")),
            }
        }
    }
    Ok(fields)
}

/// Where a table lies: between its symbols, which is exact, or in the section of its name.
fn bounds(image: &Image<'_>, symbols: &Symbols, table: &Table) -> Option<(u64, u64)> {
    let (start, stop) = table.bounds;
    match (symbols.unique(start), symbols.unique(stop)) {
        (Some(start), Some(stop)) if start <= stop => Some((start, stop)),
        _ => image
            .sections
            .iter()
            .find(|(name, ..)| *name == table.section)
            .map(|(_, addr, size)| (*addr, addr.saturating_add(*size))),
    }
}

/// The sites of a table, as address and record.
fn sites<'d>(
    image: &Image<'d>,
    name: &str,
    (start, stop): (u64, u64),
    record: usize,
    absolute: bool,
) -> Result<Vec<(u64, &'d [u8])>, VmlinuxError> {
    let bad = || VmlinuxError::BadTable { table: name.into() };
    let bytes = match stop - start {
        0 => &[],
        len => image.bytes(start, len).ok_or_else(bad)?,
    };
    let mut list = Vec::with_capacity(bytes.len() / record);
    for (index, record_bytes) in bytes.chunks_exact(record).enumerate() {
        let offset = u64::try_from(index * record).map_err(|_| bad())?;
        let here = start.wrapping_add(offset);
        let site = if absolute {
            u64::from_le_bytes(*record_bytes.first_chunk().ok_or_else(bad)?)
        } else {
            let offset = i32::from_le_bytes(*record_bytes.first_chunk().ok_or_else(bad)?);
            here.wrapping_add_signed(i64::from(offset))
        };
        // Tables are padded with zeros to the next page, and dropped entries are zeros.
        if site != 0 && site != here {
            list.push((site, record_bytes));
        }
    }
    Ok(list)
}

fn is_function(symbol: &Found<'_>) -> bool {
    symbol.objname == VMLINUX && matches!(symbol.letter, 't' | 'T' | 'w' | 'W')
}

impl<'d> Vmlinux<'d> {
    /// Reads an image; the symbols may be those of a boot at any address.
    pub fn new(data: &'d [u8], kallsyms: Kallsyms) -> Result<Self, VmlinuxError> {
        let image = Image::parse(data)?;
        if image.sections.iter().any(|(name, ..)| *name == UNSUPPORTED) {
            return Err(VmlinuxError::Cfi);
        }
        let (_, text, _) = image
            .sections
            .iter()
            .find(|(name, ..)| *name == ".text")
            .ok_or(VmlinuxError::Missing("section .text"))?;
        let mut symbols = Symbols {
            kallsyms,
            offset: 0,
        };
        let ran_at = symbols
            .unique("_text")
            .ok_or_else(|| VmlinuxError::WrongSymbols("_text is not in it".into()))?;
        symbols.offset = ran_at.wrapping_sub(*text);
        let release = release(&image, &symbols)?;

        let mut volatile = relocated(data, &image)?;
        let mut fentry = Vec::new();
        for table in TABLES {
            let Some(bounds) = bounds(&image, &symbols, table) else {
                continue;
            };
            for (site, record) in
                sites(&image, table.section, bounds, table.record, table.absolute)?
            {
                let code = image.from(site).ok_or_else(|| VmlinuxError::BadTable {
                    table: table.section.into(),
                })?;
                let len = table
                    .length
                    .of(record, code)
                    .ok_or_else(|| table.unknown(site, code))?;
                volatile.push((site, len));
                if table.section == "__mcount_loc" {
                    fentry.push(site);
                }
            }
        }
        if fentry.is_empty() {
            return Err(VmlinuxError::Missing(
                "fentry sites (CONFIG_DYNAMIC_FTRACE)",
            ));
        }
        fentry.sort_unstable();
        volatile.extend(runtime_consts(&image, &symbols)?);
        // A static call's trampoline is a jump that is rewritten with its target.
        volatile.extend(
            symbols
                .kallsyms
                .iter()
                .filter(|found| found.objname == VMLINUX && found.name.starts_with("__SCT__"))
                .map(|found| (symbols.link_addr(&found), 5)),
        );

        let functions = symbols.kallsyms.iter().filter(is_function);
        // `__pfx_` names the padding; what is in front of it is the end of another function.
        for function in functions.filter(|f| !f.name.starts_with("__pfx_")) {
            let addr = symbols.link_addr(&function);
            let room = u64::try_from(PADDING).unwrap_or(0);
            if let Some(before) = image.bytes(addr.wrapping_sub(room), room) {
                let len = padding(before);
                volatile.push((addr.wrapping_sub(len), len));
            }
        }

        let init = symbols
            .unique("__init_begin")
            .zip(symbols.unique("__init_end"));
        Ok(Self {
            segments: image.segments,
            volatile: volatile.into_iter().collect(),
            symbols,
            fentry,
            init,
            release,
            build_id: image.build_id,
        })
    }

    /// The release, as in `uname -r`.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// The GNU build-id.
    pub fn build_id(&self) -> &[u8] {
        &self.build_id
    }

    /// All symbols of vmlinux, in order.
    pub fn symbols(&self) -> impl Iterator<Item = Found<'_>> {
        let all = self.symbols.kallsyms.iter();
        all.filter(|found| found.objname == VMLINUX)
    }

    /// Finds a function that can be replaced.
    pub fn function<'k>(
        &'k self,
        name: &'k str,
        sympos: Option<u32>,
    ) -> Result<Found<'k>, VmlinuxError> {
        let found = self.find(name, sympos)?;
        let addr = self.symbols.link_addr(&found);
        if self
            .init
            .is_some_and(|(begin, end)| (begin..end).contains(&addr))
        {
            return Err(VmlinuxError::Init(name.into()));
        }
        if !self.has_fentry(&found) {
            return Err(VmlinuxError::NoFentry(name.into()));
        }
        Ok(found)
    }

    /// Finds a function; the position counts as upstream livepatch does.
    pub fn find<'k>(
        &'k self,
        name: &'k str,
        sympos: Option<u32>,
    ) -> Result<Found<'k>, VmlinuxError> {
        let all = self.symbols.named(name);
        let found = match (all.as_slice(), sympos) {
            ([], _) => return Err(VmlinuxError::NotFound(name.into())),
            ([found], None) => *found,
            (_, None) => {
                return Err(VmlinuxError::Ambiguous {
                    name: name.into(),
                    count: all.len(),
                })
            }
            (_, Some(sympos)) => usize::try_from(sympos)
                .ok()
                .and_then(|at| all.get(at.checked_sub(1)?).copied())
                .ok_or_else(|| VmlinuxError::Sympos {
                    name: name.into(),
                    sympos,
                    count: all.len(),
                })?,
        };
        if !is_function(&found) {
            return Err(VmlinuxError::NotFunction(name.into()));
        }
        Ok(found)
    }

    /// Whether a function begins with a call of __fentry__, behind an ENDBR or not.
    pub fn has_fentry(&self, function: &Found<'_>) -> bool {
        let addr = self.symbols.link_addr(function);
        [addr, addr.wrapping_add(4)]
            .iter()
            .any(|site| self.fentry.binary_search(site).is_ok())
    }

    /// The pre-image of a function: up to the next symbol, which is what the kernel takes for its length.
    pub fn preimage(&self, function: &Found<'_>) -> Option<Preimage> {
        let Some(SymbolLength::Exact(len)) = self.symbols.kallsyms.length(function) else {
            return None;
        };
        let addr = self.symbols.link_addr(function);
        let code = from(&self.segments, addr)?.get(..usize::try_from(len).ok()?)?;
        Preimage::new(code, self.volatile.within(addr, u32::try_from(len).ok()?))
    }
}

fn runtime_consts(image: &Image<'_>, symbols: &Symbols) -> Result<Vec<(u64, u64)>, VmlinuxError> {
    let mut volatile = Vec::new();
    for (name, addr, size) in &image.sections {
        let known = RUNTIME_CONSTS
            .iter()
            .find(|(prefix, _)| name.starts_with(prefix));
        let Some((_, Length::Fixed(len))) = known else {
            continue;
        };
        let stop = symbols
            .unique(&format!("__stop_{name}"))
            .unwrap_or(addr.saturating_add(*size));
        for (site, _) in sites(image, name, (*addr, stop.max(*addr)), 4, false)? {
            volatile.push((site, *len));
        }
    }
    Ok(volatile)
}

/// The release from the image's banner, which also shows whether image and symbols belong together.
fn release(image: &Image<'_>, symbols: &Symbols) -> Result<String, VmlinuxError> {
    let addr = symbols
        .unique("linux_banner")
        .ok_or_else(|| VmlinuxError::WrongSymbols("linux_banner is not in it".into()))?;
    let banner = image.from(addr).unwrap_or_default();
    let rest = banner.strip_prefix(BANNER).ok_or_else(|| {
        VmlinuxError::WrongSymbols(format!("there is no banner at linux_banner ({addr:#x})"))
    })?;
    let release: Vec<u8> = rest
        .iter()
        .take(64)
        .copied()
        .take_while(u8::is_ascii_graphic)
        .collect();
    String::from_utf8(release).map_err(|_| VmlinuxError::NotVmlinux("the banner is not text"))
}
