// SPDX-License-Identifier: GPL-2.0

//! One transition from its beginning to its end, as the thread that drives it sees it.

use crate::{
    ffi,
    model::{
        refusal::Refusal,
        transition::{Phase, Reference, Refused, Side, Task, Transition},
    },
    promote::doors::Doors,
    redirect::{
        book::{self, Afterwards, Book, Retired, Tables},
        motion::{self, Motion},
    },
    transition::{
        sides::Links,
        tasks::{self, Found, Held},
        triggers,
    },
    uapi::Reason,
};
use core::ops::Range;
use kernel::{prelude::*, sync::Arc};

/// A transition in which tasks are being moved.
pub(crate) struct Moving {
    pub(crate) motion: Arc<Motion>,
    /// The book of before, in which nothing moves.
    before: Retired,
    afterwards: Afterwards,
    /// Tasks that have not moved, as the last look found them. Empty between looks.
    pending: KVVec<Held>,
    /// How many looks there have been.
    pub(crate) looks: u32,
    /// In reverse, the number of tasks that the last look found on the other side.
    outside: usize,
    pub(crate) reversing: bool,
    /// In reverse, the grace period after which the tasks are gone that were dying when no other task had to move.
    unlisted: Option<usize>,
}

/// What is left to be done when all tasks have moved, and takes time.
pub(crate) struct Remains {
    pub(crate) before: Retired,
    pub(crate) afterwards: Afterwards,
    /// The side that all tasks are on.
    pub(crate) side: Side,
}

/// Tasks that are in the kernel's list now.
fn count_tasks() -> usize {
    let mut count = 0;
    tasks::each(|_| count += 1);
    count
}

impl Moving {
    /// Prepares the tables, and begins to move tasks. The sites of all functions come to the handler or to doors already. On failure
    /// everything is as before.
    pub(crate) fn begin(links: &Links<'_>, doors: &Doors) -> Result<Self, Refusal> {
        let mut tasks = count_tasks();
        let mut attempts = 0;
        let mut hooks = None;
        loop {
            match Self::try_begin(links, doors, tasks, &mut hooks) {
                Ok(moving) => {
                    if let Some(hooks) = hooks {
                        hooks.stay();
                    }
                    return Ok(moving);
                }
                // Many tasks were born meanwhile. The hooks stay where they are: bringing them there takes longer than all the rest.
                Err(NotBegun::Full) if attempts < 4 => {
                    attempts += 1;
                    tasks = count_tasks().max(tasks).saturating_mul(2);
                }
                Err(NotBegun::Full) => return Err(Reason::Nomem.into()),
                Err(NotBegun::Refused(refusal)) => return Err(refusal),
            }
        }
    }

    fn try_begin(
        links: &Links<'_>,
        doors: &Doors,
        tasks: usize,
        hooks: &mut Option<Hooks>,
    ) -> Result<Self, NotBegun> {
        let motion = Arc::new(Motion::new(tasks)?, GFP_KERNEL)?;
        let pending = KVVec::with_capacity(motion::with_room(tasks), GFP_KERNEL)?;
        let tables = tables(links, doors)?;
        let afterwards = Afterwards::new(&tables)?;
        doors.shut(tables.routes());
        let tables = Arc::new(tables, GFP_KERNEL)?;
        let book = Book::new(tables, Some(motion.clone()), book::open_eras()?)?;
        let transition = &motion.transition;
        // Nobody else has it yet, so it is idle.
        let begun = transition.begin();
        let before = book::replace(Some(book));
        let live = begun.map_err(not_begun).and_then(|()| {
            let on = match hooks.take() {
                Some(on) => on,
                None => Hooks::on()?,
            };
            go_live(&motion, hooks.insert(on))
        });
        if let Err(error) = live {
            let _ = transition.abort();
            drop(before.republish());
            return Err(error);
        }
        Ok(Self {
            motion,
            before,
            afterwards,
            pending,
            looks: 0,
            outside: 0,
            reversing: false,
            unlisted: None,
        })
    }

