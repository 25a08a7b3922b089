// SPDX-License-Identifier: GPL-2.0

//! Calls of settled functions without ftrace's help: by one jump.

pub(crate) mod door;
pub(crate) mod doors;
