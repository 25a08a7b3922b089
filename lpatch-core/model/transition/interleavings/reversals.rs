// SPDX-License-Identifier: GPL-2.0

//! Reversals, and reversals of reversals.

use super::super::{Refused, Side};
use super::explore;
use super::world::{finish, live, reversed, task, Running};
use loom::sync::Arc;
use loom::thread;

/// A task moves itself forward while the direction turns; all are looked at, and the new code is freed.
#[test]
fn reverse_against_a_mover() {
    explore(|| {
        let world = live(1, 1, 2);
        let other = Arc::clone(&world);
        let runs = thread::spawn(move || {
            let mut task = Running::new(&other, 0);
            task.interrupted();
            task.outer_and_inner(|task| task.sleep());
        });
        world.transition.reverse().expect("nobody is late");
        let _ = world.complete_from([0].into_iter());
        runs.join().expect("it ends");
        finish(world, &[0]);
    });
}

/// One task is moved back from inside, one from outside.
#[test]
fn back() {
    explore(|| {
        let world = reversed(2, 2, &[0, 1], 4);
        let other = Arc::clone(&world);
        let runs = thread::spawn(move || {
            let mut task = Running::new(&other, 0);
            task.outer_and_inner(|_| ());
            task.interrupted();
            task.outer_and_inner(|task| task.sleep());
        });
        world.asleep(1);
        world.asleep(0);
        let _ = world.complete_from(0..2);
        runs.join().expect("it ends");
        finish(world, &[0, 1]);
    });
}

/// There and back and there again, with movers of all three directions.
#[test]
fn twice() {
    explore(|| {
        let world = live(1, 1, 2);
        let other = Arc::clone(&world);
        let runs = thread::spawn(move || {
            let mut task = Running::new(&other, 0);
            task.interrupted();
            task.outer_and_inner(|task| task.sleep());
            task.interrupted();
            task.call(|_| (), |_| ());
        });
        world.transition.reverse().expect("nobody is late");
        match world.transition.reverse() {
            Ok(()) => drop(world.complete_to()),
            result => assert_eq!(result, Err(Refused::Late)),
        }
        runs.join().expect("it ends");
        finish(world, &[0]);
    });
}

/// Whoever does the last thing before completion in reverse knows that it is worth another look.
#[test]
fn ripe_in_reverse() {
    explore(|| {
        let world = reversed(2, 2, &[0, 1], 4);
        let others = [0, 1].map(|i| (i, Arc::clone(&world)));
        let threads = others.map(|(i, world)| {
            thread::spawn(move || {
                world.asleep(i);
                world.transition.ripe()
            })
        });
        let result = world.complete_from(0..2);
        let ripe = threads.map(|thread| thread.join().expect("it ends"));
        let told = ripe.contains(&true) || !matches!(result, Err(Refused::Pending(_)));
        assert!(told, "nobody would look again: {result:?}");
        finish(world, &[0, 1]);
    });
}

/// The last mover of the direction before, or the last of this one, sees that both have finished.
#[test]
fn ripe_when_nobody_is_late() {
    explore(|| {
        // Task 1 lives in to.
        let world = live(2, 2, 4);
        world.asleep(1);
        let late = Arc::clone(&world);
        let late = thread::spawn(move || {
            late.asleep(0);
            late.transition.ripe()
        });
        world.transition.reverse().expect("nobody is late");
        let mover = Arc::clone(&world);
        let mover = thread::spawn(move || {
            mover.asleep(1);
            mover.transition.ripe()
        });
        let result = world.complete_from(0..2);
        let ripe = [late, mover].map(|thread| thread.join().expect("it ends"));
        let moved = (0..2).all(|i| world.transition.side(task(i)) == Side::From);
        if moved && result.is_err() {
            let told = ripe.contains(&true) || result == Err(Refused::Again);
            assert!(told, "nobody would look again: {result:?}");
        }
        finish(world, &[0, 1]);
    });
}
