// SPDX-License-Identifier: GPL-2.0

//! A transition: every task moves from one version of the patched functions to another, one at a time.
//!
//! Enabling, disabling and replacing patches are all this; what *from* and *to* mean at each site is the
//! business of the table that the handler finds its site in. Reversing is moving back.
//!
//! **The invariant**: no task executes a function of *to* while one of *from* is on its stack, or the other
//! way round.
//!
//! It holds because, from going live to completion, a task in the [set](set::FromSet) has no function of *to* on its stack,
//! and a task outside has none of *from*; the handler sends each to where it lives; and a task changes its
//! side only in the hands of one who has the [right](evidence) to look at its [stack](stack) and found none
//! of the side that it leaves. What many do at once goes through the [gate].
//!
//! # Who calls what
//!
//! - The one who drives it, in this order: [`begin`](Transition::begin); hook births and ends; wait until all
//!   CPUs see the hooks; [`fill`](Transition::fill) in each task; [`go_live`](Transition::go_live). At any time then
//!   [`reverse`](Transition::reverse); at the end [`complete`](Transition::complete), where all
//!   functions of the other side are out of use; and when no handler is left,
//!   [`finish`](Transition::finish). Filling has to reach every task that can still run: those that
//!   are on their way out of `do_exit()` and in no list of tasks any more too.
//! - The handler: [`answer`](Transition::answer).
//! - Triggers: [`pending`](Transition::pending), a [`StackCheck`](stack::StackCheck),
//!   [`shift`](Transition::shift).
//! - Hooks: [`birth`](Transition::birth), [`exit`](Transition::exit).
//!
//! Everybody but the handler asks [`ripe`](Transition::ripe) afterwards, and wakes the driver if it is.

pub mod atomic;
mod counters;
pub mod detours;
pub mod evidence;
mod gate;
#[cfg(all(test, not(feature = "loom")))]
mod hints;
#[cfg(all(test, not(feature = "loom")))]
mod histories;
#[cfg(all(test, feature = "loom"))]
mod interleavings;
pub mod set;
pub mod stack;
mod survey;
mod task;

pub use counters::{Cause, Counters};
pub use gate::{Direction, Phase};
pub use survey::Survey;
pub use task::Task;

use super::num::wide;
use atomic::{fence, AtomicIsize, AtomicUsize, Ordering};
use core::ops::Deref;
use evidence::{Ended, Interrupted, Stopped, Unborn};
use gate::{Gate, Inside, Word};
use set::{FromSet, Insert, Place};
use stack::Clean;

/// A version of the patched functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What was in force before.
    From,
    /// What comes into force.
    To,
}

/// Why a step cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It does not follow on this phase.
    Phase(Phase),
    /// A task did not fit into the set. Abort, or turn to where tasks leave it.
    Full,
    /// Movers of the direction before have not finished. Wait until it is ripe.
    Late,
    /// So many tasks have not moved.
    Pending(usize),
    /// So many have not that are dying, and in no list of tasks.
    Unlisted(usize),
    /// Tasks have moved since they were looked at. Look again.
    Again,
}

/// Whose the reference to a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "references are lost or given back twice"]
pub enum Reference {
    /// The set took it.
    Taken,
    /// The caller's.
    Yours,
}

/// What the handler is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Where the call goes.
    pub side: Side,
    /// The task should leave that side, as far as was seen: see [`Transition::pending`].
    pub pending: bool,
    /// It is known where the task lives. All are known that were in the kernel's list when the transition went live, or born since,
    /// as far as there was room. Who is not may be a task that is dying, in no list any more, and on either side.
    pub known: bool,
}

/// What became of an attempt to move a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "references are lost or given back twice"]
pub enum Shift {
    /// It has left the set and lives in *to*. The reference of the set is the caller's now.
    ToTo,
    /// It has entered the set and lives in *from*. The set took the caller's reference.
    ToFrom,
    /// Nothing has changed, because it lives there already or the direction is not this one any more.
    Stays,
    /// It should have entered the set, which is full.
    Full,
}

/// A transition, with the memory of its set.
pub struct Transition<S> {
    gate: Gate,
    set: FromSet<S>,
    /// How many tasks live in *to* and are known to the set. They can be in no list of tasks, so no survey finds them all.
    in_to: AtomicIsize,
    /// How many of the tasks that the last survey found outside of the set have still to move. Below 0
    /// while a survey is under way.
    owed: AtomicIsize,
    counters: Counters,
}

