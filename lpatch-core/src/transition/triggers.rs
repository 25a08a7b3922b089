// SPDX-License-Identifier: GPL-2.0

//! The triggers that move tasks, and the hooks that hear of new tasks. All of them run next to each other on all CPUs; the model decides.

use crate::{
    ffi,
    model::{
        routes::{self, Route},
        transition::{
            evidence::{Asleep, Current, Ended, Interrupted, Unborn},
            set::Place,
            stack::{Blocked, Clean},
            Cause, Direction, Phase, Reference, Shift, Side, Task,
        },
    },
    redirect::{
        book::{self, Book, Tables},
        bounds::Bounds,
        motion::Motion,
    },
    transition::walk::{self, Still},
};

/// Moves a task whose stack is clean, if it is still to move. `true` if it has moved.
fn shift(motion: &Motion, task: Task, clean: Clean<'_>, leaves: Side, cause: Cause) -> bool {
    let transition = &motion.transition;
    // Wherever it got to since: it would be asleep yet.
    let cause = if motion.was_woken(task) {
        Cause::Woken
    } else {
        cause
    };
    let brings = leaves == Side::To;
    if brings {
        // SAFETY: Whoever has the right to move the task keeps it alive.
        unsafe { ffi::lp_task_get(task.addr()) };
    }
    let result = transition.shift(clean, cause);
    let ours = match result {
        Shift::ToTo => true,
        Shift::ToFrom => false,
        Shift::Stays | Shift::Full => brings,
    };
    if ours {
        // SAFETY: The set's reference, or the one that we brought. It is not the last: the task has not ended.
        unsafe { ffi::lp_task_put(task.addr()) };
    }
    let moved = matches!(result, Shift::ToTo | Shift::ToFrom);
    moved && done(motion)
}

/// After each move: wakes the driver if it may have been the last.
fn done(motion: &Motion) -> bool {
    if motion.transition.ripe() {
        // SAFETY: No requirements.
        unsafe { ffi::lp_driver_kick() };
    }
    true
}

/// Tries to move a task, whose stack `look` looks at. `Ok(true)`: it has moved; `Ok(false)`: it need not.
fn attempt<'e>(
    book: &Book,
    motion: &Motion,
    task: Task,
    cause: Cause,
    look: impl FnOnce(Bounds<'_>) -> Result<Clean<'e>, Blocked>,
) -> Result<bool, Blocked> {
    let Some(side) = motion.transition.pending(task) else {
        return Ok(false);
    };
    let clean = look(book.tables.bounds(side))?;
    Ok(shift(motion, task, clean, side, cause))
}

/// A task that is asleep and stays so: its `pi_lock` is held.
pub(crate) fn asleep(book: &Book, motion: &Motion, task: Task) {
    let evidence = Asleep::trust(task, &());
    let _ = attempt(book, motion, task, Cause::Asleep, |bounds| {
        walk::asleep(&evidence, walk::of(task), bounds)
    });
}

/// A task that could run, did not, and may begin to. It was watched before the interrupt. The caller holds a reference.
pub(crate) fn stopped(book: &Book, motion: &Motion, task: Task, since: &Interrupted) {
    let Some(evidence) = motion.transition.stopped(task, since) else {
        return;
    };
    let _ = attempt(book, motion, task, Cause::Asleep, |bounds| {
        walk::stopped(&evidence, bounds)
    });
}

/// The current task, where nothing interrupts it.
fn current(book: &Book, motion: &Motion, task: Task, cause: Cause) -> bool {
    let evidence = Current::trust(task, &());
    let moved = attempt(book, motion, task, cause, |bounds| {
        walk::current(&evidence, bounds)
    });
    moved == Ok(true)
}

