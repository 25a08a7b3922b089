// SPDX-License-Identifier: GPL-2.0

//! The handler's answers when a transition is under way or has just been: where a call goes that came in at a site.
//!
//! In all other cases `shim/redirect.c` answers by the index of the book alone. [`lpatch_redirect`] is the usual path of a transition. For
//! a task that has moved, or need not, it calls nothing, so it has no registers to save. Rare cases are in functions of their own.
//! `qemu/check-handler` knows their names.

use crate::{
    ffi,
    model::{
        routes::{self, Route},
        transition::{stack::Proof, Side, Task},
    },
    redirect::book::{Book, Era},
    transition::{triggers, walk::Still},
};
use kernel::bindings;

/// See `shim.h`; `redirect.c` for the context that it runs in.
///
/// # Safety
///
/// Preemption is off, and has been since before `book` was read: it is the head of a current [`Book`]. `task` is the key of the
/// current task.
#[no_mangle]
unsafe extern "C" fn lpatch_redirect(
    ip: usize,
    word: isize,
    book: *const ffi::lp_index,
    task: Task,
) -> usize {
    // SAFETY: Only books are made current, and one that is, is freed after the caller's section.
    let book = unsafe { &*book.cast::<Book>() };
    let ip = ip as u64;
    let Some(route) = route(book, word) else {
        // SAFETY: It is the current task.
        if !book.eras.is_empty() && unsafe { ends(task) } {
            return dying(book, task, ip, word);
        }
        return settled(word);
    };
    let Some(motion) = &book.motion else {
        return of(route, Side::From);
    };
    let Some(answer) = motion.transition.answer_at_once(task) else {
        return searched(book, route, task, ip, word);
    };
    // SAFETY: It is the current task.
    if !book.eras.is_empty() && unsafe { ends(task) } {
        return dying(book, task, ip, word);
    }
    if answer.pending {
        return pending(book, route, task, answer.side);
    }
    of(route, answer.side)
}

/// The answer if it takes a search of the set. The task has not asked since it was looked at, or does not have its first slot in the set;
/// or the transition has not begun to move tasks, or is over.
#[inline(never)]
fn searched(book: &Book, route: &Route, task: Task, ip: u64, word: isize) -> usize {
    let Some(motion) = &book.motion else {
        return of(route, Side::From);
    };
    let answer = motion.transition.answer(task);
    // SAFETY: It is the current task.
    if (!answer.known || !book.eras.is_empty()) && unsafe { ends(task) } {
        return dying(book, task, ip, word);
    }
    if answer.pending {
        return pending(book, route, task, answer.side);
    }
    of(route, answer.side)
}

/// The route that a word of the index stands for, if the transition changes it.
#[inline(always)]
fn route(book: &Book, word: isize) -> Option<&Route> {
    // The number of a route begins with 1. What is no number is too large for an index.
    let at = (word as usize).wrapping_sub(1);
    book.tables.routes().get(at)
}

/// Where calls go if the word of the index is the answer.
#[inline(always)]
fn settled(word: isize) -> usize {
    // `NOWHERE` is 0, and so is the answer.
    word as usize
}

/// Where calls of a side go.
#[inline(always)]
fn of(route: &Route, side: Side) -> usize {
    route.of(side) as usize
}

/// Whether the current task may have left the task list, so that it may be in nobody's set either. It still runs for a while. Once true,
/// this stays true.
///
/// The task sets its `exit_state` itself, in `exit_notify()`. It leaves the list later, at a moment that others choose. So it knows in
/// time, and no order is needed.
///
/// # Safety
///
/// It is the current task.
#[inline(always)]
unsafe fn ends(task: Task) -> bool {
    // The kernel's addresses are in the upper half; idle tasks, which do not end, have keys that are not.
    if task.addr().leading_zeros() > 0 {
        return false;
    }
    let task = task.addr() as *const bindings::task_struct;
    // SAFETY: The current task has a struct.
    let state = unsafe { &raw const (*task).exit_state };
    // SAFETY: As above; it is one word.
    unsafe { state.read_volatile() != 0 }
}

/// The answer for a task that should leave the side that it lives on. It may do so now.
#[inline(never)]
fn pending(book: &Book, route: &Route, task: Task, side: Side) -> usize {
    let never = route.proof(side) == Proof::Never;
    // SAFETY: Preemption is off.
    if never || unsafe { ffi::lp_tried(route.ip as usize) } != 0 {
        return of(route, side);
    }
    moving(book, route, task, side)
}

/// The same, if the task tries to move.
#[cold]
#[inline(never)]
fn moving(book: &Book, route: &Route, task: Task, side: Side) -> usize {
    match &book.motion {
        Some(motion) if triggers::entered(book, motion, task, route) => {
            of(route, motion.transition.side(task))
        }
        _ => of(route, side),
    }
}

/// The answer for a task that is dying, and may have left the task list.
#[cold]
#[inline(never)]
fn dying(book: &Book, task: Task, ip: u64, word: isize) -> usize {
    if let Some(to) = earlier(book, task, ip) {
        return to as usize;
    }
    let Some(route) = route(book, word) else {
        return settled(word);
    };
    let Some(motion) = &book.motion else {
        return of(route, Side::From);
    };
    let answer = motion.transition.answer(task);
    if !answer.known {
        return of(route, triggers::unlisted(&book.tables, motion, task, ip));
    }
    if answer.pending {
        return pending(book, route, task, answer.side);
    }
    of(route, answer.side)
}

/// Where a call of such a task goes if the task still lives in an era that is over for all others: to what was in force then; 0: to the
/// original function. If there are several such eras, the oldest counts: a function that was in force in both is in the spans of neither.
///
/// If it is not known who has left the era, the task's stack tells. In the middle of a look at a stack, and in NMI context, the task counts
/// as one that has left.
fn earlier(book: &Book, task: Task, ip: u64) -> Option<u64> {
    let lives = |era: &&Era| match &era.motion {
        Some(motion) => triggers::unlisted(&era.tables, motion, task, ip) == era.side,
        None => Still::begin()
            .is_some_and(|still| triggers::is_inside(&era.tables, &still, task, era.side, ip)),
    };
    let era = book.eras.iter().find(lives)?;
    let route = routes::find(era.tables.routes(), ip);
    Some(route.map_or(0, |route| route.of(era.side)))
}
