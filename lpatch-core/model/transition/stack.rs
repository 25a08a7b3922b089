// SPDX-License-Identifier: GPL-2.0

//! Whether the stack of a task lets it move: no function of the side that it leaves may be on it.

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
}

/// A look at the stack of one task, frame by frame.
pub struct StackCheck<'e, 'r> {
    task: Task,
    holds: bool,
    ranges: Ranges<'r>,
    hit: Option<usize>,
    reliable: bool,
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

impl<'e, 'r> StackCheck<'e, 'r> {
    /// A look at the stack of the task that the evidence is about.
    pub fn new(evidence: &'e impl Evidence, ranges: Ranges<'r>) -> Self {
        Self {
            task: evidence.task(),
            holds: evidence.holds(),
            ranges,
            hit: None,
            reliable: true,
            evidence: PhantomData,
        }
    }

    /// An address on the stack, or at which the task was interrupted. The nearest to the top first.
    pub fn frame(&mut self, addr: u64) {
        if self.hit.is_none() {
            self.hit = self.ranges.hits(addr);
        }
    }

    /// Something on the stack that the unwinder is not sure of.
    pub fn unreliable(&mut self) {
        self.reliable = false;
    }

    /// The verdict. `whole`: the last frame was that of the entry from user mode, or of the task's own
    /// beginning.
    pub fn finish(self, whole: bool) -> Result<Clean<'e>, Blocked> {
        match self.hit {
            Some(i) => Err(Blocked::By(i)),
            None if whole && self.reliable => Ok(Clean {
                task: self.task,
                holds: self.holds,
                leaves: self.ranges.side,
                evidence: PhantomData,
            }),
            None => Err(Blocked::Unreliable),
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
        let mut check = StackCheck::new(&evidence, ranges);
        for frame in frames {
            match frame {
                Some(addr) => check.frame(*addr),
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
