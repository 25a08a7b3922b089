// SPDX-License-Identifier: GPL-2.0

//! The memory that patches live in, and what the kernel looks up about it.

pub(crate) mod memory;
pub(crate) mod symbols;
pub(crate) mod tables;
