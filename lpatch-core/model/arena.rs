// SPDX-License-Identifier: GPL-2.0

//! Allocation of contiguous units from a bitmap: pages of the arena, slots of the bug table.

use super::num::index;

/// A view of a bitmap in which a set bit is a unit in use.
///
/// The bitmap is the state; the view can be made anew for each operation. Bits from `units` on are
/// ignored and never change.
pub struct Arena<'a> {
    bits: &'a mut [u64],
    units: usize,
}

/// What was given back was not in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAllocated;

const WORD: usize = 64;

impl<'a> Arena<'a> {
    /// A view of the first `units` bits of a bitmap, or `None` if it has fewer.
    pub fn new(bits: &'a mut [u64], units: usize) -> Option<Self> {
        (units <= bits.len().checked_mul(WORD)?).then_some(Self { bits, units })
    }

    /// Takes `count` contiguous units and returns the first, or `None` if there is no such run.
    ///
    /// Takes the smallest run that is large enough, of equal ones the first, so that large runs
    /// stay whole.
    pub fn alloc(&mut self, count: usize) -> Option<usize> {
        if count == 0 {
            return None;
        }
        let (start, _) = self
            .free_runs()
            .filter(|&(_, len)| len >= count)
            .min_by_key(|&(_, len)| len)?;
        self.set(start, count, true);
        Some(start)
    }

    /// Gives units back, if all of them are in use; else nothing changes.
    pub fn free(&mut self, start: usize, count: usize) -> Result<(), NotAllocated> {
        let end = start.checked_add(count).ok_or(NotAllocated)?;
        // The search ends at `units`, so an end behind it is refused as well.
        if count == 0 || self.next(start, false) < end {
            return Err(NotAllocated);
        }
        self.set(start, count, false);
        Ok(())
    }

    /// How many units are free.
    pub fn free_units(&self) -> usize {
        self.free_runs()
            .fold(0, |sum, (_, len)| sum.saturating_add(len))
    }

    /// The length of the longest run of free units.
    pub fn largest_run(&self) -> usize {
        self.free_runs().map(|(_, len)| len).max().unwrap_or(0)
    }

