// SPDX-License-Identifier: GPL-2.0

//! A kernel that does not run here, from its vmlinux: which build it is, its symbols, its code.
//!
//! Any part may have been stripped; what is left is used. A vmlinux of which only the notes are left still tells the build-id.

use crate::kallsyms::Kallsyms;
use crate::meta::VMLINUX;
use crate::symtab;
use crate::target::{build_id, Memory};
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::LittleEndian;
use std::ops::Range;
use thiserror::Error;

const LE: LittleEndian = LittleEndian;
const BANNER: &[u8] = b"Linux version ";

/// Why a file is no vmlinux.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OfflineError {
    /// Not an ELF executable for x86-64.
    #[error(
        "not the ELF file of an x86-64 kernel ({0}); give vmlinux, or a bzImage with zstd payload"
    )]
    NotVmlinux(&'static str),
}

/// What a vmlinux tells.
#[derive(Debug)]
pub struct Offline {
    /// The GNU build-id.
    pub build_id: Option<Vec<u8>>,
    /// The release, as in `uname -r`, from the banner.
    pub release: Option<String>,
    /// Lines as in /proc/kallsyms, from its symbol table.
    pub symbols: Option<String>,
    code: Code,
}

/// Contents of the file by the addresses that they were linked for.
#[derive(Debug)]
struct Code {
    file: Vec<u8>,
    ranges: Vec<(u64, Range<usize>)>,
    /// From these addresses to those that are asked for.
    offset: u64,
    /// Where `_text` is.
    text: Option<u64>,
}

impl Offline {
    /// Reads an ELF file.
    pub fn read(file: Vec<u8>) -> Result<Self, OfflineError> {
        let not = OfflineError::NotVmlinux;
        let data = file.as_slice();
        let header =
            FileHeader64::<LittleEndian>::parse(data).map_err(|_| not("no ELF64 header"))?;
        if header.e_machine(LE) != elf::EM_X86_64 {
            return Err(not("another machine"));
        }
        if !matches!(header.e_type(LE), elf::ET_EXEC | elf::ET_DYN) {
            return Err(not("no executable"));
        }
        let mut ranges = Vec::new();
        let mut add = |addr: u64, offset: u64, size: u64| {
            let start = usize::try_from(offset).ok()?;
            let end = start.checked_add(usize::try_from(size).ok()?)?;
            // What was stripped may be named and not be there.
            data.get(start..end)?;
            ranges.push((addr, start..end));
            Some(())
        };
        let (mut id, mut text) = (None, None);
        let table = header.sections(LE, data).ok();
        for section in table.iter().flat_map(|table| table.iter()) {
            let name = table.and_then(|table| table.section_name(LE, section).ok());
            match section.sh_type(LE) {
                elf::SHT_NOTE => {
                    id = id.or_else(|| build_id(section.data(LE, data).ok()?));
                }
                elf::SHT_PROGBITS if section.sh_flags(LE) & u64::from(elf::SHF_ALLOC) != 0 => {
                    if name == Some(b".text") {
                        text = Some(section.sh_addr(LE));
                    }
                    let (offset, size) = (section.sh_offset(LE), section.sh_size(LE));
                    let _ = add(section.sh_addr(LE), offset, size);
                }
                _ => (),
            }
        }
        // Only without sections: those of a file with debug information alone say what is left, the segments do not.
        let is_bare = table.is_none_or(|table| table.is_empty());
        let programs = header.program_headers(LE, data).unwrap_or_default();
        for program in programs.iter().filter(|_| is_bare) {
            match program.p_type(LE) {
                elf::PT_NOTE => id = id.or_else(|| build_id(program.data(LE, data).ok()?)),
                elf::PT_LOAD => {
                    let (offset, size) = (program.p_offset(LE), program.p_filesz(LE));
                    let _ = add(program.p_vaddr(LE), offset, size);
                    if program.p_flags(LE) & elf::PF_X != 0 {
                        text = text.or(Some(program.p_vaddr(LE)));
                    }
                }
                _ => (),
            }
        }
        let symbols = symtab::kallsyms(data);
        let release = ranges
            .iter()
            .find_map(|(_, range)| banner(data.get(range.clone())?));
        Ok(Self {
            build_id: id,
            release,
            symbols,
            code: Code {
                file,
                ranges,
                offset: 0,
                text,
            },
        })
    }

    /// The kernel's code where it is by `kallsyms`, which may be the list of a boot at any address; `None`: none is left.
    pub fn memory(self, kallsyms: &Kallsyms) -> Option<Box<dyn Memory>> {
        let mut code = self.code;
        let mut all = kallsyms.by_name("_text");
        let ran_at = all.find(|found| found.objname == VMLINUX)?.addr;
        code.offset = ran_at.wrapping_sub(code.text?);
        Some(Box::new(code))
    }
}

impl Memory for Code {
    fn read(&self, addr: u64, out: &mut [u8]) -> bool {
        let addr = addr.wrapping_sub(self.offset);
        let bytes = self.ranges.iter().find_map(|(start, range)| {
            let at = usize::try_from(addr.checked_sub(*start)?).ok()?;
            let part = self.file.get(range.clone())?;
            part.get(at..at.checked_add(out.len())?)
        });
        match bytes {
            Some(bytes) => {
                out.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }
}

/// The release in the kernel's banner, "Linux version RELEASE (…".
fn banner(bytes: &[u8]) -> Option<String> {
    let mut rest = bytes;
    loop {
        let at = rest.iter().position(|byte| *byte == BANNER[0])?;
        rest = rest.get(at..)?;
        if let Some(text) = rest.strip_prefix(BANNER) {
            let len = text.iter().take(65).position(|byte| *byte == b' ');
            let release = len.and_then(|len| std::str::from_utf8(text.get(..len)?).ok());
            // A format string of the same words is elsewhere in the kernel.
            let is_release =
                |text: &&str| text.starts_with(|c: char| c.is_ascii_digit()) && text.is_ascii();
            if let Some(release) = release.filter(is_release) {
                return Some(release.into());
            }
        }
        rest = rest.get(1..)?;
    }
}
