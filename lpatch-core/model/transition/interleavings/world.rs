// SPDX-License-Identifier: GPL-2.0

//! Tasks with stacks, and what is done to them.

use super::super::super::callee::Call;
use super::super::atomic::AtomicUsize;
use super::super::evidence::{Asleep, Current, Ended, Evidence, Interrupted, Unborn};
use super::super::stack::{Proof, Ranges, Span, StackCheck};
use super::super::{Cause, Reference, Refused, Shift, Side, Task, Transition};
use core::sync::atomic::{AtomicIsize, Ordering};
use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicBool;
use loom::sync::{Arc, Mutex, MutexGuard};
use std::vec::Vec;

pub(super) type World = Arc<Everything>;

/// What is on a stack: code of a version, a site that a handler was called at, that of a function which others jump to, a door that may
/// have been open, code that does not change, or a return address behind a call: of the function by its name, or through a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Code(Side),
    Site,
    Landing,
    Door,
    Other,
    Called { by_name: bool },
}

const FROM: u64 = 10;
const TO: u64 = 20;
const SITE: u64 = 30;
const DOOR: u64 = 40;
const LANDING: u64 = 50;
const OTHER: u64 = 60;

/// A place in the code, as long as a function and for each version. Sites and doors count for both sides.
const FROM_SPANS: [Span; 4] = [span(FROM), span(SITE), span(DOOR), span(LANDING)];
const TO_SPANS: [Span; 4] = [span(TO), span(SITE), span(DOOR), span(LANDING)];

const fn span(start: u64) -> Span {
    Span {
        start,
        end: start + 6,
    }
}

impl Frame {
    /// As an unwinder finds it, and what was called in front of it.
    fn found(self) -> (u64, Option<u64>) {
        match self {
            Self::Code(Side::From) => (FROM, None),
            Self::Code(Side::To) => (TO, None),
            // Behind the call of the handler.
            Self::Site => (SITE + 5, None),
            Self::Landing => (LANDING + 5, None),
            Self::Door => (DOOR, None),
            Self::Other => (OTHER, None),
            Self::Called { by_name } => (OTHER + 1, by_name.then_some(SITE)),
        }
    }
}

pub(super) struct Everything {
    pub(super) transition: Transition<Vec<AtomicUsize>>,
    stacks: Vec<Mutex<Vec<Frame>>>,
    /// References to each task beyond those that it has anyway. Not loom's: they are only counted.
    refs: Vec<AtomicIsize>,
    from: UnsafeCell<()>,
    to: UnsafeCell<()>,
    /// The door of the function, open to the version of before.
    shut: AtomicBool,
}

pub(super) fn task(i: usize) -> Task {
    Task::new(0x1000 * (i + 1)).expect("it is even")
}

/// A world in which a transition has begun.
pub(super) fn world(tasks: usize, slots: usize) -> World {
    let slots = (0..slots).map(|_| AtomicUsize::new(0)).collect();
    let transition = Transition::new(slots).expect("it is a power of two");
    transition.begin().expect("it is idle");
    Arc::new(Everything {
        transition,
        stacks: (0..tasks).map(|_| Mutex::new(Vec::new())).collect(),
        refs: (0..tasks).map(|_| AtomicIsize::new(0)).collect(),
        from: UnsafeCell::new(()),
        to: UnsafeCell::new(()),
        shut: AtomicBool::new(false),
    })
}

/// A world in which a transition is live for tasks 0 to `filled` - 1.
pub(super) fn live(tasks: usize, filled: usize, slots: usize) -> World {
    let world = world(tasks, slots);
    (0..filled).for_each(|i| world.fill(i));
    world.transition.go_live().expect("it was filled");
    world
}

/// The same, but turned after the tasks were moved.
pub(super) fn reversed(tasks: usize, filled: usize, moved: &[usize], slots: usize) -> World {
    let world = live(tasks, filled, slots);
    for &i in moved {
        world.asleep(i);
    }
    world.transition.reverse().expect("it is live");
    world
}

impl Everything {
    pub(super) fn get(&self, i: usize, count: isize) {
        self.refs[i].fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn fill(&self, i: usize) {
        self.get(i, 1);
        match self.transition.fill(task(i)) {
            Ok(Reference::Taken) => {}
            Ok(Reference::Yours) | Err(_) => self.get(i, -1),
        }
    }

    /// Shuts the door, as the first step of a transition.
    pub(super) fn shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
    }

