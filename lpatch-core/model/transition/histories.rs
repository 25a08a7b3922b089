// SPDX-License-Identifier: GPL-2.0

//! Long random histories of many tasks, one step at a time, against a naive model.

use super::super::callee::Call;
use super::super::routes::{self, Exits, Route};
use super::atomic::AtomicUsize;
use super::evidence::{Asleep, Current, Ended, Unborn};
use super::stack::{Blocked, Landing, Proof, Ranges, Span, StackCheck};
use super::{Cause, Direction, Phase, Reference, Refused, Shift, Side, Task, Transition};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::vec::Vec;

const TASKS: usize = 24;
/// Two that change, and one between that does not.
const FUNCS: usize = 3;
const BETWEEN: usize = 2;

#[derive(Clone, Debug)]
enum Op {
    Begin,
    Fill(usize),
    GoLive,
    Abort,
    Birth(usize),
    Answer(usize),
    /// A call of a function.
    Enter(usize, usize, How),
    /// The function that runs ends by a jump to this one, if it may.
    Jump(usize, usize),
    Call(usize),
    Return(usize),
    Move(usize, Cause),
    Exit(usize),
    Reverse,
    Complete,
    Survey,
    Force,
    Finish,
}

/// The step that a random number stands for. So a long history is a plain vector, which is made and made
/// smaller a good deal faster than one of strategies.
fn op(random: u32) -> Op {
    let random = usize::try_from(random).expect("it is wider");
    let (task, rest) = (random % TASKS, random / TASKS);
    let (cause, rest) = (Cause::ALL[rest % 6], rest / 6);
    match rest % 1000 {
        0..10 => Op::Begin,
        10..20 => Op::Fill(task),
        20..30 => Op::GoLive,
        30 => Op::Abort,
        31..45 => Op::Birth(task),
        45..50 => Op::Answer(task),
        50..95 if rest % 4 == 0 => Op::Enter(task, rest / 4 % FUNCS, How::Pointer),
        50..95 => Op::Enter(task, rest / 4 % FUNCS, How::Name),
        95..115 => Op::Jump(task, rest % FUNCS),
        115..255 => Op::Call(task),
        255..500 => Op::Return(task),
        500..930 => Op::Move(task, cause),
        930..937 => Op::Exit(task),
        937..939 => Op::Reverse,
        939..959 => Op::Complete,
        959..979 => Op::Survey,
        979 => Op::Force,
        _ => Op::Finish,
    }
}

/// How a function was come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// By a call that names it.
    Name,
    /// By a call through a pointer.
    Pointer,
    /// By a jump from the function before it, which has no frame any more and whose return address is left.
    Jump,
}

/// A function that is not over.
#[derive(Clone, Copy, Debug)]
struct Act {
    /// Of the one that does not change: none.
    version: usize,
    func: usize,
    how: How,
    /// It has ended by a jump. What it jumped to acts for it.
    jumped: bool,
}

/// The functions that a task is in, and the one that a handler's answer is on its way to.
#[derive(Clone, Debug, Default)]
struct Stack {
    code: Vec<Act>,
    answer: Option<Act>,
}

/// Where a version is.
fn code(version: usize) -> u64 {
    u64::try_from(version).expect("there are few") * 10 + 1000
}

/// Where a function begins that is called, and of those that change the site.
fn site(func: usize) -> u64 {
    u64::MAX - 100 + u64::try_from(func).expect("there are few") * 20
}

/// Of what does not change.
const NO_VERSION: usize = usize::MAX;

impl Act {
    fn new(func: usize, how: How) -> Self {
        Self {
            version: NO_VERSION,
            func,
            how,
            jumped: false,
        }
    }

    /// Where it calls from.
    fn inside(&self) -> u64 {
        match self.func {
            BETWEEN => site(BETWEEN) + 3,
            _ => code(self.version) + 3,
        }
    }
}

