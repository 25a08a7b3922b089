// SPDX-License-Identifier: GPL-2.0

//! Births, and ends.

use super::super::atomic::AtomicUsize;
use super::super::{Phase, Refused, Side};
use super::explore;
use super::world::{finish, live, reversed, task, world, Everything, Running};
use core::sync::atomic::Ordering;
use loom::sync::Arc;
use loom::thread;

/// A task comes into the list of tasks, gets its side, and runs.
fn fork(world: &Arc<Everything>, i: usize, list: Option<&AtomicUsize>) -> thread::JoinHandle<()> {
    if let Some(list) = list {
        // As weak as an RCU list is for who walks it.
        list.store(i + 1, Ordering::Relaxed);
    }
    world.birth(i);
    let child = Arc::clone(world);
    thread::spawn(move || Running::new(&child, i).outer_and_inner(|task| task.sleep()))
}

/// A task is born while the set is filled and the transition goes live and completes.
#[test]
fn birth_while_filling() {
    explore(|| {
        let world = world(2, 4);
        let parent = Arc::clone(&world);
        let parent = thread::spawn(move || fork(&parent, 1, None));
        world.fill(0);
        // The walk finds the child too.
        world.fill(1);
        world.transition.go_live().expect("it is filled");
        world.asleep(0);
        let _ = world.complete_to();
        let child = parent.join().expect("it ends");
        child.join().expect("it ends");
        finish(world, &[0, 1]);
    });
}

/// A task that the walk misses is born while the transition goes live. The set has no room for it.
#[test]
fn birth_without_room() {
    explore(|| {
        let world = world(2, 1);
        let parent = Arc::clone(&world);
        let parent = thread::spawn(move || fork(&parent, 1, None));
        world.fill(0);
        match world.transition.go_live() {
            Ok(()) => {
                world.asleep(0);
                let _ = world.complete_to();
            }
            result => {
                assert_eq!(result, Err(Refused::Full));
                world.transition.abort().expect("it is not live");
            }
        }
        let child = parent.join().expect("it ends");
        child.join().expect("it ends");
        let born = world.transition.side(task(1));
        match world.transition.phase() {
            Phase::Complete(Side::From) => assert_eq!(born, Side::From),
            _ => assert_eq!(born, Side::To),
        }
        finish(world, &[0]);
    });
}

/// A task is born while the direction turns and somebody looks at all tasks that there are.
#[test]
fn birth_in_reverse() {
    explore(|| {
        let world = live(1, 0, 2);
        let list = Arc::new(AtomicUsize::new(0));
        let parent = (Arc::clone(&world), Arc::clone(&list));
        let parent = thread::spawn(move || fork(&parent.0, 0, Some(&parent.1)));
        world.transition.reverse().expect("nobody is late");
        if let Ok(mut survey) = world.transition.survey() {
            if list.load(Ordering::Relaxed) != 0 {
                survey.look(task(0));
            }
            let _ = survey.complete();
        }
        let child = parent.join().expect("it ends");
        child.join().expect("it ends");
        finish(world, &[0]);
    });
}

/// The same, but the set has no room for it. As long as it lives in to, nothing is complete.
#[test]
fn birth_in_reverse_without_room() {
    explore(|| {
        // Task 0 has the only slot.
        let world = reversed(2, 1, &[], 1);
        let list = Arc::new(AtomicUsize::new(0));
        let parent = (Arc::clone(&world), Arc::clone(&list));
        let parent = thread::spawn(move || fork(&parent.0, 1, Some(&parent.1)));
        if let Ok(mut survey) = world.transition.survey() {
            survey.look(task(0));
            if list.load(Ordering::Relaxed) != 0 {
                survey.look(task(1));
            }
            let _ = survey.complete();
        }
        let child = parent.join().expect("it ends");
        child.join().expect("it ends");
        if world.transition.reverse().is_ok() {
            finish(world, &[0, 1]);
        } else {
            finish(world, &[0]);
        }
    });
}

/// A task that was born in reverse ends, is taken out, and its address becomes that of another, while somebody looks at all tasks.
#[test]
fn an_address_comes_back_in_reverse() {
    explore(|| {
        // Task 0 lives in to, and has one of the slots.
        let world = reversed(2, 1, &[0], 2);
        let list = Arc::new(AtomicUsize::new(0));
        let parent = (Arc::clone(&world), Arc::clone(&list));
        let parent = thread::spawn(move || {
            let (world, list) = parent;
            let first = fork(&world, 1, None);
            first.join().expect("it ends");
            // The driver does this for dead members, and then the kernel can use the address again.
            world.exit(1);
            fork(&world, 1, Some(&list))
        });
        world.asleep(0);
        if let Ok(mut survey) = world.transition.survey() {
            survey.look(task(0));
            if list.load(Ordering::Relaxed) != 0 {
                survey.look(task(1));
            }
            let _ = survey.complete();
        }
        let second = parent.join().expect("it ends");
        second.join().expect("it ends");
        assert_eq!(world.transition.side(task(1)), Side::From);
        finish(world, &[0, 1]);
    });
}

/// A task ends while it is moved from outside: its reference is given back once.
#[test]
fn end_against_a_mover() {
    explore(|| {
        let world = live(2, 2, 4);
        let other = Arc::clone(&world);
        let ends = thread::spawn(move || {
            Running::new(&other, 0).call(|_| (), |_| ());
            other.exit(0);
        });
        world.asleep(0);
        world.asleep(1);
        let _ = world.complete_to();
        ends.join().expect("it ends");
        finish(world, &[1]);
    });
}

/// Ends are events too: who waits for the last task to move hears that it ended.
#[test]
fn ripe_at_the_end() {
    explore(|| {
        let world = live(1, 1, 2);
        let other = Arc::clone(&world);
        let ends = thread::spawn(move || {
            other.exit(0);
            other.transition.ripe()
        });
        let result = world.complete_to();
        assert!(ends.join().expect("it ends") || result.is_ok());
        finish(world, &[]);
    });
}
