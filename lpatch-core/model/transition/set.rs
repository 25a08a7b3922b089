// SPDX-License-Identifier: GPL-2.0

//! The tasks that still live in *from*: a hash set that is asked without a lock, in NMI context too.
//!
//! Open addressing with linear probing over at most [`PROBES`] slots, so that an answer takes a bounded
//! time. A slot is empty, or belongs to one task for the rest of the transition: a task that leaves is
//! marked in its slot, and enters again by taking the mark away. Hence
//!
//! - two callers that insert the same task at once try the same slot, so no task has two;
//! - a slot on the way to a task's own never becomes empty, so the task is found at every moment;
//! - entering and leaving again and again uses no slot up. Only addresses that the set has not seen do, and
//!   the kernel uses the addresses of dead tasks first. Searches get no longer than that many tasks make
//!   them; [`FromSet::clear`] ends it, between transitions.
//!
//! # References
//!
//! The set owns one reference to each member, which keeps the address from becoming another task's. The
//! caller of `insert` brings it and keeps it unless the answer is [`Insert::New`]. The one caller for whom
//! `remove` answers `true` gets it. [`FromSet::clear`] gives back what is left.

use super::super::num::wide;
use super::atomic::{AtomicUsize, Ordering};
use super::task::Task;
use core::ops::Deref;

/// How far from its first place a task may be. With four slots for each task none was seen that needed 20.
pub const PROBES: usize = 64;

/// Of all slots, no more than one in so many are taken by tasks that are no members.
const NOTED: usize = 4;

const EMPTY: usize = 0;
/// In the slot of a task that has left.
const LEFT: usize = 1;
/// In the slot of a member that has asked the handler since it was last watched.
const ASKED: usize = 2;
const MARKS: usize = LEFT | ASKED;

/// What became of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it says who owns the reference"]
pub enum Insert {
    /// The task is a member now, and the set owns the reference.
    New,
    /// It was one before.
    Already,
    /// All slots where it could be belong to other tasks.
    Full,
}

/// What the set knows of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is a member.
    Member,
    /// It is none any more, or was born as none.
    Left,
    /// Nothing.
    Unknown,
}

/// The set.
///
/// # Invariants
///
/// There is a power of two of slots. Each task has at most one slot, with no empty one before it in the
/// order in which that task's slots are searched. `len` is the number of members and of insertions under way.
pub struct FromSet<S> {
    slots: S,
    len: AtomicUsize,
    /// How many slots were taken by tasks that were no members.
    noted: AtomicUsize,
}

impl<S: Deref<Target = [AtomicUsize]>> FromSet<S> {
    /// An empty set in these slots, or `None` if they are not a power of two.
    pub fn new(slots: S) -> Option<Self> {
        if !slots.len().is_power_of_two() {
            return None;
        }
        for slot in slots.iter() {
            slot.store(EMPTY, Ordering::Relaxed);
        }
        // INVARIANT: All slots are empty.
        Some(Self {
            slots,
            len: AtomicUsize::new(0),
            noted: AtomicUsize::new(0),
        })
    }

    /// The slots where a task can be, in the order in which everybody searches them.
    #[inline]
    pub(super) fn search(&self, task: Task) -> impl Iterator<Item = &AtomicUsize> {
        let slots: &[AtomicUsize] = &self.slots;
        let mask = slots.len().wrapping_sub(1);
        let first = Self::hash(task);
        let probes = slots.len().min(PROBES);
        (0..probes).filter_map(move |i| slots.get(first.wrapping_add(i) & mask))
    }

    /// Where a search begins, if there are that many slots.
    #[inline]
    fn hash(task: Task) -> usize {
        // The upper half of the product depends on all bits in which addresses of tasks differ.
        let hash = wide(task.addr()).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        usize::try_from(hash).unwrap_or(0)
    }

    #[inline]
    fn find(&self, task: Task, load: impl Fn(&AtomicUsize) -> usize) -> Place {
        for slot in self.search(task) {
            let entry = load(slot);
            if entry & !MARKS == task.addr() {
                return place(entry);
            }
            if entry == EMPTY {
                return Place::Unknown;
            }
        }
        Place::Unknown
    }

