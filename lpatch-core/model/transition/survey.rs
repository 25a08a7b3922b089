// SPDX-License-Identifier: GPL-2.0

//! Completing a reversal: every task there is has been seen in the set.
//!
//! The set does not know who is not in it, so somebody looks at all tasks. That is enough, since in reverse
//! nobody leaves the set but by ending, and who is born is in it before it runs. A birth that does not fit
//! may be one that was too late to be looked at, so no survey that had one completes anything.
//!
//! A task that is dying can be in no list any more. Those that live in *to* are counted, by who moves them and by themselves when they
//! run no more, and there has to be none.

use super::atomic::{AtomicUsize, Ordering};
use super::gate::{Direction, Phase};
use super::{still, Refused, Side, Task, Transition};
use core::ops::Deref;

/// A look at all tasks that can still run. Those are also some that are in no list of tasks any more, and
/// not the dead ones that still are.
///
/// # Invariants
///
/// In epoch `epoch` the transition was live in reverse, and no mover of an earlier one was left.
pub struct Survey<'a, S> {
    transition: &'a Transition<S>,
    epoch: u64,
    outside: usize,
    /// Some of those outside have no place in the set.
    stuck: bool,
}

impl<'a, S: Deref<Target = [AtomicUsize]>> Survey<'a, S> {
    pub(super) fn new(transition: &'a Transition<S>, epoch: u64) -> Self {
        // Who moves from now on counts down, also those that are not found outside later. Then somebody looks
        // again earlier than necessary; nobody looks too late.
        transition.none_owed();
        // INVARIANT: The caller has just seen it.
        Self {
            transition,
            epoch,
            outside: 0,
            stuck: false,
        }
    }

    /// Looks at a task. `true` if it still has to move.
    pub fn look(&mut self, task: Task) -> bool {
        let outside = !self.transition.set.observe(task);
        self.outside = self.outside.saturating_add(usize::from(outside));
        self.stuck |= outside && !self.transition.set.has_room(task);
        outside
    }

    /// Completes the transition if no task was outside: none is executing a function of *to*.
    ///
    /// `Full`: only the other direction can be completed, or a birth has failed in the middle of the survey.
    pub fn complete(self) -> Result<(), Refused> {
        if self.stuck {
            // Slots stay with their tasks. That one will not get in, whatever the others do who are outside.
            let word = self.transition.gate.read();
            still(word, Direction::Reverse)?;
            return Err(match word.epoch() == self.epoch {
                true => Refused::Full,
                false => Refused::Again,
            });
        }
        if self.outside > 0 {
            let outside = isize::try_from(self.outside).unwrap_or(isize::MAX);
            let moved = self.transition.owed.fetch_add(outside, Ordering::Relaxed);
            // All may have moved meanwhile, and have said that it is ripe when this could not hear it.
            return Err(match moved.saturating_add(outside) <= 0 {
                true => Refused::Again,
                false => Refused::Pending(self.outside),
            });
        }
        // They are in no list any more, or have moved meanwhile.
        let unlisted = self.transition.in_to();
        if unlisted > 0 {
            return Err(Refused::Unlisted(unlisted));
        }
        self.transition.gate.change(|word| {
            still(word, Direction::Reverse)?;
            match word.epoch() == self.epoch {
                true if word.full() => Err(Refused::Full),
                true => Ok(Phase::Complete(Side::From)),
                false => Err(Refused::Again),
            }
        })
    }
}
