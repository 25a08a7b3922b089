// SPDX-License-Identifier: GPL-2.0

//! What the thread that drives transitions does next: when it looks at the tasks, and what it does after a transition has ended.
//!
//! See `engine.rs` for why nothing here waits for a grace period.

use crate::{
    ffi,
    model::{
        routes,
        transition::{detours::Asked, Side},
    },
    patch::Patch,
    promote::{
        door::{Done, Trial, Work},
        doors::Attach,
    },
    redirect::{
        self,
        book::{self, Afterwards, Retired, Tables},
        Active,
    },
    running::time::{now, FRESH_NS},
    transition::{
        asking_ftrace::Shrinking,
        engine::{may_promote, tidy_after_ns, Engine, State},
        progress::Remains,
    },
    uapi,
};
use kernel::{prelude::*, sync::Arc};

/// Milliseconds between looks: the first ones, and all that follow.
const LOOKS_MS: [u32; 5] = [4, 4, 8, 16, 32];
const LOOK_MS: u32 = 50;
/// After each of the later looks, the driver rests for so many times as long as the look took, up to a second. There may be thousands of
/// sleepers to look at, for as long as they are left alone.
const LOOK_REST: u64 = 10;
const LOOK_REST_MAX_MS: u64 = 1000;
/// The doors that wait are opened once they are at least one in so many of all doors. Opening looks at every door, so this keeps the number of looks at
/// each door constant on average.
const OPEN_PART: usize = 8;
/// After each thing that it does about doors, the driver rests for so many times as long as that took.
const REST: u64 = 3;

impl Engine {
    /// What the driver does next.
    pub(crate) fn next(&mut self, patches: &[Patch]) -> Next {
        let over = self.grace_is_over();
        match core::mem::replace(&mut self.state, State::Settling) {
            State::Ended(remains) => Next::Settle(remains),
            State::Moving(under) => {
                if let Some((tables, asked)) = asked() {
                    self.state = State::Moving(under);
                    return Next::Answer(tables, asked);
                }
                let rest_ms = under.look_ns.saturating_mul(LOOK_REST) / 1_000_000;
                let later_ms = LOOK_MS.max(rest_ms.min(LOOK_REST_MAX_MS) as u32);
                let ms = LOOKS_MS.get(under.moving.looks as usize);
                self.state = State::Moving(under);
                Next::Wait(Some(*ms.unwrap_or(&later_ms)))
            }
            // It is kicked when that is over. Sites that are on their way here for a transition are in no book yet.
            State::Idle if self.is_asking() => {
                self.state = State::Idle;
                Next::Wait(None)
            }
            State::Idle if self.untidy && over => {
                let left = self.tidy_left_ns();
                if left == 0 {
                    return self.tidy();
                }
                self.state = State::Idle;
                Next::Wait(Some((left / 1_000_000 + 1) as u32))
            }
            State::Idle if !self.untidy => self.next_site(patches),
            other => {
                self.state = other;
                Next::Wait(None)
            }
        }
    }

    /// What to do about sites, when nothing else is to be done.
    fn next_site(&mut self, patches: &[Patch]) -> Next {
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
        if let Some(next) = self.give_back() {
            return next;
        }
        if let Some(work) = self.attach_next(patches) {
            return Next::Door(work);
        }
        if self.shut > 0 {
            return self.tidy();
        }
        self.state = State::Idle;
        Next::Wait(None)
    }

    /// Gives one site, or the sites of one group, that nobody needs any more back to ftrace, a moment after a grace period. The site of our
    /// own that a jump was tried at counts as one of them.
    ///
    /// ftrace waits for a grace period as well, with locks held that are needed to trace something or to load a module. So it must not
    /// begin to wait while a kernel thread runs that never sleeps. If another grace period has just ended, there is no such thread, or it
    /// woke up within the last moment. For the first site that is a grace period of our own; for those behind it, the one that ftrace
    /// waited for before.
    fn give_back(&mut self) -> Option<Next> {
        // SAFETY: The registry is locked, and books are replaced under its lock only.
        let book = unsafe { book::current() };
        let routes = book.map_or(&[][..], |book| book.tables.routes());
        let doors = &self.doors;
        let in_use = |ip: u64| routes::find(routes, ip).is_some() && !doors.has(ip);
        let mut groups = self.groups.iter();
        let group = if self.spare {
            groups.position(|group| !group.has_any(in_use))
        } else {
            None
        };
        self.spare = group.is_some();
        let trial = Trial::site();
        let any = group.is_some() || trial.is_some() || self.doors.has_unused(routes);
        if self.dead || !any {
            self.asked = None;
            return None;
        }
        if redirect::is_dead() {
            pr_warn!("ftrace has switched itself off: the sites that it has sent here come here until the next boot, and lpatch_core stays loaded\n");
            self.dead = true;
            return None;
        }
        if now() >= self.fresh_ns {
            let Some(ticket) = self.asked else {
                // The driver is kicked when it is over.
                // SAFETY: No requirements.
                self.asked = Some(unsafe { ffi::lp_grace_begin() });
                return None;
            };
            // SAFETY: No requirements.
            if unsafe { ffi::lp_grace_is_over(ticket) } == 0 {
                return None;
            }
        }
        self.asked = None;
        if let Some(at) = group {
            let group = self.groups.remove(at).ok()?;
            let (first, last) = group.bounds();
            self.return_between(first, last);
            return Some(Next::Return(group));
        }
        if let Some(ip) = trial {
            self.return_between(ip, ip);
            return Some(Next::EndTrial(Trial::take()));
        }
        let (ip, work) = self.doors.detach_unused()?;
        self.return_between(ip, ip);
        Some(Next::Door(work))
    }