/// The current task has entered a patched function, from the ftrace handler or a door. `true` if it has moved.
///
/// A task may call such functions in a loop, in a function that it must leave first. It would then look at its stack all the time. So after
/// a look in vain, each CPU looks only once in a tick, for each site.
#[cold]
pub(crate) fn entered(book: &Book, motion: &Motion, task: Task, route: &Route) -> bool {
    let Some(still) = Still::begin() else {
        return false;
    };
    let evidence = Current::trust(task, &still);
    let moved = attempt(book, motion, task, Cause::Entered, |bounds| {
        let proof = route.proof(bounds.ranges.side());
        walk::entering(&evidence, bounds, route.ip, proof)
    });
    let moved = moved == Ok(true);
    drop(still);
    if !moved {
        // SAFETY: Preemption is off, in the handler.
        unsafe { ffi::lp_tried_in_vain(route.ip as usize) };
    }
    moved
}

/// The side of the current task, which is dying and enters the function with this site. Either the task was in no task list when the
/// transition went live, or it is dying when the transition is over. Nobody waits for such a task.
///
/// It lives in *from*, since it has been in no function of *to*. It moves when it enters a function and that shows that it is in no
/// function of *from*; from then on the set knows it. A task that the set had no room for when it was born is recognized by the time of its
/// birth.
#[cold]
pub(crate) fn unlisted(tables: &Tables, motion: &Motion, task: Task, ip: u64) -> Side {
    let transition = &motion.transition;
    let (target, moves) = match transition.phase() {
        Phase::Idle | Phase::Filling => return Side::From,
        Phase::Live(direction) => (direction.target(), true),
        Phase::Complete(side) | Phase::Forced(side) => (side, false),
    };
    match transition.place(task) {
        Place::Member => return Side::From,
        // Nobody lives there any more whom the set knows, so that was another task, which had the same address.
        Place::Left if target == Side::From => {}
        Place::Left => return Side::To,
        // SAFETY: It is the current task, and idle tasks do not die.
        Place::Unknown if unsafe { motion.is_older_than(task) } => {
            return if moves { Side::To } else { target };
        }
        Place::Unknown => {}
    }
    let route = routes::find(tables.routes(), ip);
    let (Some(still), Some(route)) = (Still::begin(), route) else {
        return Side::From;
    };
    if target == Side::To {
        let evidence = Current::trust(task, &still);
        let proof = route.proof(Side::From);
        match walk::entering(&evidence, tables.bounds(Side::From), ip, proof) {
            Ok(clean) if transition.adopt(&clean) => return Side::To,
            Err(Blocked::By(_)) => return Side::From,
            _ => {}
        }
    }
    match is_inside(tables, &still, task, Side::To, ip) {
        true => Side::To,
        false => Side::From,
    }
}

/// Whether the current task was in a function of a side before it entered the function with this site, as far as its stack says.
pub(crate) fn is_inside(tables: &Tables, still: &Still, task: Task, side: Side, ip: u64) -> bool {
    let ranges = tables.bounds(side).ranges;
    walk::is_inside(&Current::trust(task, still), ranges, ip)
}

/// Calls `f` with the transition that is under way.
///
/// # Safety
///
/// Preemption is off, or the caller is in an RCU section.
unsafe fn with_motion(f: impl FnOnce(&Book, &Motion)) {
    // SAFETY: As this function's.
    let book = unsafe { book::current() };
    if let Some(book) = book {
        if let Some(motion) = &book.motion {
            f(book, motion);
        }
    }
}

/// A task is about to run for the first time, or an idle task on a CPU that comes online.
///
/// # Safety
///
/// Called by `hooks.c`.
#[no_mangle]
unsafe extern "C" fn lpatch_born(key: usize) {
    let Some(task) = Task::new(key) else { return };
    // SAFETY: Unlocked below.
    unsafe { ffi::lp_rcu_lock() };
    let give_side = |_: &Book, motion: &Motion| {
        // SAFETY: A new task is alive until it has run.
        unsafe { ffi::lp_task_get(key) };
        // It does not run before the hook has returned: its run queue, or the hotplug lock, is held.
        match motion.transition.birth(&Unborn::trust(task, &())) {
            Reference::Taken => {}
            // SAFETY: It is the one from above.
            Reference::Yours => unsafe { ffi::lp_task_put(key) },
        }
    };
    // SAFETY: This is an RCU section.
    unsafe { with_motion(give_side) };
    // SAFETY: Locked above.
    unsafe { ffi::lp_rcu_unlock() };
}