    /// Start and length of each maximal run of free units, in order.
    fn free_runs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let mut from = 0;
        core::iter::from_fn(move || {
            let start = self.next(from, false);
            from = self.next(start, true);
            (start < from).then_some((start, from.saturating_sub(start)))
        })
    }

    /// The first unit from `from` on that is in use, or that is free; `units` if there is none.
    fn next(&self, from: usize, used: bool) -> usize {
        let mut unit = from;
        while let Some(&word) = self.bits.get(unit / WORD) {
            let wanted = if used { word } else { !word };
            // Bits below the unit are shifted out, and zeros come in above: not found.
            let rest = wanted >> (unit % WORD);
            if rest != 0 {
                let found = unit.saturating_add(index(rest.trailing_zeros()));
                return found.min(self.units);
            }
            unit = (unit / WORD).saturating_add(1).saturating_mul(WORD);
        }
        self.units
    }

    fn set(&mut self, start: usize, count: usize, used: bool) {
        for unit in start..start.saturating_add(count) {
            if let Some(word) = self.bits.get_mut(unit / WORD) {
                let bit = 1 << (unit % WORD);
                if used {
                    *word |= bit;
                } else {
                    *word &= !bit;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn takes_the_smallest_run_that_fits() {
        // Free: 3 units at 0, 2 at 8, the rest from 16.
        let mut bits = [!0b0000_0011_0000_0111_u64 & 0xffff, 0];
        let mut arena = Arena::new(&mut bits, 128).expect("it fits");
        assert_eq!(arena.largest_run(), 112);
        assert_eq!(arena.free_units(), 117);
        assert_eq!(arena.alloc(2), Some(8));
        assert_eq!(arena.alloc(2), Some(0));
        assert_eq!(arena.alloc(1), Some(2));
        assert_eq!(arena.alloc(112), Some(16));
        assert_eq!(arena.alloc(1), None);
        assert_eq!(arena.free(16, 112), Ok(()));
        assert_eq!(arena.alloc(113), None);
    }

    #[test]
    fn refuses_what_is_not_allocated() {
        let mut bits = [0; 2];
        assert!(Arena::new(&mut bits, 129).is_none());
        let mut arena = Arena::new(&mut bits, 100).expect("it fits");
        assert_eq!(arena.alloc(0), None);
        assert_eq!(arena.alloc(usize::MAX), None);
        assert_eq!(arena.alloc(100), Some(0));
        for (start, count) in [(0, 101), (100, 1), (0, 0), (usize::MAX, 2), (1, usize::MAX)] {
            assert_eq!(arena.free(start, count), Err(NotAllocated));
        }
        assert_eq!(arena.free(40, 10), Ok(()));
        for (start, count) in [(39, 2), (49, 2), (40, 10), (39, 12)] {
            assert_eq!(arena.free(start, count), Err(NotAllocated));
        }
        assert_eq!(arena.free_units(), 10);
    }

    #[test]
    fn bits_behind_the_last_unit_are_not_there() {
        for behind in [0xff << 56, 0x10 << 56, 0xef << 56, 0] {
            let mut bits = [behind];
            let mut arena = Arena::new(&mut bits, 56).expect("it fits");
            assert_eq!((arena.free_units(), arena.largest_run()), (56, 56));
            assert_eq!(arena.alloc(56), Some(0));
            assert_eq!((arena.free_units(), arena.alloc(1)), (0, None));
            assert_eq!(arena.free(0, 57), Err(NotAllocated));
            assert_eq!(arena.free(56, 1), Err(NotAllocated));
            assert_eq!(arena.free(0, 56), Ok(()));
            assert_eq!(bits, [behind]);
        }
    }

    /// One bool a unit, every run tried.
    struct Naive(Vec<bool>);

    impl Naive {
        fn runs(&self) -> Vec<(usize, usize)> {
            let mut runs = Vec::new();
            let mut start = None;
            for (unit, &used) in self.0.iter().chain([&true]).enumerate() {
                match (used, start) {
                    (false, None) => start = Some(unit),
                    (true, Some(first)) => {
                        runs.push((first, unit - first));
                        start = None;
                    }
                    _ => {}
                }
            }
            runs
        }

        fn alloc(&mut self, count: usize) -> Option<usize> {
            let mut best: Option<(usize, usize)> = None;
            for (start, len) in self.runs() {
                if count > 0 && len >= count && best.is_none_or(|(_, other)| len < other) {
                    best = Some((start, len));
                }
            }
            let (start, _) = best?;
            self.0[start..start + count].fill(true);
            Some(start)
        }

        fn free(&mut self, start: usize, count: usize) -> Result<(), NotAllocated> {
            match self.0.get_mut(start..start + count) {
                Some(units) if count > 0 && units.iter().all(|&used| used) => {
                    units.fill(false);
                    Ok(())
                }
                _ => Err(NotAllocated),
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Alloc(usize),
        Free(usize, usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0..40_usize).prop_map(Op::Alloc),
            (0..300_usize, 0..40_usize).prop_map(|(start, count)| Op::Free(start, count)),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_model(
            units in 0..260_usize, ops in prop::collection::vec(op(), 0..80),
        ) {
            let mut bits = [0; 5];
            let mut naive = Naive(std::vec![false; units]);
            for op in ops {
                // A new view for each operation, as the core uses it.
                let mut arena = Arena::new(&mut bits, units).expect("it fits");
                match op {
                    Op::Alloc(count) => prop_assert_eq!(arena.alloc(count), naive.alloc(count)),
                    Op::Free(start, count) => {
                        prop_assert_eq!(arena.free(start, count), naive.free(start, count));
                    }
                }
                let runs = naive.runs();
                prop_assert_eq!(arena.free_units(), runs.iter().map(|run| run.1).sum::<usize>());
                let largest = runs.iter().map(|run| run.1).max().unwrap_or(0);
                prop_assert_eq!(arena.largest_run(), largest);
            }
        }
    }
}