impl<S: Deref<Target = [AtomicUsize]>> Transition<S> {
    /// No transition yet. `slots` limits the number of tasks; it must be a power of two, and four for each
    /// task keep searches short.
    pub fn new(slots: S) -> Option<Self> {
        Some(Self {
            gate: Gate::new(),
            set: FromSet::new(slots)?,
            in_to: AtomicIsize::new(0),
            owed: AtomicIsize::new(0),
            counters: Counters::default(),
        })
    }

    /// Where a call of this task, the current one, goes. For the handler: it waits for nobody, in any context.
    pub fn answer(&self, current: Task) -> Answer {
        let (side, pending, known) = match self.gate.read().phase() {
            Phase::Live(direction) => {
                let place = self.set.ask(current);
                let side = match place {
                    Place::Member => Side::From,
                    Place::Left | Place::Unknown => Side::To,
                };
                (side, side == direction.leaves(), place != Place::Unknown)
            }
            Phase::Idle | Phase::Filling => (Side::From, false, true),
            Phase::Complete(side) | Phase::Forced(side) => (side, false, false),
        };
        Answer {
            side,
            pending,
            known,
        }
    }

    /// The answer, if it is found in one place and nothing is to be noted. That is what it mostly is while tasks move.
    #[inline]
    pub fn answer_at_once(&self, current: Task) -> Option<Answer> {
        let direction = self.gate.read().live()?;
        let side = match self.set.ask_at_once(current)? {
            true => Side::From,
            false => Side::To,
        };
        Some(Answer {
            side,
            pending: side == direction.leaves(),
            known: true,
        })
    }

    /// The side alone.
    #[inline]
    pub fn side(&self, current: Task) -> Side {
        let at_once = self.answer_at_once(current);
        at_once.unwrap_or_else(|| self.answer(current)).side
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        self.gate.read().phase()
    }