    /// Replaces the tables, because a module has come or gone.
    pub(crate) fn replace(&mut self, links: &Links<'_>, doors: &Doors) -> Result<Retired, Refusal> {
        let tables = tables(links, doors)?;
        let afterwards = Afterwards::new(&tables)?;
        let tables = Arc::new(tables, GFP_KERNEL)?;
        let book = Book::new(tables, Some(self.motion.clone()), book::open_eras()?)?;
        self.afterwards = afterwards;
        Ok(book::replace(Some(book)))
    }

    /// How many tasks have not moved.
    pub(crate) fn pending(&self) -> usize {
        if self.reversing {
            self.outside
        } else {
            self.motion.transition.in_from()
        }
    }

    /// Whether a book that follows the transition could send calls of dying tasks to this text.
    pub(crate) fn remembers(&self, text: &Range<usize>) -> bool {
        self.afterwards.remembers(text)
    }

    /// Tries to move every task that has not moved. With `Kick::None`, tasks are only looked at. Returns how many were interrupted.
    ///
    /// First all tasks that wait for a CPU are watched. Then all CPUs are interrupted, as they are anyway for the running tasks. Then the
    /// watched tasks are looked at. This order makes it sound: see [`Interrupted`].
    ///
    /// [`Interrupted`]: crate::model::transition::evidence::Interrupted
    pub(crate) fn look(&mut self, kick: Kick) -> u32 {
        self.looks = self.looks.saturating_add(1);
        if self.reversing {
            self.bury();
        }
        // SAFETY: The caller holds the registry's lock, and books are replaced under that only.
        let Some(book) = (unsafe { book::current() }) else {
            return 0;
        };
        let motion = self.motion.clone();
        let mut ask = self.collect();
        // So many of them are watched, which come first then.
        let mut watched = 0;
        for at in 0..self.pending.len() {
            let held = &self.pending[at];
            let found = tasks::if_asleep(held, |task| triggers::asleep(book, &motion, task));
            match found {
                Found::OnCpu => ask = true,
                Found::Gone => triggers::ended(&motion, held.task()),
                Found::Runnable if motion.transition.watch(held.task()) => {
                    self.pending.swap(watched, at);
                    watched += 1;
                }
                Found::Runnable | Found::Asleep => {}
            }
        }
        if ask || watched > 0 {
            let since = tasks::ask_cpus();
            for held in &self.pending[..watched] {
                triggers::stopped(book, &motion, held.task(), &since);
            }
        }
        let mut interrupted = 0;
        for held in self.pending.iter() {
            if motion.transition.pending(held.task()).is_some() && kick.give(&motion, held) {
                interrupted += 1;
            }
        }
        self.pending.clear();
        interrupted
    }

    /// Takes out members that have ended. In reverse, all tasks that are born become members, and nobody else looks at members. A member
    /// that has ended would keep its struct, and then the kernel could not give its address, which has a slot, to another task.
    fn bury(&self) {
        let motion = &self.motion;
        motion.none_ended();
        let mut members = motion.transition.members();
        loop {
            // SAFETY: Unlocked below.
            unsafe { ffi::lp_rcu_lock() };
            let next = members.next();
            // SAFETY: It is in the set, and nobody but us takes one out that has ended; the others live until RCU readers are done.
            let gone = next.is_some_and(|task| unsafe { tasks::is_gone(task) });
            // SAFETY: Locked above.
            unsafe { ffi::lp_rcu_unlock() };
            match next {
                Some(task) if gone => triggers::ended(motion, task),
                Some(_) => {}
                None => return,
            }
        }
    }