impl Stack {
    /// What an unwinder finds, the nearest to the top first: addresses, and what was called in front of each.
    fn frames(&self) -> Vec<(u64, Option<u64>)> {
        let mut frames = Vec::new();
        let on_the_way = self.answer.iter().map(|act| (site(act.func) + 5, act));
        let inside = (self.code.iter().rev()).map(|act| (act.inside(), act));
        for (addr, act) in on_the_way.chain(inside) {
            if !act.jumped {
                frames.push((addr, None));
            }
            match act.how {
                How::Name => frames.push((1, Some(site(act.func)))),
                How::Pointer => frames.push((1, None)),
                How::Jump => {}
            }
        }
        frames
    }
}

/// The real thing, and beside it what should be true.
struct History {
    transition: Transition<Vec<AtomicUsize>>,
    slots: usize,
    /// Which function may end by a jump to which.
    jumps: Jumps,
    proofs: [Proof; 2],
    landings: Vec<Landing>,
    alive: [Option<Stack>; TASKS],
    phase: Phase,
    members: BTreeSet<usize>,
    /// Members of this transition, former ones included.
    seen: BTreeSet<usize>,
    /// Of them, those that were known as no members first.
    noted: usize,
    full: bool,
    counts: [u64; Cause::ALL.len()],
    /// References that the set should have.
    refs: [usize; TASKS],
    /// The version before the transition; the one that it leads to is the next.
    version: usize,
    completed: [usize; 3],
    /// How many surveys found a task that has no place in the set.
    no_way_back: usize,
}

fn task(i: usize) -> Task {
    Task::new(0xffff_8880_0000_2540 + i * 0x2a40).expect("it is even")
}

/// Which function may end by a jump to which.
type Jumps = [[bool; FUNCS]; FUNCS];

/// What is found out about the entries of the functions when a patch is loaded, and which one without a route is jumped to.
fn proofs(jumps: &Jumps) -> ([Proof; 2], Vec<Landing>) {
    let mut routes = [0, 1].map(|func| Route {
        ip: site(func),
        from: 1,
        ..Route::default()
    });
    let mut comes_to = *jumps;
    for over in 0..FUNCS {
        for from in 0..FUNCS {
            for to in 0..FUNCS {
                comes_to[from][to] |= comes_to[from][over] && comes_to[over][to];
            }
        }
    }
    let span = |func: usize| Span {
        start: site(func),
        end: site(func) + 10,
    };
    let funcs: Vec<Vec<Span>> = (0..2)
        .map(|from| {
            (0..FUNCS)
                .filter(|&to| comes_to[from][to])
                .map(span)
                .collect()
        })
        .collect();
    let exits = |i: usize| Exits {
        funcs: &funcs[i],
        jumps: &[],
        known: true,
    };
    routes::prove(&mut routes, Side::From, &[true; 2], &mut [false; 2], exits);
    let is_reached = funcs.iter().flatten().any(|func| *func == span(BETWEEN));
    let landing = Landing {
        span: span(BETWEEN),
        start: site(BETWEEN),
        by_call: !(0..2).any(|to| comes_to[BETWEEN][to]),
        several: false,
    };
    (
        routes.map(|route| route.proof(Side::From)),
        is_reached.then_some(landing).into_iter().collect(),
    )
}

impl History {
    /// `jumps`: the numbers of the pairs of functions of which the first may jump to the second.
    fn new(slots: usize, jumps: usize) -> Self {
        let memory = (0..slots).map(|_| AtomicUsize::new(7)).collect();
        let jumps: Jumps = core::array::from_fn(|from| {
            core::array::from_fn(|to| jumps >> (FUNCS * from + to) & 1 == 1)
        });
        let (proofs, landings) = proofs(&jumps);
        Self {
            transition: Transition::new(memory).expect("it is a power of two"),
            slots,
            jumps,
            proofs,
            landings,
            alive: core::array::from_fn(|i| (i < TASKS / 2).then(Stack::default)),
            phase: Phase::Idle,
            members: BTreeSet::new(),
            seen: BTreeSet::new(),
            noted: 0,
            full: false,
            counts: [0; Cause::ALL.len()],
            refs: [0; TASKS],
            version: 0,
            completed: [0; 3],
            no_way_back: 0,
        }
    }

    fn count(&mut self, cause: Cause) {
        let at = Cause::ALL.iter().position(|&other| other == cause);
        self.counts[at.expect("it is one of all")] += 1;
    }

