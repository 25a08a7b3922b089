// SPDX-License-Identifier: GPL-2.0

//! Is any task still in a range of text?
//!
//! The question is asked only when no listed task enters the range any more: no book sends its calls there, and a transition has seen
//! each away from the sites and doors that led there, so nobody is on the way. So a task that was once seen outside stays outside, and
//! tasks can be asked one after the other. Interrupts count as part of what they interrupt: their frames are above those of the task on
//! the same chain of stacks.

use crate::transition::{
    tasks::{self, Found, Held},
    walk::{self, Walked},
};
use core::ops::Range;
use kernel::{
    processor::cpu_relax,
    time::{delay::fsleep, Delta},
};

/// How often a task is asked that runs whenever its stack is read. That bounds the time in an RCU section; the next pass asks it again.
const TRIES: u32 = 1000;
/// Milliseconds between two passes.
const PAUSE_MS: i64 = 3;

/// Whether a task is outside of this text. `false` also where that cannot be told now.
fn is_outside(held: &Held, text: &Range<usize>) -> bool {
    for _ in 0..TRIES {
        let mut hit = false;
        let (found, walked) = walk::visit(held, |addr| hit |= text.contains(&(addr as usize)));
        // A dead task never runs again, and its stack may be gone. One that is dead and on a CPU may still be on its way to the scheduler, in a
        // function that was patched; it is found there.
        if found == Found::Gone {
            return true;
        }
        match walked {
            Walked::Ran => cpu_relax(),
            Walked::Whole => return !hit,
            Walked::Part => return false,
        }
    }
    false
}

/// Asks every task once: the pid of the first that is not outside for sure, or of the last that was asked before the walk has lost its
/// place. `None`: all are outside.
fn pass(text: &Range<usize>) -> Option<u64> {
    let mut pid = 0;
    let all_outside = tasks::ask_everybody(|task| {
        // SAFETY: The task is in the kernel's list, under RCU, or is an idle one.
        let held = unsafe { Held::new(task) };
        pid = held.describe().pid;
        is_outside(&held, text)
    });
    (!all_outside).then_some(pid.unsigned_abs().into())
}

/// A task that may still execute in this text, or return there: its pid, or 0 for an idle task. A task counts as one if all of so many
/// passes, a few milliseconds apart, have met one, or a stack that could not be read for sure. It may be about to leave, or have been
/// interrupted where no stack can be unwound, in the middle of a retpoline for example: then it has to run on before anything can be said.
///
/// The caller has made sure that nothing enters the text any more but tasks that are exiting and in no list any more. These are not asked:
/// they are gone when a grace period of RCU tasks has ended since then. May sleep.
pub(crate) fn user_of(text: &Range<usize>, passes: u32) -> Option<u64> {
    let mut left = passes;
    loop {
        let pid = pass(text)?;
        left = left.saturating_sub(1);
        if left == 0 {
            return Some(pid);
        }
        fsleep(Delta::from_millis(PAUSE_MS));
    }
}