    /// What the parent does before the child may run.
    pub(super) fn birth(&self, i: usize) {
        self.get(i, 1);
        let stack = self.stacks[i].lock().expect("nobody panics");
        let unborn = Unborn::trust(task(i), &stack);
        if self.transition.birth(&unborn) == Reference::Yours {
            self.get(i, -1);
        }
    }

    /// What is done about a task that has ended.
    pub(super) fn exit(&self, i: usize) {
        self.transition.died(task(i));
        if self.transition.exit(&Ended::trust(task(i))) {
            self.get(i, -1);
        }
    }

    /// The trigger from outside.
    pub(super) fn asleep(&self, i: usize) -> bool {
        let stack = self.stacks[i].lock().expect("nobody panics");
        self.attempt(&Asleep::trust(task(i), &stack), &stack, Cause::Asleep)
    }

    /// The trigger from outside for a task that could run, and may do so as soon as its stack was looked at.
    pub(super) fn stopped(&self, i: usize) -> bool {
        self.transition.watch(task(i));
        // Who has the lock of a stack finds its task off all CPUs, in an order that leaves an interrupt nothing to do.
        let stack = self.stacks[i].lock().expect("nobody panics").clone();
        let since = Interrupted::trust();
        let Some(evidence) = self.transition.stopped(task(i), &since) else {
            return false;
        };
        self.attempt(&evidence, &stack, Cause::Asleep)
    }

    /// Looks at a stack and moves the task if it may.
    pub(super) fn attempt(&self, evidence: &impl Evidence, stack: &[Frame], cause: Cause) -> bool {
        self.attempt_by(evidence, stack, cause, |ranges| {
            StackCheck::new(evidence, ranges, &[])
        })
    }

    fn attempt_by<'e, 'r>(
        &self,
        evidence: &'e impl Evidence,
        stack: &[Frame],
        cause: Cause,
        check: impl FnOnce(Ranges<'r>) -> StackCheck<'e, 'r>,
    ) -> bool {
        let Some(leaves) = self.transition.pending(evidence.task()) else {
            return false;
        };
        let spans = match leaves {
            Side::From => &FROM_SPANS,
            Side::To => &TO_SPANS,
        };
        let mut check = check(Ranges::new(leaves, spans).expect("sorted"));
        for (addr, called) in stack.iter().rev().map(|frame| frame.found()) {
            let certain = true;
            check.frame(addr, || called.map(|target| Call { target, certain }));
        }
        let Ok(clean) = check.finish(true) else {
            return false;
        };
        let i = evidence.task().addr() / 0x1000 - 1;
        if leaves == Side::To {
            self.get(i, 1);
        }
        match self.transition.shift(clean, cause) {
            Shift::ToTo => self.get(i, -1),
            Shift::ToFrom => return true,
            Shift::Stays | Shift::Full if leaves == Side::To => {
                self.get(i, -1);
                return false;
            }
            Shift::Stays | Shift::Full => return false,
        }
        true
    }

    /// Looks at all tasks, and frees what nobody executes any more if the transition is complete.
    pub(super) fn complete_from(&self, tasks: impl Iterator<Item = usize>) -> Result<(), Refused> {
        let mut survey = self.transition.survey()?;
        for i in tasks {
            survey.look(task(i));
        }
        survey.complete()?;
        self.free(Side::To);
        Ok(())
    }

    pub(super) fn complete_to(&self) -> Result<(), Refused> {
        self.transition.complete()?;
        self.free(Side::From);
        Ok(())
    }

    fn code(&self, side: Side) -> &UnsafeCell<()> {
        match side {
            Side::From => &self.from,
            Side::To => &self.to,
        }
    }

    fn free(&self, side: Side) {
        self.code(side).with_mut(|_| ());
    }
}

/// After all threads have ended: everything can be brought to an end, and nothing is lost.
pub(super) fn finish(mut world: World, tasks: &[usize]) {
    for &i in tasks {
        world.asleep(i);
    }
    match world.complete_to() {
        Err(Refused::Phase(_)) => {}
        result => assert_eq!(result, Ok(())),
    }
    match world.complete_from(tasks.iter().copied()) {
        Err(Refused::Phase(_)) => {}
        result => assert_eq!(result, Ok(())),
    }
    let world = Arc::get_mut(&mut world).expect("the threads have ended");
    let refs = &world.refs;
    let give_back = |task: Task| {
        refs[task.addr() / 0x1000 - 1].fetch_sub(1, Ordering::Relaxed);
    };
    world.transition.finish(give_back).expect("it is complete");
    for count in &world.refs {
        assert_eq!(count.load(Ordering::Relaxed), 0, "references");
    }
}

/// A task that is running.
pub(super) struct Running<'a> {
    world: &'a Everything,
    i: usize,
    stack: Option<MutexGuard<'a, Vec<Frame>>>,
}

