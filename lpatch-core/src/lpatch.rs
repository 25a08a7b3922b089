// SPDX-License-Identifier: GPL-2.0

//! lpatch_core replaces functions of the running kernel.
//!
//! The folders, each of which imports only those below it:
//!
//! - `ioctl`: requests of userspace come in, replies go out.
//! - `registry`: all patches, what is done with them, and patches that are kernel modules.
//! - `transition`: brings every task from one stack of patches to another.
//! - `patch`: the life of one patch.
//! - `promote`: calls of settled functions go by one jump, without ftrace.
//! - `redirect`: calls of replaced functions come from ftrace, and the book says where they go.
//! - `arena`: the memory of patches, and what the kernel looks up about it.
//! - `running`: the kernel that runs: its code, symbols and modules.
//!
//! Below them are `errno`, `ffi`, `log` and `shadow`, which are in no folder.
//! What needs no kernel is in `model`, what C has to do in `shim`.

use core::pin::Pin;
use ioctl::device;
use kernel::{error::to_result, prelude::*};
use redirect::book;
use running::{facts, names};
use transition::urgent::Urgent;

mod arena;
mod errno;
mod ffi;
mod ioctl;
mod log;
#[expect(
    dead_code,
    unreachable_pub,
    reason = "a public crate to the loader and the tests"
)]
#[path = "../model/mod.rs"]
mod model;
mod patch;
mod promote;
mod redirect;
mod registry;
mod running;
mod shadow;
mod transition;
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

/// The module. Fields are dropped in order: first nobody can ask any more, then the driver stops, then the registry
/// goes.
struct Core {
    _device: Pin<KBox<device::Device>>,
    _assumed: Assumed,
    _driver: Driver,
    _urgent: Urgent,
    _targets: Targets,
    _hooks: Hooks,
    _registry: Filled,
    _shadows: shadow::Shadows,
}

impl kernel::Module for Core {
    fn init(module: &'static ThisModule) -> Result<Self> {
        // SAFETY: Once, before the device exists.
        unsafe { registry::REGISTRY.init() };
        // SAFETY: Once, before anything asks for a symbol.
        unsafe { names::TEXT.init() };
        // SAFETY: Once, from here, with this module.
        let registry = unsafe { registry::Registry::new(module, facts::known())? };
        *registry::REGISTRY.lock() = Some(registry);
        let registry = Filled;
        let hooks = Hooks::new()?;
        let targets = Targets::new()?;
        let urgent = Urgent::new()?;
        let driver = Driver::new()?;
        let assumed = Assumed::new()?;
        if let Some(registry) = registry::REGISTRY.lock().as_ref() {
            registry.announce();
        }
        Ok(Self {
            _device: KBox::pin_init(device::Device::register(module), GFP_KERNEL)?,
            _assumed: assumed,
            _driver: driver,
            _urgent: urgent,
            _targets: targets,
            _hooks: hooks,
            _registry: registry,
            // SAFETY: Once, from here. The fields before are dropped first, and with the registry the patches.
            _shadows: unsafe { shadow::Shadows::new() },
        })
    }
}

/// The thread that drives transitions.
struct Driver;

impl Driver {
    fn new() -> Result<Self> {
        // SAFETY: Once; stopped when the value is dropped.
        to_result(unsafe { ffi::lp_driver_start() })?;
        Ok(Self)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: It was started.
        unsafe { ffi::lp_driver_stop() };
    }
}

/// What we hear of modules that come and go.
struct Targets;

impl Targets {
    fn new() -> Result<Self> {
        // SAFETY: Once; undone when the value is dropped.
        to_result(unsafe { ffi::lp_targets_init() })?;
        Ok(Self)
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        // SAFETY: They were initialized.
        unsafe { ffi::lp_targets_exit() };
    }
}

/// That the kernel is what we take it for: see `shim/assume.c`.
struct Assumed;

impl Assumed {
    fn new() -> Result<Self> {
        // SAFETY: Once, the tables are in force, and there is no device yet; we may sleep.
        to_result(unsafe { ffi::lp_assume() })?;
        // SAFETY: Once; we may sleep.
        to_result(unsafe { ffi::lp_idle_learn() }).inspect_err(|_| {
            pr_err!("the stack of an idle task cannot be read, so none could be moved\n");
        })?;
        Ok(Self)
    }
}

/// What we hear of CPUs that come and go.
struct Hooks;

impl Hooks {
    fn new() -> Result<Self> {
        // SAFETY: Once; undone when the value is dropped.
        to_result(unsafe { ffi::lp_hooks_init() })?;
        Ok(Self)
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        // SAFETY: They were initialized.
        unsafe { ffi::lp_hooks_exit() };
    }
}

/// Empties the registry when it is dropped. There are no patches then: each holds a reference to the module.
struct Filled;

impl Drop for Filled {
    fn drop(&mut self) {
        *registry::REGISTRY.lock() = None;
        // The engine lets go of the last book by itself, if there is memory to do that.
        drop(book::replace(None));
    }
}
