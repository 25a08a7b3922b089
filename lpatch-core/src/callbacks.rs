// SPDX-License-Identifier: GPL-2.0

//! Callbacks of a patch: functions of its own that are called when an object, the kernel or a module, gets
//! its new functions and when it gets the old ones back.
//!
//! For each object, pre-patch comes first, then post-patch, pre-unpatch and post-unpatch. A transition that is
//! reversed ends with the callback of the state that it goes back to: post-unpatch if it was enabling,
//! post-patch if it was disabling. An object whose pre-patch callback was not called, or refused, has none of the
//! others called.

use crate::{
    ffi,
    model::{image::Image, refusal::Refusal},
    modules::{Pinned, VMLINUX},
    uapi::{self, Reason},
};
use core::ptr;
use kernel::{ffi::c_void, prelude::*};

/// An object that callbacks are about.
struct Object {
    /// With NUL.
    name: KVVec<u8>,
    /// The address of the callback of each kind, or 0.
    kinds: [usize; 4],
    /// The index in the image of the pre-patch callback, or of the object in the description, for the refusal.
    index: usize,
    /// Whether it has its new functions, or is getting them.
    patched: bool,
}

/// The callbacks of a patch, and the states that it declares.
pub(crate) struct Callbacks {
    objects: KVec<Object>,
    states: KVVec<ffi::lp_state>,
}

// SAFETY: What the data of a state points to is the patch's own business.
unsafe impl Send for Callbacks {}

/// The states of other patches, as callbacks see them.
#[derive(Default)]
pub(crate) struct Others(KVVec<ffi::lp_state>);

// SAFETY: As of `Callbacks`.
unsafe impl Send for Others {}

impl Others {
    /// From the patches that are enabled, the lowest first.
    pub(crate) fn new<'a>(all: impl Iterator<Item = &'a Callbacks>) -> Result<Self, Refusal> {
        let mut states = KVVec::new();
        for state in all.flat_map(|callbacks| callbacks.states.iter()) {
            states.push(*state, GFP_KERNEL)?;
        }
        Ok(Self(states))
    }
}

impl Callbacks {
    /// None.
    pub(crate) fn new() -> Self {
        Self {
            objects: KVec::new(),
            states: KVVec::new(),
        }
    }

    /// Those of an image whose text is at `base`.
    pub(crate) fn of_image(image: &Image<'_>, base: u64) -> Result<Self, Refusal> {
        let mut all = Self::new();
        // The kernel first, then the modules by name, as the image has them.
        let is_kernel = |objname: u32| image.string(objname).is_ok_and(|name| name == VMLINUX);
        let kernel = image.callbacks.iter().enumerate();
        let kernel = kernel.filter(|(_, callback)| is_kernel(callback.objname));
        let modules = image.callbacks.iter().enumerate();
        let modules = modules.filter(|(_, callback)| !is_kernel(callback.objname));
        for (index, callback) in Iterator::chain(kernel, modules) {
            let addr = base as usize + callback.offset as usize;
            all.add(image.string(callback.objname)?, callback.kind, addr, index)?;
        }
        for state in image.states.iter() {
            all.add_state(state.id, state.version)?;
        }
        Ok(all)
    }

    /// Adds a callback at this address; `kind`: `CALLBACK_*`; `index`: for refusals. `false`: the object has one of the kind.
    /// Objects are called in the order in which they are added.
    pub(crate) fn add(
        &mut self,
        objname: &[u8],
        kind: u32,
        addr: usize,
        index: usize,
    ) -> Result<bool, Refusal> {
        let at = match self.object(objname) {
            Some(at) => at,
            None => {
                let mut with_nul = KVVec::with_capacity(objname.len() + 1, GFP_KERNEL)?;
                with_nul.extend_from_slice(objname, GFP_KERNEL)?;
                with_nul.push(0, GFP_KERNEL)?;
                let object = Object {
                    name: with_nul,
                    kinds: [0; 4],
                    index,
                    patched: false,
                };
                self.objects.push(object, GFP_KERNEL)?;
                self.objects.len() - 1
            }
        };
        let object = &mut self.objects[at];
        if kind == uapi::CALLBACK_PRE_PATCH {
            object.index = index;
        }
        // Kinds count from 1.
        let slot = object.kinds.get_mut((kind as usize).wrapping_sub(1));
        let Some(slot) = slot.filter(|slot| **slot == 0) else {
            return Ok(false);
        };
        *slot = addr;
        Ok(true)
    }

    /// Adds a state, whose id is higher than those of the others; else `false`.
    pub(crate) fn add_state(&mut self, id: u64, version: u32) -> Result<bool, Refusal> {
        if self.states.last().is_some_and(|last| last.id >= id) {
            return Ok(false);
        }
        let state = ffi::lp_state {
            id,
            version,
            reserved: 0,
            data: ptr::null_mut(),
        };
        self.states.push(state, GFP_KERNEL)?;
        Ok(true)
    }

