// SPDX-License-Identifier: GPL-2.0

//! The running kernel: its code, its symbols, its modules, and what it makes of code on this boot.

pub(crate) mod calls;
pub(crate) mod code;
pub(crate) mod facts;
pub(crate) mod modules;
pub(crate) mod names;
pub(crate) mod probes;
pub(crate) mod symbols;
mod texts;
pub(crate) mod time;
pub(crate) mod view;
