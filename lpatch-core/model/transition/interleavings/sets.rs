// SPDX-License-Identifier: GPL-2.0

//! The set by itself.

use super::super::atomic::AtomicUsize;
use super::super::set::{FromSet, Insert};
use super::explore;
use super::world::task;
use loom::sync::Arc;
use loom::thread;
use std::vec::Vec;

fn set(slots: usize) -> Arc<FromSet<Vec<AtomicUsize>>> {
    let slots = (0..slots).map(|_| AtomicUsize::new(0)).collect();
    Arc::new(FromSet::new(slots).expect("it is a power of two"))
}

/// Two insert the same task and a third one another, in every order: one has inserted it.
#[test]
fn one_slot_each() {
    explore(|| {
        let set = set(2);
        let threads = [0, 1, 0].map(|i| {
            let set = Arc::clone(&set);
            thread::spawn(move || set.insert(task(i)))
        });
        let results = threads.map(|thread| thread.join().expect("it ends"));
        let new = results.iter().filter(|&&result| result == Insert::New);
        assert_eq!(new.count(), 2);
        assert_eq!(set.len(), 2);
        assert!(set.remove(task(0)) && !set.contains(task(0)) && set.contains(task(1)));
    });
}

/// Two remove the same task: one has removed it, also if a third inserts it.
#[test]
fn one_winner() {
    explore(|| {
        let set = set(2);
        assert_eq!(set.insert(task(0)), Insert::New);
        let other = Arc::clone(&set);
        let removes = thread::spawn(move || other.remove(task(0)));
        let other = Arc::clone(&set);
        let inserts = thread::spawn(move || other.insert(task(0)));
        let mut removed = usize::from(set.remove(task(0)));
        removed += usize::from(removes.join().expect("it ends"));
        let inserted = 1 + usize::from(inserts.join().expect("it ends") == Insert::New);
        assert_eq!(inserted - removed, set.len());
        assert_eq!(set.contains(task(0)), set.len() == 1);
    });
}

/// A task finds itself at every moment, whatever others do in the slots before its own.
#[test]
fn found_at_every_moment() {
    explore(|| {
        let set = set(4);
        let first = |i| set.search(task(i)).next().map(core::ptr::from_ref);
        let mut rivals = (1..).filter(|&i| first(i) == first(0));
        let others = [(); 2].map(|()| {
            let i = rivals.next().expect("there are many");
            let set = Arc::clone(&set);
            thread::spawn(move || {
                assert_eq!(set.insert(task(i)), Insert::New);
                assert!(set.contains(task(i)));
                assert!(set.remove(task(i)));
                assert!(!set.contains(task(i)));
            })
        });
        assert_eq!(set.insert(task(0)), Insert::New);
        assert!(set.contains(task(0)));
        for other in others {
            other.join().expect("it ends");
        }
        assert!(set.contains(task(0)) && set.len() == 1);
    });
}
