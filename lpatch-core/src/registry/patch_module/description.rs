// SPDX-License-Identifier: GPL-2.0

//! Reads what `lpatch/module.h` lets a module say about its patch.

use crate::{
    ffi,
    model::{refusal::Refusal, sort},
    running::modules::VMLINUX,
};
use kernel::{ffi::c_char, prelude::*};

/// A function to replace.
pub(super) struct Wanted<'a> {
    pub(super) objname: &'a [u8],
    pub(super) name: &'a [u8],
    pub(super) sympos: usize,
    /// The address of its replacement.
    pub(super) new: u64,
}

/// A callback.
pub(super) struct Callback<'a> {
    pub(super) objname: &'a [u8],
    /// `CALLBACK_*`
    pub(super) kind: u32,
    pub(super) addr: u64,
}

/// The lists of a description.
pub(super) struct Description<'a> {
    pub(super) funcs: KVec<Wanted<'a>>,
    pub(super) callbacks: KVec<Callback<'a>>,
    /// Sorted by id.
    pub(super) states: KVec<ffi::lp_patch_state>,
}

impl<'a> Description<'a> {
    /// # Safety
    ///
    /// The lists have ends, the strings end in NUL, and both stay as they are as long as the description.
    pub(super) unsafe fn read(patch: &'a ffi::lp_patch_module) -> Result<Self> {
        let mut all = Self {
            funcs: KVec::new(),
            callbacks: KVec::new(),
            states: KVec::new(),
        };
        // SAFETY: As this function's; the entry without a name is the last one.
        for func in unsafe { list(patch.funcs, |func| func.old_name.is_null()) } {
            let wanted = Wanted {
                // SAFETY: As this function's.
                objname: unsafe { object(func.objname) },
                // SAFETY: As this function's.
                name: unsafe { string(func.old_name) },
                sympos: func.sympos,
                new: func.new_func as u64,
            };
            all.funcs.push(wanted, GFP_KERNEL)?;
        }
        let none = |entry: &ffi::lp_patch_callbacks| entry.kinds.iter().all(|kind| kind.is_null());
        // SAFETY: As this function's; the entry without callbacks is the last one.
        for entry in unsafe { list(patch.callbacks, none) } {
            // Kinds count from 1.
            for (kind, function) in (1..).zip(entry.kinds) {
                if function.is_null() {
                    continue;
                }
                let callback = Callback {
                    // SAFETY: As this function's.
                    objname: unsafe { object(entry.objname) },
                    kind,
                    addr: function as u64,
                };
                all.callbacks.push(callback, GFP_KERNEL)?;
            }
        }
        let zero = |state: &ffi::lp_patch_state| state.id == 0 && state.version == 0;
        // SAFETY: As this function's; the entry of zeros is the last one.
        for state in unsafe { list(patch.states, zero) } {
            all.states.push(*state, GFP_KERNEL)?;
        }
        sort::sort_by_key(&mut all.states, |state: &ffi::lp_patch_state| state.id);
        Ok(all)
    }

    /// The modules that functions or callbacks are about.
    pub(super) fn modules(&self) -> Result<KVec<KVVec<u8>>, Refusal> {
        let mut all: KVec<KVVec<u8>> = KVec::new();
        let funcs = self.funcs.iter().map(|func| func.objname);
        let callbacks = self.callbacks.iter().map(|callback| callback.objname);
        for name in Iterator::chain(funcs, callbacks) {
            if name != VMLINUX && !all.iter().any(|other| &other[..] == name) {
                let mut copy = KVVec::with_capacity(name.len(), GFP_KERNEL)?;
                copy.extend_from_slice(name, GFP_KERNEL)?;
                all.push(copy, GFP_KERNEL)?;
            }
        }
        Ok(all)
    }
}

/// The entries before the last one, for which `is_end` holds; none if there is no list.
///
/// # Safety
///
/// It is NULL, or such an entry follows, and all of them stay for the lifetime.
unsafe fn list<'a, T: 'a>(
    first: *const T,
    is_end: impl Fn(&T) -> bool,
) -> impl Iterator<Item = &'a T> {
    let mut at = first;
    core::iter::from_fn(move || {
        // SAFETY: As this function's.
        let entry = unsafe { at.as_ref() }.filter(|entry| !is_end(entry))?;
        // SAFETY: This was not the last one.
        at = unsafe { at.add(1) };
        Some(entry)
    })
}

/// # Safety
///
/// It is NULL, or ends in NUL and stays as it is for the lifetime.
pub(super) unsafe fn string<'a>(text: *const c_char) -> &'a [u8] {
    if text.is_null() {
        return b"";
    }
    // SAFETY: As this function's.
    unsafe { CStr::from_char_ptr(text) }.to_bytes()
}

/// The name of an object.
///
/// # Safety
///
/// As of `string`.
unsafe fn object<'a>(name: *const c_char) -> &'a [u8] {
    // SAFETY: As this function's.
    match unsafe { string(name) } {
        b"" => VMLINUX,
        name => name,
    }
}