    /// How many tasks each cause has moved.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The tasks that live in *from*; see [`FromSet::members`].
    pub fn members(&self) -> impl Iterator<Item = Task> + '_ {
        self.set.members()
    }

    /// How many tasks live in *from*.
    pub fn in_from(&self) -> usize {
        self.set.len()
    }

    /// Begins. From now on births are put into the set.
    pub fn begin(&self) -> Result<(), Refused> {
        self.gate.change(|word| match word.phase() {
            Phase::Idle => Ok(Phase::Filling),
            phase => Err(Refused::Phase(phase)),
        })
    }

    /// Puts a task into the set, whether it runs or not: all live in *from* now.
    pub fn fill(&self, task: Task) -> Result<Reference, Refused> {
        let inside = self.gate.enter(|phase| phase == Phase::Filling);
        match inside {
            Some(inside) => match self.admit(&inside, task) {
                Insert::New => Ok(Reference::Taken),
                Insert::Already => Ok(Reference::Yours),
                Insert::Full => Err(Refused::Full),
            },
            None => Err(Refused::Phase(self.phase())),
        }
    }

    fn admit(&self, inside: &Inside<'_>, task: Task) -> Insert {
        let result = self.set.insert(task);
        if result == Insert::Full {
            inside.mark_full();
        }
        result
    }

    /// Begins to move tasks. Refused if the set does not hold all of them.
    ///
    /// A birth may be under way that began before. The task has not run, so it is well on either side.
    pub fn go_live(&self) -> Result<(), Refused> {
        self.gate.change(|word| match word.phase() {
            Phase::Filling if word.full() => Err(Refused::Full),
            Phase::Filling => Ok(Phase::Live(Direction::Forward)),
            phase => Err(Refused::Phase(phase)),
        })
    }

    /// Ends before any call was answered otherwise.
    pub fn abort(&self) -> Result<(), Refused> {
        self.gate.change(|word| match word.phase() {
            Phase::Filling => Ok(Phase::Complete(Side::From)),
            phase => Err(Refused::Phase(phase)),
        })
    }

    /// Gives a task its side before it runs. The caller brings a reference.
    ///
    /// While filling, and in reverse, that is *from*. A task that does not fit then keeps the transition from
    /// going live, or is one more that has to move. Otherwise it is born where the others move to.
    pub fn birth(&self, unborn: &Unborn<'_>) -> Reference {
        let wanted = |phase| {
            let over = phase == Phase::Complete(Side::To);
            over || matches!(phase, Phase::Filling | Phase::Live(_))
        };
        let Some(inside) = self.gate.enter(wanted) else {
            return Reference::Yours;
        };
        if !matches!(
            inside.phase,
            Phase::Filling | Phase::Live(Direction::Reverse)
        ) {
            // So that it is known when it dies. If there is no room, its stack has to tell then.
            if self.set.note(unborn.task()) {
                self.one_more_in_to();
            }
            let moving = inside.phase != Phase::Complete(Side::To);
            self.counters.add(Cause::Birth, u64::from(moving));
            return Reference::Yours;
        }
        match self.admit(&inside, unborn.task()) {
            Insert::New => {
                let live = inside.phase != Phase::Filling;
                self.counters.add(Cause::Birth, u64::from(live));
                Reference::Taken
            }
            Insert::Already | Insert::Full => Reference::Yours,
        }
    }

    /// The side that this task should leave now, or `None` if it need not move.
    ///
    /// True for long only if the caller has the right to move it, and no reversal comes.
    pub fn pending(&self, task: Task) -> Option<Side> {
        let Phase::Live(direction) = self.phase() else {
            return None;
        };
        let lives = match self.set.contains(task) {
            true => Side::From,
            false => Side::To,
        };
        (lives == direction.leaves()).then_some(lives)
    }

    /// Watches a task that is pending forward, and does not run but could begin to. Whether it is.
    pub fn watch(&self, task: Task) -> bool {
        self.phase() == Phase::Live(Direction::Forward) && self.set.watch(task)
    }

    /// A task that was watched before all CPUs were interrupted, if it has not asked since.
    pub fn stopped<'a>(&self, task: Task, since: &'a Interrupted) -> Option<Stopped<'a>> {
        self.set
            .is_watched(task)
            .then(|| Stopped::watched(task, since))
    }

    /// Moves a task away from the side that its stack is clean of, if that is still the direction.
    ///
    /// To leave *to*, the caller brings a reference.
    pub fn shift(&self, clean: Clean<'_>, cause: Cause) -> Shift {
        let direction = match clean.leaves {
            Side::From => Direction::Forward,
            Side::To => Direction::Reverse,
        };
        let Some(inside) = self.gate.enter(|phase| phase == Phase::Live(direction)) else {
            return Shift::Stays;
        };
        // Whoever has the right to move it reads what is.
        let known = self.set.place(clean.task) != Place::Unknown;
        let shift = match direction {
            Direction::Forward if clean.holds && self.set.remove(clean.task) => Shift::ToTo,
            Direction::Forward if !clean.holds && self.set.remove_unasked(clean.task) => {
                Shift::ToTo
            }
            Direction::Forward => Shift::Stays,
            // Nobody can tell of a task outside of the set whether it has asked.
            Direction::Reverse if !clean.holds => Shift::Stays,
            Direction::Reverse => match self.admit(&inside, clean.task) {
                Insert::New => Shift::ToFrom,
                Insert::Already => Shift::Stays,
                Insert::Full => Shift::Full,
            },
        };
        match shift {
            Shift::ToTo => self.one_more_in_to(),
            Shift::ToFrom => {
                if known {
                    self.one_less_in_to();
                }
                self.one_less();
            }
            Shift::Stays | Shift::Full => {}
        }
        if matches!(shift, Shift::ToTo | Shift::ToFrom) {
            self.counters.add(cause, 1);
        }
        shift
    }

    /// Takes out a task that never runs again, in any phase. `true`: the reference of the set is the caller's.
    #[must_use = "references are lost"]
    pub fn exit(&self, ended: &Ended) -> bool {
        let member = self.set.remove(ended.task());
        let pending = match self.phase() {
            Phase::Live(Direction::Forward) => member,
            Phase::Live(Direction::Reverse) => !member,
            _ => false,
        };
        if !member {
            // A survey may have counted it.
            self.one_less();
        }
        self.counters.add(Cause::Exit, u64::from(pending));
        member
    }

    /// What is known of the current task.
    pub fn place(&self, current: Task) -> Place {
        self.set.place(current)
    }

    /// Moves a dying task that was in no list when the transition went live, and so is in nobody's set, to *to*. `false`: there is
    /// no room to remember that, and it stays where it is.
    ///
    /// Nobody waits for such a task, so there is nothing to count, and it is moved by nobody but itself. If the direction turns
    /// meanwhile it is one that lives in *to*.
    pub fn adopt(&self, clean: &Clean<'_>) -> bool {
        let known = clean.leaves == Side::From && clean.holds && self.set.note(clean.task);
        if known {
            self.one_more_in_to();
        }
        known
    }

    /// Hears that the current task runs no more when it is switched out now; or, of an idle task, that its CPU is offline. For each task
    /// once.
    pub fn died(&self, current: Task) {
        if self.set.place(current) == Place::Left {
            self.one_less_in_to();
        }
    }

    /// Those whom no survey has found have ended since, whether they said so or not.
    pub fn unlisted_are_gone(&self) {
        self.in_to.store(0, Ordering::Release);
    }

    fn one_more_in_to(&self) {
        // Relaxed: who completes a reversal sees all who moved before it turned, by the gate.
        self.in_to.fetch_add(1, Ordering::Relaxed);
    }

    fn one_less_in_to(&self) {
        // Release pairs with Acquire in `nobody_in_to()`: what it did in functions of *to* has happened.
        self.in_to.fetch_sub(1, Ordering::Release);
    }

    /// Whether no task that is known lives in *to*.
    fn nobody_in_to(&self) -> bool {
        self.in_to() == 0
    }

    /// How many tasks that are known live in *to*.
    fn in_to(&self) -> usize {
        // Acquire pairs with Release in `one_less_in_to()`.
        usize::try_from(self.in_to.load(Ordering::Acquire)).unwrap_or(0)
    }

    fn one_less(&self) {
        // Release pairs with Acquire in `none_owed()`.
        self.owed.fetch_sub(1, Ordering::Release);
    }

    fn none_owed(&self) {
        // Acquire pairs with Release in `one_less()`: a task that was counted down before, and is not any
        // more now, is not found outside of the set either. Without it that task would be owed for ever.
        self.owed.swap(0, Ordering::Acquire);
    }

    /// Whether completing is worth a try. Nobody who makes it so sees `false` here afterwards, unless
    /// another one sees `true`.
    pub fn ripe(&self) -> bool {
        // Two may each do the last of two things, a task's move and a late mover's leaving. The fence pairs
        // with the other's: of the two, one sees both done. Without it neither might.
        fence(Ordering::SeqCst);
        let word = self.gate.read();
        let done = match word.phase() {
            Phase::Live(Direction::Forward) => self.set.is_empty(),
            Phase::Live(Direction::Reverse) => {
                self.owed.load(Ordering::Relaxed) <= 0 && self.nobody_in_to()
            }
            _ => false,
        };
        done && !word.has_late()
    }

    /// Turns the direction. Who has moved moves back; births are born there.
    ///
    /// Takes effect at once. Only a second reversal right after may have to wait for movers of the
    /// direction before the first.
    pub fn reverse(&self) -> Result<(), Refused> {
        // Nothing is owed before the first survey, and who sees the new direction sees that.
        self.none_owed();
        self.gate.change(|word| match word.phase() {
            Phase::Live(_) if word.has_late() => Err(Refused::Late),
            Phase::Live(direction) => Ok(Phase::Live(direction.turned())),
            phase => Err(Refused::Phase(phase)),
        })
    }

    /// Completes a transition forward: no task lives in *from*, and none is executing a function of it.
    pub fn complete(&self) -> Result<(), Refused> {
        self.gate.change(|word| {
            still(word, Direction::Forward)?;
            // Nobody inside can insert: not now, in this direction, and nobody is late.
            match self.set.len() {
                0 => Ok(Phase::Complete(Side::To)),
                pending => Err(Refused::Pending(pending)),
            }
        })
    }

    /// Begins to look whether all tasks are back in *from*.
    pub fn survey(&self) -> Result<Survey<'_, S>, Refused> {
        let word = self.gate.read();
        still(word, Direction::Reverse)?;
        // A birth that fails from now on may be one that the survey does not see.
        self.gate.clear_full();
        Ok(Survey::new(self, word.epoch()))
    }

    /// Ends it without waiting for the tasks that have not moved, of which there are `pending`.
    ///
    /// They may be executing functions of the side that is not in force any more, and from now on call those
    /// of the other: the invariant is void, and code of neither side can ever be freed.
    pub fn force(&self, pending: usize) -> Result<(), Refused> {
        self.gate.change(|word| match word.phase() {
            Phase::Live(direction) => Ok(Phase::Forced(direction.target())),
            phase => Err(Refused::Phase(phase)),
        })?;
        self.counters.add(Cause::Forced, wide(pending));
        Ok(())
    }

    /// Ready for the next one. The references of the tasks that are still in the set are the caller's.
    ///
    /// Exclusive: no handler, trigger or hook uses it any more.
    pub fn finish(&mut self, give_back: impl FnMut(Task)) -> Result<(), Refused> {
        match self.phase() {
            Phase::Complete(_) | Phase::Forced(_) => {}
            phase => return Err(Refused::Phase(phase)),
        }
        self.set.clear(give_back);
        self.in_to = AtomicIsize::new(0);
        self.gate.reset();
        self.counters.clear();
        Ok(())
    }
}

/// Whether it moves in this direction, with nobody moving in the other any more.
fn still(word: Word, direction: Direction) -> Result<(), Refused> {
    match word.phase() {
        Phase::Live(now) if now != direction => Err(Refused::Phase(Phase::Live(now))),
        Phase::Live(_) if word.has_late() => Err(Refused::Late),
        Phase::Live(_) => Ok(()),
        phase => Err(Refused::Phase(phase)),
    }
}
