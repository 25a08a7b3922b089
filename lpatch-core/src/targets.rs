// SPDX-License-Identifier: GPL-2.0

//! Modules whose functions patches replace. They may come after the patch, go, and come back.
//!
//! A patch keeps its image for them. When such a module comes, before its init function runs, its symbols are found,
//! the fields of the patch that depend on them are written, its functions are checked like those that are there
//! when a patch is loaded, and calls of them are redirected. Whatever fails refuses the module. When it goes, after its exit
//! function, its functions are forgotten.

use crate::{
    engine::{Engine, Leaving},
    facts, ffi,
    model::{arrive::Found, refusal::Refusal},
    modules::Pinned,
    patch::Patch,
    registry::{self, Registry},
    symbols::{self, Cold, Search},
    uapi::{self, Reason},
};
use core::marker::PhantomData;
use kernel::{ffi::c_char, ffi::c_void, prelude::*};

/// A module that a patch is about: one that is coming or going, or that is held.
pub(crate) struct Target<'a> {
    module: *mut c_void,
    pub(crate) name: &'a [u8],
    _held: PhantomData<&'a Pinned>,
}

impl<'a> Target<'a> {
    /// One that is there, by this name.
    pub(crate) fn held(module: &'a Pinned, name: &'a [u8]) -> Self {
        Self {
            module: module.as_ptr(),
            name,
            _held: PhantomData,
        }
    }

    /// One that the notifier is about.
    fn moving(module: *mut c_void, name: &'a [u8]) -> Self {
        Self {
            module,
            name,
            _held: PhantomData,
        }
    }

    /// Whether an address is in it.
    fn has(&self, addr: u64) -> bool {
        // SAFETY: The module is not freed during the notifier.
        unsafe { ffi::lp_module_has(self.module, addr as usize) != 0 }
    }

    /// Whether some of it is between two addresses.
    fn overlaps(&self, first: u64, last: u64) -> bool {
        // SAFETY: The module is not freed during the notifier.
        unsafe { ffi::lp_module_overlaps(self.module, first as usize, last as usize) != 0 }
    }

    /// Looks for symbols of it: what is in `searches` has come up to date then. Returned are the cold parts; of all functions of a
    /// name, which makes stack checks only stricter.
    pub(crate) fn find(&self, searches: &mut [Search<'_>]) -> Result<KVec<Cold>, Refusal> {
        // SAFETY: The module is held, or not freed during the notifier.
        unsafe { symbols::find_in_module(self.module, searches) }
    }
}

/// Where what was looked for is; `at`: the index of what names it, for the refusal.
pub(crate) fn place(search: &Search<'_>, at: usize, reason: Reason) -> Result<Found, Refusal> {
    let found = search.found();
    let found = found.and_then(|addr| facts::symbol_size(addr).map(|len| Found { addr, len }));
    found.ok_or(Refusal::at(reason, at))
}

/// Runs `f` on the registry, if the module is its concern, when no transition is being tidied up behind; and again, after a
/// moment, as long as it fails for want of memory. The default: it is not concerned.
fn concerned<R: Default>(
    module: &Target<'_>,
    is_concerned: impl Fn(&Registry) -> bool,
    mut f: impl FnMut(&mut Registry) -> Result<R>,
) -> R {
    loop {
        {
            let mut guard = registry::REGISTRY.lock();
            let Some(registry) = guard.as_mut() else {
                return R::default();
            };
            // First, so that a module that we have nothing to do with waits for nothing but the lock.
            if !is_concerned(registry) {
                return R::default();
            }
            let overlaps = |first, last| module.overlaps(first, last);
            if registry.engine().may_change(overlaps) {
                if let Ok(result) = f(registry) {
                    return result;
                }
            }
        }
        // SAFETY: No requirements; we may sleep.
        unsafe { ffi::lp_wait_a_moment() };
    }
}

/// # Safety
///
/// Called by `targets.c` with a module and its name.
#[no_mangle]
unsafe extern "C" fn lpatch_module_coming(module: *mut c_void, name: *const c_char) -> i32 {
    // SAFETY: As this function's.
    let name = unsafe { CStr::from_char_ptr(name) }.to_bytes();
    let coming = Target::moving(module, name);
    let mut refused = None;
    concerned(
        &coming,
        |registry| registry.is_about(name),
        |registry| {
            refused = registry.module_coming(&coming).err();
            Ok(())
        },
    );
    let Some(refusal) = refused else {
        return 0;
    };
    // The registry has been unlocked, but nobody knows of the module but its loader, who is here.
    forget(&coming);
    refusal.errno().to_errno()
}

/// # Safety
///
/// Called by `targets.c` with a module and its name.
#[no_mangle]
unsafe extern "C" fn lpatch_module_going(module: *mut c_void, name: *const c_char) {
    // SAFETY: As this function's.
    let name = unsafe { CStr::from_char_ptr(name) }.to_bytes();
    let going = Target::moving(module, name);
    concerned(
        &going,
        |registry| registry.is_about(name),
        |registry| {
            registry.module_going(&going);
            Ok(())
        },
    );
    forget(&going);
}

/// Gives what leads to the functions of a module back to ftrace, with the registry unlocked while that takes its time. They are in
/// no book. Also where no patch is about the module any more: one may have been unloaded a moment ago.
fn forget(module: &Target<'_>) {
    let has = |ip| module.has(ip);
    let overlaps = |first, last| module.overlaps(first, last);
    let leaving: Leaving = concerned(
        module,
        |registry| registry.engine.concern(has, overlaps),
        |registry| registry.engine().forget(has),
    );
    drop(leaving);
}

impl Registry {
    fn is_about(&self, module: &[u8]) -> bool {
        self.patches.iter().any(|patch| patch.is_about(module))
    }

