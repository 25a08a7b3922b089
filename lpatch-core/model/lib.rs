// SPDX-License-Identifier: GPL-2.0

//! The host build of the model; the kernel module compiles `mod.rs` itself.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "testing"))]
extern crate std;

// In the module the ABI mirror is the module `crate::uapi`; under this name it is here as well.
pub use lpatch_uapi as uapi;

#[path = "mod.rs"]
mod model;
pub use model::*;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
