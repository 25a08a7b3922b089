// SPDX-License-Identifier: GPL-2.0

//! Conversions between the widths that the ABI and slices use.
//!
//! `usize` has 64 bits on every machine that lpatch runs on, but the language does not know. Where
//! a number would not fit, the result is the largest one, which no bounds check lets through.

/// A length or index of the ABI as an index into a slice.
pub fn index(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A length or index of a slice as an offset.
pub fn wide(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}
