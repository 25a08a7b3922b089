// SPDX-License-Identifier: GPL-2.0

//! Calls the callbacks that are due before and after a transition, with the registry unlocked.
//!
//! Meanwhile the registry is busy with one patch. Questions are answered, modules are loaded and removed, and the driver tidies up; a
//! request that would begin another transition waits. The callbacks are called
//!
//! - before a transition, by the task whose request it is;
//! - after it, by the task whose request has ended it, or by a thread of its own if the driver finds the end. The driver itself must not
//!   wait for a patch, because a module that a callback has loaded waits for the driver;
//! - about a module that is being loaded or removed, by the task that loads or removes it (`targets.rs`). Those callbacks make nothing
//!   busy. So several callbacks of a patch can run at a time, but never two about one object.
//!
//! A task that dies in a callback stays in the list of tasks that run one. Its patch is left as it is, and nobody waits for the task.

use crate::{
    ffi,
    log::Name,
    model::{callbacks::Goal, refusal::Refusal},
    patch::{
        callbacks::{Call, Others, Turn},
        Patch,
    },
    registry::{
        busy::{Busy, End, Step},
        with, Registry,
    },
    running::time::{now, wait_a_moment, GRACE_NS},
    transition::engine::Kind,
    uapi::{self, Reason},
};
use kernel::{bindings, prelude::*};

impl Registry {
    /// From now on, a request of the current task is about to begin this transition, and calls the callbacks that are due before it.
    pub(super) fn claim(&mut self, patch: u64, kind: Kind) {
        let pid = kernel::current!().pid().unsigned_abs();
        self.busy = Some(Busy {
            patch,
            step: Step::Before(kind, pid),
            at: None,
        });
    }

    /// `STATE_*` of a patch.
    pub(crate) fn state_of(&self, id: u64) -> u32 {
        match &self.busy {
            Some(Busy {
                patch,
                step: Step::Before(kind, _),
                ..
            }) if *patch == id => match kind {
                Kind::Enable => uapi::STATE_ENABLING,
                Kind::Disable => uapi::STATE_DISABLING,
            },
            _ => self.engine.state_of(id),
        }
    }

    /// The process in which a callback of a patch is running, or is about to run; 0 if the process is not known yet. `None`: there is no
    /// callback.
    pub(super) fn in_callback(&self, patch: &Patch) -> Option<u32> {
        if let Some(task) = patch.callbacks().task().filter(|task| !task.dead) {
            return Some(task.pid);
        }
        match &self.busy {
            Some(busy) if busy.patch == patch.id() => match busy.step {
                // It is ftrace that is waited for.
                Step::Before(..) if busy.at.is_none() && self.engine.is_asking() => None,
                Step::Before(_, pid) => Some(pid),
                Step::Behind(_) => Some(0),
            },
            _ => None,
        }
    }

    /// Refuses requests that are impossible while a callback of a patch is running, or after a task has died in one.
    pub(super) fn no_callback(&self, patch: &Patch) -> Result<(), Refusal> {
        if let Some(pid) = patch.stuck() {
            return Err(Refusal::new(Reason::Stuck).value(pid.into()));
        }
        match self.in_callback(patch) {
            Some(pid) => Err(Refusal::new(Reason::InCallback).value(pid.into())),
            None => Ok(()),
        }
    }

    /// Whether a request is about to begin a transition of this patch.
    pub(super) fn is_before(&self, patch: u64) -> bool {
        matches!(&self.busy, Some(Busy { patch: id, step: Step::Before(..), .. }) if *id == patch)
    }

    /// The next callback of the patch that we are busy with.
    fn turn(&mut self, goal: Goal, patient: bool) -> Turn {
        let Self {
            busy: Some(busy),
            patches,
            others,
            ..
        } = self
        else {
            return Turn::Done;
        };
        let patch = patches.iter_mut().find(|patch| patch.id() == busy.patch);
        let turn = patch.map_or(Turn::Done, |patch| {
            // `others` stays until we are not busy any more, or the task is dead that could ask for it.
            let id = patch.id();
            patch.callbacks_mut().turn(id, goal, others, patient)
        });
        busy.at = match &turn {
            Turn::Call(call) => Some(call.at),
            _ => None,
        };
        turn
    }

    /// Whether a callback of the patch that we are busy with is due on the way to this goal, or will be in a moment.
    pub(super) fn is_due(&self, goal: Goal) -> bool {
        let busy = self.busy.as_ref();
        let patch = busy.and_then(|busy| self.patches.iter().find(|p| p.id() == busy.patch));
        patch.is_some_and(|patch| patch.callbacks().is_due(goal))
    }