/// The current task is being switched out.
///
/// # Safety
///
/// Called by `hooks.c`, with interrupts off.
#[no_mangle]
unsafe extern "C" fn lpatch_switched_out(key: usize, dead: i32) {
    let Some(task) = Task::new(key) else { return };
    let look = |book: &Book, motion: &Motion| {
        let moved = current(book, motion, task, Cause::ScheduledOut);
        let reverse = || motion.transition.phase() == Phase::Live(Direction::Reverse);
        let waited_for = || motion.transition.pending(task).is_some();
        if dead != 0 {
            motion.transition.died(task);
        }
        if dead != 0 && !moved && (waited_for() || reverse() && motion.one_more_ends()) {
            // It will be gone in a moment, and the driver can take it out.
            // SAFETY: No requirements.
            unsafe { ffi::lp_driver_kick() };
        }
    };
    // SAFETY: Interrupts are off.
    unsafe { with_motion(look) };
}

/// An interrupt has come to ask the task that runs on this CPU, and the idle task of the CPU.
///
/// # Safety
///
/// Called by `ask.c`, with interrupts off.
#[no_mangle]
unsafe extern "C" fn lpatch_on_cpu(key: usize, idle_key: usize) {
    let look = |book: &Book, motion: &Motion| {
        if let Some(task) = Task::new(key) {
            current(book, motion, task, Cause::Running);
        }
        if let Some(idle) = Task::new(idle_key).filter(|_| key != idle_key) {
            // Only this CPU can begin to run it, and this CPU is here.
            let evidence = Asleep::trust(idle, &());
            let _ = attempt(book, motion, idle, Cause::Asleep, |bounds| {
                walk::asleep(&evidence, walk::Stack::Idle, bounds)
            });
        }
    };
    // SAFETY: Interrupts are off.
    unsafe { with_motion(look) };
}

/// The current task is on its way to user mode, or where a system call runs task work. Not 0: it is still to move.
///
/// # Safety
///
/// Called by `work.c`, with interrupts off.
#[no_mangle]
unsafe extern "C" fn lpatch_user_mode(key: usize) -> i32 {
    let mut inside = false;
    if let Some(task) = Task::new(key) {
        let look = |book: &Book, motion: &Motion| {
            current(book, motion, task, Cause::UserMode);
            inside = motion.transition.pending(task).is_some();
        };
        // SAFETY: Interrupts are off.
        unsafe { with_motion(look) };
    }
    i32::from(inside)
}

/// The idle task of a CPU that went offline runs no more; if it does again, it is born anew.
///
/// # Safety
///
/// Called by `hooks.c`.
#[no_mangle]
unsafe extern "C" fn lpatch_cpu_gone(key: usize) {
    let Some(task) = Task::new(key) else { return };
    // SAFETY: Unlocked below.
    unsafe { ffi::lp_rcu_lock() };
    let gone = |_: &Book, motion: &Motion| {
        motion.transition.died(task);
        ended(motion, task);
    };
    // SAFETY: This is an RCU section.
    unsafe { with_motion(gone) };
    // SAFETY: Locked above.
    unsafe { ffi::lp_rcu_unlock() };
}

/// Takes out a task that never runs again.
pub(crate) fn ended(motion: &Motion, task: Task) {
    if motion.transition.exit(&Ended::trust(task)) {
        // SAFETY: The set's reference is ours now.
        unsafe { ffi::lp_task_put(task.addr()) };
    }
    done(motion);
}
