// SPDX-License-Identifier: GPL-2.0

//! Patches whose code is in a kernel module, which registers them.
//!
//! The kernel's module loader has linked and finished that code and has put it into the tables. It trusts the module, and so do we. What is
//! left is to find the functions to replace; the rest of a patch's life is as of any other. The module is held until the patch is unloaded,
//! because only then it is known that nobody executes its text.

use crate::{
    ffi,
    log::Name,
    model::{refusal::Refusal, request},
    patch::{callbacks::Callbacks, home::Home, ways::Ways, Patch, Title},
    registry::{
        self, lifecycle,
        patch_module::{
            description::{Callback, Description},
            find::Found,
            trouble::Trouble,
        },
        register::Times,
        Registry, Until,
    },
    running::modules::{OwnModule, Pinned, VMLINUX},
    transition::engine,
    uapi::{self, Reason},
};
use core::ptr::NonNull;
use kernel::prelude::*;

mod description;
mod find;
mod trouble;

/// `lpatch_register()`; see `shim/exports.c`.
#[no_mangle]
extern "C" fn lpatch_register_module(patch: *const ffi::lp_patch_module) -> i32 {
    // SAFETY: The module that calls us keeps its description meanwhile.
    let patch = unsafe { &*patch };
    // SAFETY: It is alive, as it is calling us.
    let module = NonNull::new(patch.mod_).and_then(|module| unsafe { Pinned::caller(module) });
    let Some(module) = module else {
        return ENODEV.to_errno();
    };
    let mut about = ffi::lp_module::default();
    // SAFETY: The module is held; the other pointer is to a local variable.
    unsafe { ffi::lp_module_describe(module.as_ptr(), &mut about) };
    // SAFETY: The name of a module ends in NUL, and stays as long as it.
    let own_name = unsafe { description::string(about.name) };
    // SAFETY: `lpatch_register()` demands it of its callers.
    let description = match unsafe { Description::read(patch) } {
        Ok(description) => description,
        Err(error) => return error.to_errno(),
    };
    let home = Home::new(module, &about);
    // SAFETY: As above, and the module is held in `home`.
    let title = unsafe { title(patch, &about) };
    let times = Times {
        timeout_ms: patch.timeout_ms,
        interrupt_ms: patch.interrupt_ms,
    };
    match title.and_then(|title| register(home, title, &description, times)) {
        Ok(()) => 0,
        Err(trouble) => {
            pr_err!("module {} has no patch: {trouble}\n", Name(own_name));
            trouble.errno()
        }
    }
}

fn register<'a>(
    home: Home,
    title: Title,
    description: &'a Description<'a>,
    times: Times,
) -> Result<(), Trouble<'a>> {
    let wanted = take_in(home, title, description, times)?;
    begin(wanted, description)
}

/// What is said about the patch as a whole; what is not said is taken from the module, and the set is `main`.
///
/// # Safety
///
/// The strings end in NUL and stay meanwhile.
unsafe fn title<'a>(
    patch: &ffi::lp_patch_module,
    about: &ffi::lp_module,
) -> Result<Title, Trouble<'a>> {
    let choose = |text: *const c_char, default: *const c_char| {
        // SAFETY: As this function's.
        unsafe { description::string(if text.is_null() { default } else { text }) }
    };
    let main = c"main".as_ptr().cast();
    let title = Title {
        name: field(choose(patch.name, about.name)).ok_or(Trouble::Name("name"))?,
        version: field(choose(patch.version, about.version)).ok_or(Trouble::Name("version"))?,
        set: field(choose(patch.set, main)).ok_or(Trouble::Name("set"))?,
        cumulative: patch.cumulative,
        promoted: !patch.no_promote,
        refuses_modules: patch.refuse_modules,
    };
    request::name(&title.name, 0).map_err(|_| Trouble::Name("name"))?;
    request::version(&title.version, 0).map_err(|_| Trouble::Name("version"))?;
    request::name(&title.set, 0).map_err(|_| Trouble::Name("set"))?;
    Ok(title)
}

/// The text with NULs behind it, if there is room for one.
fn field<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut field = [0; N];
    if text.len() >= N {
        return None;
    }
    field.get_mut(..text.len())?.copy_from_slice(text);
    Some(field)
}

/// Has it enabled.
#[inline(never)]
fn begin<'a>(
    wanted: KBox<engine::Wanted>,
    description: &'a Description<'a>,
) -> Result<(), Trouble<'a>> {
    lifecycle::transition(KBox::into_inner(wanted), true)
        .map_err(|refusal| place(refusal, description, None))
}