    /// Finds the tasks that have not moved. `true`: some of them are on CPUs for sure.
    fn collect(&mut self) -> bool {
        // Many may have been born since it began. Without memory for more, those behind have to wait until the first ones have moved.
        let expected = self.pending();
        let _ = self.pending.reserve(expected, GFP_KERNEL);
        let Self {
            motion, pending, ..
        } = self;
        let transition = &motion.transition;
        let mut idle = false;
        let mut take = |task: Task| {
            if tasks::is_idle(task) {
                idle = true;
            } else {
                // SAFETY: The caller has the task from a list or from the set, under RCU.
                let held = unsafe { Held::new(task) };
                // Who does not fit is met in the next look.
                let _ = pending.push_within_capacity(held);
            }
        };
        if self.reversing {
            self.outside = survey(transition, take).unwrap_or(self.outside);
            return idle;
        }
        let mut members = transition.members();
        loop {
            // SAFETY: Unlocked below.
            unsafe { ffi::lp_rcu_lock() };
            let task = members.next();
            if let Some(task) = task {
                take(task);
            }
            // SAFETY: Locked above.
            unsafe { ffi::lp_rcu_unlock() };
            if task.is_none() {
                return idle;
            }
        }
    }

    /// Completes it if all tasks have moved; returns the side that they are on.
    pub(crate) fn try_complete(&mut self) -> Option<Side> {
        let transition = &self.motion.transition;
        // A look in reverse completes it if it finds nobody.
        if let Phase::Complete(side) = transition.phase() {
            return Some(side);
        }
        if !self.reversing {
            return transition.complete().ok().map(|()| Side::To);
        }
        match survey(transition, |_| {}) {
            Ok(0) => Some(Side::From),
            Ok(outside) => {
                self.outside = outside;
                None
            }
            Err(Refused::Unlisted(tasks)) => {
                self.outside = tasks;
                self.wait_for_unlisted();
                None
            }
            Err(Refused::Full) => {
                // A task that was born, or is to move back, has no place in the set. Only the other way is left.
                if transition.reverse().is_ok() {
                    pr_warn!("no room to move all tasks back; moving forward again\n");
                    self.reversing = false;
                    self.looks = 0;
                }
                None
            }
            Err(_) => None,
        }
    }

    /// Only dying tasks are left to move. They say themselves when they run no more. If a task was not heard, it is gone after an RCU-tasks
    /// grace period.
    fn wait_for_unlisted(&mut self) {
        match self.unlisted {
            // SAFETY: No requirements.
            None => self.unlisted = Some(unsafe { ffi::lp_grace_begin() }),
            // SAFETY: No requirements.
            Some(ticket) if unsafe { ffi::lp_grace_is_over(ticket) } != 0 => {
                self.motion.transition.unlisted_are_gone();
            }
            Some(_) => {}
        }
    }

    /// Turns it around.
    pub(crate) fn reverse(&mut self) -> Result<(), Refusal> {
        self.motion.transition.reverse().map_err(refusal)?;
        self.reversing = !self.reversing;
        self.unlisted = None;
        self.looks = 0;
        Ok(())
    }

    /// Ends it with tasks on both sides.
    pub(crate) fn force(&mut self) -> Result<Side, Refusal> {
        let side = if self.reversing { Side::From } else { Side::To };
        self.motion
            .transition
            .force(self.pending())
            .map_err(refusal)?;
        Ok(side)
    }

    /// The tasks that have not moved, each with a reference.
    pub(crate) fn who(&mut self) -> &[Held] {
        self.pending.clear();
        self.collect();
        let Self {
            motion, pending, ..
        } = self;
        let transition = &motion.transition;
        tasks::each_idle(|idle| {
            if transition.pending(idle).is_some() {
                // SAFETY: Idle tasks need no reference.
                let _ = pending.push_within_capacity(unsafe { Held::new(idle) });
            }
        });
        &self.pending
    }

    /// Gives the references of `who` back.
    pub(crate) fn forget(&mut self) {
        self.pending.clear();
    }

    pub(crate) fn into_remains(self, side: Side) -> Remains {
        Remains {
            side,
            before: self.before,
            afterwards: self.afterwards,
        }
    }
}

/// Why a transition was not begun.
enum NotBegun {
    /// The set was too small.
    Full,
    Refused(Refusal),
}

