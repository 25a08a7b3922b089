// SPDX-License-Identifier: GPL-2.0

//! Modules whose functions patches replace. Such a module may be loaded after the patch, be removed, and be loaded again.
//!
//! A patch keeps its image for these modules. When such a module is loaded, the following happens before its init function runs. Its
//! symbols are found, the fields of the patch that depend on them are written, its functions are checked like those that are there when a
//! patch is loaded, and calls of them are redirected. A patch that does not fit is left out of the module, and the log and the status say
//! so; or it has the module refused, if that was asked for when it was loaded. Its pre-patch callback and a lack of memory can have the
//! module refused, too. When the module is removed, its functions are forgotten after its exit function has run.

use crate::{
    ffi, log,
    model::{callbacks::Goal, refusal::Refusal},
    patch::{
        arrival,
        callbacks::{Others, Turn},
        Patch,
    },
    registry::{self, calling, unlocked::Unlocked, Registry},
    running::{
        modules::{Pinned, Target},
        names,
        time::wait_a_moment,
    },
    transition::{asking_ftrace::Bringing, forgetting::Forgetting},
    uapi::{self, Reason},
};
use kernel::{ffi::c_char, ffi::c_void, prelude::*, sync::Arc};

/// Runs `f` on the registry if the module is its concern, when nothing is being tidied up after a transition. If `f` fails, for want of
/// memory or because somebody else asks ftrace, it is run again after a moment. `None`: the module is not the registry's concern.
fn concerned<R>(
    module: &Target<'_>,
    is_concerned: impl Fn(&Registry) -> bool,
    mut f: impl FnMut(&mut Registry) -> Result<R>,
) -> Option<R> {
    loop {
        {
            let mut guard = registry::REGISTRY.lock();
            let Some(registry) = guard.as_mut() else {
                return None;
            };
            // First, so that a module that we have nothing to do with waits for nothing but the lock.
            if !is_concerned(registry) {
                return None;
            }
            let overlaps = |first, last| module.overlaps(first, last);
            if registry.engine().may_change(overlaps) {
                if let Ok(result) = f(registry) {
                    return Some(result);
                }
            }
        }
        wait_a_moment();
    }
}

/// # Safety
///
/// Called by `shim/modules.c` with a module and its name.
#[no_mangle]
unsafe extern "C" fn lpatch_module_coming(module: *mut c_void, name: *const c_char) -> i32 {
    // SAFETY: As this function's.
    let name = unsafe { CStr::from_char_ptr(name) }.to_bytes();
    // SAFETY: The notifier is running, and `coming` is gone when it returns.
    let coming = unsafe { Target::moving(module, name) };
    let _ = registry::with(|registry| {
        registry.engine().code_comes();
        Ok(())
    });
    match come(&coming) {
        Ok(()) => 0,
        Err(refusal) => {
            // Nobody knows of the module but its loader, who is here.
            forget(&coming);
            refusal.errno().to_errno()
        }
    }
}

/// # Safety
///
/// Called by `shim/modules.c` with the name of a module.
#[no_mangle]
unsafe extern "C" fn lpatch_module_live(name: *const c_char) {
    // SAFETY: As this function's.
    let name = unsafe { CStr::from_char_ptr(name) }.to_bytes();
    if !is_about_any(name) {
        return;
    }
    // A transition may have begun or ended while it was initialized.
    if let Some(module) = Pinned::new(name) {
        catch_up(&Target::held(&module, name), None);
    }
    // Who waits for the module.
    // SAFETY: No requirements.
    unsafe { ffi::lp_event() };
}

/// # Safety
///
/// Called by `shim/modules.c` with a module and its name.
#[no_mangle]
unsafe extern "C" fn lpatch_module_going(module: *mut c_void, name: *const c_char) {
    // SAFETY: As this function's.
    let name = unsafe { CStr::from_char_ptr(name) }.to_bytes();
    // SAFETY: As above.
    let going = unsafe { Target::moving(module, name) };
    if is_about_any(name) {
        catch_up(&going, Some(Goal::Leaving));
        if_about(&going, |registry| registry.module_going(&going));
        leave(&going);
    }
    forget(&going);
}

