// SPDX-License-Identifier: GPL-2.0

//! Mirror of the part of `lpatch.h` that describes a linked image.

use super::wire::wire;
use super::{Wire, NAME_LEN, ORC_HASH_LEN, VERSION_LEN};

/// `LPATCH_SEC_TEXT`.
pub const SEC_TEXT: u8 = 0;
/// `LPATCH_SEC_RODATA`.
pub const SEC_RODATA: u8 = 1;
/// `LPATCH_SEC_DATA`.
pub const SEC_DATA: u8 = 2;
/// `LPATCH_TARGET_SYMBOL`.
pub const TARGET_SYMBOL: u8 = 3;
/// `LPATCH_NO_OFFSET`.
pub const NO_OFFSET: u32 = 0xffff_ffff;
/// `LPATCH_SITE_RETURN`: 5 bytes: jmp __x86_return_thunk; 6 with a cs prefix.
pub const SITE_RETURN: u16 = 1;
/// `LPATCH_SITE_SEAL`: 4 bytes: endbr64 of a function whose address is never taken.
pub const SITE_SEAL: u16 = 2;
/// `LPATCH_SITE_CALL`: 5 bytes: call rel32, for call depth tracking.
pub const SITE_CALL: u16 = 3;
/// `LPATCH_SITE_RETPOLINE`: 5 or 6 bytes: a branch to __x86_indirect_thunk_REGISTER.
pub const SITE_RETPOLINE: u16 = 4;
/// `LPATCH_SITE_LOCK`: 1 byte: a lock prefix, which one CPU does not need.
pub const SITE_LOCK: u16 = 5;

/// `LPATCH_ALT_NOT`: for CPUs without the feature.
pub const ALT_NOT: u16 = 1 << 0;
/// `LPATCH_ALT_DIRECT_CALL`: a call through a pointer becomes a call of what it points to.
pub const ALT_DIRECT_CALL: u16 = 1 << 1;

/// `LPATCH_IMG_REPLACE`: cumulative: replaces all others of its set.
pub const IMG_REPLACE: u32 = 1 << 0;
/// `LPATCH_CALLBACK_PRE_PATCH`: before the functions of the object change; may refuse.
pub const CALLBACK_PRE_PATCH: u32 = 1;
/// `LPATCH_CALLBACK_POST_PATCH`: when they have changed for all tasks.
pub const CALLBACK_POST_PATCH: u32 = 2;
/// `LPATCH_CALLBACK_PRE_UNPATCH`: before they change back.
pub const CALLBACK_PRE_UNPATCH: u32 = 3;
/// `LPATCH_CALLBACK_POST_UNPATCH`: when they have changed back for all tasks.
pub const CALLBACK_POST_UNPATCH: u32 = 4;

wire! {
    /// `struct lpatch_extent`: where a table or section lies in the image.
    pub struct Extent {
        /// from the start of the image, a multiple of 8
        pub offset: u32,
        /// entries of a table, bytes of a section or of the strings
        pub count: u32,
    }
}

wire! {
    /// `struct lpatch_image`: header of an image.
    pub struct Image {
        /// IMAGE_MAGIC
        pub magic: u32,
        /// sizeof(struct lpatch_image)
        pub header_size: u32,
        /// the whole image
        pub image_size: u32,
        /// CRC-32 (IEEE 802.3, reflected, as in zlib) of the image with this field zero
        pub crc32: u32,
        /// `IMG_*`
        pub flags: u32,
        /// string: the release of the kernel that it is for, as in uname -r
        pub release: u32,
        /// name of the patch
        pub name: [u8; NAME_LEN],
        /// version of the patch
        pub version: [u8; VERSION_LEN],
        /// the set that it belongs to; the same characters as in a name
        pub set: [u8; NAME_LEN],
        /// contents of .orc_header of the object it was made from
        pub orc_hash: [u8; ORC_HASH_LEN],
        /// zero
        pub reserved: u32,
        /// section: code
        pub text: Extent,
        /// section: constants
        pub rodata: Extent,
        /// section: initialized data; the rest of the reservation's data_len is zero
        pub data: Extent,
        /// bytes; each string ends in NUL; offset 0 is the empty string
        pub strings: Extent,
        /// struct lpatch_func, sorted by old_addr; those without, by objname, name and sympos
        pub funcs: Extent,
        /// struct lpatch_mask
        pub masks: Extent,
        /// struct lpatch_symbol
        pub symbols: Extent,
        /// struct lpatch_reloc, sorted by section and offset
        pub relocs: Extent,
        /// struct lpatch_orc, sorted by text offset
        pub orcs: Extent,
        /// struct lpatch_ex, sorted by insn
        pub exs: Extent,
        /// struct lpatch_bug, sorted by insn
        pub bugs: Extent,
        /// struct lpatch_site, sorted by offset
        pub sites: Extent,
        /// struct lpatch_ksym
        pub ksyms: Extent,
        /// struct lpatch_cold, sorted by addr
        pub colds: Extent,
        /// struct lpatch_callback, sorted by the object's name and kind
        pub callbacks: Extent,
        /// struct lpatch_state, sorted by id
        pub states: Extent,
        /// struct lpatch_alt, sorted by offset
        pub alts: Extent,
    }
}