    /// The states that it declares, sorted by id.
    pub(crate) fn states(&self) -> Result<KVVec<uapi::State>, Refusal> {
        let mut all = KVVec::with_capacity(self.states.len(), GFP_KERNEL)?;
        for state in self.states.iter() {
            let state = uapi::State {
                id: state.id,
                version: state.version,
                reserved: 0,
            };
            all.push(state, GFP_KERNEL)?;
        }
        Ok(all)
    }

    /// Before the functions of a module change that has just come.
    pub(crate) fn module_pre_patch(
        &mut self,
        name: &[u8],
        module: *mut c_void,
        others: &mut Others,
    ) -> Result<(), Refusal> {
        let Some(at) = self.object(name) else {
            return Ok(());
        };
        let error = self.call(at, uapi::CALLBACK_PRE_PATCH, module, others);
        if error != 0 {
            let index = self.objects[at].index;
            return Err(Refusal::at(Reason::Callback, index).value(error.unsigned_abs().into()));
        }
        self.objects[at].patched = true;
        Ok(())
    }

    /// Another moment in the life of a module whose functions are replaced.
    pub(crate) fn module_notify(
        &mut self,
        name: &[u8],
        module: *mut c_void,
        kind: u32,
        others: &mut Others,
    ) {
        if let Some(at) = self.object(name).filter(|at| self.objects[*at].patched) {
            self.call(at, kind, module, others);
            if kind == uapi::CALLBACK_POST_UNPATCH {
                self.objects[at].patched = false;
            }
        }
    }

    fn object(&self, name: &[u8]) -> Option<usize> {
        let known = |object: &Object| object.name.strip_suffix(b"\0") == Some(name);
        self.objects.iter().position(known)
    }

    /// Before tasks begin to use the new functions. If one refuses, those that came before are taken back.
    pub(crate) fn pre_patch(&mut self, others: &mut Others) -> Result<(), Refusal> {
        for at in 0..self.objects.len() {
            let Some(module) = module_of(&self.objects[at]) else {
                continue;
            };
            let pointer = module.as_ref().map_or(ptr::null_mut(), Pinned::as_ptr);
            let error = self.call(at, uapi::CALLBACK_PRE_PATCH, pointer, others);
            if error != 0 {
                let index = self.objects[at].index;
                self.post_unpatch(others);
                let errno = error.unsigned_abs().into();
                return Err(Refusal::at(Reason::Callback, index).value(errno));
            }
            self.objects[at].patched = true;
        }
        Ok(())
    }

    /// When all tasks use the new functions.
    pub(crate) fn post_patch(&mut self, others: &mut Others) {
        self.notify(uapi::CALLBACK_POST_PATCH, others);
    }

    /// Before tasks begin to use the old functions again.
    pub(crate) fn pre_unpatch(&mut self, others: &mut Others) {
        self.notify(uapi::CALLBACK_PRE_UNPATCH, others);
    }

    /// When all tasks use the old functions again.
    pub(crate) fn post_unpatch(&mut self, others: &mut Others) {
        self.notify(uapi::CALLBACK_POST_UNPATCH, others);
        self.replaced();
    }

    /// Another patch has taken its place, and its callbacks deal with what there is.
    pub(crate) fn replaced(&mut self) {
        for object in self.objects.iter_mut() {
            object.patched = false;
        }
    }

    fn notify(&mut self, kind: u32, others: &mut Others) {
        for at in 0..self.objects.len() {
            if !self.objects[at].patched {
                continue;
            }
            if let Some(module) = module_of(&self.objects[at]) {
                let pointer = module.as_ref().map_or(ptr::null_mut(), Pinned::as_ptr);
                self.call(at, kind, pointer, others);
            }
        }
    }

    fn call(&mut self, at: usize, kind: u32, module: *mut c_void, others: &mut Others) -> i32 {
        let object = &self.objects[at];
        let slot = object.kinds.get((kind as usize).wrapping_sub(1));
        let Some(function) = slot.copied().filter(|function| *function != 0) else {
            return 0;
        };
        let states = ffi::lp_states {
            own: self.states.as_mut_ptr(),
            own_count: self.states.len(),
            others: others.0.as_mut_ptr(),
            other_count: others.0.len(),
        };
        let name = object.name.as_ptr().cast();
        let may_refuse = i32::from(kind == uapi::CALLBACK_PRE_PATCH);
        // SAFETY: It is a function of the patch's text for callbacks of this kind (the image was verified, or the module says so);
        // the arrays and the name live longer than the call; the registry is locked.
        unsafe { ffi::lp_callback(function, may_refuse, name, module, &states) }
    }
}

/// The module of an object, kept from going away; `None` if it is not loaded. The kernel has none.
fn module_of(object: &Object) -> Option<Option<Pinned>> {
    match object.name.strip_suffix(b"\0") {
        Some(VMLINUX) => Some(None),
        Some(name) => Pinned::new(name).map(Some),
        None => None,
    }
}