/// Runs `f` on the registry if a patch is about the module, when nothing is being tidied up after a transition.
fn if_about(module: &Target<'_>, mut f: impl FnMut(&mut Registry)) {
    concerned(
        module,
        |registry| registry.is_about(module.name),
        |registry| {
            f(registry);
            Ok(())
        },
    );
}

/// Gives what leads to the functions of a module back to ftrace. The registry is unlocked while that takes its time. The functions are in
/// no book. This is also done where no patch is about the module any more, because one may have been unloaded a moment ago.
fn forget(module: &Target<'_>) {
    let has = |ip| module.has(ip);
    let overlaps = |first, last| module.overlaps(first, last);
    loop {
        let step = concerned(
            module,
            |registry| registry.engine.concern(has, overlaps),
            |registry| registry.engine().forget(has),
        );
        match step {
            // No group has one of its sites any more that has others. None comes to have: the module is in no book.
            Some(Forgetting::Shrink(shrinking)) => {
                let mut shrinking = Unlocked::new(shrinking);
                shrinking.ask();
            }
            Some(Forgetting::Rest(leaving)) => {
                return leaving.leave(|done| {
                    // The registry is there: the exit of the module waits for who hears of modules.
                    let _ = registry::with(|registry| {
                        registry.engine().returned(done);
                        Ok(())
                    });
                });
            }
            None => return,
        }
    }
}

/// Whether any patch is about this module. While the module is being loaded or removed, patches that refer to it are refused, so no patch
/// can begin to be about it.
fn is_about_any(name: &[u8]) -> bool {
    registry::with(|registry| Ok(registry.is_about(name))).unwrap_or(false)
}

/// A module comes.
fn come(coming: &Target<'_>) -> Result<(), Refusal> {
    let mut last = None;
    while let Some((id, image)) = registry::with(|registry| Ok(registry.compared(coming, last)))? {
        last = Some(id);
        if let Err(refusal) = arrive(id, image, coming) {
            if let Err(refusal) = misfit(id, coming, refusal) {
                leave(coming);
                return Err(refusal);
            }
        }
    }
    if last.is_none() {
        return Ok(());
    }
    let result = take_over(coming);
    let Err(refusal) = result else {
        catch_up(coming, None);
        return Ok(());
    };
    // Somebody else has one of the functions, and which patch is to do without is not for us to say.
    leave(coming);
    let mut last = None;
    while let Some(id) = registry::with(|registry| Ok(registry.next_about(coming, last)))? {
        last = Some(id);
        misfit(id, coming, refusal)?;
    }
    Ok(())
}

/// Redirects calls of the functions of a module that is being loaded, for all patches in force. Its sites come to the handler with the
/// registry unlocked. Meanwhile a transition may begin that needs more of them, so this comes to an end when none does.
fn take_over(coming: &Target<'_>) -> Result<(), Refusal> {
    let mut bringing: Option<Unlocked<Bringing>> = None;
    loop {
        let step = concerned(
            coming,
            |registry| registry.is_about(coming.name),
            |registry| {
                if let Some(brought) = &mut bringing {
                    let taken = brought.take_in(registry.engine())?;
                    bringing = None;
                    if taken.is_err() {
                        return Ok(taken.map(|()| None));
                    }
                }
                registry.ready(coming)
            },
        );
        match step.transpose()?.flatten() {
            Some(mut missing) => {
                missing.ask();
                bringing = Some(missing);
            }
            None => return Ok(()),
        }
    }
}

/// Lets a patch, which has this image, take in a module that is being loaded.
fn arrive(id: u64, image: Option<Arc<KVVec<u8>>>, coming: &Target<'_>) -> Result<(), Refusal> {
    // With the registry unlocked.
    let probed = match image {
        Some(image) => arrival::compare(&image, coming)?,
        None => KVec::new(),
    };
    if registry::with(|registry| registry.arrival(id, coming))? {
        prepare_for(id, coming)?;
        for probe in probed.iter() {
            say_silent(*probe);
        }
    }
    Ok(())
}

/// Says in the log that a kprobe is in a function that nobody executes. The loader does the same for kprobes that are there when a patch is
/// enabled.
#[inline(never)]
fn say_silent(probe: u64) {
    let mut text = [0; uapi::SYM_LEN];
    let len = names::symbol_text(probe, &mut text);
    pr_warn!(
        "the kprobe at {} is not hit while the patch is enabled: nobody executes the old function\n",
        log::Name(&text[..len])
    );
}

