// SPDX-License-Identifier: GPL-2.0

//! What moved how many tasks.

use core::sync::atomic::{AtomicU64, Ordering};

/// What a task was moved by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was asleep, with none of the functions on its stack.
    Asleep,
    /// It was interrupted on its CPU.
    Running,
    /// It was switched out.
    ScheduledOut,
    /// It called a patched function.
    Entered,
    /// It went back to user mode.
    UserMode,
    /// It is a kernel thread and was woken for that.
    Woken,
    /// It was born into the side that others move to.
    Birth,
    /// It ended, and needs no move any more.
    Exit,
    /// It was forced, which is no move but the end of the guarantee.
    Forced,
}

impl Cause {
    /// All of them, in the order of [`Counters::read`].
    pub const ALL: [Self; 9] = [
        Self::Asleep,
        Self::Running,
        Self::ScheduledOut,
        Self::Entered,
        Self::UserMode,
        Self::Woken,
        Self::Birth,
        Self::Exit,
        Self::Forced,
    ];
}

/// A number of tasks for each cause.
#[derive(Default)]
pub struct Counters([AtomicU64; Cause::ALL.len()]);

impl Counters {
    /// Counts tasks.
    pub fn add(&self, cause: Cause, tasks: u64) {
        let all = Cause::ALL.iter().zip(&self.0);
        for (_, counter) in all.filter(|(other, _)| **other == cause) {
            // Relaxed: nobody decides anything by it.
            counter.fetch_add(tasks, Ordering::Relaxed);
        }
    }

    /// The numbers now.
    pub fn read(&self) -> [u64; Cause::ALL.len()] {
        self.0
            .each_ref()
            .map(|counter| counter.load(Ordering::Relaxed))
    }

    /// Back to 0.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own() {
        let mut counters = Counters::default();
        for (i, cause) in (1..).zip(Cause::ALL) {
            counters.add(cause, i);
        }
        counters.add(Cause::Birth, 10);
        assert_eq!(counters.read(), [1, 2, 3, 4, 5, 6, 17, 8, 9]);
        counters.clear();
        assert_eq!(counters.read(), [0; 9]);
    }
}
