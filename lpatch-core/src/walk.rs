// SPDX-License-Identifier: GPL-2.0

//! Looking at stacks.

use crate::{
    ffi,
    model::transition::{
        evidence::{Asleep, Current, Evidence, Stopped},
        stack::{Blocked, Clean, Ranges, StackCheck},
        Task,
    },
};
use kernel::ffi::c_void;

/// Length of the call at a fentry site, which returns behind it.
pub(crate) const FENTRY_CALL: u64 = 5;

/// Whose stack.
#[derive(Clone, Copy)]
pub(crate) enum Stack {
    /// That of the task itself.
    Own(*mut c_void),
    /// That of a task which does not run, and counts only if it does not begin to.
    Stopped(*mut c_void),
    /// That of an idle task which does not run; all of them have the same.
    Idle,
}

/// A walk under way.
struct Walk<F> {
    frame: F,
}

/// # Safety
///
/// `arg` points to a `Walk<F>` that nobody else uses.
unsafe extern "C" fn on_frame<F: FnMut(u64)>(arg: *mut c_void, addr: usize) {
    // SAFETY: As this function's.
    let walk = unsafe { &mut *arg.cast::<Walk<F>>() };
    (walk.frame)(addr as u64);
}

/// Calls `frame` for each frame, the innermost first. `true`: the stack was read from end to end.
///
/// # Safety
///
/// The task is the current one, or cannot run meanwhile; or it may run, and the caller takes what comes for a guess.
/// Its struct and its stack stay.
pub(crate) unsafe fn walk<F: FnMut(u64)>(stack: Stack, frame: F) -> bool {
    let mut walk = Walk { frame };
    let arg = (&raw mut walk).cast();
    let whole = match stack {
        // SAFETY: As this function's; the callback gets what it needs.
        Stack::Own(task) => unsafe { ffi::lp_walk(task, Some(on_frame::<F>), arg) },
        // SAFETY: As above.
        Stack::Stopped(task) => unsafe { ffi::lp_walk_stopped(task, Some(on_frame::<F>), arg) },
        // SAFETY: The callback gets what it needs.
        Stack::Idle => unsafe { ffi::lp_walk_idle(Some(on_frame::<F>), arg) },
    };
    whole > 0
}

/// Whether the task that the evidence is about can leave the side of the ranges. `skip`: the first frame with
/// this address does not count, since it is the caller's own; 0: none.
pub(crate) fn check<'e>(
    evidence: &'e impl Evidence,
    stack: Stack,
    ranges: Ranges<'_>,
    mut skip: u64,
) -> Result<Clean<'e>, Blocked> {
    let mut check = StackCheck::new(evidence, ranges);
    let frame = |addr: u64| {
        if addr == skip {
            skip = 0;
        } else {
            check.frame(addr);
        }
    };
    // SAFETY: The evidence says that it is the current task or cannot run, or the stack is of the kind that finds out; what it
    // stands on, or who asks, keeps the struct.
    let whole = unsafe { walk(stack, frame) };
    check.finish(whole)
}

/// For a task that does not run.
pub(crate) fn asleep<'e>(
    evidence: &'e Asleep<'_>,
    stack: Stack,
    ranges: Ranges<'_>,
) -> Result<Clean<'e>, Blocked> {
    check(evidence, stack, ranges, 0)
}

/// For a task that is watched.
pub(crate) fn stopped<'e>(
    evidence: &'e Stopped<'_>,
    ranges: Ranges<'_>,
) -> Result<Clean<'e>, Blocked> {
    let task = evidence.task().addr() as *mut c_void;
    check(evidence, Stack::Stopped(task), ranges, 0)
}

/// For the current task.
pub(crate) fn current<'e>(
    evidence: &'e Current<'_>,
    ranges: Ranges<'_>,
    skip: u64,
) -> Result<Clean<'e>, Blocked> {
    check(evidence, own(), ranges, skip)
}

/// The stack of the current task.
pub(crate) fn own() -> Stack {
    // SAFETY: No requirements.
    Stack::Own(unsafe { ffi::lp_current() })
}

/// The stack of a task that is not an idle one.
pub(crate) fn of(task: Task) -> Stack {
    Stack::Own(task.addr() as *mut c_void)
}

/// Calls `frame` for what the current task, which has just entered the function with this fentry site, was in before. If that
/// goes round in circles, because the walk calls functions that are patched, it ends here, with no frame at all.
///
/// Preemption is off.
pub(crate) fn current_frames(ip: u64, mut frame: impl FnMut(u64)) {
    let mut own_frame = ip + FENTRY_CALL;
    let without_own = |addr: u64| {
        if addr == own_frame {
            own_frame = 0;
        } else {
            frame(addr);
        }
    };
    // SAFETY: Preemption is off.
    let deeper = unsafe { ffi::lp_deeper() } != 0;
    if deeper {
        // SAFETY: It is the current task.
        unsafe { walk(own(), without_own) };
    }
    // SAFETY: Preemption is off, and has been since above.
    unsafe { ffi::lp_back() };
}