/// Calls the pre-patch callback of a patch for a module that is being loaded. If the patch was disabled or replaced meanwhile, calls the
/// post-unpatch callback, too. The patch that has replaced it comes next, and finds nothing of it.
fn prepare_for(id: u64, coming: &Target<'_>) -> Result<(), Refusal> {
    let others = registry::with(|registry| registry.others(id))?;
    loop {
        let turn = registry::with(|registry| {
            let goal = match registry.is_loaded_only(id) {
                true => Goal::Old,
                false => Goal::Prepared,
            };
            Ok(registry.turn_of(id, Some(goal), &others, coming))
        })?;
        match turn {
            Turn::Call(call) => calling::called(call)?,
            Turn::Wait => wait_a_moment(),
            Turn::Done => break,
        }
    }
    registry::with(|registry| {
        if !registry.is_loaded_only(id) {
            registry.say(id, "applying", "to", coming);
        }
        Ok(())
    })
}

/// Forgets the functions of a module that is being removed, or is refused.
fn leave(going: &Target<'_>) {
    if_about(going, |registry| registry.module_leaves(going));
    catch_up(going, Some(Goal::Old));
}

/// Calls the callbacks of all patches that are due for a module, on the way to this goal. Without a goal, each patch goes to what is in
/// force for it. Nothing can be refused here.
fn catch_up(target: &Target<'_>, goal: Option<Goal>) {
    let mut last = None;
    while let Ok(Some(id)) = registry::with(|registry| Ok(registry.next_about(target, last))) {
        last = Some(id);
        // So memory for that has to come.
        let others = loop {
            match registry::with(|registry| registry.others(id)) {
                Ok(others) => break others,
                Err(_) => wait_a_moment(),
            }
        };
        loop {
            match registry::with(|registry| Ok(registry.turn_of(id, goal, &others, target))) {
                // Only pre-patch callbacks refuse.
                Ok(Turn::Call(call)) => calling::called(call).unwrap_or_default(),
                // It is about to go, so what is running has to come to its end.
                Ok(Turn::Wait) if goal.is_some() => wait_a_moment(),
                // Who runs it asks again.
                Ok(Turn::Wait | Turn::Done) | Err(_) => break,
            }
        }
    }
}

/// Deals with a patch that does not fit a module that is being loaded. The module is refused if the patch's own callback does not want it,
/// if there is no memory for it, or if the patch asks for that. Otherwise the patch is left out of the module, because a driver that does
/// not come is worse than one that is not fixed.
fn misfit(id: u64, coming: &Target<'_>, refusal: Refusal) -> Result<(), Refusal> {
    registry::with(|registry| {
        let patch = registry.patches.iter_mut().find(|patch| patch.id() == id);
        patch.map_or(Ok(()), |patch| not_for(patch, coming, refusal))
    })
}

fn not_for(patch: &mut Patch, coming: &Target<'_>, refusal: Refusal) -> Result<(), Refusal> {
    let name = log::Name(coming.name);
    if refusal.reason == Reason::Callback {
        pr_warn!(
            "patch '{}' refuses module '{name}': its pre-patch callback returned -{}\n",
            log::Name(patch.name()),
            refusal.value
        );
        return Err(refusal);
    }
    let why = patch.misfit(refusal);
    let why = log::Name(&why);
    if refusal.reason == Reason::Nomem || patch.refuses_modules() {
        pr_warn!(
            "patch '{}' refuses module '{name}': {why}\n",
            log::Name(patch.name())
        );
        return Err(refusal);
    }
    pr_warn!(
        "patch '{}' is left out of module '{name}': {why}\n",
        log::Name(patch.name())
    );
    patch.leave_out(coming.name, refusal)
}

impl Registry {
    fn is_about(&self, module: &[u8]) -> bool {
        self.patches.iter().any(|patch| patch.is_about(module))
    }

    /// The next patch that is about a module, behind the one with this id. Ids grow.
    fn next_about(&self, target: &Target<'_>, last: Option<u64>) -> Option<u64> {
        let mut rest = self.patches.iter().filter(|patch| Some(patch.id()) > last);
        let next = rest.find(|patch| patch.is_about(target.name));
        next.map(Patch::id)
    }

