// SPDX-License-Identifier: GPL-2.0

//! lpatch_core replaces functions of the running kernel.
//!
//! `device` takes requests, `registry` keeps the patches, `patch` is the life of one. Below them, each in
//! one file: `memory` (the arena), `tables` and `kallsyms` (what the kernel looks up about patched code),
//! `redirect` (ftrace), `modules` (references), `facts` (the running kernel). What needs no kernel is in
//! `model`, what C has to do in `shim`.

use core::pin::Pin;
use kernel::prelude::*;

mod device;
mod errno;
mod facts;
mod ffi;
mod kallsyms;
mod memory;
#[expect(
    dead_code,
    unreachable_pub,
    reason = "a public crate to the loader and the tests"
)]
#[path = "../model/mod.rs"]
mod model;
mod modules;
mod patch;
mod redirect;
mod registry;
mod tables;
#[expect(
    dead_code,
    unreachable_pub,
    reason = "a public crate to the loader and the tests"
)]
#[path = "../uapi/mod.rs"]
mod uapi;

module! {
    type: Core,
    name: "lpatch_core",
    authors: ["The lpatch developers"],
    description: "Replaces functions of the running kernel",
    license: "GPL",
}

/// The module. Fields are dropped in order: first nobody can ask any more, then the registry goes.
struct Core {
    _device: Pin<KBox<device::Device>>,
    _registry: Filled,
}

impl kernel::Module for Core {
    fn init(module: &'static ThisModule) -> Result<Self> {
        // SAFETY: Once, before the device exists.
        unsafe { registry::REGISTRY.init() };
        // SAFETY: Once, from here, with this module.
        let registry = unsafe { registry::Registry::new(module)? };
        registry.announce();
        *registry::REGISTRY.lock() = Some(registry);
        let filled = Filled;
        Ok(Self {
            _device: KBox::pin_init(device::Device::register(module), GFP_KERNEL)?,
            _registry: filled,
        })
    }
}

/// Empties the registry when it is dropped. There are no patches then: each holds a reference to the module.
struct Filled;

impl Drop for Filled {
    fn drop(&mut self) {
        *registry::REGISTRY.lock() = None;
    }
}
