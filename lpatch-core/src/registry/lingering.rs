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
    registry::Registry,
    transition::users::user_of,
};
use core::ops::Range;
use kernel::prelude::*;

impl Registry {
    /// Whether a task that was dying when the last transition ended may be in this text, or be sent there by way of an era of a book. They are
    /// taken out when nobody needs them, for which memory can be short.
    pub(super) fn may_be_entered(&self, text: &Range<usize>) -> bool {
        !self.engine.grace_is_over() || self.engine.remembers(text)
    }

    /// Keeps a patch until nobody is in it any more. There is room for it.
    pub(super) fn linger(&mut self, patch: Patch) {
        if self.lingering.push_within_capacity(patch).is_err() {
            unreachable!("room was reserved");
        }
        // SAFETY: No requirements.
        unsafe { ffi::lp_driver_kick() };
    }

    /// How many there are. The driver is about to give their memory back.
    pub(super) fn lingering(&self) -> u32 {
        self.lingering.len() as u32
    }

    /// Gives the memory back of all that nobody can be in any more. Of the driver, which comes here again when a grace period is over. `true`:
    /// there are some for which it has to come of its own accord.
    pub(super) fn free_lingering(&mut self) -> bool {
        // What is left of a transition may lead to a patch, or be about to.
        let settling = self.engine.settling() && !self.engine.returning();
        if self.lingering.is_empty() || settling || !self.engine.tidy_soon() {
            return false;
        }
        let mut again = false;
        let mut at = 0;
        while let Some(patch) = self.lingering.get(at) {
            let text = patch.text();
            let wiped = !self.may_be_entered(&text) && user_of(&text, 1).is_none();
            let wiped = wiped && patch.runs().is_some_and(|runs| self.wipe(runs).is_ok());
            if !wiped {
                again = true;
                at += 1;
                continue;
            }
            let patch = self.lingering.remove(at);
            if let Some(runs) = patch.ok().and_then(Patch::into_runs) {
                self.memory.give(runs);
            }
            // SAFETY: No requirements.
            unsafe { ffi::lp_event() };
        }
        again
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