    /// Whether a task fits into the set, and if so puts it in.
    fn admit(&mut self, i: usize) -> bool {
        if !self.seen.contains(&i) && self.seen.len() == self.slots {
            self.full = true;
            return false;
        }
        self.seen.insert(i);
        self.members.insert(i);
        true
    }

    /// The version that a task's calls should go to.
    fn lives(&self, i: usize) -> Side {
        match self.phase {
            Phase::Idle | Phase::Filling => Side::From,
            Phase::Live(_) if self.members.contains(&i) => Side::From,
            Phase::Live(_) => Side::To,
            Phase::Complete(side) | Phase::Forced(side) => side,
        }
    }

    fn change(&mut self, allowed: bool, to: Phase) -> Result<(), Refused> {
        if !allowed {
            return Err(Refused::Phase(self.phase));
        }
        self.phase = to;
        Ok(())
    }

    fn fill(&mut self, i: usize) {
        let result = self.transition.fill(task(i));
        let expected = if self.phase != Phase::Filling {
            Err(Refused::Phase(self.phase))
        } else if self.members.contains(&i) {
            Ok(Reference::Yours)
        } else if self.admit(i) {
            self.refs[i] += 1;
            Ok(Reference::Taken)
        } else {
            Err(Refused::Full)
        };
        assert_eq!(result, expected);
    }

    fn go_live(&mut self) {
        if self.phase == Phase::Filling {
            // The rest of the tasks.
            let alive: Vec<_> = (0..TASKS).filter(|&i| self.alive[i].is_some()).collect();
            alive.into_iter().for_each(|i| self.fill(i));
        }
        let result = self.transition.go_live();
        if self.phase == Phase::Filling && self.full {
            assert_eq!(result, Err(Refused::Full));
            return;
        }
        let allowed = self.phase == Phase::Filling;
        assert_eq!(
            result,
            self.change(allowed, Phase::Live(Direction::Forward))
        );
    }

    fn birth(&mut self, i: usize) {
        if self.alive[i].is_some() {
            return;
        }
        let result = self.transition.birth(&Unborn::trust(task(i), &()));
        let inserts = matches!(self.phase, Phase::Filling | Phase::Live(Direction::Reverse));
        let taken = inserts && self.admit(i);
        let forward = self.phase == Phase::Live(Direction::Forward);
        if forward && self.seen.len() < self.slots && self.noted < self.slots / 4 {
            // It is known from its birth on.
            self.noted += usize::from(self.seen.insert(i));
        }
        if forward || taken && self.phase != Phase::Filling {
            self.count(Cause::Birth);
        }
        self.refs[i] += usize::from(taken);
        let expected = match taken {
            true => Reference::Taken,
            false => Reference::Yours,
        };
        assert_eq!(result, expected);
        self.alive[i] = Some(Stack::default());
    }

    fn answer(&mut self, i: usize) {
        let lives = self.lives(i);
        assert_eq!(self.transition.side(task(i)), lives);
        if let Phase::Live(_) = self.phase {
            let known = self.transition.answer(task(i)).known;
            assert_eq!(known, self.seen.contains(&i));
        }
        if let Some(answer) = self.alive[i]
            .as_mut()
            .and_then(|stack| stack.answer.as_mut())
        {
            answer.version = self.version + usize::from(lives == Side::To);
        }
    }

    /// The task comes to a function, where it may move if that changes.
    fn enter(&mut self, i: usize, func: usize, how: How) {
        let Some(stack) = self.alive[i].as_mut() else {
            return;
        };
        if stack.answer.is_some() {
            return;
        }
        if func == BETWEEN {
            return stack.code.push(Act::new(func, how));
        }
        stack.answer = Some(Act::new(func, how));
        self.attempt(i, Cause::Entered);
        self.answer(i);
    }

    /// The task comes there by a jump from a function that it is in.
    fn jump(&mut self, i: usize, to: usize) {
        let jumps = self.jumps;
        let top = self.alive[i]
            .as_mut()
            .filter(|stack| stack.answer.is_none());
        let top = top.and_then(|stack| stack.code.last_mut());
        if let Some(top) = top.filter(|top| jumps[top.func][to]) {
            top.jumped = true;
            self.enter(i, to, How::Jump);
        }
    }

