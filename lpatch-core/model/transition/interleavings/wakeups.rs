// SPDX-License-Identifier: GPL-2.0

//! A task begins to run while somebody looks at its stack who cannot keep it from that.
//!
//! Here a task that runs is not a held lock, as in [`world`](super::world), but what the kernel has: a word that the
//! scheduler writes before the task goes on. No barrier comes between that and what the task does first.

use super::super::atomic::{fence, Ordering};
use super::super::evidence::Interrupted;
use super::super::{Cause, Side};
use super::explore;
use super::world::{finish, live, task, Frame};
use loom::sync::atomic::AtomicBool;
use loom::sync::{Arc, Mutex};
use loom::thread;

/// What the scheduler and the task write.
struct Cpu {
    /// Held where no interrupt is taken. All that the CPU did before an interrupt has happened for who has sent it and waits for
    /// its end; and what that one did before, for the CPU afterwards. That much is guaranteed by any way to wait for it.
    uninterrupted: Mutex<()>,
    on_cpu: AtomicBool,
    in_from: AtomicBool,
}

impl Cpu {
    fn step<T>(&self, f: impl FnOnce() -> T) -> T {
        let _until_the_end = self.uninterrupted.lock().expect("nobody panics");
        f()
    }

    /// Sends an interrupt and waits for its end.
    fn interrupt(&self) {
        drop(self.uninterrupted.lock().expect("nobody panics"));
    }
}

/// A task that has asked before begins to run and calls a patched function, while it is looked at.
#[test]
fn begins_to_run() {
    explore(|| {
        let world = live(1, 1, 2);
        assert_eq!(world.transition.side(task(0)), Side::From);
        let cpu = Arc::new(Cpu {
            uninterrupted: Mutex::new(()),
            on_cpu: AtomicBool::new(false),
            in_from: AtomicBool::new(false),
        });
        let other = (Arc::clone(&world), Arc::clone(&cpu));
        let runs = thread::spawn(move || {
            let (world, cpu) = other;
            cpu.step(|| {
                // smp_mb__after_spinlock() of __schedule(), then prepare_task().
                fence(Ordering::SeqCst);
                cpu.on_cpu.store(true, Ordering::Relaxed);
            });
            let side = cpu.step(|| world.transition.side(task(0)));
            cpu.step(|| cpu.in_from.store(side == Side::From, Ordering::Relaxed));
            side
        });
        let look = || {
            world.transition.watch(task(0));
            cpu.interrupt();
            let since = Interrupted::trust();
            let evidence = world.transition.stopped(task(0), &since)?;
            if cpu.on_cpu.load(Ordering::Acquire) {
                return None;
            }
            let in_from = cpu.in_from.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            let stack = if in_from {
                &[Frame::Code(Side::From)][..]
            } else {
                &[]
            };
            let stays = !cpu.on_cpu.load(Ordering::Acquire);
            Some(stays && world.attempt(&evidence, stack, Cause::Asleep))
        };
        let moved = look().unwrap_or(false);
        let side = runs.join().expect("it ends");
        assert!(
            !moved || side == Side::To,
            "moved, and in a function of from"
        );
        finish(world, &[0]);
    });
}
