// SPDX-License-Identifier: GPL-2.0

//! Mirror of the part of `lpatch.h` that is about text in memory.

use super::wire::wire;
use super::{Hdr, Wire, NAME_LEN, SYM_LEN};

/// `LPATCH_DIFFERENCE_LEN`.
pub const DIFFERENCE_LEN: usize = 16;
/// `LPATCH_DIFFERENCES_MAX`.
pub const DIFFERENCES_MAX: u32 = 1024;

wire! {
    /// `struct lpatch_difference`: bytes of a patch's text that are not those that were loaded.
    pub struct Difference {
        /// of the first one, in the text
        pub offset: u32,
        /// how many, 1 to DIFFERENCE_LEN; of more in a row there are several entries
        pub len: u32,
        /// what was loaded, then zeros
        pub loaded: [u8; DIFFERENCE_LEN],
        /// what is in memory, then zeros
        pub found: [u8; DIFFERENCE_LEN],
        /// where that is: "name+0xoffset/0xsize [module]"
        pub symbol: [u8; SYM_LEN],
    }
}

wire! {
    /// `struct lpatch_compare`: whether the text of a patch in memory is still what was loaded.
    pub struct Compare {
        /// head
        pub hdr: Hdr,
        /// in: its name
        pub name: [u8; NAME_LEN],
        /// in: user address of an array of struct lpatch_difference
        pub entries: u64,
        /// in: its length in entries
        pub capacity: u32,
        /// out: how many differences there are
        pub count: u32,
        /// out: how many of them were written: as many as fit, and `DIFFERENCES_MAX` at most
        pub written: u32,
        /// out: bytes that were compared: the text, and what traps behind it up to the end of its page
        pub text_len: u32,
        /// out: how many of them differ
        pub bytes: u64,
    }
}
