// SPDX-License-Identifier: GPL-2.0

//! Whether the stack of a task lets it move: no function of the side that it leaves may be on it.
//!
//! A function that ends by a jump to another one gives up its frame before it is over: what it does last is done by the other, with
//! arguments, locks and a state of the first one's version. So there are three rules more.
//!
//! - A return address behind a direct call of a function that changes counts as that function. Either it is on the stack, or it has
//!   jumped on.
//! - Who is in a function that one of the side jumps to, and that does not change itself, is in none of the side only if it is proved that
//!   it was called: what is in front of the next return address has to be a direct call of that very function, or of one that comes
//!   there by jumps [past the side](super::detours).
//! - At the entry of a function, where the stack says least, the task counts as clean only if it is proved that no function of the
//!   side has jumped there. Where one may have (see [`routes::prove`](super::super::routes::prove)), the return address has to be
//!   behind a direct call of that very function. Behind a call of another one, an indirect call, a trampoline or a thunk, nothing is
//!   proved, and another trigger has to do.
//!
//! What they cannot see is a function that was itself called through a pointer, or entered by a jump, and has jumped on through a pointer.
//! `docs/transitions.md` says what that means.

use super::super::callee::{self, Call};
use super::detours::Detours;
use super::evidence::Evidence;
use super::task::Task;
use super::Side;
use core::cmp::Ordering;
use core::marker::PhantomData;
use core::ops::Deref;

/// The addresses from `start` to before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first address.
    pub start: u64,
    /// The address behind the last.
    pub end: u64,
}

/// Code that may act for a function of a side, because one of the side comes there by jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landing {
    /// Where the code is: a function, or the text of a patch.
    pub span: Span,
    /// What is called, or its fentry site, so that the code runs.
    pub start: u64,
    /// Whether who was called there directly is there on nobody's behalf. If not, it leads back to where one of the side jumps from.
    pub by_call: bool,
    /// Whether the code may call other functions that are part of it.
    pub several: bool,
}

impl Landing {
    /// Whether somebody who was called by a call of this address acts for nobody.
    fn is_called(&self, target: u64) -> bool {
        let inside = self.several && (self.span.start..self.span.end).contains(&target);
        self.by_call && (callee::begins(target, self.start) || inside)
    }
}

/// Brings those together that are of the same code, of sorted ones, and returns how many are left. A call proves only what it proves
/// of all of them.
pub fn merge(landings: &mut [Landing]) -> usize {
    let mut kept: usize = 0;
    for i in 0..landings.len() {
        let Some(&landing) = landings.get(i) else {
            break;
        };
        let last = kept.checked_sub(1).and_then(|last| landings.get_mut(last));
        match last {
            Some(last) if landing.span.start < last.span.end => {
                last.span.end = last.span.end.max(landing.span.end);
                last.by_call &= landing.by_call && landing.start == last.start;
                last.several |= landing.several;
            }
            _ => {
                if let Some(slot) = landings.get_mut(kept) {
                    *slot = landing;
                }
                kept = kept.saturating_add(1);
            }
        }
    }
    kept
}

/// The span with this index is empty, or begins before the end of the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSorted(pub usize);

/// Where a task must not be that leaves a side.
///
/// That is the code of all functions of that side, parts that the compiler moved elsewhere included, and
/// for *either* side the functions in which the fentry sites are. A task that is between
/// the handler's answer and the function that it was sent to has the site's address on its stack, and
/// nothing else shows that it is on its way to the side that it is about to leave.
///
/// # Invariants
///
/// The spans are not empty, sorted, and do not overlap.
#[derive(Clone, Copy, Debug)]
pub struct Ranges<'a> {
    side: Side,
    spans: &'a [Span],
}

impl<'a> Ranges<'a> {
    /// The spans that a task must not be in to leave `side`.
    pub fn new(side: Side, spans: &'a [Span]) -> Result<Self, NotSorted> {
        sorted(spans)?;
        // INVARIANT: Checked just now.
        Ok(Self { side, spans })
    }

    /// The side that they belong to.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The index of the span that an address is in.
    pub fn hits(&self, addr: u64) -> Option<usize> {
        let mut rest = self.spans;
        let mut first: usize = 0;
        loop {
            let half = rest.len() / 2;
            let (below, from) = rest.split_at_checked(half)?;
            let (span, above) = from.split_first()?;
            let order = match addr {
                addr if addr < span.start => Ordering::Less,
                addr if addr < span.end => Ordering::Equal,
                _ => Ordering::Greater,
            };
            match order {
                Ordering::Less => rest = below,
                Ordering::Equal => return Some(first.saturating_add(half)),
                Ordering::Greater => {
                    rest = above;
                    first = first.saturating_add(half).saturating_add(1);
                }
            }
        }
    }
}