    /// Whether a task is a member, for one who is ordered against its moves anyway: the task itself, or
    /// who has the right to move it.
    ///
    /// Relaxed: whoever put the task in did so before it ran, or before the transition went live, which
    /// the caller saw. What that one met in the slots before the task's own the caller meets too, or
    /// something later, and nothing later is empty.
    #[inline]
    pub fn contains(&self, task: Task) -> bool {
        self.place(task) == Place::Member
    }

    /// What is known of a task, for the same.
    #[inline]
    pub fn place(&self, task: Task) -> Place {
        self.find(task, |slot| slot.load(Ordering::Relaxed))
    }

    /// Whether a task is a member, for anybody. If it is, what it did before it entered has happened.
    ///
    /// Acquire pairs with Release in [`FromSet::insert`]. Without it, code could be freed that
    /// the task was still in, as far as this CPU knows.
    pub fn observe(&self, task: Task) -> bool {
        self.find(task, |slot| slot.load(Ordering::Acquire)) == Place::Member
    }

    /// Makes a task a member.
    pub fn insert(&self, task: Task) -> Insert {
        // Counted before it can be found, so that it cannot be removed before it is counted. Relaxed: an
        // insertion that matters to who asks for the length is ordered by the gate.
        self.len.fetch_add(1, Ordering::Relaxed);
        let result = self.claim(task);
        if result != Insert::New {
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
        result
    }

    /// Has the set know a task that is no member: it lives on the other side. `false`: there is no slot for it, or so many have
    /// been taken by such tasks that the rest is kept for members.
    ///
    /// Needs no reference: the entry says the same of another task that comes to the address, since it is born there too, or made a
    /// member.
    pub fn note(&self, task: Task) -> bool {
        let most = (self.slots.len() / NOTED).max(1);
        // Counted first, so that no more than that are taken. Relaxed: it is a number.
        let room = self.noted.fetch_add(1, Ordering::Relaxed) < most;
        let result = match room {
            true => self.take_slot(task, task.addr() | LEFT, |_| false),
            false => match self.place(task) {
                Place::Unknown => Insert::Full,
                Place::Member | Place::Left => Insert::Already,
            },
        };
        if result != Insert::New {
            self.noted.fetch_sub(1, Ordering::Relaxed);
        }
        result != Insert::Full
    }

    fn claim(&self, task: Task) -> Insert {
        let has_left = |entry: usize| entry & !ASKED == task.addr() | LEFT;
        self.take_slot(task, task.addr(), has_left)
    }

    /// Writes `entry` into the slot of a task, if that is empty or `over` holds for what it has.
    fn take_slot(&self, task: Task, entry: usize, over: impl Fn(usize) -> bool) -> Insert {
        for slot in self.search(task) {
            let mut found = slot.load(Ordering::Relaxed);
            while found == EMPTY || over(found) {
                // INVARIANT: The slots before this one were not empty and will not be.
                // Release pairs with Acquire in `observe()`.
                match slot.compare_exchange(found, entry, Ordering::Release, Ordering::Relaxed) {
                    Ok(_) => return Insert::New,
                    Err(now) => found = now,
                }
            }
            if found & !MARKS == task.addr() {
                return Insert::Already;
            }
        }
        Insert::Full
    }

    /// Ends the membership of a task. `true` for the one caller who did it; the reference is that one's now.
    #[must_use = "it says who owns the reference"]
    pub fn remove(&self, task: Task) -> bool {
        self.leave(task, true)
    }

    /// The same, unless the task has asked since [`FromSet::watch`].
    #[must_use = "it says who owns the reference"]
    pub fn remove_unasked(&self, task: Task) -> bool {
        self.leave(task, false)
    }

    fn leave(&self, task: Task, even_if_asked: bool) -> bool {
        for slot in self.search(task) {
            let mut entry = slot.load(Ordering::Relaxed);
            while entry == task.addr() || (even_if_asked && entry == task.addr() | ASKED) {
                // Relaxed: who moves the task next is ordered by its right, and the task itself asks by a read-modify-write, or has to
                // be seen asking. One that was taken out because it had ended does not run.
                let left = task.addr() | LEFT;
                match slot.compare_exchange(entry, left, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => {
                        // Release pairs with Acquire in `len()`.
                        self.len.fetch_sub(1, Ordering::Release);
                        return true;
                    }
                    Err(now) => entry = now,
                }
            }
            if entry == EMPTY || entry & !MARKS == task.addr() {
                return false;
            }
        }
        false
    }

    /// What is known of the current task; if it is a member, notes that it has asked.
    ///
    /// Relaxed: who finds that it has asked before may see an entry from before it was watched. But then it was on a CPU before
    /// all of them were interrupted, which comes between that and the look at its stack, and the look counts only if it was not.
    /// Whoever runs after that interrupt sees that it is watched. If it has not asked, the exchange finds the newest entry.
    ///
    /// It writes at most once for each time that the task is watched.
    pub fn ask(&self, current: Task) -> Place {
        for slot in self.search(current) {
            let mut entry = slot.load(Ordering::Relaxed);
            while entry == current.addr() {
                let asked = entry | ASKED;
                match slot.compare_exchange(entry, asked, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return Place::Member,
                    Err(now) => entry = now,
                }
            }
            if entry & !MARKS == current.addr() {
                return place(entry);
            }
            if entry == EMPTY {
                return Place::Unknown;
            }
        }
        Place::Unknown
    }

    /// The same, if the search is over in its first slot and nothing is to be noted.
    ///
    /// Relaxed: as above.
    #[inline]
    pub fn ask_at_once(&self, current: Task) -> Option<bool> {
        let slots: &[AtomicUsize] = &self.slots;
        let first = Self::hash(current) & slots.len().wrapping_sub(1);
        let entry = slots.get(first)?.load(Ordering::Relaxed);
        match entry ^ current.addr() {
            LEFT => Some(false),
            ASKED => Some(true),
            _ => None,
        }
    }

    /// Forgets that a task has asked. Whether it is a member.
    ///
    /// Relaxed, and of no use alone: the task may begin to run at the same time, and nothing orders what it does then behind the
    /// scheduler's word that it runs. So all CPUs are interrupted next ([`Interrupted`](super::evidence::Interrupted)).
    pub fn watch(&self, task: Task) -> bool {
        for slot in self.search(task) {
            let mut entry = slot.load(Ordering::Relaxed);
            while entry == task.addr() | ASKED {
                match slot.compare_exchange(
                    entry,
                    task.addr(),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => return true,
                    Err(now) => entry = now,
                }
            }
            if entry & !MARKS == task.addr() {
                return entry & LEFT == 0;
            }
            if entry == EMPTY {
                return false;
            }
        }
        false
    }

    /// Whether a task is a member that has not asked since it was watched.
    ///
    /// Relaxed: a hint. Who removes it afterwards finds out.
    pub fn is_watched(&self, task: Task) -> bool {
        let entries = self.search(task).map(|slot| slot.load(Ordering::Relaxed));
        let mut ends = entries.skip_while(|entry| *entry != EMPTY && entry & !MARKS != task.addr());
        ends.next() == Some(task.addr())
    }

    /// Whether a task has a slot or could have one. If not, that stays so until the set is cleared.
    ///
    /// Relaxed: a slot that belongs to a task goes on doing so, and who sees none sees what will not change.
    pub fn has_room(&self, task: Task) -> bool {
        let mut entries = self.search(task).map(|slot| slot.load(Ordering::Relaxed));
        entries.any(|entry| entry == EMPTY || entry & !MARKS == task.addr())
    }

    /// How many members there are and are about to be. What those did who left, before they did, has
    /// happened.
    ///
    /// Acquire pairs with Release in [`FromSet::remove`]. Without it, code could be freed that a
    /// task was still in, as far as this CPU knows.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The members, not counting what goes on.
    ///
    /// A member may leave after it was returned, and who removed it gives its reference back. The caller
    /// must see to it that this does not free the task meanwhile.
    pub fn members(&self) -> impl Iterator<Item = Task> + '_ {
        let entries = self.slots.iter().map(|slot| slot.load(Ordering::Relaxed));
        // An empty slot and one that was left are no address of a task.
        entries.filter_map(|entry| Task::new(entry & !ASKED))
    }