    /// Notes that a transition of this patch has ended. Returns whether callbacks have to be called: by the caller, if it has taken that
    /// over.
    pub(super) fn end(&mut self, patch: u64, end: End) -> bool {
        self.busy = Some(Busy {
            patch,
            step: Step::Behind(end),
            at: None,
        });
        let found = self.patches.iter().find(|other| other.id() == patch);
        let due = found.is_some_and(|patch| !patch.callbacks().is_empty());
        if !due {
            self.over();
        }
        due
    }

    /// Notes that the callbacks that are due after the last transition have been called.
    fn over(&mut self) {
        let Some(Busy {
            patch,
            step: Step::Behind(end),
            ..
        }) = self.busy.take()
        else {
            return;
        };
        if let Some(patch) = self.patches.iter_mut().find(|other| other.id() == patch) {
            if end.enabled {
                patch.set_enabled(now());
            }
            let state = if end.enabled { "enabled" } else { "disabled" };
            pr_info!("{state} patch '{}'{}\n", Name(patch.name()), end.how);
        }
        self.others = Others::default();
        self.engine.announce(0);
    }

    /// Whether callbacks are due after a transition and nobody calls them. If so, the caller has taken that over.
    pub(crate) fn take_behind(&mut self) -> bool {
        match &mut self.busy {
            Some(Busy {
                step: Step::Behind(end),
                ..
            }) => !core::mem::replace(&mut end.taken, true),
            _ => false,
        }
    }

    /// The caller of [`Registry::take_behind`] could not call them.
    pub(crate) fn leave_behind(&mut self) {
        if let Some(Busy {
            step: Step::Behind(end),
            ..
        }) = &mut self.busy
        {
            end.taken = false;
        }
    }

    /// The next callback after the last transition. `None`: there is none, and the end of the transition is announced.
    fn turn_behind(&mut self) -> Option<Call> {
        let goal = match &self.busy {
            Some(Busy {
                step: Step::Behind(end),
                ..
            }) if end.enabled => Goal::New,
            _ => Goal::Old,
        };
        match self.turn(goal, false) {
            Turn::Call(call) => Some(call),
            Turn::Wait | Turn::Done => {
                self.over();
                None
            }
        }
    }

    fn done(&mut self, call: &Call, returned: i32) -> Result<(), Refusal> {
        if let Some(busy) = self.busy.as_mut().filter(|busy| busy.patch == call.patch) {
            busy.at = busy.at.filter(|at| *at != call.at);
        }
        let patch = (self.patches.iter_mut()).find(|patch| patch.id() == call.patch);
        let done = patch.map_or(Ok(()), |patch| patch.callbacks_mut().done(call, returned));
        // SAFETY: No requirements.
        unsafe { ffi::lp_event() };
        done
    }
}

/// Calls a callback; the refusal is its own.
pub(crate) fn called(call: Call) -> Result<(), Refusal> {
    let returned = call.run();
    with(|registry| registry.done(&call, returned))
}

/// Calls the callbacks that are due before the transition that the caller has claimed.
pub(super) fn before(goal: Goal) -> Result<(), Refusal> {
    let mut end = None;
    loop {
        // SAFETY: No requirements.
        let seen = unsafe { ffi::lp_event_count() };
        match with(|registry| Ok(registry.turn(goal, true)))? {
            Turn::Call(call) => {
                called(call)?;
                end = None;
            }
            Turn::Done => return Ok(()),
            Turn::Wait => {
                // A module that is coming or going is no event.
                if now() >= *end.get_or_insert_with(|| now().saturating_add(GRACE_NS)) {
                    return Err(Reason::NotReady.into());
                }
                // SAFETY: No requirements; we may sleep.
                if unsafe { ffi::lp_event_wait(seen, 10) } == -(bindings::EINTR as i32) {
                    return Err(Reason::Interrupted.into());
                }
            }
        }
    }
}

/// Takes back what callbacks did before a transition that does not begin. Nothing can be refused here.
pub(super) fn take_back(goal: Goal) {
    let end = now().saturating_add(GRACE_NS);
    loop {
        match with(|registry| Ok(registry.turn(goal, now() < end))) {
            Ok(Turn::Wait) => wait_a_moment(),
            // A pre-patch callback is not on the way back.
            Ok(Turn::Call(call)) => called(call).unwrap_or_default(),
            Ok(Turn::Done) | Err(_) => return,
        }
    }
}

/// Calls the callbacks that are due after the last transition, which the caller has taken over.
pub(super) fn behind() {
    while let Ok(Some(call)) = with(|registry| Ok(registry.turn_behind())) {
        // Only pre-patch callbacks refuse.
        called(call).unwrap_or_default();
    }
}

/// The thread that calls the callbacks that are due after a transition whose end the driver has found.
#[no_mangle]
extern "C" fn lpatch_behind() {
    behind();
}
