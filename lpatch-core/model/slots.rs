// SPDX-License-Identifier: GPL-2.0

//! Which slots of the core's ORC and exception tables belong to which pages of text.
//!
//! The kernel searches both tables of a module by bisection, at any time: an NMI on another CPU may
//! unwind while a patch is installed or removed. So the tables never grow, shrink or move. Each page
//! of the arena owns the same number K of slots in them, from the start: a run of pages `p..p + n`
//! owns the slots `p * K..(p + n) * K`, whoever uses it. One instruction stores a slot's address.
//!
//! # Why no reader is misled
//!
//! Every slot of a run holds an address inside the run, before, between and after all stores. So a
//! comparison of a slot with an address outside the run gives the same answer at every moment, in
//! whatever order the slots are within the run: all of them lie above an address below the run, and
//! below an address above it. A bisection for an address outside the run meets only such
//! comparisons and comparisons with slots that do not change, so it takes the same path as ever.
//!
//! It does not end in the run either, where a change of what the slot says could be seen. The search of
//! the exception table (`search_extable()`, lib/extable.c) wants an exact match, and no slot of the run
//! can be one. The search of the ORC table (`__orc_find()`, arch/x86/kernel/unwind_orc.c) wants the last
//! slot at or below the address; for an address behind the run that is a later slot, because the first
//! slot of the next page or run names its first byte, and behind the last page of the arena the module
//! has no text.
//!
//! An address inside the run is looked up by nobody while its slots change: before, no CPU has run
//! the code, and afterwards none can return to it. That is the caller's part.

use super::num::wide;
use super::plan::PAGE_SIZE;
use core::ops::Range;

/// A run of pages of the text arena.
///
/// # Invariants
///
/// All addresses of the run, and the one behind it, fit an address. A run has at least one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    start: u64,
    first: usize,
    pages: usize,
}

impl Run {
    /// The pages `first..first + pages` of an arena that begins at `arena`, or `None` if there are
    /// none or the addresses overflow.
    pub fn new(arena: u64, first: usize, pages: usize) -> Option<Self> {
        let end = first.checked_add(pages)?.checked_mul(PAGE_SIZE)?;
        arena.checked_add(wide(end))?;
        let start = arena.checked_add(wide(first.checked_mul(PAGE_SIZE)?))?;
        // INVARIANT: The end was computed without overflow, and the start is not above it.
        (pages > 0).then_some(Self {
            start,
            first,
            pages,
        })
    }

    /// The address of the first byte.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The address of the last byte, at which no instruction begins (see `plan`).
    pub fn last_byte(&self) -> u64 {
        self.last_byte_of(self.pages.saturating_sub(1))
    }

    /// The address of the last byte of the `i`th page of the run.
    pub(super) fn last_byte_of(&self, i: usize) -> u64 {
        self.page(i).saturating_add(wide(PAGE_SIZE - 1))
    }

    /// The address of the first byte of the `i`th page of the run.
    pub(super) fn page(&self, i: usize) -> u64 {
        self.start.saturating_add(wide(i.saturating_mul(PAGE_SIZE)))
    }

    /// How many slots the run has of a table that has `per_page` of them for each page.
    pub(super) fn slot_count(&self, per_page: usize) -> usize {
        self.pages.saturating_mul(per_page)
    }

    /// The run's slots of a table that has `per_page` of them for each page.
    pub fn slots(&self, per_page: usize) -> Range<usize> {
        let first = self.first.saturating_mul(per_page);
        first..first.saturating_add(self.slot_count(per_page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_slots() {
        let run = Run::new(0x1000_0000, 2, 3).expect("it fits");
        assert_eq!(run.start(), 0x1000_2000);
        assert_eq!(run.page(2), 0x1000_4000);
        assert_eq!(run.last_byte(), 0x1000_4fff);
        assert_eq!(run.slots(16), 32..80);
    }

    #[test]
    fn no_run() {
        assert_eq!(Run::new(0x1000, 1, 0), None);
        assert_eq!(Run::new(u64::MAX - 0x1fff, 0, 2), None);
        assert!(Run::new(u64::MAX - 0x2000, 0, 2).is_some());
        assert_eq!(Run::new(0, usize::MAX, 1), None);
        assert_eq!(Run::new(0, usize::MAX / 2, 1), None);
    }
}