    /// The next site to attach to a door. Those of the patch that was enabled first come first, in the order of its functions.
    fn attach_next(&mut self, patches: &[Patch]) -> Option<Work> {
        while let Some(id) = self.order.get(self.wanted.rank) {
            let patch = patches.iter().find(|patch| patch.id() == *id);
            let sites = patch.filter(|patch| may_promote(patch)).map(Patch::sites);
            for site in sites.unwrap_or_default().iter().skip(self.wanted.func) {
                if site.is_there() {
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
    pub(crate) fn door_done(&mut self, done: Done, took_ns: u64) {
        if matches!(done, Done::Detached(_)) {
            self.gave_back(took_ns);
        } else {
            self.rest(took_ns);
        }
        if self.doors.done(done) {
            // It is turned and opened soon, with others, and the handler lets go of its site.
            if self.shut == 0 {
                self.open_ns = now().saturating_add(tidy_after_ns());
            }
            self.shut += 1;
        }
        self.settled();
    }

    /// Notes that ftrace has waited for grace periods, for so long. For as long again, others get its locks.
    pub(crate) fn gave_back(&mut self, took_ns: u64) {
        self.fresh_ns = now().saturating_add(FRESH_NS);
        self.doors_ns = now().saturating_add(took_ns);
    }

    /// Leaves doors alone after something that took so long.
    pub(crate) fn rest(&mut self, took_ns: u64) {
        self.doors_ns = now().saturating_add(took_ns.saturating_mul(REST));
    }

    /// Makes a book current in which nothing moves.
    pub(crate) fn publish_settled(&mut self, afterwards: Afterwards, side: Side) -> Retired {
        self.tidy_up();
        let book = afterwards.pick(side, self.ticket);
        book::replace(Some(book))
    }

    /// For how long the things that can be let go of are still kept. The current value of the parameter counts.
    fn tidy_left_ns(&self) -> u64 {
        match self.tidy_from_ns {
            0 => 0,
            from => from.saturating_add(tidy_after_ns()).saturating_sub(now()),
        }
    }

    /// Whether everything that can be let go of has been. If not, it soon will be.
    pub(crate) fn tidy_soon(&mut self) -> bool {
        if self.untidy {
            // SAFETY: No requirements.
            unsafe { ffi::lp_grace_hurry() };
            if self.tidy_from_ns != 0 {
                self.tidy_from_ns = 0;
                // SAFETY: No requirements.
                unsafe { ffi::lp_driver_kick() };
            }
        }
        !self.untidy
    }

    /// Lets go of what may have been needed only by tasks that were dying when the last transition ended.
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
        self.spare |= self.groups.iter().any(|group| !group.has_any(in_use));
        let shrinking = match self.dead {
            true => Ok(None),
            false => Self::shrinking(&self.groups, &mut self.asking, in_use, false),
        };
        // Without memory all sites stay; the handler sends their calls on.
        self.untidy |= shrinking.is_err();
        self.tidy_from_ns = now();
        self.rest(now().saturating_sub(began));
        Next::Tidy(retired, shrinking.unwrap_or_default())
    }

    /// From here on, only requests wait that are about to bring sites to the handler.
    pub(crate) fn return_between(&mut self, first: u64, last: u64) {
        self.state = State::Returning(first, last);
        // SAFETY: No requirements.
        unsafe { ffi::lp_event() };
    }

    pub(crate) fn settled(&mut self) {
        self.state = State::Idle;
        self.report.flags &= !uapi::TRANSITION_SETTLING;
        // SAFETY: No requirements.
        unsafe { ffi::lp_event() };
    }
}

/// What the driver does next.
pub(crate) enum Next {
    /// It waits until it is kicked, for so many milliseconds at most.
    Wait(Option<u32>),
    /// It finds out whether a way that a task may have come by leads past the sides of the transition.
    Answer(Arc<Tables>, Asked),
    /// It ends what is left of the transition.
    Settle(Remains),
    /// It drops a book that nobody needs any more, and has groups let go of sites.
    Tidy(Option<Retired>, Option<Shrinking>),
    /// It drops sites that nobody needs any more.
    Return(Active),
    /// It drops the site of our own that a jump was tried at.
    EndTrial(Trial),
    /// It brings a site to a door, or takes it away from there.
    Door(Work),
}

/// The next question of a look at a stack about the transition under way. The registry is locked.
fn asked() -> Option<(Arc<Tables>, Asked)> {
    // SAFETY: The registry is locked, and books are replaced under its lock only.
    let book = unsafe { book::current() }?;
    let asked = book.tables.detours.next()?;
    Some((book.tables.clone(), asked))
}