wire! {
    /// `struct lpatch_func`: one function to replace.
    pub struct Func {
        /// string: its name, as sprint_symbol() gives it for @old_addr
        pub name: u32,
        /// string: "vmlinux" or the name of the module that has it
        pub objname: u32,
        /// its position among symbols of that name in the object, from 1; 0: the name is unique
        pub sympos: u32,
        /// its length, as sprint_symbol() gives it; 0 if old_addr is 0
        pub old_len: u32,
        /// its address; 0: its module, which is not vmlinux, was not loaded when the image was made
        pub old_addr: u64,
        /// the new function's offset in the text
        pub new_off: u32,
        /// the new function's length
        pub new_len: u32,
        /// CRC-32 of the first @pre_len bytes at @old_addr with the masked ranges read as zeros
        pub pre_crc: u32,
        /// 0: no pre-image was recorded
        pub pre_len: u32,
        /// index of the first struct lpatch_mask
        pub mask_first: u32,
        /// how many
        pub mask_count: u32,
    }
}

wire! {
    /// `struct lpatch_mask`: bytes of a function that differ from boot to boot.
    pub struct Mask {
        /// from the function's start
        pub offset: u32,
        /// bytes, at least 1; masks of a function are sorted and do not overlap
        pub len: u32,
    }
}

wire! {
    /// `struct lpatch_symbol`: a symbol of the running kernel that the image refers to.
    pub struct Symbol {
        /// string: the name that sprint_symbol() gives for @addr (of several aliases, the one that
        /// /proc/kallsyms lists first)
        pub name: u32,
        /// string: "vmlinux" or the name of the module that has it
        pub objname: u32,
        /// its address; 0: its module, which is not vmlinux, was not loaded when the image was made
        pub addr: u64,
        /// its position among symbols of that name in the object, from 1; 0: the name is unique
        pub sympos: u32,
        /// zero
        pub reserved: u32,
    }
}

wire! {
    /// `struct lpatch_reloc`: a field that depends on where things are.
    pub struct Reloc {
        /// of the field in its section
        pub offset: u32,
        /// `SEC_*` of the field
        pub section: u8,
        /// the low byte of the ELF relocation type (`R_X86_64_*`)
        pub kind: u8,
        /// TARGET_SYMBOL, or the section of the target
        pub target_kind: u8,
        /// zero
        pub reserved: u8,
        /// index into the symbols, or offset in the target's section
        pub target: u32,
        /// zero
        pub reserved2: u32,
        /// the ELF addend
        pub addend: i64,
    }
}

wire! {
    /// `struct lpatch_orc`: an ORC unwind entry.
    pub struct Orc {
        /// in the text, from which it holds
        pub offset: u32,
        /// as in struct orc_entry
        pub sp_offset: i16,
        /// as in struct orc_entry
        pub bp_offset: i16,
        /// the 16 bits after bp_offset in struct orc_entry
        pub bits: u16,
        /// zero
        pub reserved: u16,
    }
}

wire! {
    /// `struct lpatch_ex`: an exception table entry.
    pub struct Ex {
        /// text offset of the instruction that may fault
        pub insn: u32,
        /// text offset where execution goes on
        pub fixup: u32,
        /// the third word of struct exception_table_entry
        pub data: u32,
    }
}

wire! {
    /// `struct lpatch_bug`: a bug table entry (WARN and BUG).
    pub struct Bug {
        /// text offset of the trapping instruction
        pub insn: u32,
        /// rodata offset of the format string, or NO_OFFSET
        pub format: u32,
        /// rodata offset of the file name, or NO_OFFSET
        pub file: u32,
        /// line number
        pub line: u16,
        /// `BUGFLAG_*`
        pub flags: u16,
    }
}

wire! {
    /// `struct lpatch_site`: an instruction that this boot's kernel finishes.
    pub struct Site {
        /// in the text
        pub offset: u32,
        /// `SITE_*`
        pub kind: u16,
        /// zero
        pub reserved: u16,
    }
}

wire! {
    /// `struct lpatch_ksym`: a symbol of the patch, for /proc/kallsyms, stack traces and perf.
    pub struct Ksym {
        /// string
        pub name: u32,
        /// in its section
        pub offset: u32,
        /// bytes
        pub size: u32,
        /// `SEC_*`
        pub section: u8,
        /// letter as in nm
        pub letter: u8,
        /// zero
        pub reserved: u16,
    }
}

wire! {
    /// `struct lpatch_cold`: unlikely code that the compiler moved out of a function to replace.
    pub struct Cold {
        /// index into the functions
        pub func: u32,
        /// string: its name, that of the function with ".cold" or ".cold.N" behind it
        pub name: u32,
        /// its address
        pub addr: u64,
        /// its length, as sprint_symbol() gives it
        pub len: u32,
        /// zero
        pub reserved: u32,
    }
}

wire! {
    /// `struct lpatch_callback`: a function of the patch that the core calls.
    pub struct Callback {
        /// string: "vmlinux" or the name of the module that it is about
        pub objname: u32,
        /// `CALLBACK_*`; one of each kind for an object
        pub kind: u32,
        /// the function's offset in the text
        pub offset: u32,
        /// zero
        pub reserved: u32,
    }
}

wire! {
    /// `struct lpatch_state`: a change of the system's state that the patch makes or can deal with.
    pub struct State {
        /// which
        pub id: u64,
        /// of the change; a patch can deal with its own version and lower ones
        pub version: u32,
        /// zero
        pub reserved: u32,
    }
}

wire! {
    /// `struct lpatch_alt`: instructions that are replaced on some CPUs.
    pub struct Alt {
        /// of the instructions in the text
        pub offset: u32,
        /// of the replacement in the text
        pub repl: u32,
        /// `X86_FEATURE_*` or `X86_BUG_*`, as the kernel numbers them
        pub feature: u16,
        /// `ALT_*`
        pub flags: u16,
        /// bytes at @offset, padding included; the same in all entries of one place
        pub len: u8,
        /// bytes of the replacement, at most @len; the rest becomes nops
        pub repl_len: u8,
        /// zero
        pub reserved: u16,
    }
}