/// What a patch is made of.
struct Parts<'a> {
    home: Home,
    title: Title,
    callbacks: Callbacks,
    about: KVec<KVVec<u8>>,
    found: Found<'a>,
    own: OwnModule,
}

/// Makes a patch of the description, which is to be enabled. The steps are functions of their own, so that each has its own frame.
#[inline(never)]
fn take_in<'a>(
    home: Home,
    title: Title,
    description: &'a Description<'a>,
    times: Times,
) -> Result<KBox<engine::Wanted>, Trouble<'a>> {
    let mut parts = gather(home, title, description)?;
    parts.found.in_kernel()?;
    registry::with_until(Until::Free, |registry| {
        // As long as the registry is locked: then we hear when they come and go.
        let held = parts.found.in_modules();
        Ok(held.and_then(|_held| {
            make(parts)
                .and_then(|patch| registered(registry, patch, times))
                .map_err(|refusal| place(refusal, description, registry.name_of(refusal.value)))
        }))
    })?
}

#[inline(never)]
fn gather<'a>(
    home: Home,
    title: Title,
    description: &'a Description<'a>,
) -> Result<KBox<Parts<'a>>, Trouble<'a>> {
    // What costs nothing comes first.
    let own = registry::with(|registry| registry.prepare(&title.name))?;
    let callbacks = callbacks(&home, description)?;
    let about = description.modules()?;
    let found = Found::new(&home, &description.funcs)?;
    let parts = Parts {
        home,
        title,
        callbacks,
        about,
        found,
        own,
    };
    Ok(KBox::new(parts, GFP_KERNEL).map_err(Refusal::from)?)
}

#[inline(never)]
fn make(parts: KBox<Parts<'_>>) -> Result<Patch, Refusal> {
    let Parts {
        home,
        title,
        callbacks,
        about,
        found,
        own,
    } = KBox::into_inner(parts);
    let mut replaced = found.replaced;
    let ways = Ways::of_module(&home, &mut replaced)?;
    Patch::of_module(home, title, replaced, ways, callbacks, about, own)
}

#[inline(never)]
fn registered(
    registry: &mut Registry,
    patch: Patch,
    times: Times,
) -> Result<KBox<engine::Wanted>, Refusal> {
    let room = KBox::<engine::Wanted>::new_uninit(GFP_KERNEL)?;
    Ok(room.write(registry.register(patch, times)?))
}

/// Its callbacks and states.
#[inline(never)]
fn callbacks<'a>(home: &Home, description: &'a Description<'a>) -> Result<Callbacks, Trouble<'a>> {
    let mut all = Callbacks::new();
    let about_kernel = |callback: &Callback<'_>| callback.objname == VMLINUX;
    let kernel = description.callbacks.iter().enumerate();
    let kernel = kernel.filter(|(_, callback)| about_kernel(callback));
    let modules = description.callbacks.iter().enumerate();
    let modules = modules.filter(|(_, callback)| !about_kernel(callback));
    for (i, callback) in Iterator::chain(kernel, modules) {
        if home.length(callback.addr).is_none() {
            return Err(Trouble::Callback(callback));
        }
        let Callback {
            objname,
            kind,
            addr,
        } = *callback;
        if !all.add(objname, kind, addr as usize, i)? {
            return Err(Trouble::CallbackTwice(callback));
        }
    }
    for state in description.states.iter() {
        if !all.add_state(state.id, state.version)? {
            return Err(Trouble::StateTwice(state.id));
        }
    }
    Ok(all)
}

/// Replaces the index in a refusal by what it refers to, and the id by a patch.
fn place<'a>(
    refusal: Refusal,
    description: &'a Description<'a>,
    other: Option<[u8; uapi::NAME_LEN]>,
) -> Trouble<'a> {
    let at = usize::try_from(refusal.at).unwrap_or(usize::MAX);
    let func = description.funcs.get(at);
    match (refusal.reason, func, other) {
        (Reason::InTransition, _, Some(other)) => Trouble::InTransition(other),
        (Reason::FuncConflict, Some(func), Some(other)) => Trouble::Conflict(func, other),
        (Reason::FuncFentry | Reason::FuncOwned, Some(func), _) => {
            Trouble::Function(refusal.reason, func)
        }
        (Reason::Callback, ..) => match description.callbacks.get(at) {
            Some(callback) => Trouble::Vetoed(callback, refusal.errno()),
            None => Trouble::Refused(refusal),
        },
        _ => Trouble::Refused(refusal),
    }
}
