// SPDX-License-Identifier: GPL-2.0

//! The thread that drives transitions: when it looks at the tasks, and what it does behind a transition that has ended.
//!
//! See `engine.rs` for why nothing here waits for a grace period.

use super::{now, Engine, State};
use crate::{
    book::{self, Afterwards, Retired},
    doors::{Done, Work},
    ffi,
    model::{routes, transition::Side},
    moving::Remains,
    patch::Patch,
    redirect::Active,
    registry::{self, Registry},
    uapi,
};
use kernel::prelude::*;

/// Milliseconds between looks: the first ones, and all that follow.
const LOOKS_MS: [u32; 5] = [4, 4, 8, 16, 32];
const LOOK_MS: u32 = 50;
/// How long after a transition sites that nobody needs are given back to ftrace.
const TIDY_AFTER_NS: u64 = 500_000_000;
/// Behind each thing that is done about doors, the driver rests for so many times as long as that took.
const REST: u64 = 3;

/// Whether functions of a patch are entered by a jump when they are settled.
pub(super) fn may_promote(patch: &Patch) -> bool {
    // SAFETY: It is a byte, 0 or 1, whoever sets the parameter meanwhile.
    let promote = unsafe { (&raw const ffi::lp_promote).read_volatile() };
    patch.is_promoted() && promote
}

impl Engine {
    /// What the driver does next.
    fn next(&mut self, patches: &[Patch]) -> Next {
        let over = self.grace_is_over();
        match core::mem::replace(&mut self.state, State::Settling) {
            State::Ended(remains) => Next::Settle(remains),
            State::Moving(under) => {
                let ms = LOOKS_MS.get(under.moving.looks as usize);
                self.state = State::Moving(under);
                Next::Wait(Some(*ms.unwrap_or(&LOOK_MS)))
            }
            State::Idle if self.untidy && over => {
                let left = self.tidy_ns.saturating_sub(now());
                if left == 0 {
                    return self.tidy();
                }
                self.state = State::Idle;
                Next::Wait(Some((left / 1_000_000 + 1) as u32))
            }
            State::Idle if !self.untidy => self.next_door(patches),
            other => {
                self.state = other;
                Next::Wait(None)
            }
        }
    }

    /// What is to be done about doors, where nothing else is.
    fn next_door(&mut self, patches: &[Patch]) -> Next {
        self.state = State::Idle;
        self.doors.release();
        let left = self.doors_ns.saturating_sub(now());
        // SAFETY: The registry is locked, and books are replaced under its lock only.
        let book = unsafe { book::current() };
        let routes = book.map_or(&[][..], |book| book.tables.routes());
        if left > 0 {
            return Next::Wait(Some((left / 1_000_000 + 1) as u32));
        }
        // Of the patch that was enabled first, the first function first.
        let enabled = self.order.iter();
        let enabled = enabled.filter_map(|id| patches.iter().find(|patch| patch.id() == *id));
        let enabled = enabled.filter(|patch| may_promote(patch));
        let sites = enabled.flat_map(|patch| patch.sites().iter().map(|site| site.ip));
        match self.doors.next(routes, sites.filter(|ip| *ip != 0)) {
            Some(work) => {
                self.state = State::Settling;
                Next::Door(work)
            }
            None => Next::Wait(None),
        }
    }

    /// Takes over what the driver did about a door.
    fn door_done(&mut self, done: Done, took_ns: u64) {
        if self.doors.done(done) {
            // It is turned and opened soon, with others, and the handler lets go of its site.
            self.untidy = true;
            self.tidy_ns = now().saturating_add(TIDY_AFTER_NS);
        }
        self.doors_ns = now().saturating_add(took_ns.saturating_mul(REST));
        self.settled();
    }

    /// Makes the book current in which nothing moves.
    fn publish_settled(&mut self, afterwards: Afterwards, side: Side) -> Retired {
        self.tidy_up();
        self.doors.retry();
        let book = afterwards.pick(side, self.ticket);
        book::replace(Some(book))
    }

    /// Something can be let go of, when all tasks are gone that are dying now.
    pub(super) fn tidy_up(&mut self) {
        // SAFETY: No requirements.
        self.ticket = unsafe { ffi::lp_grace_begin() };
        self.untidy = true;
        self.tidy_ns = now().saturating_add(TIDY_AFTER_NS);
    }

    /// Whether everything is let go of that can be; if not, it soon will be.
    pub(crate) fn tidy_soon(&mut self) -> bool {
        if self.untidy && self.tidy_ns != 0 {
            self.tidy_ns = 0;
            // SAFETY: No requirements.
            unsafe { ffi::lp_driver_kick() };
        }
        !self.untidy
    }

    /// Lets go of what only tasks may have needed that were dying when the last transition ended.
    fn tidy(&mut self) -> Next {
        // Without memory it stays as it is, which costs a little time in the handler, and is tried again.
        self.untidy = false;
        let retired = match book::without_old_eras() {
            Ok(book) => book.map(book::replace),
            Err(_) => {
                self.untidy = true;
                None
            }
        };
        // SAFETY: The registry is locked, and books are replaced under its lock only.
        let book = unsafe { book::current() };
        let routes = book.map_or(&[][..], |book| book.tables.routes());
        self.untidy |= self.doors.settle(routes).is_err();
        let doors = &self.doors;
        let in_use = |ip: u64| routes::find(routes, ip).is_some() && !doors.has(ip);
        let mut gone = KVec::new();
        let mut at = 0;
        while at < self.groups.len() {
            if self.groups[at].has_any(in_use) {
                // Without memory all its sites stay; the handler sends their calls on.
                self.untidy |= self.groups[at].keep(in_use).is_err();
                at += 1;
            } else if gone.reserve(1, GFP_KERNEL).is_ok() {
                if let Ok(group) = self.groups.remove(at) {
                    let _ = gone.push_within_capacity(group);
                }
            } else {
                self.untidy = true;
                break;
            }
        }
        self.tidy_ns = now().saturating_add(TIDY_AFTER_NS);
        Next::Tidy(retired, gone)
    }

    fn settled(&mut self) {
        self.state = State::Idle;
        self.report.flags &= !uapi::TRANSITION_SETTLING;
        // SAFETY: No requirements.
        unsafe { ffi::lp_event() };
    }
}

/// What the driver does next.
pub(crate) enum Next {
    /// It waits, if not for so many milliseconds then until it is kicked.
    Wait(Option<u32>),
    /// It ends what is left of the transition.
    Settle(Remains),
    /// It drops what nobody needs any more.
    Tidy(Option<Retired>, KVec<Active>),
    /// It brings a site to a door, or takes it away from there.
    Door(Work),
}

/// The driver's turn; see `driver.c`. What takes time it does with the registry unlocked.
#[no_mangle]
extern "C" fn lpatch_drive() -> isize {
    loop {
        let next = registry::with(|registry| {
            registry.step();
            let Registry {
                engine, patches, ..
            } = registry;
            Ok(engine.next(patches))
        });
        match next {
            Ok(Next::Wait(Some(ms))) => return ms as isize,
            Ok(Next::Wait(None)) | Err(_) => return -1,
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
            Ok(Next::Tidy(book, groups)) => {
                drop(book);
                drop(groups);
                let _ = registry::with(|registry| {
                    registry.engine().settled();
                    Ok(())
                });
            }
        }
    }
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
    let _ = registry::with(|registry| {
        registry.engine().settled();
        Ok(())
    });
}
