// SPDX-License-Identifier: GPL-2.0

//! The thread that drives transitions. It asks the engine what to do next, and does what takes time with the registry unlocked.

use crate::{
    ffi,
    model::{refusal::Refusal, transition::detours::Asked},
    patch::exits,
    redirect::book::Tables,
    registry::{self, lingering::Free, unlocked::Unlocked, Registry},
    running::time::now,
    transition::{asking_ftrace::Shrinking, progress::Remains, settle::Next},
};
use kernel::prelude::*;

/// After so many milliseconds, the driver tries again what there was no memory for.
const AGAIN_MS: u32 = 500;

/// The driver's turn; see `threads.c`.
#[no_mangle]
extern "C" fn lpatch_drive() -> isize {
    loop {
        let mut due = false;
        let free = registry::with(|registry| {
            registry.forget_names();
            Ok(registry.next_to_free())
        });
        let free = free.unwrap_or(Free::Nothing);
        if let Free::Now(id) = free {
            // SAFETY: No requirements.
            unsafe { ffi::lp_synchronize() };
            let _ = registry::with(|registry| {
                registry.free(id);
                Ok(())
            });
            continue;
        }
        let next = registry::with(|registry| {
            registry.step(false);
            due = registry.take_behind();
            let Registry {
                engine, patches, ..
            } = registry;
            Ok(engine.next(patches))
        });
        // SAFETY: Callbacks are due, and nobody else calls them. We may sleep.
        let failed = due && unsafe { ffi::lp_behind_start() } != 0;
        if failed {
            // No memory for a thread; later, then.
            let _ = registry::with(|registry| {
                registry.leave_behind();
                Ok(())
            });
        }
        match next {
            Ok(Next::Wait(ms)) if failed || matches!(free, Free::Later) => {
                return ms.map_or(AGAIN_MS, |ms| ms.min(AGAIN_MS)) as isize
            }
            Ok(Next::Wait(Some(ms))) => return ms as isize,
            Ok(Next::Wait(None)) | Err(_) => return -1,
            Ok(Next::Answer(tables, asked)) => {
                if answer_all(&tables, asked).is_err() {
                    return AGAIN_MS as isize;
                }
            }
            Ok(Next::Settle(remains)) => settle(remains),
            Ok(Next::Door(work)) => {
                let began = now();
                let done = work.run();
                let _ = registry::with(|registry| {
                    registry
                        .engine()
                        .door_done(done, now().saturating_sub(began));
                    Ok(())
                });
            }
            Ok(Next::Tidy(book, shrinking)) => {
                // Waits for readers.
                drop(book);
                if let Some(shrinking) = shrinking {
                    shrink(shrinking);
                }
                settled();
                // It may have failed, for want of memory for example, and somebody be in a hurry.
                if registry::with(|registry| Ok(registry.engine().is_untidy())).unwrap_or(false) {
                    return AGAIN_MS as isize;
                }
            }
            Ok(Next::Return(group)) => give_back(group),
            Ok(Next::EndTrial(trial)) => give_back(trial),
        }
    }
}

/// Answers all questions that looks at stacks have asked, by the code of the kernel, which is read with the registry unlocked.
fn answer_all(tables: &Tables, mut asked: Asked) -> Result<(), Refusal> {
    loop {
        let way = exits::way(asked.ret, asked.landing)?;
        let past = |way: KVVec<_>| way.iter().all(|func| tables.knows_nothing_of(func));
        let passes = way.is_some_and(past);
        let next = registry::with(|_| {
            tables.detours.answer(&asked, passes);
            Ok(tables.detours.next())
        })?;
        match next {
            Some(next) => asked = next,
            None => return Ok(()),
        }
    }
}

/// Has groups let go of sites. This waits for nobody but the holders of ftrace's locks.
fn shrink(shrinking: Shrinking) {
    let mut shrinking = Unlocked::new(shrinking);
    let (first, last) = shrinking.between;
    let _ = registry::with(|registry| {
        registry.engine().return_between(first, last);
        Ok(())
    });
    let began = now();
    shrinking.ask();
    drop(shrinking);
    let _ = registry::with(|registry| {
        registry.engine().rest(now().saturating_sub(began));
        Ok(())
    });
}

/// Gives sites back to ftrace, by dropping them. ftrace waits for RCU-tasks grace periods in this.
fn give_back<T>(sites: T) {
    let began = now();
    drop(sites);
    let _ = registry::with(|registry| {
        registry.engine().gave_back(now().saturating_sub(began));
        Ok(())
    });
    settled();
}

fn settled() {
    let _ = registry::with(|registry| {
        registry.engine().settled();
        Ok(())
    });
}

fn settle(remains: Remains) {
    let Remains {
        before,
        afterwards,
        side,
    } = remains;
    // SAFETY: They are on since the beginning of the transition.
    unsafe { ffi::lp_hooks_off() };
    let retired =
        registry::with(|registry| Ok(registry.engine().publish_settled(afterwards, side)));
    // Each waits for readers.
    drop(before);
    drop(retired);
    settled();
}
