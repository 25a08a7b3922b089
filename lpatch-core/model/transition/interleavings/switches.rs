// SPDX-License-Identifier: GPL-2.0

//! Going live, moving forward, and completing.

use super::super::{Refused, Side};
use super::explore;
use super::world::{finish, live, task, world, Running};
use loom::sync::Arc;
use loom::thread;

/// The task that sees that the transition is live sees itself in the set.
#[test]
fn going_live() {
    explore(|| {
        let world = world(1, 2);
        let other = Arc::clone(&world);
        let runs = thread::spawn(move || {
            Running::new(&other, 0).outer_and_inner(|_| ());
        });
        world.fill(0);
        world.transition.go_live().expect("it is filled");
        runs.join().expect("it ends");
        assert_eq!(world.transition.side(task(0)), Side::From);
        finish(world, &[0]);
    });
}

/// Two tasks, moved from inside and from outside, while somebody tries to complete it.
#[test]
fn forward() {
    explore(|| {
        let world = live(2, 2, 4);
        let others = [Arc::clone(&world), Arc::clone(&world)];
        let [first, second] = others;
        let first = thread::spawn(move || {
            let mut task = Running::new(&first, 0);
            task.outer_and_inner(|task| task.sleep());
            task.interrupted();
            task.outer_and_inner(|_| ());
        });
        let second = thread::spawn(move || {
            Running::new(&second, 1).outer_and_inner(|task| {
                task.interrupted();
            });
        });
        world.asleep(0);
        world.asleep(1);
        let _ = world.complete_to();
        first.join().expect("it ends");
        second.join().expect("it ends");
        finish(world, &[0, 1]);
    });
}

/// A task that can run is moved while it begins to, goes on, and stops again.
#[test]
fn stopped() {
    explore(|| {
        let world = live(1, 1, 2);
        let other = Arc::clone(&world);
        let runs = thread::spawn(move || {
            let mut task = Running::new(&other, 0);
            task.outer_and_inner(|task| task.sleep());
            task.outer_and_inner(|_| ());
        });
        world.stopped(0);
        let _ = world.complete_to();
        runs.join().expect("it ends");
        finish(world, &[0]);
    });
}

/// The same with two who try, of whom one has the right to, and a reversal.
#[test]
fn stopped_and_turned() {
    explore(|| {
        let world = live(1, 1, 2);
        let other = Arc::clone(&world);
        let runs = thread::spawn(move || {
            let mut task = Running::new(&other, 0);
            task.outer_and_inner(|task| {
                task.interrupted();
            });
            task.interrupted();
        });
        world.stopped(0);
        let _ = world.transition.reverse();
        world.stopped(0);
        let _ = world.complete_from(0..1);
        runs.join().expect("it ends");
        finish(world, &[0]);
    });
}

/// An interrupt between the answer of the handler and the function finds the task on its way.
#[test]
fn interrupted_on_the_way() {
    explore(|| {
        let world = live(1, 1, 2);
        let mut task = Running::new(&world, 0);
        let on_the_way = |task: &mut Running<'_>| assert!(!task.interrupted());
        task.call(on_the_way, |task| task.call(|_| (), |_| ()));
        drop(task);
        finish(world, &[0]);
    });
}

/// A task is moved before a function that has ended by a jump, or when it is over, and not where it goes on.
#[test]
fn jumped_on() {
    for (by_name, far) in [(true, false), (false, false), (true, true)] {
        explore(move || {
            let world = live(1, 1, 2);
            let other = Arc::clone(&world);
            let runs = thread::spawn(move || {
                let mut task = Running::new(&other, 0);
                task.jump(by_name, far, |task| task.sleep());
                task.interrupted();
                task.jump(by_name, far, |_| ());
            });
            world.asleep(0);
            let _ = world.complete_to();
            runs.join().expect("it ends");
            finish(world, &[0]);
        });
    }
}

/// The same on the way back.
#[test]
fn jumped_on_and_turned() {
    for (by_name, far) in [(true, false), (false, false), (true, true)] {
        explore(move || {
            let world = live(1, 1, 2);
            let other = Arc::clone(&world);
            let runs = thread::spawn(move || {
                let mut task = Running::new(&other, 0);
                task.interrupted();
                task.jump(by_name, far, |task| task.sleep());
            });
            let _ = world.transition.reverse();
            world.asleep(0);
            let _ = world.complete_from(0..1);
            runs.join().expect("it ends");
            finish(world, &[0]);
        });
    }
}

/// A task that has found a door open is not moved before it is through, and one that was moved finds it shut.
#[test]
fn through_a_door() {
    explore(|| {
        let world = world(1, 2);
        let other = Arc::clone(&world);
        let runs = thread::spawn(move || {
            let mut task = Running::new(&other, 0);
            task.call_by_door(|task| task.sleep());
            task.interrupted();
            task.call_by_door(|_| ());
        });
        world.shut();
        world.fill(0);
        world.transition.go_live().expect("it is filled");
        world.asleep(0);
        runs.join().expect("it ends");
        finish(world, &[0]);
    });
}

/// Code is not freed before a task has left it that was moved, by itself, as the last.
#[test]
fn freeing_from() {
    explore(|| {
        let world = live(1, 1, 2);
        let other = Arc::clone(&world);
        let runs = thread::spawn(move || {
            let mut task = Running::new(&other, 0);
            task.outer_and_inner(|_| ());
            task.interrupted();
            task.outer_and_inner(|_| ());
        });
        let result = world.complete_to();
        assert!([Ok(()), Err(Refused::Pending(1))].contains(&result));
        runs.join().expect("it ends");
        finish(world, &[0]);
    });
}

/// Whoever does the last thing before completion knows that it is the last.
#[test]
fn ripe_forward() {
    explore(|| {
        let world = live(2, 2, 4);
        let others = [0, 1].map(|i| (i, Arc::clone(&world)));
        let threads = others.map(|(i, world)| {
            thread::spawn(move || {
                world.asleep(i);
                world.transition.ripe()
            })
        });
        let ripe = threads.map(|thread| thread.join().expect("it ends"));
        assert!(ripe.contains(&true), "nobody would complete it");
        finish(world, &[0, 1]);
    });
}