    /// Forgets everybody, members and those who left. The references of the members are the caller's.
    ///
    /// Exclusive, so no handler asks any more and no mover is on its way.
    pub fn clear(&mut self, mut give_back: impl FnMut(Task)) {
        for task in self.members() {
            give_back(task);
        }
        for slot in self.slots.iter() {
            slot.store(EMPTY, Ordering::Relaxed);
        }
        self.len.store(0, Ordering::Relaxed);
        self.noted.store(0, Ordering::Relaxed);
    }
}

/// What the entry of a task says.
#[inline]
fn place(entry: usize) -> Place {
    match entry & LEFT {
        0 => Place::Member,
        _ => Place::Left,
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    fn set(slots: usize) -> FromSet<Vec<AtomicUsize>> {
        let slots = (0..slots).map(|_| AtomicUsize::new(1)).collect();
        FromSet::new(slots).expect("it is a power of two")
    }

    /// Where the kernel puts tasks: three to a slab of 32 KiB, slabs here and there.
    fn task(i: usize) -> Task {
        let slab = (i / 3 * 7) % 100_003 * 0x8000;
        Task::new(0xffff_8881_0000_0000 + slab + i % 3 * 0x2a40).expect("it is even")
    }

    /// How many slots a search for this task reads.
    fn probes(set: &FromSet<Vec<AtomicUsize>>, task: Task) -> usize {
        let ends = |slot: &AtomicUsize| {
            let entry = slot.load(Ordering::Relaxed);
            entry == EMPTY || entry & !MARKS == task.addr()
        };
        let end = set.search(task).position(ends);
        end.map_or(PROBES, |i| i + 1)
    }

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Insert(usize),
        Remove(usize),
        Note(usize),
        Clear,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            50 => (0..40_usize).prop_map(Op::Insert),
            50 => (0..40_usize).prop_map(Op::Remove),
            10 => (0..40_usize).prop_map(Op::Note),
            1 => Just(Op::Clear),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_model(
            bits in 0..7_u32, ops in prop::collection::vec(op(), 0..400),
        ) {
            let mut set = set(1 << bits);
            let (mut members, mut seen, mut noted) = (BTreeSet::new(), BTreeSet::new(), 0);
            for op in ops {
                match op {
                    Op::Insert(i) => {
                        let expected = if members.contains(&task(i)) {
                            Insert::Already
                        } else if seen.len() == 1 << bits && !seen.contains(&task(i)) {
                            Insert::Full
                        } else {
                            seen.insert(task(i));
                            members.insert(task(i));
                            Insert::New
                        };
                        prop_assert_eq!(set.insert(task(i)), expected);
                    }
                    Op::Remove(i) => {
                        prop_assert_eq!(set.remove(task(i)), members.remove(&task(i)));
                    }
                    Op::Note(i) => {
                        let room = seen.len() < 1 << bits && noted < (1_usize << bits).div_ceil(4);
                        let known = seen.contains(&task(i));
                        if room && !known {
                            seen.insert(task(i));
                            noted += 1;
                        }
                        prop_assert_eq!(set.note(task(i)), room || known);
                    }
                    Op::Clear => {
                        let mut given_back = BTreeSet::new();
                        set.clear(|task| assert!(given_back.insert(task)));
                        prop_assert_eq!(&given_back, &members);
                        members.clear();
                        seen.clear();
                        noted = 0;
                    }
                }
                for i in 0..40 {
                    prop_assert_eq!(set.contains(task(i)), members.contains(&task(i)));
                    prop_assert_eq!(set.observe(task(i)), members.contains(&task(i)));
                    let place = match (members.contains(&task(i)), seen.contains(&task(i))) {
                        (true, _) => Place::Member,
                        (false, true) => Place::Left,
                        (false, false) => Place::Unknown,
                    };
                    prop_assert_eq!(set.place(task(i)), place);
                }
                prop_assert_eq!((set.len(), set.is_empty()), (members.len(), members.is_empty()));
                prop_assert_eq!(&set.members().collect::<BTreeSet<_>>(), &members);
            }
        }
    }

    #[test]
    fn searches_are_short() {
        for tasks in [400, 2000, 8192, 32768] {
            let set = set((tasks * 4_usize).next_power_of_two());
            assert!((0..tasks).all(|i| set.insert(task(i)) == Insert::New));
            // Of the members, and of as many who are not.
            let longest = (0..2 * tasks).map(|i| probes(&set, task(i))).max();
            assert!(longest < Some(20), "{tasks} tasks: {longest:?}");
        }
    }

    /// What would fill a table with tombstones in the end.
    #[test]
    fn coming_and_going_uses_nothing_up() {
        let set = set(1024);
        let comes_and_goes = |i: usize| set.insert(task(i)) == Insert::New && set.remove(task(i));
        assert!((0..256).all(comes_and_goes));
        let before: Vec<_> = (0..512).map(|i| probes(&set, task(i))).collect();
        assert!((0..100_000).map(|i| i * 31 % 256).all(comes_and_goes));
        let after: Vec<_> = (0..512).map(|i| probes(&set, task(i))).collect();
        assert_eq!(before, after);
    }

    /// Many can be born while tasks move forward, at ever new addresses, and there has to be a way back.
    #[test]
    fn who_is_noted_leaves_room() {
        let set = set(1024);
        assert!((0..100).all(|i| set.insert(task(i)) == Insert::New && set.remove(task(i))));
        let noted = (100..10_000).filter(|&i| set.note(task(i))).count();
        assert_eq!(noted, 256);
        assert!((0..100).all(|i| set.note(task(i)) && set.insert(task(i)) == Insert::New));
        assert!((20_000..20_200).all(|i| set.insert(task(i)) == Insert::New));
    }

    #[test]
    fn watched_until_it_asks() {
        let set = set(16);
        assert!(!set.is_watched(task(0)) && !set.watch(task(0)));
        assert_eq!(set.insert(task(0)), Insert::New);
        assert_eq!(set.insert(task(1)), Insert::New);
        assert!(set.is_watched(task(0)));
        assert_eq!(set.ask(task(0)), Place::Member);
        assert!(!set.is_watched(task(0)));
        assert!(!set.remove_unasked(task(0)));
        assert!(set.watch(task(0)) && set.is_watched(task(0)) && set.is_watched(task(1)));
        assert!(set.remove_unasked(task(0)) && !set.is_watched(task(0)) && !set.watch(task(0)));
    }

    #[test]
    fn full() {
        let mut set = set(256);
        let results: Vec<_> = (0..300).map(|i| set.insert(task(i))).collect();
        let refused: Vec<_> = (0..300).filter(|&i| results[i] == Insert::Full).collect();
        assert!(refused.len() >= 44);
        for i in 0..300 {
            assert_eq!(set.has_room(task(i)), !refused.contains(&i));
        }
        // Those who are in stay, leave, and come back.
        for i in 0..300 {
            assert_eq!(set.contains(task(i)), !refused.contains(&i));
        }
        assert!(set.remove(task(0)) && !set.remove(task(0)));
        assert!(set.has_room(task(0)) && !set.has_room(task(refused[0])));
        assert_eq!(set.insert(task(refused[0])), Insert::Full);
        assert_eq!(set.insert(task(0)), Insert::New);
        set.clear(drop);
        assert_eq!(set.insert(task(refused[0])), Insert::New);
        assert_eq!(set.len(), 1);
    }
}
