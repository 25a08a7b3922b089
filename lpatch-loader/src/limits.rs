// SPDX-License-Identifier: GPL-2.0

//! The limits of what the loader reads, in one place. Work and memory are bounded by them and by the length of the file.
//!
//! What exceeds one is refused by an error of its own, which names the limit:
//!
//! | limit | of | error |
//! |---|---|---|
//! | [`FILE_MAX`] | an object | `ElfError::TooLong` |
//! | [`NAME_MAX`] | names of sections and symbols | `ElfError::LongName` |
//! | [`PAGE`](crate::layout::PAGE) | alignment of sections | `ObjectError::Align` |
//! | [`SYMBOL_MAX`] | names in `.lpatch.*` | `MetaError::LongName` |
//! | [`OBJNAME_MAX`] | names of modules in `.lpatch.*` | `MetaError::LongName` |
//! | [`u32::MAX`] | sympos | `MetaError::Sympos` |
//! | [`SYMBOL_MAX`] | names of the patch's own symbols | `TableError::LongName` |
//! | [`PATCH_NAME_MAX`], [`VERSION_MAX`] | INFO name, set and version | `NoteError::LongName` |
//! | [`BUILD_ID_MAX`] | a build-id | `NoteError::LongBuildId` |
//! | [`MEMORY_MAX`] | a part of the patch with its zeros | `LayoutError::TooBig` |
//! | [`IMAGE_MAX`] | an image | `LayoutError::TooBig` |
//! | [`PREIMAGE_MAX`] | a pre-image | `ResolveError::LongPreimage` |
//! | [`KALLSYMS_MAX`] | a list of symbols | `KallsymsError::TooLong` |
//! | [`KALLSYMS_NAME_MAX`] | names in it | `KallsymsError::LongName` |
//! | [`MODULES_MAX`] | modules in it | `KallsymsError::Modules` |
//! | [`unpacked_max`] | what a packed kernel or module holds | `UnpackError::TooLarge` |
//!
//! Of problems, [`PROBLEMS_MAX`] are listed, and then "and more".

use lpatch_model::uapi;

/// Longest object, in bytes. An image is at most [`IMAGE_MAX`]; the rest may be debug information.
pub const FILE_MAX: usize = 256 << 20;
/// Longest name of a section or symbol in an ELF file, in bytes: many may share the bytes of one, and messages repeat it.
pub const NAME_MAX: usize = 4096;
/// Longest name of a symbol that the kernel or an image can hold, in bytes (KSYM_NAME_LEN with its NUL).
pub const SYMBOL_MAX: usize = uapi::SYM_LEN - 1;
/// Longest name of a module, in bytes.
pub const OBJNAME_MAX: usize = uapi::NAME_LEN - 1;
/// Longest name of a patch or set, in bytes.
pub const PATCH_NAME_MAX: usize = uapi::NAME_LEN - 1;
/// Longest version of a patch, in bytes.
pub const VERSION_MAX: usize = uapi::VERSION_LEN - 1;
/// Longest build-id, in bytes.
pub const BUILD_ID_MAX: usize = 64;
/// Longest part of a patch with its zeros, in bytes: 32-bit relocations must reach across it.
pub const MEMORY_MAX: u64 = 1 << 30;
/// Longest image, in bytes.
pub const IMAGE_MAX: u32 = uapi::IMAGE_MAX;
/// Longest pre-image, in bytes: longer functions are not read.
pub const PREIMAGE_MAX: u32 = 1 << 20;
/// Longest list of symbols, in bytes: positions in it have 32 bits.
pub const KALLSYMS_MAX: usize = 1 << 30;
/// Longest name in a list of symbols, in bytes.
pub const KALLSYMS_NAME_MAX: usize = 0xffff;
/// Most modules in a list of symbols.
pub const MODULES_MAX: usize = 0xffff;
/// Problems that are kept; a damaged file may have as many as it has bytes.
pub const PROBLEMS_MAX: usize = 100;

/// Bytes that a packed kernel or module of `packed` bytes may hold. The packed modules of a distribution hold up to 18
/// times their length, small ones with tables of zeros more: so far, 5 MiB in 64 KiB.
pub const fn unpacked_max(packed: usize) -> usize {
    (6_usize << 20).saturating_add(packed.saturating_mul(8))
}
