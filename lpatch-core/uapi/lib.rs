// SPDX-License-Identifier: GPL-2.0

//! The host build of the ABI mirror; the kernel module compiles `mod.rs` itself.
#![no_std]

#[path = "mod.rs"]
mod abi;
pub use abi::*;