    /// Whether a patch is in force for nobody, and no request is about to change that.
    fn is_loaded_only(&self, id: u64) -> bool {
        self.state_of(id) == uapi::STATE_LOADED
    }

    /// The next patch that is about a module being loaded, and the image to compare the module with.
    fn compared(
        &self,
        coming: &Target<'_>,
        last: Option<u64>,
    ) -> Option<(u64, Option<Arc<KVVec<u8>>>)> {
        let id = self.next_about(coming, last)?;
        let patch = self.patches.iter().find(|patch| patch.id() == id)?;
        Some((id, patch.image()))
    }

    /// Prepares a patch, if it is still there, for a module that is being loaded. Returns whether its callbacks are due. A request that is
    /// about to enable the patch calls them itself, when the module is there.
    fn arrival(&mut self, id: u64, coming: &Target<'_>) -> Result<bool, Refusal> {
        let in_force = self.engine.state_of(id) != uapi::STATE_LOADED;
        let patch = self.patches.iter_mut().find(|patch| patch.id() == id);
        patch.map_or(Ok(()), |patch| patch.arrive(coming))?;
        Ok(in_force)
    }

    /// The next callback of a patch for a module.
    fn turn_of(
        &mut self,
        id: u64,
        goal: Option<Goal>,
        others: &Others,
        target: &Target<'_>,
    ) -> Turn {
        let in_force = match self.state_of(id) {
            uapi::STATE_LOADED => Some(Goal::Old),
            uapi::STATE_ENABLED => Some(Goal::New),
            // Who began the transition, or ends it, calls what is due.
            _ => None,
        };
        let patch = self.patches.iter_mut().find(|patch| patch.id() == id);
        match (patch, goal.or(in_force)) {
            (Some(patch), Some(goal)) => patch.callbacks_mut().turn_of(id, goal, others, target),
            _ => Turn::Done,
        }
    }

    /// Says in the log what becomes of a patch and a module.
    fn say(&self, id: u64, what: &str, to: &str, target: &Target<'_>) {
        if let Some(patch) = self.patches.iter().find(|patch| patch.id() == id) {
            pr_info!(
                "{what} patch '{}' {to} module '{}'\n",
                log::Name(patch.name()),
                log::Name(target.name)
            );
        }
    }

    /// Allows calls of the functions of a module to be redirected, and redirects them. If sites have to come to the handler first, returns
    /// these, and does not allow it yet: otherwise a task that replaces the book meanwhile, for another module or a patch, would ask ftrace
    /// for them. `EAGAIN`: somebody else is asking.
    fn ready(
        &mut self,
        coming: &Target<'_>,
    ) -> Result<Result<Option<Unlocked<Bringing>>, Refusal>> {
        self.set_ready(coming, true);
        let missing = self.engine.missing_now(&self.patches);
        if matches!(missing, Ok(None)) {
            return Ok(self.engine.refresh(&self.patches).map(|()| None));
        }
        self.set_ready(coming, false);
        match missing {
            Err(refusal) if refusal.reason == Reason::NotReady => Err(EAGAIN),
            missing => Ok(missing.map(|missing| missing.map(Unlocked::new))),
        }
    }

    fn set_ready(&mut self, coming: &Target<'_>, ready: bool) {
        for patch in self.patches.iter_mut() {
            patch.set_ready_for(coming.name, ready);
        }
    }

    fn module_going(&mut self, going: &Target<'_>) {
        for patch in self.patches.iter() {
            let has_it = patch.is_about(going.name) && !patch.is_left_out(going.name);
            if has_it && self.engine.state_of(patch.id()) != uapi::STATE_LOADED {
                self.say(patch.id(), "taking", "back from", going);
            }
        }
    }

    /// Forgets the functions of a module. What leads to them is given back after that, see `forget()`.
    fn module_leaves(&mut self, going: &Target<'_>) {
        for patch in self.patches.iter_mut() {
            patch.depart(going.name);
        }
        // It cannot be kept from going, so memory for the book without it has to come.
        while self.engine.refresh(&self.patches).is_err() {
            wait_a_moment();
        }
    }
}
