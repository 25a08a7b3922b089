// SPDX-License-Identifier: GPL-2.0

//! Which bytes of its code a kernel rewrites: at boot, for this CPU, or at any time.
//!
//! The kernel finds these instructions by tables that the linker collected, in vmlinux and in each module.
//! The tables and what is written at their sites, in arch/x86/kernel: alternative.c (alternatives, retpolines,
//! returns, ENDBR seals, lock prefixes), callthunks.c, static_call.c, jump_label.c, ftrace.c; and in
//! arch/x86/include/asm/runtime-const.h.

use lpatch_model::uapi::Mask;
use thiserror::Error;

/// Why a site cannot be masked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SiteError {
    /// Not an instruction that this table can name.
    #[error("{table} names an instruction at {at:#x} that lpatch does not know ({bytes:02x?}); this kernel is newer than this lpatch")]
    Instruction {
        /// Section of the table.
        table: &'static str,
        /// Address in vmlinux, or offset in the module's section.
        at: u64,
        /// How it begins.
        bytes: Vec<u8>,
    },
}

/// How many bytes are rewritten at a site.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    /// Always as many.
    Fixed(u64),
    /// The byte at this offset in the table's record says how many.
    Recorded(usize),
    /// The call, jump or conditional jump that is there, with its prefixes.
    Branch,
    /// A static branch: a jump or a nop, of two or five bytes.
    StaticBranch,
}

/// A table of sites.
#[derive(Debug)]
pub struct Table {
    /// Its section in a module, and in vmlinux if it has one of its own there.
    pub section: &'static str,
    /// Symbols in vmlinux before and after it.
    pub bounds: (&'static str, &'static str),
    /// Bytes of a record, which begins with the place of the site.
    pub record: usize,
    /// The place is a 64-bit address; otherwise 32 bits relative to where they are.
    pub absolute: bool,
    /// What is rewritten there.
    pub length: Length,
}

const fn relative(
    section: &'static str,
    bounds: (&'static str, &'static str),
    record: usize,
    length: Length,
) -> Table {
    Table {
        section,
        bounds,
        record,
        absolute: false,
        length,
    }
}

/// The tables of an x86-64 kernel.
pub const TABLES: &[Table] = &[
    relative(
        ".altinstructions",
        ("__alt_instructions", "__alt_instructions_end"),
        14,
        Length::Recorded(12),
    ),
    relative(
        ".retpoline_sites",
        ("__retpoline_sites", "__retpoline_sites_end"),
        4,
        Length::Branch,
    ),
    relative(
        ".return_sites",
        ("__return_sites", "__return_sites_end"),
        4,
        Length::Branch,
    ),
    relative(
        ".call_sites",
        ("__call_sites", "__call_sites_end"),
        4,
        Length::Branch,
    ),
    relative(
        ".ibt_endbr_seal",
        ("__ibt_endbr_seal", "__ibt_endbr_seal_end"),
        4,
        Length::Fixed(4),
    ),
    relative(
        ".static_call_sites",
        ("__start_static_call_sites", "__stop_static_call_sites"),
        8,
        Length::Branch,
    ),
    relative(
        "__jump_table",
        ("__start___jump_table", "__stop___jump_table"),
        16,
        Length::StaticBranch,
    ),
    relative(
        ".smp_locks",
        ("__smp_locks", "__smp_locks_end"),
        4,
        Length::Fixed(1),
    ),
    Table {
        section: "__mcount_loc",
        bounds: ("__start_mcount_loc", "__stop_mcount_loc"),
        record: 8,
        absolute: true,
        length: Length::Fixed(5),
    },
];

/// Tables of vmlinux whose sections are named after a variable, between `__start_` and `__stop_` symbols:
/// constants that are written into the code once their value is known.
pub const RUNTIME_CONSTS: &[(&str, Length)] = &[
    ("runtime_ptr_", Length::Fixed(8)),
    ("runtime_shift_", Length::Fixed(1)),
];

/// Room in front of a function, one-byte nops, into which call depth tracking writes its accounting
/// (CONFIG_FUNCTION_PADDING_BYTES, patch_dest() in callthunks.c). It belongs to the symbol before: to `__pfx_`
/// of the function, or where an assembly function has none, to the function before.
pub const PADDING: usize = 16;

/// How many bytes of padding end at the end of this code.
pub fn padding(code: &[u8]) -> u64 {
    const NOP: u8 = 0x90;
    let nops = code.iter().rev().take(PADDING).take_while(|b| **b == NOP);
    u64::try_from(nops.count()).unwrap_or(0)
}

/// A table that lpatch cannot account for: FineIBT rewrites both sides of indirect calls.
pub const UNSUPPORTED: &str = ".cfi_sites";

