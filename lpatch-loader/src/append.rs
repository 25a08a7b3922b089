// SPDX-License-Identifier: GPL-2.0

//! Adds one section to the end of an ELF object, or replaces the one of that name.
//!
//! Everything else keeps its place, index and bytes. Behind the last of the other sections follow the table
//! of section names, the new section and the section headers, so doing it twice gives the same file.

use crate::elf::{Elf, ElfError};
use object::elf::SHT_NOBITS;
use thiserror::Error;

/// Why a section cannot be added.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AppendError {
    /// Not an object that can be read.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// Headers in a form that compilers do not write.
    #[error("the object has {0}, which lpatch cannot extend; build it again with build-patch")]
    Form(&'static str),
}

const HEADER_LEN: usize = 64;
const SECTION_LEN: usize = 64;
/// Fields of the ELF header: offset, count and name table of the section headers.
const E_SHOFF: usize = 0x28;
const E_SHENTSIZE: usize = 0x3a;
const E_SHNUM: usize = 0x3c;
const E_SHSTRNDX: usize = 0x3e;
/// Fields of a section header.
const SH_NAME: usize = 0;
const SH_TYPE: usize = 4;
const SH_OFFSET: usize = 24;
const SH_SIZE: usize = 32;
const SH_ALIGN: usize = 48;
/// Sections and headers are aligned to this.
const ALIGN: usize = 8;

fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk().copied())
        .unwrap_or([0; N])
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(field) = bytes.get_mut(at..at + N) {
        field.copy_from_slice(&value);
    }
}

fn get_usize(bytes: &[u8], at: usize) -> Result<usize, AppendError> {
    usize::try_from(u64::from_le_bytes(get(bytes, at)))
        .map_err(|_| AppendError::Form("an offset out of range"))
}

fn put_usize(bytes: &mut [u8], at: usize, value: usize) -> Result<(), AppendError> {
    let value = u64::try_from(value).map_err(|_| AppendError::Form("an offset out of range"))?;
    put(bytes, at, value.to_le_bytes());
    Ok(())
}

/// The file with a section of this name, type and contents (aligned to 4, no flags), and where in the file
/// the contents are.
pub fn with_section(
    file: &[u8],
    name: &str,
    kind: u32,
    contents: &[u8],
) -> Result<(Vec<u8>, usize), AppendError> {
    let elf = Elf::parse(file)?;
    let count = usize::from(u16::from_le_bytes(get(file, E_SHNUM)));
    let names = usize::from(u16::from_le_bytes(get(file, E_SHSTRNDX)));
    if usize::from(u16::from_le_bytes(get(file, E_SHENTSIZE))) != SECTION_LEN {
        return Err(AppendError::Form("section headers of unknown length"));
    }
    if count != elf.sections().len() || names == 0 || names >= count || count >= 0xfeff {
        return Err(AppendError::Form("too many sections, or none"));
    }
    let old_table = get_usize(file, E_SHOFF)?;
    let mut headers = file
        .get(old_table..old_table + count * SECTION_LEN)
        .ok_or(AppendError::Form("truncated section headers"))?
        .to_vec();

    let old = elf.sections().iter().find(|section| section.name == name);
    let at = old.map_or(count, |section| section.index);
    if at == count {
        headers.resize((count + 1) * SECTION_LEN, 0);
    }
    let keep = elf
        .sections()
        .iter()
        .filter(|s| s.index != at && s.index != names && s.kind != SHT_NOBITS)
        .map(|s| s.file_offset + s.data.len())
        .fold(HEADER_LEN, usize::max);
    let mut strings = elf
        .sections()
        .get(names)
        .map_or(Vec::new(), |section| section.data.to_vec());
    let name_at = match old {
        Some(_) => u32::from_le_bytes(get(&headers, at * SECTION_LEN + SH_NAME)),
        None => {
            let name_at = u32::try_from(strings.len())
                .map_err(|_| AppendError::Form("too many section names"))?;
            strings.extend_from_slice(name.as_bytes());
            strings.push(0);
            name_at
        }
    };

    let mut out = file.get(..keep).unwrap_or_default().to_vec();
    let mut add = |bytes: &[u8]| {
        out.resize(out.len().next_multiple_of(ALIGN), 0);
        let start = out.len();
        out.extend_from_slice(bytes);
        start
    };
    let strings_at = add(&strings);
    let contents_at = add(contents);

    let header = names * SECTION_LEN;
    put_usize(&mut headers, header + SH_OFFSET, strings_at)?;
    put_usize(&mut headers, header + SH_SIZE, strings.len())?;
    let header = at * SECTION_LEN;
    if let Some(raw) = headers.get_mut(header..header + SECTION_LEN) {
        raw.fill(0);
    }
    put(&mut headers, header + SH_NAME, name_at.to_le_bytes());
    put(&mut headers, header + SH_TYPE, kind.to_le_bytes());
    put_usize(&mut headers, header + SH_OFFSET, contents_at)?;
    put_usize(&mut headers, header + SH_SIZE, contents.len())?;
    put_usize(&mut headers, header + SH_ALIGN, 4)?;

    let table_at = add(&headers);
    put_usize(&mut out, E_SHOFF, table_at)?;
    let count = u16::try_from(headers.len() / SECTION_LEN)
        .map_err(|_| AppendError::Form("too many sections"))?;
    put(&mut out, E_SHNUM, count.to_le_bytes());
    Elf::parse(&out)?;
    Ok((out, contents_at))
}