/// Whether the spans are not empty, sorted, and do not overlap.
fn sorted(spans: &[Span]) -> Result<(), NotSorted> {
    let mut end = 0;
    for (i, span) in spans.iter().enumerate() {
        if span.start < end || span.start >= span.end {
            return Err(NotSorted(i));
        }
        end = span.end;
    }
    Ok(())
}

/// Spans in a memory of their own. They are checked here once, and not at each look at a stack: that is with interrupts off, and
/// a patch of many functions has thousands of them.
///
/// # Invariants
///
/// As those of [`Ranges`].
#[derive(Debug)]
pub struct Spans<S>(S);

impl<S: Deref<Target = [Span]>> Spans<S> {
    /// Takes over spans that are sorted and do not overlap.
    pub fn new(spans: S) -> Result<Self, NotSorted> {
        sorted(&spans)?;
        // INVARIANT: Checked just now.
        Ok(Self(spans))
    }

    /// Where a task must not be that leaves this side.
    pub fn ranges(&self, side: Side) -> Ranges<'_> {
        // INVARIANT: By ours.
        Ranges {
            side,
            spans: &self.0,
        }
    }
}

/// Why a task cannot move now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// The span with this index is on its stack; of several, the one nearest to the top.
    By(usize),
    /// Its stack cannot be read from end to end.
    Unreliable,
    /// It may have come by a jump, from a function that it has to leave first, to one that it is in, or has just entered.
    Jumped,
}

/// What the entry of a function proves of a task that lives on a side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// Nothing.
    #[default]
    Never,
    /// If it was called directly, that no function of the side has jumped there.
    ByCall,
    /// That no function of the side has jumped there.
    Always,
}

/// How far a look has got at the entry of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// It is not at one, or past it.
    None,
    /// The next frame that matters is the function's own, behind the call at this site.
    Own(u64, Proof),
    /// The next frame is that of who called it.
    Caller(u64, Proof),
    /// Nobody is known to have called it.
    Unproved,
}

/// A look at the stack of one task, frame by frame.
pub struct StackCheck<'e, 'r> {
    task: Task,
    holds: bool,
    ranges: Ranges<'r>,
    hit: Option<usize>,
    reliable: bool,
    entry: Entry,
    landings: &'r [Landing],
    detours: Option<&'r Detours>,
    /// Of the landings, the one that the frame before is in, and where.
    inner: Option<(&'r Landing, u64)>,
    /// Where in one of them it is that nobody is known to have called.
    unproved: Option<u64>,
    evidence: PhantomData<&'e ()>,
}

/// The stack of a task does not keep it from leaving a side, for as long as the evidence holds.
#[must_use = "it is there to move the task with"]
pub struct Clean<'e> {
    pub(super) task: Task,
    pub(super) holds: bool,
    pub(super) leaves: Side,
    evidence: PhantomData<&'e ()>,
}

/// The one that an address is in, of sorted ones.
fn find(landings: &[Landing], addr: u64) -> Option<&Landing> {
    let behind = landings.partition_point(|landing| landing.span.start <= addr);
    let last = behind.checked_sub(1).and_then(|at| landings.get(at))?;
    (addr < last.span.end).then_some(last)
}

impl<'e, 'r> StackCheck<'e, 'r> {
    /// A look at the stack of the task that the evidence is about.
    ///
    /// `landings`: where functions of the side come by jumps. Sorted; they do not overlap.
    pub fn new(evidence: &'e impl Evidence, ranges: Ranges<'r>, landings: &'r [Landing]) -> Self {
        Self {
            task: evidence.task(),
            holds: evidence.holds(),
            ranges,
            hit: None,
            reliable: true,
            entry: Entry::None,
            landings,
            detours: None,
            inner: None,
            unproved: None,
            evidence: PhantomData,
        }
    }

    /// The same for a task that has just entered the function with this fentry site: the return address of the site's call is on
    /// its stack, and does not count.
    pub fn at_entry(
        evidence: &'e impl Evidence,
        ranges: Ranges<'r>,
        site: u64,
        proof: Proof,
        landings: &'r [Landing],
    ) -> Self {
        Self {
            entry: Entry::Own(site, proof),
            ..Self::new(evidence, ranges, landings)
        }
    }

