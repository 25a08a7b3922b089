// SPDX-License-Identifier: GPL-2.0

//! The one word that says where a transition is, and who is moving tasks in which direction.
//!
//! Everything that moves a task, or gives a new one its side, goes in at the gate, does it, and leaves.
//! Going in reads the phase and counts the mover in one step, so that nobody acts on a direction that is
//! over without being known. Each change of the phase begins an epoch. Movers of this epoch and of the
//! one before are counted apart; the latter are *late*. Nobody waits for them: a late move is as safe
//! as any other, since whoever makes it has the right to. But as long as there is one, no
//! transition is complete, and none is reversed again.

use super::atomic::{AtomicU64, Ordering};
use super::Side;

/// The direction in which tasks move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To *to*.
    Forward,
    /// Back to *from*.
    Reverse,
}

impl Direction {
    /// The side that tasks move to.
    pub fn target(self) -> Side {
        match self {
            Self::Forward => Side::To,
            Self::Reverse => Side::From,
        }
    }

    /// The side that tasks leave.
    pub fn leaves(self) -> Side {
        self.turned().target()
    }

    /// The other one.
    pub fn turned(self) -> Self {
        match self {
            Self::Forward => Self::Reverse,
            Self::Reverse => Self::Forward,
        }
    }
}

/// Where a transition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// There is none.
    Idle,
    /// The tasks are being put into the set. All calls go to *from*.
    Filling,
    /// Tasks are being moved. A call goes where its task lives.
    Live(Direction),
    /// All tasks live on this side.
    Complete(Side),
    /// All calls go to this side, though functions of the other may be on stacks: nothing is guaranteed.
    Forced(Side),
}

/// Bits 0 to 19 and 20 to 39: who is inside, of even and of odd epochs. 40 to 42: the phase. 43: an
/// insertion has failed. From 44: the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(u64);

const COUNT: u64 = (1 << 20) - 1;
const EVEN: u64 = 1;
const ODD: u64 = 1 << 20;
const PHASE: u32 = 40;
const FULL: u64 = 1 << 43;
const EPOCH: u64 = 1 << 44;

impl Word {
    #[inline]
    pub(super) fn phase(self) -> Phase {
        match (self.0 >> PHASE) & 7 {
            0 => Phase::Idle,
            1 => Phase::Filling,
            2 => Phase::Live(Direction::Forward),
            3 => Phase::Live(Direction::Reverse),
            4 => Phase::Complete(Side::From),
            5 => Phase::Complete(Side::To),
            6 => Phase::Forced(Side::From),
            _ => Phase::Forced(Side::To),
        }
    }

    /// The direction in which tasks are being moved, if they are.
    #[inline]
    pub(super) fn live(self) -> Option<Direction> {
        match (self.0 >> PHASE) & 7 {
            2 => Some(Direction::Forward),
            3 => Some(Direction::Reverse),
            _ => None,
        }
    }

    fn phase_bits(phase: Phase) -> u64 {
        let bits = match phase {
            Phase::Idle => 0,
            Phase::Filling => 1,
            Phase::Live(Direction::Forward) => 2,
            Phase::Live(Direction::Reverse) => 3,
            Phase::Complete(Side::From) => 4,
            Phase::Complete(Side::To) => 5,
            Phase::Forced(Side::From) => 6,
            Phase::Forced(Side::To) => 7,
        };
        bits << PHASE
    }

    /// The word after a change of the phase.
    fn next(self, phase: Phase) -> Self {
        let kept = self.0 & !(7 << PHASE);
        Self(kept.wrapping_add(EPOCH) | Self::phase_bits(phase))
    }

    pub(super) fn epoch(self) -> u64 {
        self.0 / EPOCH
    }

    /// What one more of this epoch adds.
    fn unit(self) -> u64 {
        if self.0 & EPOCH == 0 {
            EVEN
        } else {
            ODD
        }
    }

    fn count(self, unit: u64) -> u64 {
        (self.0 / unit.max(1)) & COUNT
    }

    /// Whether some who came in before the last change of the phase are still inside.
    pub(super) fn has_late(self) -> bool {
        self.count((EVEN | ODD) ^ self.unit()) != 0
    }

    /// Whether an insertion has failed since the transition began.
    pub(super) fn full(self) -> bool {
        self.0 & FULL != 0
    }
}

/// The word, shared.
pub(super) struct Gate(AtomicU64);

