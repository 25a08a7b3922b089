// SPDX-License-Identifier: GPL-2.0

//! Modules that a patch refers to, kept from going away.

use crate::{
    ffi,
    model::{image::Image, refusal::Refusal},
    running::symbols::{self, Cold, Search},
    uapi::Reason,
};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{bindings, prelude::*};

/// How patches call the kernel itself.
pub(crate) const VMLINUX: &[u8] = b"vmlinux";

/// A reference to a live module.
///
/// # Invariants
///
/// The value owns one reference count of the module.
pub(crate) struct Pinned(NonNull<core::ffi::c_void>);

// SAFETY: A reference count is not tied to a thread.
unsafe impl Send for Pinned {}

impl Pinned {
    /// A live module of this name.
    pub(crate) fn new(name: &[u8]) -> Option<Self> {
        // SAFETY: The pointer and the length are of one slice.
        let module = unsafe { ffi::lp_module_get(name.as_ptr().cast(), name.len()) };
        // INVARIANT: lp_module_get() took a reference for us.
        NonNull::new(module.cast()).map(Self)
    }

    /// A module that is calling us, or `None` if it is going away.
    ///
    /// # Safety
    ///
    /// The module is alive.
    pub(crate) unsafe fn caller(module: NonNull<core::ffi::c_void>) -> Option<Self> {
        // SAFETY: As this function's.
        let taken = unsafe { bindings::try_module_get(module.as_ptr().cast()) };
        // INVARIANT: We have just taken a reference.
        taken.then(|| Self(module))
    }

    /// Its `struct module`.
    pub(crate) fn as_ptr(&self) -> *mut core::ffi::c_void {
        self.0.as_ptr()
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours to give back.
        unsafe { ffi::lp_module_put(self.0.as_ptr().cast()) };
    }
}

/// Whether there is a module of this name, from before its init function runs until after its exit function.
pub(crate) fn exists(name: &[u8]) -> bool {
    // SAFETY: The pointer and the length are of one slice.
    unsafe { ffi::lp_module_exists(name.as_ptr().cast(), name.len()) != 0 }
}

/// Our own module.
fn own() -> *mut bindings::module {
    (&raw mut ffi::__this_module).cast()
}

/// A reference to our own module. Every patch holds one, and so does every site that ftrace sends to us, so that the module outlives them.
///
/// A task that drops one executes code of the module after that. So the exit of the module must wait for this task, or the task must hold
/// another reference: it is a request of an open file, the driver, or the module notifier.
pub(crate) struct OwnModule(());

impl OwnModule {
    /// Fails while the module is going away.
    pub(crate) fn get() -> Option<Self> {
        // SAFETY: It is our own struct module, alive while its code runs.
        let taken = unsafe { bindings::try_module_get(own()) };
        // Made only then: it is given back when it is dropped.
        taken.then(|| Self(()))
    }

    /// The module stays for ever.
    pub(crate) fn keep(self) {
        core::mem::forget(self);
    }
}

impl Drop for OwnModule {
    fn drop(&mut self) {
        // SAFETY: `get` took the reference. Its code goes on running behind this call, as the type says.
        unsafe { bindings::module_put(own()) };
    }
}

/// The modules that an image refers to.
#[derive(Default)]
pub(crate) struct Modules {
    pinned: KVec<Pinned>,
}

impl Modules {
    /// Takes a reference to every module that a symbol or a function of the image names with an address, if it is wanted.
    pub(crate) fn pin(image: &Image<'_>, wanted: impl Fn(&[u8]) -> bool) -> Result<Self, Refusal> {
        let mut pinned = KVec::new();
        let mut names: KVec<&[u8]> = KVec::new();
        let symbols = image
            .symbols
            .iter()
            .map(|s| (s.objname, s.addr, Reason::SymbolObject))
            .enumerate();
        let funcs = image
            .funcs
            .iter()
            .map(|f| (f.objname, f.old_addr, Reason::FuncObject))
            .enumerate();
        for (i, (objname, addr, reason)) in Iterator::chain(symbols, funcs) {
            let name = image.string(objname)?;
            if addr == 0 || name == VMLINUX || names.contains(&name) || !wanted(name) {
                continue;
            }
            pinned.push(
                Pinned::new(name).ok_or_else(|| Refusal::at(reason, i))?,
                GFP_KERNEL,
            )?;
            names.push(name, GFP_KERNEL)?;
        }
        Ok(Self { pinned })
    }

    /// Whether it refers to none.
    pub(crate) fn is_empty(&self) -> bool {
        self.pinned.is_empty()
    }
}

/// A module that a patch is about: one that is coming or going, or that is held.
///
/// # Invariants
///
/// The module is not freed as long as the value is there.
pub(crate) struct Target<'a> {
    module: *mut core::ffi::c_void,
    pub(crate) name: &'a [u8],
    _held: PhantomData<&'a Pinned>,
}

impl<'a> Target<'a> {
    /// One that is there, by this name.
    pub(crate) fn held(module: &'a Pinned, name: &'a [u8]) -> Self {
        // INVARIANT: The reference is there as long.
        Self {
            module: module.as_ptr(),
            name,
            _held: PhantomData,
        }
    }

    /// One that the notifier is about.
    ///
    /// # Safety
    ///
    /// The module is not freed as long as the value is used.
    pub(crate) unsafe fn moving(module: *mut core::ffi::c_void, name: &'a [u8]) -> Self {
        // INVARIANT: As the caller says.
        Self {
            module,
            name,
            _held: PhantomData,
        }
    }

    /// Its `struct module`.
    pub(crate) fn as_ptr(&self) -> *mut core::ffi::c_void {
        self.module
    }

    /// Whether an address is in it.
    pub(crate) fn has(&self, addr: u64) -> bool {
        // SAFETY: By the type invariant the module is not freed.
        unsafe { ffi::lp_module_has(self.module, addr as usize) != 0 }
    }

    /// Whether some of it is between two addresses.
    pub(crate) fn overlaps(&self, first: u64, last: u64) -> bool {
        // SAFETY: By the type invariant the module is not freed.
        unsafe { ffi::lp_module_overlaps(self.module, first as usize, last as usize) != 0 }
    }

    /// Looks up `searches` in this module and fills in what was found. Returns the cold parts of every function with a name that was searched for; those
    /// of other functions of that name only make checks of stacks stricter.
    pub(crate) fn find(&self, searches: &mut [Search<'_>]) -> Result<KVec<Cold>, Refusal> {
        // SAFETY: By the type invariant the module is not freed.
        unsafe { symbols::find_in_module(self.module, searches) }
    }
}
