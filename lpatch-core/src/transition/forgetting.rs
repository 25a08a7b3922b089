// SPDX-License-Identifier: GPL-2.0

//! Forgetting the functions of a module that is being removed.

use crate::{
    promote::door::{Done, Work},
    redirect::Active,
    transition::{
        asking_ftrace::Shrinking,
        engine::{Engine, State},
    },
};
use kernel::prelude::*;

/// The groups and doors that lead to the functions of a module that is being removed.
#[derive(Default)]
pub(crate) struct Leaving {
    groups: KVec<Active>,
    doors: KVec<Work>,
}

impl Leaving {
    /// Gives them back to ftrace, which waits for RCU-tasks grace periods each time. So the registry is not locked. `returned` is called
    /// with what became of each door, for [`Engine::returned`].
    pub(crate) fn leave(mut self, mut returned: impl FnMut(Done)) {
        while let Some(group) = self.groups.pop() {
            drop(group);
        }
        while let Some(work) = self.doors.pop() {
            returned(work.run());
        }
    }
}

/// A step towards forgetting the functions of a module, to be done with the registry unlocked.
pub(crate) enum Forgetting {
    /// Groups that have other sites too let go of these. Then there is more to do.
    Shrink(Shrinking),
    /// Groups and doors that lead to nothing else.
    Rest(Leaving),
}

impl Engine {
    /// Whether the book may be replaced now, and these sites, of a module that is being loaded or removed, may be taken out.
    pub(crate) fn may_change(&self, overlaps: impl FnOnce(u64, u64) -> bool) -> bool {
        match self.state {
            State::Idle | State::Moving(_) => true,
            State::Returning(first, last) => !overlaps(first, last),
            State::Ended(_) | State::Settling => false,
        }
    }

    /// Whether one of these sites is with the handler or has a door, or is on its way there or back. `overlaps`: whether one of them may be
    /// between two addresses.
    pub(crate) fn concern(
        &self,
        sites: impl Fn(u64) -> bool,
        overlaps: impl FnOnce(u64, u64) -> bool,
    ) -> bool {
        let returning = match self.state {
            State::Returning(first, last) => overlaps(first, last),
            _ => false,
        };
        returning
            || self.asks_about(&sites)
            || self.doors.concern(&sites)
            || self.groups.iter().any(|group| group.has_any(&sites))
    }

    /// Takes out what leads to functions that are about to be freed and are in no book any more. ftrace must not find their sites in a
    /// filter of ours when another module is loaded to the same place. This fails without memory, and while somebody else asks ftrace. Then
    /// nothing has changed, and the caller tries again, since the module cannot be kept from going.
    pub(crate) fn forget(&mut self, gone: impl Fn(u64) -> bool) -> Result<Forgetting> {
        // They may be on their way here, for a transition that did not know yet that they go.
        if self.asks_about(&gone) {
            return Err(EAGAIN);
        }
        // Of these the others stay.
        let mixed = |group: &Active| group.has_any(&gone) && group.has_any(|ip| !gone(ip));
        if self.groups.iter().any(mixed) {
            if self.is_asking() {
                return Err(EAGAIN);
            }
            let kept = |ip| !gone(ip);
            let shrinking = Self::shrinking(&self.groups, &mut self.asking, kept, true)?;
            if let Some(shrinking) = shrinking {
                return Ok(Forgetting::Shrink(shrinking));
            }
        }
        let whole = |group: &Active| !group.has_any(|ip| !gone(ip));
        let count = self.groups.iter().filter(|group| whole(group)).count();
        let mut groups = KVec::with_capacity(count, GFP_KERNEL)?;
        let doors = self.doors.forget(&gone)?;
        for at in (0..self.groups.len()).rev() {
            if whole(&self.groups[at]) {
                if let Ok(group) = self.groups.remove(at) {
                    let _ = groups.push_within_capacity(group);
                }
            }
        }
        Ok(Forgetting::Rest(Leaving { groups, doors }))
    }

    /// Takes over what became of the door of a site whose module goes.
    pub(crate) fn returned(&mut self, done: Done) {
        match done {
            // The site is gone soon, so nobody may find that it has a door.
            Done::Stuck(door) => core::mem::forget(door),
            done => {
                self.doors.done(done);
            }
        }
    }
}
