// SPDX-License-Identifier: GPL-2.0

//! The thread that drives transitions: when it looks at the tasks, and what it does behind a transition that has ended.
//!
//! See `engine.rs` for why nothing here waits for a grace period.

use super::{now, Cursor, Engine, State};
use crate::{
    book::{self, Afterwards, Retired},
    doors::{Attach, Done, Work},
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
/// Doors are opened when they are one of so many of all. All are looked at then, so each is looked at so often on the average.
const OPEN_PART: usize = 8;
/// Behind each thing that is done about doors, the driver rests for so many times as long as that took.
const REST: u64 = 3;

/// Whether functions of a patch are entered by a jump when they are settled.
pub(super) fn may_promote(patch: &Patch) -> bool {
    // SAFETY: It is a byte, 0 or 1, whoever sets the parameter meanwhile.
    let promote = unsafe { (&raw const ffi::lp_promote).read_volatile() };
    // SAFETY: No requirements.
    patch.is_promoted() && promote && unsafe { ffi::lp_may_jump() } != 0
}

/// How long after a transition sites that nobody needs are given back to ftrace; for how long a door at most stays shut because more
/// are to be opened with it.
fn tidy_after_ns() -> u64 {
    // SAFETY: It is a word, whoever sets the parameter meanwhile.
    let ms = unsafe { (&raw const ffi::lp_tidy_ms).read_volatile() };
    u64::from(ms) * 1_000_000
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
        self.doors.release();
        let time = now();
        let left = self.doors_ns.saturating_sub(time);
        if left > 0 {
            self.state = State::Idle;
            return Next::Wait(Some((left / 1_000_000 + 1) as u32));
        }
        let many = self.shut.saturating_mul(OPEN_PART) >= self.doors.len();
        if self.shut > 0 && many && time >= self.open_ns {
            return self.tidy();
        }
        // SAFETY: The registry is locked, and books are replaced under its lock only.
        let book = unsafe { book::current() };
        let routes = book.map_or(&[][..], |book| book.tables.routes());
        let work = self.doors.detach_unused(routes);
        if let Some(work) = work.or_else(|| self.attach_next(patches)) {
            return Next::Door(work);
        }
        if self.shut > 0 {
            return self.tidy();
        }
        self.state = State::Idle;
        Next::Wait(None)
    }

    /// Of the patch that was enabled first, the first function first.
    fn attach_next(&mut self, patches: &[Patch]) -> Option<Work> {
        while let Some(id) = self.order.get(self.wanted.rank) {
            let patch = patches.iter().find(|patch| patch.id() == *id);
            let sites = patch.filter(|patch| may_promote(patch)).map(Patch::sites);
            for site in sites.unwrap_or_default().iter().skip(self.wanted.func) {
                if site.ip != 0 {
                    match self.doors.attach(site.ip) {
                        Attach::Later => return None,
                        Attach::Next => {}
                        Attach::Now(work) => {
                            self.wanted.func += 1;
                            return Some(work);
                        }
                    }
                }
                self.wanted.func += 1;
            }
            self.wanted.rank += 1;
            self.wanted.func = 0;
        }
        None
    }

    /// Takes over what the driver did about a door.
    fn door_done(&mut self, done: Done, took_ns: u64) {
        if self.doors.done(done) {
            // It is turned and opened soon, with others, and the handler lets go of its site.
            if self.shut == 0 {
                self.open_ns = now().saturating_add(tidy_after_ns());
            }
            self.shut += 1;
        }
        self.rest(took_ns);
        self.settled();
    }

    /// Leaves doors alone after something that took so long.
    fn rest(&mut self, took_ns: u64) {
        self.doors_ns = now().saturating_add(took_ns.saturating_mul(REST));
    }

    /// Makes the book current in which nothing moves.
    fn publish_settled(&mut self, afterwards: Afterwards, side: Side) -> Retired {
        self.tidy_up();
        let book = afterwards.pick(side, self.ticket);
        book::replace(Some(book))
    }

    /// Something can be let go of, when all tasks are gone that are dying now.
    pub(super) fn tidy_up(&mut self) {
        // SAFETY: No requirements.
        self.ticket = unsafe { ffi::lp_grace_begin() };
        self.untidy = true;
        self.tidy_ns = now().saturating_add(tidy_after_ns());
        self.wanted = Cursor::default();
        self.doors.look_again();
    }

    /// Whether everything is let go of that can be; if not, it soon will be.
    pub(crate) fn tidy_soon(&mut self) -> bool {
        if self.untidy {
            // SAFETY: No requirements.
            unsafe { ffi::lp_grace_hurry() };
            if self.tidy_ns != 0 {
                self.tidy_ns = 0;
                // SAFETY: No requirements.
                unsafe { ffi::lp_driver_kick() };
            }
        }
        !self.untidy
    }

    /// Lets go of what only tasks may have needed that were dying when the last transition ended.
    fn tidy(&mut self) -> Next {
        let began = now();
        // Without memory it stays as it is, which costs a little time in the handler, and is tried again.
        self.untidy = false;
        self.shut = 0;
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
        self.tidy_ns = now().saturating_add(tidy_after_ns());
        self.rest(now().saturating_sub(began));
        Next::Tidy(retired, gone)
    }

    /// From here on only those wait who are about to bring sites to the handler.
    fn return_sites(&mut self) {
        self.state = State::Returning;
        // SAFETY: No requirements.
        unsafe { ffi::lp_event() };
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
                // Waits for readers.
                drop(book);
                if !groups.is_empty() {
                    let _ = registry::with(|registry| {
                        registry.engine().return_sites();
                        Ok(())
                    });
                    // Waits for a grace period of RCU tasks, in ftrace.
                    drop(groups);
                }
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
