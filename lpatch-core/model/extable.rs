// SPDX-License-Identifier: GPL-2.0

//! What the core writes to its exception table. `slots` says why that is safe at any time.

use super::image::Table;
use super::plan::EX_PER_PAGE;
use super::slots::Run;
use crate::uapi::Ex;

/// A slot of the exception table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Index into the arena's part of the table.
    pub index: usize,
    /// The address of the instruction that may fault.
    pub insn: u64,
    /// The address where execution goes on.
    pub fixup: u64,
    /// The third word of struct exception_table_entry.
    pub data: u32,
}

impl Slot {
    /// For the last byte of a page or run, where no instruction begins: no fault is looked up
    /// there.
    const fn unused(index: usize, last_byte: u64) -> Self {
        Self {
            index,
            insn: last_byte,
            fixup: last_byte,
            data: 0,
        }
    }
}

/// All slots of a run whose text has these entries; `None` if they are more than the run has slots.
///
/// The entries must have been verified: they are sorted and inside the run, without its last byte.
pub fn fill(run: Run, entries: Table<'_, Ex>) -> Option<impl Iterator<Item = Slot> + '_> {
    (entries.len() <= run.slot_count(EX_PER_PAGE)).then(|| {
        let slots = run.slots(EX_PER_PAGE);
        let first = slots.start;
        slots.map(
            move |index| match entries.get(index.saturating_sub(first)) {
                Some(entry) => Slot {
                    index,
                    insn: run.start().saturating_add(entry.insn.into()),
                    fixup: run.start().saturating_add(entry.fixup.into()),
                    data: entry.data,
                },
                None => Slot::unused(index, run.last_byte()),
            },
        )
    })
}

/// All slots of a run that nobody uses: those of each page name its last byte.
///
/// The core does this to the whole arena before anything else.
pub fn clear(run: Run) -> impl Iterator<Item = Slot> {
    let slots = run.slots(EX_PER_PAGE);
    let first = slots.start;
    slots.map(move |index| {
        let page = index.saturating_sub(first) / EX_PER_PAGE;
        Slot::unused(index, run.last_byte_of(page))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uapi::Wire;
    use core::cmp::Ordering;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    const ARENA: u64 = 0xffff_ffff_c000_0000;
    const PAGES: usize = 8;

    fn run(first: usize, pages: usize) -> Run {
        Run::new(ARENA, first, pages).expect("it fits")
    }

    fn encode(insns: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; insns.len() * Ex::SIZE];
        for (entry, &insn) in bytes.chunks_mut(Ex::SIZE).zip(insns) {
            let ex = Ex {
                insn,
                fixup: insn + 2,
                data: 3,
            };
            ex.write(entry).expect("it is long enough");
        }
        bytes
    }

    #[test]
    fn entries_first_then_the_last_byte() {
        let bytes = encode(&[7, 4100]);
        let slots: Vec<_> = fill(run(3, 2), Table::over(&bytes))
            .expect("they fit")
            .collect();
        assert_eq!(slots.len(), 2 * EX_PER_PAGE);
        let expected = Slot {
            index: 3 * EX_PER_PAGE + 1,
            insn: ARENA + 0x3000 + 4100,
            fixup: ARENA + 0x3000 + 4102,
            data: 3,
        };
        assert_eq!(slots[1], expected);
        for (i, slot) in slots.iter().enumerate().skip(2) {
            assert_eq!(*slot, Slot::unused(3 * EX_PER_PAGE + i, ARENA + 0x4fff));
        }
        let bytes = encode(&(0..17).collect::<Vec<u32>>());
        assert!(fill(run(0, 1), Table::over(&bytes)).is_none());
    }

    #[test]
    fn unused_pages_name_their_last_byte() {
        let slots: Vec<_> = clear(run(1, 2)).collect();
        assert_eq!(slots.len(), 2 * EX_PER_PAGE);
        for (i, slot) in slots.iter().enumerate() {
            let byte = if i < EX_PER_PAGE { 0x1fff } else { 0x2fff };
            assert_eq!(*slot, Slot::unused(EX_PER_PAGE + i, ARENA + byte));
        }
    }

    /// What bsearch() of the kernel finds.
    fn bsearch(table: &[Slot], insn: u64) -> Option<usize> {
        let (mut base, mut count) = (0, table.len());
        while count > 0 {
            let pivot = base + count / 2;
            match insn.cmp(&table[pivot].insn) {
                Ordering::Equal => return Some(pivot),
                Ordering::Greater => {
                    base = pivot + 1;
                    count -= 1;
                }
                Ordering::Less => {}
            }
            count /= 2;
        }
        None
    }

    /// Whether the slots of all other pages are found, at this moment.
    fn others_are_found(table: &[Slot], pages: &core::ops::Range<usize>) -> bool {
        table.iter().enumerate().all(|(i, slot)| {
            pages.contains(&(i / EX_PER_PAGE)) || bsearch(table, slot.insn) == Some(i)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_moment_is_right_for_everybody_else(
            first in 0..PAGES, pages in 1..4_usize,
            insns in prop::collection::btree_set(0..4000_u32, 0..12), backwards in any::<bool>(),
        ) {
            // Each page is in use before, and the run changes to nothing and to something else.
            let full = encode(&(0..16).map(|i| i * 200).collect::<Vec<u32>>());
            let mut table: Vec<Slot> = (0..PAGES)
                .flat_map(|page| fill(run(page, 1), Table::over(&full)).expect("they fit"))
                .collect();
            let pages = first..(first + pages).min(PAGES);
            let run = run(first, pages.len());
            let bytes = encode(&insns.into_iter().collect::<Vec<_>>());
            let cleared: Vec<_> = clear(run).collect();
            let filled = fill(run, Table::over(&bytes)).expect("they fit").collect();
            for mut stores in [cleared, filled] {
                if backwards {
                    stores.reverse();
                }
                for store in stores {
                    table[store.index] = store;
                    prop_assert!(others_are_found(&table, &pages));
                }
                prop_assert!(table.windows(2).all(|pair| pair[0].insn <= pair[1].insn));
            }
        }
    }
}