    /// The same, where it may be known of other ways to the landings that they lead past the side.
    pub fn with(self, detours: &'r Detours) -> Self {
        Self {
            detours: Some(detours),
            ..self
        }
    }

    /// Whether who was called there and is at a landing acts for nobody.
    fn is_called(&self, landing: &Landing, target: u64, ret: u64) -> bool {
        if landing.is_called(target) {
            return true;
        }
        let may_ask = landing.by_call && !landing.several && self.ranges.hits(target).is_none();
        let detours = self.detours.filter(|_| may_ask);
        detours.is_some_and(|detours| detours.passes(ret, landing.start))
    }

    /// An address on the stack, or at which the task was interrupted. The nearest to the top first.
    ///
    /// `called`: what was called in front of it, if that is known; see [`callee::direct`].
    pub fn frame(&mut self, addr: u64, called: impl FnOnce() -> Option<Call>) {
        if self.hit.is_some() {
            return;
        }
        if let Entry::Own(site, proof) = self.entry {
            if addr == site.wrapping_add(callee::SITE_LEN) {
                self.entry = Entry::Caller(site, proof);
                return;
            }
        }
        self.hit = self.ranges.hits(addr);
        if self.hit.is_some() {
            return;
        }
        let called = called();
        let proved = called.and_then(Call::proved);
        if let Some((landing, inside)) = self.inner.take() {
            if !proved.is_some_and(|target| self.is_called(landing, target, addr)) {
                self.unproved = self.unproved.or(Some(inside));
            }
        }
        // What runs on top of a function that was entered is nobody's business.
        let behind = !matches!(self.entry, Entry::Own(..));
        self.inner = find(self.landings, addr)
            .filter(|_| behind)
            .map(|landing| (landing, addr));
        let mut target = called.map(|call| call.target);
        if let Entry::Caller(site, proof) = self.entry {
            let by_call = |target: &u64| callee::begins(*target, site);
            self.entry = match proof {
                Proof::Always => Entry::None,
                Proof::ByCall if proved.as_ref().is_some_and(by_call) => Entry::None,
                Proof::ByCall | Proof::Never => Entry::Unproved,
            };
            // The call of the function itself says nothing but that.
            target = target.filter(|target| !by_call(target));
        }
        self.hit = target.and_then(|target| self.ranges.hits(target));
    }

    /// Something on the stack that the unwinder is not sure of.
    pub fn unreliable(&mut self) {
        self.reliable = false;
    }

    /// Where the task is in a function that may act for one of the side, since nobody is known to have called it.
    pub fn may_act_for(&self) -> Option<u64> {
        self.unproved.or(self.inner.map(|(_, addr)| addr))
    }

    /// The verdict. `whole`: the last frame was that of the entry from user mode, or of the task's own
    /// beginning.
    pub fn finish(self, whole: bool) -> Result<Clean<'e>, Blocked> {
        match self.hit {
            Some(i) => Err(Blocked::By(i)),
            None if !whole || !self.reliable => Err(Blocked::Unreliable),
            None if self.entry != Entry::None || self.may_act_for().is_some() => {
                Err(Blocked::Jumped)
            }
            None => Ok(Clean {
                task: self.task,
                holds: self.holds,
                leaves: self.ranges.side,
                evidence: PhantomData,
            }),
        }
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::super::evidence::Current;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const SPANS: [Span; 3] = [
        Span { start: 10, end: 20 },
        Span { start: 20, end: 21 },
        Span { start: 30, end: 40 },
    ];

    fn check(frames: &[Option<u64>], whole: bool) -> Result<(), Blocked> {
        let task = Task::new(0x40).expect("it is even");
        let evidence = Current::trust(task, &());
        let ranges = Ranges::new(Side::To, &SPANS).expect("they are sorted");
        let mut check = StackCheck::new(&evidence, ranges, &[]);
        for frame in frames {
            match frame {
                Some(addr) => check.frame(*addr, || None),
                None => check.unreliable(),
            }
        }
        let clean = check.finish(whole)?;
        assert_eq!((clean.task, clean.leaves), (task, Side::To));
        Ok(())
    }

