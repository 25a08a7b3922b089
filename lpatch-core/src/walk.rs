// SPDX-License-Identifier: GPL-2.0

//! Looking at stacks.

use crate::{
    ffi,
    model::{
        callee,
        transition::{
            evidence::{Asleep, Current, Evidence, Stopped},
            stack::{Blocked, Clean, Proof, Ranges, Span, StackCheck},
            Task,
        },
    },
};
use core::marker::PhantomData;
use kernel::ffi::c_void;

/// Length of the call at a fentry site, which returns behind it.
pub(crate) const FENTRY_CALL: u64 = callee::SITE_LEN;

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

/// What was called in front of a return address, if that is known; see [`callee::direct`].
pub(crate) fn called(addr: u64) -> Option<u64> {
    let mut before = [0; callee::CALL_LEN];
    // SAFETY: The buffer has that many bytes; any address may be asked about.
    let read = unsafe { ffi::lp_in_front_of(addr as usize, before.as_mut_ptr()) } != 0;
    read.then(|| callee::direct(before, addr)).flatten()
}

/// Finishes a check by a walk.
fn check<'e>(mut check: StackCheck<'e, '_>, stack: Stack) -> Result<Clean<'e>, Blocked> {
    let frame = |addr: u64| check.frame(addr, || called(addr));
    // SAFETY: The check's evidence says that it is the current task or cannot run, or the stack is of the kind that finds out; what
    // it stands on, or who asks, keeps the struct.
    let whole = unsafe { walk(stack, frame) };
    check.finish(whole)
}

/// For a task that does not run.
pub(crate) fn asleep<'e>(
    evidence: &'e Asleep<'_>,
    stack: Stack,
    ranges: Ranges<'_>,
) -> Result<Clean<'e>, Blocked> {
    check(StackCheck::new(evidence, ranges), stack)
}

/// For a task that is watched.
pub(crate) fn stopped<'e>(
    evidence: &'e Stopped<'_>,
    ranges: Ranges<'_>,
) -> Result<Clean<'e>, Blocked> {
    let task = evidence.task().addr() as *mut c_void;
    check(StackCheck::new(evidence, ranges), Stack::Stopped(task))
}

/// For the current task.
pub(crate) fn current<'e>(
    evidence: &'e Current<'_>,
    ranges: Ranges<'_>,
) -> Result<Clean<'e>, Blocked> {
    check(StackCheck::new(evidence, ranges), own())
}

/// For the current task, which has just entered the function with this fentry site.
pub(crate) fn entering<'e>(
    evidence: &'e Current<'_>,
    ranges: Ranges<'_>,
    site: u64,
    proof: Proof,
    hidden: &[Span],
) -> Result<Clean<'e>, Blocked> {
    let entry = StackCheck::at_entry(evidence, ranges, site, proof, hidden);
    check(entry, own())
}

/// Nothing interrupts the current task as long as this exists, and this CPU is not looking at a stack already: whatever a
/// look calls may be patched, and then asks where to go.
pub(crate) struct Still {
    flags: usize,
    _cpu: PhantomData<*const ()>,
}

impl Still {
    /// `None` inside of a look, whoever's; in NMI context; and where RCU does not watch.
    pub(crate) fn begin() -> Option<Self> {
        let mut flags = 0;
        // SAFETY: The pointer is to a local variable.
        let begun = unsafe { ffi::lp_still_begin(&mut flags) } != 0;
        // Made only then: it ends when it is dropped.
        begun.then(|| Self {
            flags,
            _cpu: PhantomData,
        })
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        // SAFETY: The flags are those of the beginning, on the same CPU.
        unsafe { ffi::lp_still_end(self.flags) };
    }
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

/// Calls `frame` for what the current task, which has just entered the function with this fentry site, was in before.
pub(crate) fn current_frames(_still: &Still, ip: u64, mut frame: impl FnMut(u64)) {
    let mut own_frame = ip + FENTRY_CALL;
    let without_own = |addr: u64| {
        if addr == own_frame {
            own_frame = 0;
        } else {
            frame(addr);
        }
    };
    // SAFETY: It is the current task, and nothing interrupts it.
    unsafe { walk(own(), without_own) };
}