    /// The task enters the function that it was sent to.
    fn call(&mut self, i: usize) {
        if let Some(stack) = &mut self.alive[i] {
            let Some(act) = stack.answer.take() else {
                return;
            };
            // Forcing voids the invariant, so this does happen then.
            let guaranteed = !matches!(self.phase, Phase::Forced(_));
            let other = |other: &Act| ![act.version, NO_VERSION].contains(&other.version);
            if guaranteed && stack.code.iter().any(other) {
                let (phase, below) = (self.phase, &stack.code);
                panic!("task {i} enters {act:?} in {phase:?}, below {below:?}");
            }
            stack.code.push(act);
        }
    }

    fn attempt(&mut self, i: usize, cause: Cause) {
        let Some(stack) = &self.alive[i] else {
            return;
        };
        let pending = self.transition.pending(task(i));
        let Phase::Live(direction) = self.phase else {
            assert_eq!(pending, None);
            return;
        };
        let lives = self.lives(i);
        assert_eq!(pending, (lives == direction.leaves()).then_some(lives));
        // Also a look that comes to nothing, because there is nothing to do.
        let leaves = pending.unwrap_or(lives);
        let version = self.version + usize::from(leaves == Side::To);
        let span = |start, len| Span {
            start,
            end: start + len,
        };
        let spans = [span(code(version), 5), span(site(0), 6), span(site(1), 6)];
        let ranges = Ranges::new(leaves, &spans).expect("they are sorted");
        let asleep = Asleep::trust(task(i), &());
        let current = Current::trust(task(i), &());
        let entered = stack.answer.filter(|_| cause == Cause::Entered);
        let mut check = match entered {
            Some(act) => {
                let proof = self.proofs[act.func];
                StackCheck::at_entry(&current, ranges, site(act.func), proof, &self.landings)
            }
            None => StackCheck::new(&asleep, ranges, &self.landings),
        };
        for (addr, called) in stack.frames() {
            let certain = true;
            check.frame(addr, || called.map(|target| Call { target, certain }));
        }
        // Who is on the way is held by that, but at the entry itself. There the return address that those left who jumped
        // says nothing if it is behind a call of the function itself.
        let mut left = entered.filter(|act| act.how == How::Jump);
        let mut held = |act: &Act| {
            let own = left.filter(|_| act.how != How::Jump);
            left = left.filter(|_| own.is_none());
            match () {
                () if act.version == version && !act.jumped => Some(0),
                () if act.how != How::Name => None,
                () if own.is_some_and(|own| own.func == act.func) => None,
                () => Some(1 + act.func),
            }
        };
        let by = match (stack.answer, entered) {
            (Some(act), None) => Some(1 + act.func),
            _ => stack.code.iter().rev().find_map(&mut held),
        };
        let proved = entered.is_none_or(|act| match self.proofs[act.func] {
            Proof::Always => true,
            Proof::ByCall => act.how == How::Name,
            Proof::Never => false,
        });
        let blocked = match by {
            Some(span) => Some(Blocked::By(span)),
            None if !proved => Some(Blocked::Jumped),
            None => None,
        };
        let clean = check.finish(true);
        if stack.code.iter().any(|act| act.func == BETWEEN) {
            // More may be in the way then, but no less.
            let acts = || {
                stack
                    .code
                    .iter()
                    .chain(stack.answer.iter().filter(|_| entered.is_none()))
            };
            assert!(clean.is_err() || acts().all(|act| act.version != version));
        } else {
            assert_eq!(clean.as_ref().err(), blocked.as_ref());
        }
        let Ok(clean) = clean else {
            return;
        };
        let result = self.transition.shift(clean, cause);
        let expected = match (pending, direction) {
            (None, _) => Shift::Stays,
            (Some(_), Direction::Forward) => {
                self.members.remove(&i);
                self.refs[i] -= 1;
                Shift::ToTo
            }
            (Some(_), Direction::Reverse) if self.admit(i) => {
                self.refs[i] += 1;
                Shift::ToFrom
            }
            (Some(_), Direction::Reverse) => Shift::Full,
        };
        if matches!(expected, Shift::ToTo | Shift::ToFrom) {
            self.count(cause);
        }
        assert_eq!(result, expected);
    }