    #[test]
    fn unsorted_spans() {
        let new = |spans: &[(u64, u64)]| {
            let spans: Vec<Span> = (spans.iter())
                .map(|&(start, end)| Span { start, end })
                .collect();
            Ranges::new(Side::From, &spans).map(|ranges| ranges.side())
        };
        assert_eq!(new(&[]), Ok(Side::From));
        assert_eq!(new(&[(0, 5), (5, 6), (8, u64::MAX)]), Ok(Side::From));
        assert_eq!(new(&[(0, 5), (4, 6)]), Err(NotSorted(1)));
        assert_eq!(new(&[(5, 6), (7, 8), (1, 2)]), Err(NotSorted(2)));
        assert_eq!(new(&[(5, 5)]), Err(NotSorted(0)));
        assert_eq!(new(&[(5, 4)]), Err(NotSorted(0)));
    }

    /// Spans that give themselves out and count how often.
    struct Counted<'a>(&'a core::cell::Cell<usize>);

    impl Deref for Counted<'_> {
        type Target = [Span];

        fn deref(&self) -> &[Span] {
            self.0.set(self.0.get() + 1);
            &SPANS
        }
    }

    #[test]
    fn spans_are_checked_once() {
        let reads = core::cell::Cell::new(0);
        let spans = Spans::new(Counted(&reads)).expect("they are sorted");
        assert_eq!(reads.get(), 1);
        for side in [Side::From, Side::To] {
            assert_eq!(spans.ranges(side).side(), side);
            assert_eq!(spans.ranges(side).hits(20), Some(1));
        }
        let unsorted = [SPANS[1], SPANS[0]];
        assert_eq!(Spans::new(&unsorted[..]).err(), Some(NotSorted(1)));
    }

    #[test]
    fn verdicts() {
        assert_eq!(check(&[], true), Ok(()));
        assert_eq!(check(&[Some(9), Some(21), Some(40)], true), Ok(()));
        assert_eq!(check(&[], false), Err(Blocked::Unreliable));
        assert_eq!(check(&[Some(9), None], true), Err(Blocked::Unreliable));
        assert_eq!(check(&[None, Some(9)], true), Err(Blocked::Unreliable));
        for (addr, span) in [(10, 0), (19, 0), (20, 1), (30, 2), (39, 2)] {
            assert_eq!(check(&[Some(9), Some(addr)], true), Err(Blocked::By(span)));
        }
        // A function's name is the better answer, and the nearest to the top is what the task waits in.
        let frames = [None, Some(35), Some(10), None];
        assert_eq!(check(&frames, false), Err(Blocked::By(2)));
    }

    /// At the entry of the function with the site 50, whose fentry call returns to 55.
    fn enter_by(proof: Proof, frames: &[(u64, Option<u64>)]) -> Result<(), Blocked> {
        let task = Task::new(0x40).expect("it is even");
        let evidence = Current::trust(task, &());
        let spans = [SPANS[0], Span { start: 46, end: 56 }];
        let ranges = Ranges::new(Side::From, &spans).expect("they are sorted");
        let mut check = StackCheck::at_entry(&evidence, ranges, 50, proof, &HIDDEN);
        for &(addr, called) in frames {
            check.frame(addr, || called.map(sure));
        }
        check.finish(true).map(|_| ())
    }

    fn sure(target: u64) -> Call {
        let certain = true;
        Call { target, certain }
    }

    const fn landing(start: u64) -> Landing {
        let end = start + 10;
        Landing {
            span: Span { start, end },
            start,
            by_call: true,
            several: false,
        }
    }

    /// What functions of the side jump to.
    const HIDDEN: [Landing; 2] = [landing(70), landing(80)];

    /// It called the function, or one that did, and may act for one of the side.
    #[test]
    fn a_caller_that_may_have_been_jumped_to() {
        let own = (55, None);
        for proof in [Proof::Always, Proof::ByCall] {
            let by = |frames: &[(u64, Option<u64>)]| {
                enter_by(proof, &[&[own, (75, Some(50))], frames].concat())
            };
            assert_eq!(by(&[(5, Some(70))]), Ok(()));
            assert_eq!(by(&[(5, Some(70)), (6, None)]), Ok(()));
            assert_eq!(by(&[(5, None)]), Err(Blocked::Jumped));
            assert_eq!(by(&[(5, Some(7))]), Err(Blocked::Jumped));
            assert_eq!(by(&[(5, Some(80))]), Err(Blocked::Jumped));
            assert_eq!(by(&[]), Err(Blocked::Jumped));
            // Further down.
            assert_eq!(by(&[(5, Some(70)), (85, None), (6, Some(80))]), Ok(()));
            let far = by(&[(5, Some(70)), (85, None), (6, None)]);
            assert_eq!(far, Err(Blocked::Jumped));
        }
        // What runs on top of the function is its own.
        let above = [(75, None), own, (5, Some(50))];
        assert_eq!(enter_by(Proof::ByCall, &above), Ok(()));
    }

    /// Asleep or interrupted: at any place.
    fn anywhere(frames: &[(u64, Option<Call>)]) -> Result<(), Blocked> {
        let task = Task::new(0x40).expect("it is even");
        let evidence = Current::trust(task, &());
        let ranges = Ranges::new(Side::From, &SPANS).expect("they are sorted");
        let mut check = StackCheck::new(&evidence, ranges, &HIDDEN);
        for &(addr, called) in frames {
            check.frame(addr, || called);
        }
        check.finish(true).map(|_| ())
    }

    #[test]
    fn a_function_that_may_have_been_jumped_to() {
        let doubtful = |target: u64| Call {
            target,
            certain: false,
        };
        let called = |call: Option<Call>| anywhere(&[(3, None), (75, None), (5, call), (6, None)]);
        assert_eq!(called(Some(sure(70))), Ok(()));
        for call in [None, Some(sure(80)), Some(sure(7)), Some(doubtful(70))] {
            assert_eq!(called(call), Err(Blocked::Jumped));
        }
        // It was interrupted in its first instruction; nothing is known of what is below.
        assert_eq!(anywhere(&[(70, None)]), Err(Blocked::Jumped));
        // A function of the side is the better answer, wherever it is.
        assert_eq!(anywhere(&[(75, None), (15, None)]), Err(Blocked::By(0)));
        let below = [(75, None), (5, None), (6, Some(sure(12)))];
        assert_eq!(anywhere(&below), Err(Blocked::By(0)));
    }

    /// What was called may have jumped back to one of the side, and that have come there by a jump.
    #[test]
    fn what_leads_back_is_not_proved_by_a_call() {
        let by = |landing: Landing, target: u64| {
            let task = Task::new(0x40).expect("it is even");
            let evidence = Current::trust(task, &());
            let ranges = Ranges::new(Side::From, &SPANS).expect("they are sorted");
            let landings = [landing];
            let mut check = StackCheck::new(&evidence, ranges, &landings);
            for (addr, call) in [(75, None), (5, Some(sure(target)))] {
                check.frame(addr, || call);
            }
            assert!(check.may_act_for().is_none_or(|addr| addr == 75));
            check.finish(true).map(|_| ())
        };
        let leads_back = Landing {
            by_call: false,
            ..landing(70)
        };
        assert_eq!(by(leads_back, 70), Err(Blocked::Jumped));
        // The text of a patch: it is called by its site, and has functions that call each other.
        let text = Landing {
            start: 50,
            several: true,
            ..landing(70)
        };
        for (target, expected) in [
            (50, Ok(())),
            (46, Ok(())),
            (72, Ok(())),
            (45, Err(Blocked::Jumped)),
        ] {
            assert_eq!(by(text, target), expected, "{target}");
        }
        assert_eq!(by(landing(70), 72), Err(Blocked::Jumped));
    }

    /// Called was a third function, which jumps there as well.
    #[test]
    fn a_way_past_the_side() {
        let detours = Detours::default();
        let by = |landing: Landing, call: Call| {
            let task = Task::new(0x40).expect("it is even");
            let evidence = Current::trust(task, &());
            let ranges = Ranges::new(Side::From, &SPANS).expect("they are sorted");
            let landings = [landing];
            let mut check = StackCheck::new(&evidence, ranges, &landings).with(&detours);
            for (addr, call) in [(75, None), (5, Some(call))] {
                check.frame(addr, || call);
            }
            check.finish(true).map(|_| ())
        };
        assert_eq!(by(landing(70), sure(90)), Err(Blocked::Jumped));
        let asked = detours.next().expect("it was asked");
        assert_eq!((asked.ret, asked.landing), (5, 70));
        detours.answer(&asked, true);
        assert_eq!(by(landing(70), sure(90)), Ok(()));
        // What cannot be proved by that is not even asked about.
        let doubtful = Call {
            certain: false,
            ..sure(90)
        };
        assert_eq!(by(landing(70), doubtful), Err(Blocked::Jumped));
        let leads_back = Landing {
            by_call: false,
            ..landing(70)
        };
        let text = Landing {
            several: true,
            ..landing(70)
        };
        for landing in [leads_back, text] {
            assert_eq!(by(landing, sure(90)), Err(Blocked::Jumped));
        }
        assert_eq!(by(landing(70), sure(12)), Err(Blocked::By(0)));
        assert_eq!(by(landing(70), sure(70)), Ok(()));
        assert_eq!(detours.next(), None);
    }

    #[test]
    fn landings_of_the_same_code_are_one() {
        let leads_back = Landing {
            by_call: false,
            ..landing(70)
        };
        let mut all = [
            landing(60),
            landing(70),
            leads_back,
            landing(80),
            landing(80),
        ];
        assert_eq!(merge(&mut all), 3);
        assert_eq!(all[..3], [landing(60), leads_back, landing(80)]);
    }

    /// It may have been: so it counts.
    #[test]
    fn a_call_that_is_in_doubt() {
        let call = Call {
            target: 10,
            certain: false,
        };
        assert_eq!(anywhere(&[(5, Some(call))]), Err(Blocked::By(0)));
    }

    fn enter(frames: &[(u64, Option<u64>)]) -> Result<(), Blocked> {
        enter_by(Proof::ByCall, frames)
    }

    #[test]
    fn an_entry_that_proves_always_or_never() {
        let own = (55, Some(1));
        for called in [None, Some(7), Some(50), Some(46)] {
            assert_eq!(enter_by(Proof::Always, &[own, (5, called)]), Ok(()));
            let never = enter_by(Proof::Never, &[own, (5, called)]);
            assert_eq!(never, Err(Blocked::Jumped));
        }
        // Its own frame has to be there, and the caller's.
        for frames in [&[][..], &[own], &[(5, Some(50))]] {
            assert!(enter_by(Proof::Always, frames).is_err());
        }
        let inside = enter_by(Proof::Always, &[own, (5, None), (15, None)]);
        assert_eq!(inside, Err(Blocked::By(0)));
    }

    #[test]
    fn who_called_is_proved_by_a_direct_call() {
        // By a call of the function, of its landing pad, of another one, and by one that says nothing.
        let own = (55, Some(1));
        assert_eq!(enter(&[own, (5, Some(50)), (6, None)]), Ok(()));
        assert_eq!(enter(&[own, (5, Some(46)), (6, Some(7))]), Ok(()));
        assert_eq!(enter(&[own, (5, Some(7))]), Err(Blocked::Jumped));
        assert_eq!(enter(&[own, (5, None), (6, None)]), Err(Blocked::Jumped));
        assert_eq!(enter(&[own]), Err(Blocked::Jumped));
        assert_eq!(enter(&[]), Err(Blocked::Jumped));
        // What runs on top of it is not its caller.
        assert_eq!(enter(&[(3, Some(7)), own, (5, Some(50))]), Ok(()));
        assert_eq!(enter(&[(5, Some(50)), own]), Err(Blocked::By(1)));
        // The caller may be a function of the side itself.
        assert_eq!(enter(&[own, (15, Some(50))]), Err(Blocked::By(0)));
        assert_eq!(enter(&[own, (15, None)]), Err(Blocked::By(0)));
    }

    #[test]
    fn a_function_that_was_called_and_has_no_frame() {
        let own = (55, None);
        assert_eq!(enter(&[own, (5, Some(10))]), Err(Blocked::By(0)));
        // The function itself, once more, further down.
        assert_eq!(
            enter(&[own, (5, Some(50)), (6, Some(46))]),
            Err(Blocked::By(1))
        );
        assert_eq!(
            enter(&[own, (5, Some(50)), (6, Some(10))]),
            Err(Blocked::By(0))
        );
        assert_eq!(enter(&[own, (5, Some(50)), (6, Some(20))]), Ok(()));
    }

    proptest! {
        #[test]
        fn hits_what_is_inside(
            edges in prop::collection::btree_set(0..300_u64, 0..60), touch: bool,
        ) {
            let edges: Vec<u64> = edges.into_iter().collect();
            // All gaps as wide as the spans, or none at all.
            let step = if touch { 1 } else { 2 };
            let spans: Vec<Span> = (edges.windows(2).step_by(step))
                .map(|pair| Span { start: pair[0], end: pair[1] })
                .collect();
            let ranges = Ranges::new(Side::From, &spans).expect("they are sorted");
            for addr in (0..301).chain([u64::MAX]) {
                let inside = |span: &Span| (span.start..span.end).contains(&addr);
                prop_assert_eq!(ranges.hits(addr), spans.iter().position(inside));
            }
        }
    }
}
