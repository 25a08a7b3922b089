// SPDX-License-Identifier: GPL-2.0

//! Looking at stacks.

use crate::{
    ffi,
    model::transition::{
        evidence::{Asleep, Current, Evidence, Stopped},
        stack::{Blocked, Clean, Proof, Ranges, StackCheck},
        Task,
    },
    redirect::bounds::Bounds,
    running::calls::called,
    transition::tasks::{self, Found, Held},
};
use core::marker::PhantomData;
use kernel::ffi::c_void;

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

/// What a walk through a stack is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walked {
    /// The stack was read from end to end.
    Whole,
    /// The rest of it cannot be read now.
    Part,
    /// The task ran meanwhile, so what was read says nothing.
    Ran,
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

/// Calls `frame` for each frame, the innermost first.
///
/// # Safety
///
/// The task is the current one, or cannot run meanwhile, and its stack stays; or it is a [`Stack::Stopped`], which finds out whether its
/// task ran, and keeps the stack. The struct of the task stays.
unsafe fn walk<F: FnMut(u64)>(stack: Stack, frame: F) -> Walked {
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
    match whole {
        ffi::LP_WALK_RAN => Walked::Ran,
        0 => Walked::Part,
        _ => Walked::Whole,
    }
}

/// Calls `frame` for each frame of a task, the innermost first, wherever the task is: on its CPU if it runs; else from here, while nothing
/// wakes it or with a proof that it did not run meanwhile. Returns how the task was found. A dead one is not looked at. A task that has
/// left the CPU that was asked counts as one that ran.
pub(crate) fn visit(held: &Held, mut frame: impl FnMut(u64)) -> (Found, Walked) {
    let task = held.task();
    let mut walked = Walked::Ran;
    let found = if tasks::is_idle(task) {
        Found::OnCpu
    } else {
        // SAFETY: It is asleep and stays so, and so does its stack.
        tasks::if_asleep(held, |task| walked = unsafe { walk(of(task), &mut frame) })
    };
    if found == Found::Runnable {
        // SAFETY: The stack finds out whether the task ran. We hold a reference to its struct, and the task does not die during the walk.
        walked = unsafe { walk(stopped_at(task), &mut frame) };
    }
    if found == Found::OnCpu {
        // SAFETY: It is the current task of its CPU, where nothing interrupts.
        let own = |_: Task| walked = unsafe { walk(own(), &mut frame) };
        if !tasks::if_running(held, own) && tasks::is_idle(task) {
            // SAFETY: It is the stack that all idle tasks have that do not run.
            walked = unsafe { walk(Stack::Idle, &mut frame) };
        }
    }
    (found, walked)
}

/// Finishes a check by a walk.
fn check<'e>(mut check: StackCheck<'e, '_>, stack: Stack) -> Result<Clean<'e>, Blocked> {
    let frame = |addr: u64| check.frame(addr, || called(addr));
    // SAFETY: The check's evidence says that it is the current task or cannot run, or the stack is of the kind that finds out; what
    // it stands on, or who asks, keeps the struct.
    let walked = unsafe { walk(stack, frame) };
    check.finish(walked == Walked::Whole)
}

/// For a task that does not run.
pub(crate) fn asleep<'e>(
    evidence: &'e Asleep<'_>,
    stack: Stack,
    bounds: Bounds<'_>,
) -> Result<Clean<'e>, Blocked> {
    check(bounds.check(evidence), stack)
}

/// For a task that is watched.
pub(crate) fn stopped<'e>(
    evidence: &'e Stopped<'_>,
    bounds: Bounds<'_>,
) -> Result<Clean<'e>, Blocked> {
    check(bounds.check(evidence), stopped_at(evidence.task()))
}

/// For the current task.
pub(crate) fn current<'e>(
    evidence: &'e Current<'_>,
    bounds: Bounds<'_>,
) -> Result<Clean<'e>, Blocked> {
    check(bounds.check(evidence), own())
}

/// For the current task, which has just entered the function with this fentry site.
pub(crate) fn entering<'e>(
    evidence: &'e Current<'_>,
    bounds: Bounds<'_>,
    site: u64,
    proof: Proof,
) -> Result<Clean<'e>, Blocked> {
    check(bounds.check_entry(evidence, site, proof), own())
}

/// Whether the current task, which has just entered the function with this fentry site, has code of these on its stack.
///
/// By that alone: what was called in front of a return address is the same function on both sides.
pub(crate) fn is_inside(evidence: &Current<'_>, ranges: Ranges<'_>, site: u64) -> bool {
    let mut check = StackCheck::at_entry(evidence, ranges, site, Proof::Always, &[]);
    // SAFETY: It is the current task, and what the evidence stands on keeps everything from interrupting it.
    let walked = unsafe { walk(own(), |addr| check.frame(addr, || None)) };
    matches!(check.finish(walked == Walked::Whole), Err(Blocked::By(_)))
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

/// The stack of a task that is not an idle one, and that waits for a CPU.
pub(crate) fn stopped_at(task: Task) -> Stack {
    Stack::Stopped(task.addr() as *mut c_void)
}

/// The stack of a task that is not an idle one.
pub(crate) fn of(task: Task) -> Stack {
    Stack::Own(task.addr() as *mut c_void)
}