/// Somebody is inside, until this is dropped.
pub(super) struct Inside<'a> {
    gate: &'a Gate,
    unit: u64,
    pub(super) phase: Phase,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The word, with everything that happened before it came to be.
    ///
    /// Acquire pairs with Release in `change()`, for the handler: a task that sees that the transition is
    /// live finds itself in the set that was filled before. It pairs with Release in `drop()`, for
    /// who completes: where nobody is late, everything that they did is seen.
    #[inline]
    pub(super) fn read(&self) -> Word {
        Word(self.0.load(Ordering::Acquire))
    }

    /// Goes in, if the phase is a wanted one.
    ///
    /// Relaxed: what the mover needs to know of its task it knows by its right to move it. The task goes on
    /// after the move, so it sees this phase or a later one, of one and the same word.
    pub(super) fn enter(&self, wanted: impl Fn(Phase) -> bool) -> Option<Inside<'_>> {
        let mut word = Word(self.0.load(Ordering::Relaxed));
        loop {
            let phase = word.phase();
            let unit = word.unit();
            // The second cannot be: there are fewer CPUs.
            if !wanted(phase) || word.count(unit) == COUNT {
                return None;
            }
            let with_us = word.0.wrapping_add(unit);
            match self.0.compare_exchange_weak(
                word.0,
                with_us,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    return Some(Inside {
                        gate: self,
                        unit,
                        phase,
                    })
                }
                Err(now) => word = Word(now),
            }
        }
    }

    /// Changes the phase to what `next` makes of the word, if it does not refuse.
    pub(super) fn change<E>(&self, next: impl Fn(Word) -> Result<Phase, E>) -> Result<(), E> {
        loop {
            let word = self.read();
            let new = word.next(next(word)?);
            // Release pairs with Acquire in `read()`. All later changes are read-modify-writes, so
            // who sees one of them sees what came before this one too.
            let changed =
                self.0
                    .compare_exchange_weak(word.0, new.0, Ordering::Release, Ordering::Relaxed);
            if changed.is_ok() {
                return Ok(());
            }
        }
    }

    /// Forgets that insertions have failed.
    pub(super) fn clear_full(&self) {
        // Acquire pairs with Release in `mark_full()`: a task whose mark is forgotten is in the list
        // of tasks for who looks there afterwards.
        self.0.fetch_and(!FULL, Ordering::Acquire);
    }

    /// Back to the beginning.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }
}

impl Inside<'_> {
    /// Records that an insertion has failed, before it can have consequences.
    pub(super) fn mark_full(&self) {
        // Release pairs with Acquire in `clear_full()`.
        self.gate.0.fetch_or(FULL, Ordering::Release);
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // Release pairs with Acquire in `read()`: who sees us gone sees what we did.
        self.gate.0.fetch_sub(self.unit, Ordering::Release);
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const PHASES: [Phase; 8] = [
        Phase::Idle,
        Phase::Filling,
        Phase::Live(Direction::Forward),
        Phase::Live(Direction::Reverse),
        Phase::Complete(Side::From),
        Phase::Complete(Side::To),
        Phase::Forced(Side::From),
        Phase::Forced(Side::To),
    ];

    proptest! {
        /// Counts, flag, phase and epoch do not touch each other.
        #[test]
        fn fields_are_apart(even in 0..=COUNT, odd in 0..=COUNT, epoch in 0..1_u64 << 20, to in 0..8_usize, full: bool) {
            let flag = if full { FULL } else { 0 };
            for from in PHASES {
                let fields = [even * EVEN, odd * ODD, epoch * EPOCH, flag, Word::phase_bits(from)];
                let word = Word(fields.into_iter().sum());
                prop_assert_eq!((word.phase(), word.epoch(), word.full()), (from, epoch, full));
                let live = match from {
                    Phase::Live(direction) => Some(direction),
                    _ => None,
                };
                prop_assert_eq!(word.live(), live);
                let late = if epoch % 2 == 0 { odd } else { even };
                prop_assert_eq!(word.has_late(), late != 0);
                let next = word.next(PHASES[to]);
                prop_assert_eq!((next.phase(), next.full()), (PHASES[to], full));
                prop_assert_eq!(next.epoch(), (epoch + 1) % (1 << 20));
                prop_assert_eq!((next.count(EVEN), next.count(ODD)), (even, odd));
            }
        }
    }

    #[test]
    fn who_was_inside_before_is_late() {
        let gate = Gate::new();
        let to = |phase| gate.change(move |_| Ok::<_, ()>(phase));
        let early: Vec<_> = (0..3).filter_map(|_| gate.enter(|_| true)).collect();
        assert!(!gate.read().has_late());
        assert_eq!(to(Phase::Filling), Ok(()));
        let now = gate.enter(|phase| phase == Phase::Filling);
        assert!(now.is_some() && gate.enter(|phase| phase == Phase::Idle).is_none());
        assert!(gate.read().has_late());
        drop(early);
        assert!(!gate.read().has_late());
        drop(now);
        assert_eq!((gate.read().count(EVEN), gate.read().count(ODD)), (0, 0));
    }

    #[test]
    fn a_full_gate_lets_nobody_in() {
        let gate = Gate(AtomicU64::new(COUNT));
        assert!(gate.enter(|_| true).is_none());
        assert_eq!(gate.read().count(ODD), 0);
    }
}
