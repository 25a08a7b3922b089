// SPDX-License-Identifier: GPL-2.0

//! References to tasks, and closures as callbacks of the shim.

use crate::{
    ffi,
    model::transition::{evidence::Interrupted, Task},
};
use core::marker::PhantomData;
use kernel::ffi::c_void;

/// A reference to a task; to the idle task of a CPU, nothing but its key.
///
/// # Invariants
///
/// The value owns one reference.
pub(crate) struct Held(Task);

// SAFETY: A reference count is not tied to a thread.
unsafe impl Send for Held {}

impl Held {
    /// Takes a reference.
    ///
    /// # Safety
    ///
    /// The task is kept alive while this runs: by RCU and its being in a list or in the set, for example.
    pub(crate) unsafe fn new(task: Task) -> Self {
        // SAFETY: As this function's.
        unsafe { ffi::lp_task_get(task.addr()) };
        // INVARIANT: Taken just now.
        Self(task)
    }

    /// The task.
    pub(crate) fn task(&self) -> Task {
        self.0
    }

    /// What the task is called, and where it runs.
    pub(crate) fn describe(&self) -> ffi::lp_task {
        let mut description = ffi::lp_task::default();
        // SAFETY: We hold a reference.
        unsafe { ffi::lp_task_describe(self.0.addr(), &mut description) };
        description
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is ours.
        unsafe { ffi::lp_task_put(self.0.addr()) };
    }
}

/// Whether this is the key of an idle task.
pub(crate) fn is_idle(task: Task) -> bool {
    // SAFETY: No requirements.
    unsafe { ffi::lp_is_idle_key(task.addr()) != 0 }
}

/// Whether a task was switched out for the last time.
///
/// # Safety
///
/// The caller holds a reference, or the task is in a list or in the set and this is an RCU section.
pub(crate) unsafe fn is_gone(task: Task) -> bool {
    // SAFETY: As this function's; idle tasks have no struct.
    !is_idle(task) && unsafe { ffi::lp_task_gone(task.addr()) != 0 }
}

/// Interrupts all CPUs, so that they look at the tasks that they run.
pub(crate) fn ask_cpus() -> Interrupted {
    // SAFETY: No requirements; we may sleep.
    unsafe { ffi::lp_ask_cpus() };
    Interrupted::trust()
}

/// A closure, as a callback for tasks and its argument.
pub(crate) struct Callback<'f, F> {
    arg: *mut c_void,
    closure: PhantomData<&'f mut F>,
}

impl<'f, F: FnMut(Task)> Callback<'f, F> {
    pub(crate) fn new(f: &'f mut F) -> Self {
        Self {
            arg: (&raw mut *f).cast(),
            closure: PhantomData,
        }
    }

    pub(crate) fn function(&self) -> ffi::lp_task_fn {
        Some(call::<F>)
    }

    pub(crate) fn arg(&self) -> *mut c_void {
        self.arg
    }
}

/// # Safety
///
/// `arg` points to an `F` that nobody else uses.
unsafe extern "C" fn call<F: FnMut(Task)>(arg: *mut c_void, key: usize) {
    // SAFETY: As this function's.
    let f = unsafe { &mut *arg.cast::<F>() };
    if let Some(task) = Task::new(key) {
        f(task);
    }
}

/// Calls `f` for all tasks that are in the kernel's list and can still run. It must not sleep.
pub(crate) fn each(mut f: impl FnMut(Task)) {
    let callback = Callback::new(&mut f);
    // SAFETY: The callback gets the closure that it is made for.
    unsafe { ffi::lp_each_task(callback.function(), callback.arg()) };
}

/// Calls `f` for the idle tasks of all CPUs that are online.
pub(crate) fn each_idle(mut f: impl FnMut(Task)) {
    let callback = Callback::new(&mut f);
    // SAFETY: As above.
    unsafe { ffi::lp_each_idle(callback.function(), callback.arg()) };
}

/// Calls `ask` for all tasks of the kernel's list, and then for the idle tasks of all CPUs that are online, until it says no. It may take as
/// long as an interrupt of a CPU. `true`: all were asked, and it said no to none. `false` also where the walk has lost its place in the list.
pub(crate) fn ask_everybody<F: FnMut(Task) -> bool>(mut ask: F) -> bool {
    // SAFETY: `answer` gets the closure that it is made for; we may sleep.
    unsafe { ffi::lp_ask_everybody(Some(answer::<F>), (&raw mut ask).cast()) }
}

/// # Safety
///
/// `arg` points to an `F` that nobody else uses.
unsafe extern "C" fn answer<F: FnMut(Task) -> bool>(arg: *mut c_void, key: usize) -> bool {
    // SAFETY: As this function's.
    let ask = unsafe { &mut *arg.cast::<F>() };
    Task::new(key).is_some_and(ask)
}

/// How a task was found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Asleep, and the closure was called meanwhile.
    Asleep,
    /// On a CPU.
    OnCpu,
    /// In the queue of a CPU.
    Runnable,
    /// Dead.
    Gone,
}

/// Calls `f` while the task is asleep and nothing can wake it, if it is. `f` must not sleep.
pub(crate) fn if_asleep(held: &Held, mut f: impl FnMut(Task)) -> Found {
    let callback = Callback::new(&mut f);
    // SAFETY: We hold a reference; the callback gets the closure that it is made for.
    let found =
        unsafe { ffi::lp_if_asleep(held.0.addr(), callback.function(), callback.arg()) } as u32;
    match found {
        ffi::LP_TASK_ASLEEP => Found::Asleep,
        ffi::LP_TASK_ON_CPU => Found::OnCpu,
        ffi::LP_TASK_GONE => Found::Gone,
        _ => Found::Runnable,
    }
}

/// Calls `f` on the CPU that the task runs on, with the task interrupted. `false`: it was not running.
pub(crate) fn if_running(held: &Held, mut f: impl FnMut(Task)) -> bool {
    let callback = Callback::new(&mut f);
    // SAFETY: As above.
    unsafe { ffi::lp_if_running(held.0.addr(), callback.function(), callback.arg()) != 0 }
}