    fn module_coming(&mut self, coming: &Target<'_>) -> Result<(), Refusal> {
        let mut result = Ok(());
        for at in 0..self.patches.len() {
            if self.patches[at].is_about(coming.name) {
                result = self.module_comes_to(at, coming);
                if let Err(refusal) = result {
                    self.refused(at, coming, refusal);
                    break;
                }
            }
        }
        let result = result.and_then(|()| self.engine.refresh(&self.patches));
        if result.is_err() {
            self.module_leaves(coming);
            return result;
        }
        self.notify(coming, uapi::CALLBACK_POST_PATCH);
        Ok(())
    }

    /// Prepares a patch for a module that is coming.
    fn module_comes_to(&mut self, at: usize, coming: &Target<'_>) -> Result<(), Refusal> {
        let id = self.patches[at].id();
        let mut others = self.others(id)?;
        let patch = &mut self.patches[at];
        patch.arrive(coming)?;
        if self.engine.state_of(id) != uapi::STATE_LOADED {
            let callbacks = patch.callbacks_mut();
            callbacks.module_pre_patch(coming.name, coming.module, &mut others)?;
            pr_info!(
                "applying patch '{}' to module '{}'\n",
                registry::Name(patch.name()),
                registry::Name(coming.name)
            );
        }
        Ok(())
    }

    fn refused(&self, at: usize, coming: &Target<'_>, refusal: Refusal) {
        let patch = self.patches[at].name();
        if refusal.reason == Reason::Callback {
            pr_warn!(
                "patch '{}' refuses module '{}': its pre-patch callback returned -{}\n",
                registry::Name(patch),
                registry::Name(coming.name),
                refusal.value
            );
            return;
        }
        pr_warn!(
            "patch '{}' cannot be applied to module '{}' (reason {}, at {}, value {:#x})\n",
            registry::Name(patch),
            registry::Name(coming.name),
            refusal.reason.code(),
            refusal.at,
            refusal.value
        );
    }

    fn module_going(&mut self, coming: &Target<'_>) {
        self.notify(coming, uapi::CALLBACK_PRE_UNPATCH);
        for patch in self.patches.iter_mut() {
            if patch.is_about(coming.name) && self.engine.state_of(patch.id()) != uapi::STATE_LOADED
            {
                pr_info!(
                    "taking patch '{}' back from module '{}'\n",
                    registry::Name(patch.name()),
                    registry::Name(coming.name)
                );
            }
        }
        self.module_leaves(coming);
    }

    /// Forgets the functions of a module. What leads to them is given back behind that, see `forget()`.
    fn module_leaves(&mut self, coming: &Target<'_>) {
        for patch in self.patches.iter_mut() {
            patch.depart(coming.name);
        }
        // It cannot be kept from going, so memory for the book without it has to come.
        while self.engine.refresh(&self.patches).is_err() {
            // SAFETY: No requirements; we may sleep.
            unsafe { ffi::lp_wait_a_moment() };
        }
        self.notify(coming, uapi::CALLBACK_POST_UNPATCH);
    }

    /// Calls the callbacks of this kind for a module. Those of the patch that is in transition hear at its end that
    /// tasks use, or do not use, the new functions.
    fn notify(&mut self, coming: &Target<'_>, kind: u32) {
        for at in 0..self.patches.len() {
            let id = self.patches[at].id();
            let in_transition = Engine::in_transition(&self.engine) == Some(id);
            let left_out = matches!(kind, uapi::CALLBACK_POST_PATCH | uapi::CALLBACK_PRE_UNPATCH);
            if in_transition && left_out {
                continue;
            }
            // Nobody can be refused here, so memory for that has to come.
            let mut others = loop {
                match self.others(id) {
                    Ok(others) => break others,
                    // SAFETY: No requirements; we may sleep.
                    Err(_) => unsafe { ffi::lp_wait_a_moment() },
                }
            };
            let callbacks = self.patches[at].callbacks_mut();
            callbacks.module_notify(coming.name, coming.module, kind, &mut others);
        }
    }
}

impl Patch {
    /// Whether functions, symbols or callbacks of it are about this module.
    pub(crate) fn is_about(&self, module: &[u8]) -> bool {
        self.about.iter().any(|name| &name[..] == module)
    }
}