    fn exit(&mut self, i: usize) {
        if self.alive[i].take().is_none() {
            return;
        }
        self.transition.died(task(i));
        let member = self.members.remove(&i);
        let pending = match self.phase {
            Phase::Live(Direction::Forward) => member,
            Phase::Live(Direction::Reverse) => !member,
            _ => false,
        };
        if pending {
            self.count(Cause::Exit);
        }
        self.refs[i] -= usize::from(member);
        assert_eq!(self.transition.exit(&Ended::trust(task(i))), member);
    }

    fn reverse(&mut self) {
        let result = self.transition.reverse();
        let expected = match self.phase {
            Phase::Live(now) => self.change(true, Phase::Live(now.turned())),
            phase => Err(Refused::Phase(phase)),
        };
        assert_eq!(result, expected);
    }

    fn complete(&mut self) {
        let result = self.transition.complete();
        if self.phase == Phase::Live(Direction::Forward) && !self.members.is_empty() {
            assert_eq!(result, Err(Refused::Pending(self.members.len())));
            assert!(!self.transition.ripe());
            return;
        }
        let allowed = self.phase == Phase::Live(Direction::Forward);
        let expected = self.change(allowed, Phase::Complete(Side::To));
        assert_eq!(result, expected);
        if result.is_ok() {
            self.gone(self.version);
        }
    }

    fn survey(&mut self) {
        let mut survey = match self.transition.survey() {
            Ok(survey) => survey,
            Err(refused) => {
                assert_eq!(refused, Refused::Phase(self.phase));
                assert_ne!(self.phase, Phase::Live(Direction::Reverse));
                return;
            }
        };
        self.full = false;
        let (mut outside, mut stuck) = (0, false);
        for i in (0..TASKS).filter(|&i| self.alive[i].is_some()) {
            let is_outside = survey.look(task(i));
            assert_eq!(is_outside, !self.members.contains(&i));
            outside += usize::from(is_outside);
            stuck |= is_outside && !self.seen.contains(&i) && self.seen.len() == self.slots;
        }
        let result = survey.complete();
        if stuck {
            assert_eq!(result, Err(Refused::Full));
            self.no_way_back += 1;
            return;
        }
        if outside > 0 {
            assert_eq!(result, Err(Refused::Pending(outside)));
            assert!(!self.transition.ripe());
            return;
        }
        assert_eq!(result, self.change(true, Phase::Complete(Side::From)));
        self.gone(self.version + 1);
    }

    /// Nobody executes this version any more, nor is on the way.
    fn gone(&self, version: usize) {
        for stack in self.alive.iter().flatten() {
            let mut acts = stack.code.iter().chain(&stack.answer);
            assert!(acts.all(|act| act.version != version));
        }
    }

    fn force(&mut self) {
        let result = self.transition.force(3);
        let expected = match self.phase {
            Phase::Live(now) => self.change(true, Phase::Forced(now.target())),
            phase => Err(Refused::Phase(phase)),
        };
        assert_eq!(result, expected);
        if result.is_ok() {
            self.counts[Cause::ALL.len() - 1] += 3;
        }
    }

