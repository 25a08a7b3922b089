// SPDX-License-Identifier: GPL-2.0

//! Who may move a task, as values that only who may has.
//!
//! A task is moved by one at a time, and must not call a patched function between the look at its stack
//! and the move. Three situations guarantee both. The constructors cannot check it: each call of one in
//! the glue says why it holds. The values name their task, and live no longer than the lock or the
//! section that they stand on.

use super::task::Task;
use core::marker::PhantomData;

/// A task that cannot run as long as this exists.
pub struct Asleep<'a>(Task, PhantomData<&'a ()>);

impl<'a> Asleep<'a> {
    /// For a task that is neither running nor runnable nor being woken, while what `held` stands for
    /// (its `pi_lock`) keeps all others from waking it.
    pub fn trust<L: ?Sized>(task: Task, _held: &'a L) -> Self {
        Self(task, PhantomData)
    }
}

/// The task that runs on this CPU, where nothing interrupts as long as this exists.
///
/// It stays on its CPU: it is not `Send`.
pub struct Current<'a>(Task, PhantomData<(&'a (), *const ())>);

impl<'a> Current<'a> {
    /// For `current`, while what `off` stands for keeps interrupts off. Not in NMI context: an NMI can
    /// come in the middle of another's move of the same task.
    pub fn trust<L: ?Sized>(task: Task, _off: &'a L) -> Self {
        Self(task, PhantomData)
    }
}

/// A task that has not run yet, and does not begin to as long as this exists. Its stack is empty.
pub struct Unborn<'a>(Task, PhantomData<&'a ()>);

impl<'a> Unborn<'a> {
    /// For a new task that is about to be woken for the first time, under the lock of its run queue.
    pub fn trust<L: ?Sized>(task: Task, _held: &'a L) -> Self {
        Self(task, PhantomData)
    }

    pub(super) fn task(&self) -> Task {
        self.0
    }
}

/// A task that never runs again. It needs no move, but leaves the set.
///
/// A task that has called `do_exit()` is not that far: it runs on, through functions that can be patched.
pub struct Ended(Task);

impl Ended {
    /// For a task that was switched out for the last time.
    pub fn trust(task: Task) -> Self {
        Self(task)
    }

    pub(super) fn task(&self) -> Task {
        self.0
    }
}

/// All CPUs were interrupted since tasks were watched.
///
/// A task begins to run when the scheduler has written that it does. Between that and what the task does first there is no
/// barrier: the one in `__schedule()` comes before. So a task can be answered by what was in its slot before it was watched,
/// while for all others it still seems not to run. Behind the interrupt it cannot: either the task asked before its CPU took that,
/// and then everybody sees that it is on a CPU, or it asks afterwards, and then it sees that it is watched.
pub struct Interrupted(());

impl Interrupted {
    /// For who has interrupted all CPUs that are online, and has waited until each of them was.
    pub fn trust() -> Self {
        Self(())
    }
}

/// A task that may begin to run at any time, and did not run while its stack was looked at.
///
/// That is less than a right to move it. It leaves the set only if it has not asked the handler since before
/// the look: then it is in no function that it was not in at the look, and whatever it asks next is answered by where it
/// lives then.
pub struct Stopped<'a>(Task, PhantomData<&'a ()>);

impl<'a> Stopped<'a> {
    /// For a task that is watched since before the interrupt. Whoever uses it sees to it that the look counts only if the task did
    /// not run from its beginning to its end.
    pub(super) fn watched(task: Task, _since: &'a Interrupted) -> Self {
        Self(task, PhantomData)
    }
}

/// The right to look at the stack of a task and to move it.
pub trait Evidence: sealed::Sealed {
    /// The task.
    fn task(&self) -> Task;

    /// Whether the task stays where it is until it is moved.
    fn holds(&self) -> bool {
        true
    }
}

impl Evidence for Stopped<'_> {
    fn task(&self) -> Task {
        self.0
    }

    fn holds(&self) -> bool {
        false
    }
}

impl Evidence for Asleep<'_> {
    fn task(&self) -> Task {
        self.0
    }
}

impl Evidence for Current<'_> {
    fn task(&self) -> Task {
        self.0
    }
}

mod sealed {
    /// Other files cannot add evidence.
    pub trait Sealed {}
    impl Sealed for super::Asleep<'_> {}
    impl Sealed for super::Current<'_> {}
    impl Sealed for super::Stopped<'_> {}
}