impl<'a> Running<'a> {
    pub(super) fn new(world: &'a Everything, i: usize) -> Self {
        let stack = Some(world.stacks[i].lock().expect("nobody panics"));
        Self { world, i, stack }
    }

    fn stack(&mut self) -> &mut Vec<Frame> {
        self.stack.as_mut().expect("it runs")
    }

    /// Calls a patched function, which does something. `interrupt` comes between the handler's answer and
    /// the function.
    pub(super) fn call(&mut self, interrupt: impl FnOnce(&mut Self), body: impl FnOnce(&mut Self)) {
        self.stack().push(Frame::Site);
        let side = self.world.transition.side(task(self.i));
        interrupt(self);
        self.stack().pop();
        let other = match side {
            Side::From => Frame::Code(Side::To),
            Side::To => Frame::Code(Side::From),
        };
        let mixed = self.stack().contains(&other);
        assert!(!mixed, "{side:?} is called from {other:?}");
        self.stack().push(Frame::Code(side));
        self.world.code(side).with(|_| ());
        body(self);
        self.world.code(side).with(|_| ());
        self.stack().pop();
    }

    /// The same for a function whose site goes to a door. `preempted` comes between the look whether the door is open and
    /// the jump.
    pub(super) fn call_by_door(&mut self, preempted: impl FnOnce(&mut Self)) {
        self.stack().push(Frame::Door);
        let shut = self.world.shut.load(Ordering::Relaxed);
        if !shut {
            preempted(self);
        }
        self.stack().pop();
        if shut {
            return self.call(|_| (), |_| ());
        }
        let side = self.world.transition.side(task(self.i));
        assert_eq!(side, Side::From, "it comes to the function of before");
        self.stack().push(Frame::Code(side));
        self.world.code(side).with(|_| ());
        self.stack().pop();
    }

    /// A patched function that ends by a jump to another one, or to one that does not change and jumps there itself. `between` comes
    /// where the first one has no frame any more, if it jumps so far, else before it jumps.
    pub(super) fn jump(&mut self, by_name: bool, far: bool, between: impl FnOnce(&mut Self)) {
        self.stack().push(Frame::Called { by_name });
        self.stack().push(Frame::Site);
        let first = self.world.transition.side(task(self.i));
        self.stack().pop();
        self.stack().push(Frame::Code(first));
        self.world.code(first).with(|_| ());
        if far {
            self.stack().pop();
            self.stack().push(Frame::Other);
        }
        between(self);
        self.stack().pop();
        self.stack().push(Frame::Landing);
        self.entered();
        let second = self.world.transition.side(task(self.i));
        assert_eq!(first, second, "one has jumped to the other");
        self.stack().pop();
        self.stack().push(Frame::Code(second));
        self.world.code(second).with(|_| ());
        self.stack().pop();
        self.stack().pop();
    }

    /// At the entry of a function that others jump to.
    fn entered(&mut self) -> bool {
        let evidence = Current::trust(task(self.i), self);
        let stack = self.stack.as_ref().expect("it runs");
        let at_entry =
            |ranges| StackCheck::at_entry(&evidence, ranges, LANDING, Proof::ByCall, &[]);
        (self.world).attempt_by(&evidence, stack, Cause::Entered, at_entry)
    }

    /// A patched function that calls another.
    pub(super) fn outer_and_inner(&mut self, between: impl FnOnce(&mut Self)) {
        self.call(
            |_| (),
            |this| {
                between(this);
                this.call(|_| (), |_| ());
            },
        );
    }

    /// The triggers from inside.
    pub(super) fn interrupted(&mut self) -> bool {
        let evidence = Current::trust(task(self.i), self);
        let stack = self.stack.as_ref().expect("it runs");
        self.world.attempt(&evidence, stack, Cause::Running)
    }

    /// Goes to sleep, and wakes up sooner or later.
    pub(super) fn sleep(&mut self) {
        self.stack = None;
        self.stack = Some(self.world.stacks[self.i].lock().expect("nobody panics"));
    }
}
