// SPDX-License-Identifier: GPL-2.0

//! What the core writes to its ORC table. `slots` says why that is safe at any time.

use super::image::Table;
use super::plan::ORC_PER_PAGE;
use super::slots::Run;
use crate::uapi::Orc;

/// A slot of the ORC table: what `.orc_unwind_ip` and `.orc_unwind` hold at one index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Index into the arena's part of the table.
    pub index: usize,
    /// The address from which the entry holds.
    pub ip: u64,
    /// As in struct orc_entry.
    pub sp_offset: i16,
    /// As in struct orc_entry.
    pub bp_offset: i16,
    /// The 16 bits behind them.
    pub bits: u16,
}

impl Slot {
    /// ORC_TYPE_UNDEFINED: an unwinder gives up here.
    const fn undefined(index: usize, ip: u64) -> Self {
        Self {
            index,
            ip,
            sp_offset: 0,
            bp_offset: 0,
            bits: 0,
        }
    }
}

/// All slots of a run whose text has these entries; `None` if they are more than the run has slots.
///
/// The entries must have been verified: they are sorted, inside the run, and the first one is at
/// its first byte. The slots behind them end the text at the last byte of the run, so that the
/// table stays sorted.
pub fn fill(run: Run, entries: Table<'_, Orc>) -> Option<impl Iterator<Item = Slot> + '_> {
    (entries.len() <= run.slot_count(ORC_PER_PAGE)).then(|| {
        let slots = run.slots(ORC_PER_PAGE);
        let first = slots.start;
        slots.map(
            move |index| match entries.get(index.saturating_sub(first)) {
                Some(entry) => Slot {
                    index,
                    ip: run.start().saturating_add(entry.offset.into()),
                    sp_offset: entry.sp_offset,
                    bp_offset: entry.bp_offset,
                    bits: entry.bits,
                },
                None => Slot::undefined(index, run.last_byte()),
            },
        )
    })
}

/// All slots of a run that nobody uses: those of each page name its first byte.
///
/// The core does this to the whole arena before anything else.
pub fn clear(run: Run) -> impl Iterator<Item = Slot> {
    let slots = run.slots(ORC_PER_PAGE);
    let first = slots.start;
    slots.map(move |index| {
        let page = index.saturating_sub(first) / ORC_PER_PAGE;
        Slot::undefined(index, run.page(page))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plan::PAGE_SIZE;
    use crate::uapi::Wire;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    const ARENA: u64 = 0xffff_ffff_c000_0000;
    const PAGES: usize = 6;
    const CALL: u16 = 0x0213;

    fn run(first: usize, pages: usize) -> Run {
        Run::new(ARENA, first, pages).expect("it fits")
    }

    fn encode(offsets: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; offsets.len() * Orc::SIZE];
        for (entry, &offset) in bytes.chunks_mut(Orc::SIZE).zip(offsets) {
            let orc = Orc {
                offset,
                sp_offset: 8,
                bp_offset: -8,
                bits: CALL,
                reserved: 0,
            };
            orc.write(entry).expect("it is long enough");
        }
        bytes
    }

    /// What __orc_find() finds: the search of the kernel, over a table at some moment.
    fn orc_find(table: &[Slot], ip: u64) -> usize {
        // `last` is one further than the kernel's, since an index has no -1.
        let (mut first, mut last, mut found) = (0, table.len(), 0);
        while first < last {
            let mid = first + (last - 1 - first) / 2;
            if table[mid].ip <= ip {
                found = mid;
                first = mid + 1;
            } else {
                last = mid;
            }
        }
        found
    }

    #[test]
    fn entries_first_then_the_end() {
        let bytes = encode(&[0, 5, 4097]);
        let slots: Vec<_> = fill(run(1, 2), Table::over(&bytes))
            .expect("they fit")
            .collect();
        assert_eq!(slots.len(), 2 * ORC_PER_PAGE);
        let expected = Slot {
            index: 256 + 2,
            ip: ARENA + 0x1000 + 4097,
            sp_offset: 8,
            bp_offset: -8,
            bits: CALL,
        };
        assert_eq!(slots[2], expected);
        for (i, slot) in slots.iter().enumerate().skip(3) {
            assert_eq!(*slot, Slot::undefined(256 + i, ARENA + 0x2fff));
        }
    }

    #[test]
    fn unused_pages_begin_with_nothing() {
        let slots: Vec<_> = clear(run(1, 2)).collect();
        assert_eq!(slots.len(), 2 * ORC_PER_PAGE);
        for (i, slot) in slots.iter().enumerate() {
            let page = if i < ORC_PER_PAGE { 0x1000 } else { 0x2000 };
            assert_eq!(*slot, Slot::undefined(ORC_PER_PAGE + i, ARENA + page));
        }
    }

    #[test]
    fn more_entries_than_slots() {
        let full: Vec<u32> = (0..256).collect();
        let bytes = encode(&full);
        let slots: Vec<_> = fill(run(0, 1), Table::over(&bytes))
            .expect("they fit")
            .collect();
        assert!(slots.iter().all(|slot| slot.bits == CALL));
        let bytes = encode(&(0..257).collect::<Vec<u32>>());
        assert!(fill(run(0, 1), Table::over(&bytes)).is_none());
    }

    #[derive(Clone, Debug)]
    struct Step {
        first: usize,
        pages: usize,
        offsets: Option<Vec<u32>>,
        backwards: bool,
    }

    /// A fill or clear of any run. `first` is wrapped into what is left of the arena.
    fn step() -> impl Strategy<Value = Step> {
        // A few entries, or one for every slot of a page: then there is no filler behind them.
        let few = prop::collection::btree_set(1..4000_u32, 0..12);
        let all = Just((1..256_u32).map(|i| i * 16).collect());
        let offsets = prop_oneof![few, all];
        (
            0..PAGES,
            1..=3_usize,
            prop::option::of(offsets),
            any::<bool>(),
        )
            .prop_map(|(first, pages, offsets, backwards)| Step {
                first,
                pages: pages.min(PAGES - first),
                offsets: offsets.map(|set| [0].into_iter().chain(set).collect()),
                backwards,
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn every_moment_is_right_for_everybody_else(
            steps in prop::collection::vec(step(), 1..8),
            probes in prop::collection::vec(0..PAGES * PAGE_SIZE, 24),
        ) {
            let mut table: Vec<Slot> = clear(run(0, PAGES)).collect();
            // The core's own code is behind the arena.
            let end = run(0, PAGES).last_byte() + 1;
            table.push(Slot { bits: CALL, ..Slot::undefined(PAGES * ORC_PER_PAGE, end) });
            // Runs that are in use, as pages.
            let mut users: Vec<Option<usize>> = vec![None; PAGES];
            for (id, step) in steps.iter().enumerate() {
                let pages = step.first..step.first + step.pages;
                // An arena gives out free pages only, and takes back whole runs only.
                let mine = users[step.first];
                let ok = match &step.offsets {
                    Some(_) => users[pages.clone()].iter().all(Option::is_none),
                    None => users.iter().enumerate().all(|(page, user)| {
                        pages.contains(&page) == (mine.is_some() && *user == mine)
                    }),
                };
                if !ok {
                    continue;
                }
                let run = run(step.first, step.pages);
                let bytes = encode(step.offsets.as_deref().unwrap_or_default());
                let mut stores: Vec<Slot> = match step.offsets {
                    Some(_) => fill(run, Table::over(&bytes)).expect("they fit").collect(),
                    None => clear(run).collect(),
                };
                // The order within the run does not matter.
                if step.backwards {
                    stores.reverse();
                }
                let outside: Vec<(u64, Slot)> = probes
                    .iter()
                    .filter(|&&probe| !pages.contains(&(probe / PAGE_SIZE)))
                    .map(|&probe| ARENA + u64::try_from(probe).expect("it is small"))
                    .chain([end, end + 100, run.last_byte() + 1])
                    .map(|ip| (ip, table[orc_find(&table, ip)]))
                    .collect();
                for store in stores {
                    // The two halves of a slot are two stores.
                    table[store.index].ip = store.ip;
                    for &(ip, expected) in &outside {
                        prop_assert_eq!(table[orc_find(&table, ip)], expected);
                    }
                    table[store.index] = store;
                    for &(ip, expected) in &outside {
                        prop_assert_eq!(table[orc_find(&table, ip)], expected);
                    }
                }
                users[pages.clone()].fill(step.offsets.as_ref().map(|_| id));
                prop_assert!(table.windows(2).all(|pair| pair[0].ip <= pair[1].ip));
                // What was filled in is found, from one entry to the next.
                for (i, &offset) in step.offsets.iter().flatten().enumerate() {
                    let ip = run.start() + u64::from(offset);
                    prop_assert_eq!(orc_find(&table, ip), step.first * ORC_PER_PAGE + i);
                }
            }
        }
    }
}
