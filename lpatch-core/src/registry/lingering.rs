// SPDX-License-Identifier: GPL-2.0

//! Patch objects that were unloaded, and whose memory is not given back yet.
//!
//! A task that was in no list any more when the last transition ended may still execute in such a patch, or be sent there. It is gone after a grace
//! period of RCU tasks, which takes a tenth of a second or more, and which a kernel thread that never sleeps keeps from ending. Nobody who unloads a
//! patch waits for that. The patch is gone for all who ask, and its name is free; its memory comes back when the driver finds that nobody can be in
//! there. Until then it is not used for anything else, the unwinder knows its code, and the modules that it refers to stay.

use crate::{
    arena::memory::{Mapped, Runs},
    ffi,
    patch::Patch,
    registry::{unloaded::Lingering, Registry},
    running::time::now,
    transition::users::user_of,
};
use core::ops::Range;
use kernel::prelude::*;

/// How long a patch is left alone in which a task was seen, or for which there was no memory.
const AGAIN_NS: u64 = 500_000_000;

/// What the driver does about them.
pub(super) enum Free {
    /// Nothing, before it is kicked.
    Nothing,
    /// Nothing for a moment.
    Later,
    /// It waits for readers of books that are not current any more, with the registry unlocked, and frees the patch with this id.
    Now(u64),
}

impl Registry {
    /// Whether a task that was dying when the last transition ended may be in this text, or be sent there by way of an era of a book. They are
    /// taken out when nobody needs them, for which memory can be short.
    pub(super) fn may_be_entered(&self, text: &Range<usize>) -> bool {
        self.is_settling() || !self.engine.grace_is_over() || self.engine.remembers(text)
    }

    /// Whether what is left of a transition may lead to a patch, or be about to.
    fn is_settling(&self) -> bool {
        self.engine.settling() && !self.engine.returning()
    }

    /// Keeps a patch until nobody is in it any more. There is room for it.
    pub(super) fn linger(&mut self, patch: Patch) {
        let lingering = Lingering {
            patch,
            ticket: (!self.is_settling()).then(|| self.engine.ticket()),
            from_ns: 0,
        };
        if self.lingering.push_within_capacity(lingering).is_err() {
            unreachable!("room was reserved");
        }
        // SAFETY: No requirements.
        unsafe { ffi::lp_driver_kick() };
    }

    /// How many there are. The driver is about to give their memory back.
    pub(super) fn lingering(&self) -> u32 {
        self.lingering.len() as u32
    }

    /// Which one can be freed now, by all but the stacks of tasks. Of the driver, which is kicked when a grace period is over.
    pub(super) fn next_to_free(&mut self) -> Free {
        if self.lingering.is_empty() || self.is_settling() {
            return Free::Nothing;
        }
        let settled = self.engine.ticket();
        let time = now();
        let mut free = Free::Nothing;
        let mut remembered = false;
        for lingering in self.lingering.iter_mut() {
            let ticket = *lingering.ticket.get_or_insert(settled);
            // SAFETY: No requirements.
            if unsafe { ffi::lp_grace_is_over(ticket) } == 0 {
                // SAFETY: No requirements.
                unsafe { ffi::lp_grace_hurry() };
            } else if self.engine.remembers(&lingering.patch.text()) {
                remembered = true;
            } else if time >= lingering.from_ns {
                return Free::Now(lingering.patch.id());
            } else {
                free = Free::Later;
            }
        }
        if remembered {
            // The eras that lead there go when that is done.
            self.engine.tidy_soon();
        }
        free
    }

    /// Gives the memory of a lingering patch back, if no task is in there. Nobody reads a book any more that was replaced before the patch was
    /// found to be free. One patch at a time, since all tasks are looked at with the registry locked.
    pub(super) fn free(&mut self, id: u64) {
        let found = |lingering: &Lingering| lingering.patch.id() == id;
        let Some(at) = self.lingering.iter().position(found) else {
            return;
        };
        let patch = &self.lingering[at].patch;
        let text = patch.text();
        if self.is_settling() || self.engine.remembers(&text) {
            return;
        }
        let wiped =
            user_of(&text, 1).is_none() && patch.runs().is_some_and(|runs| self.wipe(runs).is_ok());
        if !wiped {
            self.lingering[at].from_ns = now().saturating_add(AGAIN_NS);
            return;
        }
        let lingering = self.lingering.remove(at);
        if let Some(runs) = lingering.ok().and_then(|old| old.patch.into_runs()) {
            self.memory.give(runs);
        }
        // SAFETY: No requirements.
        unsafe { ffi::lp_event() };
    }

    /// Makes the memory of a patch that nobody uses look as if it had never been used, and its table slots match nothing.
    fn wipe(&self, runs: &Runs) -> Result {
        let mapped = Mapped::new(runs)?;
        self.tables.clear(runs.text.slots());
        for slot in runs.bugs.first..runs.bugs.first + runs.bugs.units {
            self.tables.clear_bug(slot);
        }
        mapped.wipe(runs);
        Ok(())
    }
}