    fn finish(&mut self) {
        let refs = &mut self.refs;
        let give_back = |given: Task| {
            let i = (0..TASKS).find(|&i| task(i) == given);
            refs[i.expect("it is a task")] -= 1;
        };
        let result = self.transition.finish(give_back);
        let side = match self.phase {
            Phase::Complete(side) => side,
            Phase::Forced(side) => {
                // Nothing is known about stacks.
                self.alive
                    .iter_mut()
                    .flatten()
                    .for_each(|stack| *stack = Stack::default());
                side
            }
            phase => return assert_eq!(result, Err(Refused::Phase(phase))),
        };
        assert_eq!((result, self.refs), (Ok(()), [0; TASKS]));
        let how = match self.phase {
            Phase::Forced(_) => 2,
            _ => usize::from(side == Side::To),
        };
        self.completed[how] += 1;
        // Where it began is gone; the versions of the next one are others than those of a reversed one.
        let next = self.version + 2;
        for stack in self.alive.iter_mut().flatten() {
            stack
                .code
                .iter_mut()
                .chain(&mut stack.answer)
                .filter(|act| act.func != BETWEEN)
                .for_each(|act| act.version = next);
        }
        self.version = next;
        self.phase = Phase::Idle;
        self.members.clear();
        self.seen.clear();
        self.noted = 0;
        self.full = false;
        self.counts = [0; Cause::ALL.len()];
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Begin => {
                let result = self.transition.begin();
                let allowed = self.phase == Phase::Idle;
                assert_eq!(result, self.change(allowed, Phase::Filling));
            }
            Op::Fill(i) if self.alive[i].is_some() => self.fill(i),
            Op::GoLive => self.go_live(),
            Op::Abort => {
                let result = self.transition.abort();
                let allowed = self.phase == Phase::Filling;
                assert_eq!(result, self.change(allowed, Phase::Complete(Side::From)));
            }
            Op::Birth(i) => self.birth(i),
            Op::Answer(i) => self.answer(i),
            Op::Enter(i, func, how) => self.enter(i, func, how),
            Op::Jump(i, to) => self.jump(i, to),
            Op::Call(i) => self.call(i),
            Op::Return(i) => {
                let stack = self.alive[i].as_mut();
                if let Some(stack) = stack.filter(|stack| stack.answer.is_none()) {
                    // And with it those that jumped there.
                    while stack.code.pop().is_some_and(|act| act.how == How::Jump) {}
                }
            }
            // A task enters a function before the handler answers.
            Op::Move(i, Cause::Entered) => self.attempt(i, Cause::Running),
            Op::Move(i, cause) => self.attempt(i, cause),
            Op::Exit(i) => self.exit(i),
            Op::Reverse => self.reverse(),
            Op::Complete => self.complete(),
            Op::Survey => self.survey(),
            Op::Force => self.force(),
            Op::Finish => self.finish(),
            Op::Fill(_) => {}
        }
        assert_eq!(self.transition.phase(), self.phase);
        assert_eq!(self.transition.counters().read(), self.counts);
        assert_eq!(self.transition.in_from(), self.members.len());
        let untouched = matches!(
            op,
            Op::Answer(_) | Op::Call(_) | Op::Return(_) | Op::Jump(..)
        );
        if untouched || matches!(op, Op::Move(i, _) if i % 4 > 0) {
            // Looking at all would take most of the time.
            return;
        }
        let members: BTreeSet<_> = self.transition.members().collect();
        assert_eq!(members, self.members.iter().map(|&i| task(i)).collect());
        assert!((0..TASKS).all(|i| self.refs[i] == usize::from(self.members.contains(&i))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn agrees_with_the_naive_model(
        slots in prop::sample::select(&[16_usize, 32, 128][..]),
        jumps in 0..1_usize << (FUNCS * FUNCS),
        randoms in prop::collection::vec(any::<u32>(), 0..4000),
    ) {
        let mut history = History::new(slots, jumps);
        for random in randoms {
            history.step(&op(random));
        }
    }
}

/// The histories are not all boring.
#[test]
fn histories_complete_in_every_way() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut history = History::new(128, 0b110_101_110);
    for _ in 0..60_000 {
        history.step(&op(runner.rng().next_u32()));
    }
    // Back, forward, and by force.
    let [back, forward, forced] = history.completed;
    assert!(
        back > 5 && forward > 5 && forced > 5,
        "{back} {forward} {forced}"
    );
}

/// Not all reversals can be completed.
#[test]
fn histories_find_no_way_back() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut history = History::new(16, 0b110_101_110);
    for _ in 0..20_000 {
        history.step(&op(runner.rng().next_u32()));
    }
    assert!(history.no_way_back > 5, "{}", history.no_way_back);
}

#[test]
fn no_power_of_two() {
    for len in [0, 3, 12] {
        let slots: Vec<_> = (0..len).map(|_| AtomicUsize::new(0)).collect();
        assert!(Transition::new(slots).is_none());
    }
}