impl<E: Into<Refusal>> From<E> for NotBegun {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

fn tables(links: &Links<'_>, doors: &Doors) -> Result<Tables, Refusal> {
    let mut routes = links.routes()?;
    let landings = links.prove(&mut routes)?;
    let from_spans = links.spans(&routes, doors, Side::From)?;
    let to_spans = links.spans(&routes, doors, Side::To)?;
    Ok(Tables::new(routes, from_spans, to_spans, landings)?)
}

/// As long as this is there, births and ends of tasks are heard of.
struct Hooks(());

impl Hooks {
    fn on() -> Result<Self> {
        // SAFETY: No requirements; we may sleep.
        kernel::error::to_result(unsafe { ffi::lp_hooks_on() })?;
        Ok(Self(()))
    }

    /// Leaves the hooks in; they are taken out after the transition.
    fn stay(self) {
        core::mem::forget(self);
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        // SAFETY: They are on.
        unsafe { ffi::lp_hooks_off() };
    }
}

/// Puts all tasks into the set, and lets them move.
fn go_live(motion: &Motion, _hooks: &Hooks) -> Result<(), NotBegun> {
    // SAFETY: The hooks are on; we may sleep.
    unsafe { ffi::lp_births_heard() };
    let transition = &motion.transition;
    let mut result = Ok(());
    let mut put = |task: Task| {
        // SAFETY: The task is in the kernel's list, under RCU, or is an idle one.
        let held = unsafe { Held::new(task) };
        match transition.fill(task) {
            Ok(Reference::Taken) => core::mem::forget(held),
            Ok(Reference::Yours) => {}
            Err(refused) => result = Err(refused),
        }
    };
    tasks::each(&mut put);
    tasks::each_idle(&mut put);
    result.map_err(not_begun)?;
    motion.is_filled();
    transition.go_live().map_err(not_begun)
}

/// Looks which tasks have not moved back. If there are none, the transition is complete.
fn survey<S>(transition: &Transition<S>, mut outside: impl FnMut(Task)) -> Result<usize, Refused>
where
    S: core::ops::Deref<Target = [crate::model::transition::atomic::AtomicUsize]>,
{
    let mut survey = transition.survey()?;
    let mut look = |task: Task| {
        if survey.look(task) {
            outside(task);
        }
    };
    tasks::each(&mut look);
    tasks::each_idle(&mut look);
    match survey.complete() {
        Ok(()) => Ok(0),
        Err(Refused::Pending(outside)) => Ok(outside),
        Err(other) => Err(other),
    }
}

/// What is done about tasks that did not move when they were looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kick {
    /// Nothing.
    None,
    /// They look at themselves on their way to user mode.
    Leave,
    /// They are sent there, or woken.
    Interrupt,
}

impl Kick {
    /// `true`: it ended the sleep of a process.
    fn give(self, motion: &Motion, held: &Held) -> bool {
        let key = held.task().addr();
        let kthread = held.describe().kthread != 0;
        match (self, kthread) {
            (Self::None, _) | (Self::Leave, true) => false,
            (Self::Interrupt, true) => {
                let before = motion.was_woken(held.task());
                // Now, since it may move at once.
                motion.set_woken(held.task());
                // SAFETY: We hold a reference.
                if unsafe { ffi::lp_wake_kthread(key) } == 0 && !before {
                    motion.clear_woken(held.task());
                }
                false
            }
            (Self::Leave | Self::Interrupt, false) => {
                let interrupt = i32::from(self == Self::Interrupt);
                // It may be queued already, or the task too far gone. Without memory another trigger has to do.
                // SAFETY: We hold a reference; we may sleep.
                unsafe { ffi::lp_work_queue(key, interrupt) == 1 }
            }
        }
    }
}

fn not_begun(refused: Refused) -> NotBegun {
    match refused {
        Refused::Full => NotBegun::Full,
        other => NotBegun::Refused(refusal(other)),
    }
}

/// Why the model refused a step.
fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::Full => Reason::Nomem.into(),
        Refused::Late | Refused::Again => Reason::Late.into(),
        Refused::Pending(_) | Refused::Unlisted(_) | Refused::Phase(_) => {
            Reason::NoTransition.into()
        }
    }
}
