// SPDX-License-Identifier: GPL-2.0

//! One file for each target.

pub(crate) mod finalize;
mod finished;
pub(crate) mod image;
pub(crate) mod insn;
pub(crate) mod object;
pub(crate) mod relocate;
pub(crate) mod stock;
pub(crate) mod text;
