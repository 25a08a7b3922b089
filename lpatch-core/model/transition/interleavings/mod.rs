// SPDX-License-Identifier: GPL-2.0

//! All interleavings of small transitions, by loom: `cargo test -p lpatch-model --features loom --profile loom
//! interleavings`.
//!
//! A task is a thread of loom. While it runs it holds the lock of its own stack, which stands for `pi_lock`:
//! who gets the lock finds it asleep. Its stack says which version each frame executes, and whether the
//! task is on its way from a handler to a function. Executing a version reads a cell, and freeing its code after
//! completion writes it, so loom objects to every order of memory operations in which the code could go
//! while somebody is in it.
//!
//! loom tries at most [`PREEMPTIONS`] switches away from a thread that could go on; switches where a
//! thread waits or ends come on top. It knows stale reads of relaxed operations, but not a load that takes the value
//! of a store which it precedes.

mod forks;
mod reversals;
mod sets;
mod switches;
mod wakeups;
mod world;

const PREEMPTIONS: usize = 3;

/// Tries all interleavings.
fn explore(scenario: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(scenario);
}
