// SPDX-License-Identifier: GPL-2.0

//! `lpatch/module.h` for modules in Rust. `make patch-module` puts this file beside the source: `mod lpatch;`.

#![allow(dead_code, reason = "a patch seldom has all of it")]

use core::{
    ffi::{c_char, c_int, c_uint, c_ulong, c_void},
    ptr::null,
};
use kernel::{error::to_result, prelude::*};

/// `struct lpatch_module_func`: one function to replace.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Func {
    /// The module that has the old function; null: vmlinux.
    pub(crate) objname: *const c_char,
    /// The name of the old function, as in /proc/kallsyms.
    pub(crate) old_name: *const c_char,
    /// Its position among symbols of that name in the object, from 1; 0: the name is unique.
    pub(crate) sympos: c_ulong,
    /// The replacement, in the text of this module.
    pub(crate) new_func: *const c_void,
}

impl Func {
    /// What ends a list of functions; also the defaults of all fields.
    pub(crate) const END: Self = Self {
        objname: null(),
        old_name: null(),
        sympos: 0,
        new_func: null(),
    };
}

/// `struct lpatch_object`: what a callback is told.
#[repr(C)]
pub(crate) struct Object {
    /// `vmlinux`, or the name of a module.
    pub(crate) name: *const c_char,
    /// Its `struct module`, or null.
    pub(crate) module: *mut c_void,
}

/// `struct lpatch_module_callbacks`: what is called when an object changes.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Callbacks {
    /// The module that they are about; null: vmlinux.
    pub(crate) objname: *const c_char,
    /// Before its functions are replaced; a negative errno refuses.
    pub(crate) pre_patch: Option<unsafe extern "C" fn(*const Object) -> c_int>,
    /// When all tasks use the new functions.
    pub(crate) post_patch: Option<unsafe extern "C" fn(*const Object)>,
    /// Before the old functions come back.
    pub(crate) pre_unpatch: Option<unsafe extern "C" fn(*const Object)>,
    /// When all tasks use the old functions.
    pub(crate) post_unpatch: Option<unsafe extern "C" fn(*const Object)>,
}

impl Callbacks {
    /// What ends a list of callbacks; also the defaults of all fields.
    pub(crate) const END: Self = Self {
        objname: null(),
        pre_patch: None,
        post_patch: None,
        pre_unpatch: None,
        post_unpatch: None,
    };
}

/// `struct lpatch_module_state`: a change of the system's state that the patch makes, or can deal with.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct State {
    /// Which, the same number in all patches of the set.
    pub(crate) id: u64,
    /// Its version: the patch can deal with this one and lower ones.
    pub(crate) version: u32,
}

impl State {
    /// What ends a list of states.
    pub(crate) const END: Self = Self { id: 0, version: 0 };
}

/// What is said about a patch. Where a string is null, there is a default.
pub(crate) struct About<'a> {
    /// What is called when objects change.
    pub(crate) callbacks: &'a [Callbacks],
    /// The states of the system that it knows.
    pub(crate) states: &'a [State],
    /// Name of the patch; null: that of the module.
    pub(crate) name: *const c_char,
    /// Its version; null: that of the module.
    pub(crate) version: *const c_char,
    /// The set that it belongs to; null: `main`.
    pub(crate) set: *const c_char,
    /// It replaces all others of its set.
    pub(crate) cumulative: bool,
    /// Calls of its functions always come through the ftrace handler, so that others can have their jumps there.
    pub(crate) no_promote: bool,
    /// A module that comes later and that it does not fit is refused; else the patch is left out of it.
    pub(crate) refuse_modules: bool,
    /// The first transition reverses by itself if it takes longer; 0: it does not.
    pub(crate) timeout_ms: c_uint,
    /// After how long the first transition interrupts tasks that are asleep in the old functions; 0: 15 seconds; `c_uint::MAX`: never.
    pub(crate) interrupt_ms: c_uint,
}

impl About<'_> {
    /// The defaults.
    pub(crate) const DEFAULT: Self = Self {
        callbacks: &[],
        states: &[],
        name: null(),
        version: null(),
        set: null(),
        cumulative: false,
        no_promote: false,
        refuse_modules: false,
        timeout_ms: 0,
        interrupt_ms: 0,
    };
}

/// `struct lpatch_module`.
#[repr(C)]
struct Description {
    module: *mut c_void,
    funcs: *const Func,
    callbacks: *const Callbacks,
    states: *const State,
    name: *const c_char,
    version: *const c_char,
    set: *const c_char,
    cumulative: bool,
    no_promote: bool,
    refuse_modules: bool,
    timeout_ms: c_uint,
    interrupt_ms: c_uint,
}

extern "C" {
    fn lpatch_register(patch: *const Description) -> c_int;
}

/// Makes a patch of a module, and begins to enable it. On failure nothing has changed, and the log says why.
///
/// # Safety
///
/// - Called by the module's initialization, and nothing behind it can fail.
/// - Each replacement has the type and the calling convention of the old function.
/// - The strings end in NUL.
pub(crate) unsafe fn register(
    module: &'static ThisModule,
    funcs: &[Func],
    about: About<'_>,
) -> Result {
    let funcs = ended(funcs, Func::END)?;
    let callbacks = ended(about.callbacks, Callbacks::END)?;
    let states = ended(about.states, State::END)?;
    let patch = Description {
        module: module.as_ptr().cast(),
        funcs: funcs.as_ptr(),
        callbacks: callbacks.as_ptr(),
        states: states.as_ptr(),
        name: about.name,
        version: about.version,
        set: about.set,
        cumulative: about.cumulative,
        no_promote: about.no_promote,
        refuse_modules: about.refuse_modules,
        timeout_ms: about.timeout_ms,
        interrupt_ms: about.interrupt_ms,
    };
    // SAFETY: The lists have ends; the rest is as this function's. Nothing of it is used after the call.
    to_result(unsafe { lpatch_register(&patch) })
}

/// The list, with what ends it.
fn ended<T: Copy>(all: &[T], end: T) -> Result<KVec<T>> {
    let mut list = KVec::with_capacity(all.len() + 1, GFP_KERNEL)?;
    list.extend_from_slice(all, GFP_KERNEL)?;
    list.push(end, GFP_KERNEL)?;
    Ok(list)
}