impl Length {
    /// Bytes of a site, from the table's record of it and the code that begins there.
    pub fn of(self, record: &[u8], code: &[u8]) -> Option<u64> {
        match self {
            Self::Fixed(len) => Some(len),
            Self::Recorded(at) => record.get(at).map(|len| u64::from(*len)),
            Self::Branch => {
                let prefixes = code
                    .iter()
                    .take_while(|b| matches!(b, 0x2e | 0x3e | 0x66))
                    .count();
                let rest = match code.get(prefixes..)? {
                    [0xe8 | 0xe9, ..] => 5,
                    [0x0f, 0x80..=0x8f, ..] => 6,
                    _ => return None,
                };
                u64::try_from(prefixes).ok().map(|p| p + rest)
            }
            Self::StaticBranch => match code {
                [0xe9, ..] | [0x0f, 0x1f, 0x44, 0x00, 0x00, ..] => Some(5),
                [0xeb, ..] | [0x66, 0x90, ..] => Some(2),
                _ => None,
            },
        }
    }
}

impl Table {
    /// The error for a site that [`Length::of`] does not know.
    pub fn unknown(&self, at: u64, code: &[u8]) -> SiteError {
        SiteError::Instruction {
            table: self.section,
            at,
            bytes: code.iter().take(8).copied().collect(),
        }
    }
}

/// Ranges of addresses, or of offsets in a section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    // Start and end; sorted, not touching each other.
    list: Vec<(u64, u64)>,
}

impl FromIterator<(u64, u64)> for Ranges {
    /// From starts and lengths, in any order, overlapping or not.
    fn from_iter<I: IntoIterator<Item = (u64, u64)>>(sites: I) -> Self {
        let mut all: Vec<(u64, u64)> = sites
            .into_iter()
            .map(|(start, len)| (start, start.saturating_add(len)))
            .filter(|(start, end)| start < end)
            .collect();
        all.sort_unstable();
        let mut list: Vec<(u64, u64)> = Vec::with_capacity(all.len());
        for (start, end) in all {
            match list.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => list.push((start, end)),
            }
        }
        Self { list }
    }
}

impl Ranges {
    /// The parts that lie in `len` bytes from `start`, as offsets from there.
    pub fn within(&self, start: u64, len: u32) -> Vec<Mask> {
        let end = start.saturating_add(u64::from(len));
        let first = self.list.partition_point(|range| range.1 <= start);
        self.list
            .iter()
            .skip(first)
            .take_while(|range| range.0 < end)
            .filter_map(|range| {
                let from = range.0.max(start) - start;
                let to = range.1.min(end) - start;
                Some(Mask {
                    offset: u32::try_from(from).ok()?,
                    len: u32::try_from(to - from).ok()?,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_merge_and_clip() {
        let ranges: Ranges = [(20, 5), (10, 4), (12, 8), (100, 8), (40, 0)]
            .into_iter()
            .collect();
        let masks = |start, len| -> Vec<(u32, u32)> {
            ranges
                .within(start, len)
                .iter()
                .map(|m| (m.offset, m.len))
                .collect()
        };
        assert_eq!(masks(0, 200), [(10, 15), (100, 8)]);
        assert_eq!(masks(12, 4), [(0, 4)]);
        assert_eq!(masks(24, 78), [(0, 1), (76, 2)]);
        assert_eq!(masks(25, 75), []);
        assert_eq!(masks(108, 10), []);
    }

    #[test]
    fn branches_have_the_length_of_their_instruction() {
        let of = |code: &[u8]| Length::Branch.of(&[], code);
        assert_eq!(of(&[0xe8, 0, 0, 0, 0]), Some(5));
        assert_eq!(of(&[0x2e, 0xe8, 0, 0, 0, 0]), Some(6));
        assert_eq!(of(&[0x0f, 0x85, 0, 0, 0, 0]), Some(6));
        assert_eq!(of(&[0x2e, 0x0f, 0x85, 0, 0, 0, 0]), Some(7));
        assert_eq!(of(&[0xff, 0xd0]), None);
        assert_eq!(of(&[0x2e]), None);
    }

    #[test]
    fn static_branches_are_jumps_or_nops() {
        let of = |code: &[u8]| Length::StaticBranch.of(&[], code);
        assert_eq!(of(&[0xeb, 0x10]), Some(2));
        assert_eq!(of(&[0x66, 0x90, 0x90]), Some(2));
        assert_eq!(of(&[0xe9, 0, 0, 0, 0]), Some(5));
        assert_eq!(of(&[0x0f, 0x1f, 0x44, 0, 0]), Some(5));
        assert_eq!(of(&[0x0f, 0x1f, 0x40, 0]), None);
    }

    #[test]
    fn padding_is_the_nops_at_the_end() {
        assert_eq!(padding(&[0xc3, 0x90, 0x90, 0x90]), 3);
        assert_eq!(padding(&[0x90; 40]), 16);
        assert_eq!(padding(&[0x90, 0xcc]), 0);
        assert_eq!(padding(&[]), 0);
    }

    #[test]
    fn an_alternative_says_its_length() {
        let record = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 3];
        assert_eq!(Length::Recorded(12).of(&record, &[]), Some(7));
        assert_eq!(Length::Recorded(12).of(&record[..12], &[]), None);
    }
}
