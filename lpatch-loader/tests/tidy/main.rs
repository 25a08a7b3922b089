// SPDX-License-Identifier: GPL-2.0

//! Rules of the source: what may be where, and what may import what.

mod core;
mod imports;
mod loader;
mod source;
