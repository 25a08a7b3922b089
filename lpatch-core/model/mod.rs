// SPDX-License-Identifier: GPL-2.0

//! The logic of lpatch_core that needs no kernel: what is verified, how it is laid out, what is
//! written.
//!
//! Compiled into the module and into the host crates, without `std`, allocation or unsafe code.
//! Nothing in here may panic: whatever userspace claims leads to a value or to a refusal.
//!
//! The root of the module declares it, with the ABI mirror, as `pub mod`: what one side does not
//! use, the other does, and the lints for unused and unreachable items cannot know that.

pub mod arena;
pub mod arrive;
pub mod callbacks;
pub mod callee;
pub mod cold;
pub mod compare;
pub mod doors;
pub mod exits;
pub mod extable;
pub mod fentry;
pub mod finalize;
pub mod image;
pub mod index;
pub mod insn;
pub mod num;
pub mod offline;
pub mod orc;
pub mod plan;
pub mod refusal;
pub mod reloc;
pub mod request;
pub mod routes;
pub mod slots;
pub mod sort;
pub mod states;
pub mod statics;
pub mod symbol_text;
pub mod transition;
pub mod verify;
