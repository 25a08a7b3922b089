// SPDX-License-Identifier: GPL-2.0

//! One transition at a time: a request begins it, a thread drives it, and it ends when all tasks have moved.
//!
//! A transition is `Moving` until then. Afterwards the engine settles: the hooks are taken out, and a book without motion becomes current.
//! This takes a while. Meanwhile the registry is not locked, and the patch is in force already; a request that needs the engine next waits.
//!
//! Tasks that have left the task list and are still dying are gone after an RCU-tasks grace period. ftrace waits for one before it frees a
//! trampoline. A kernel thread that never sleeps keeps such a grace period from ending, so nothing here waits for one. Until it is over,
//! the book remembers where such tasks may be, and sites that nobody needs stay with the handler, which sends their calls on.

use crate::{
    ffi,
    model::{refusal::Refusal, routes, transition::Side},
    patch::{sites::Site, Patch},
    promote::doors::Doors,
    redirect::{
        book::{self, Retired},
        Active,
    },
    running::{code, time::now},
    transition::{
        blockers::{self, Blockers, KEPT},
        progress::{Kick, Moving, Remains},
        sides::Links,
    },
    uapi::{self, Reason},
};
use core::ops::Range;
use kernel::{bindings, prelude::*, sync::Arc};

/// After how long tasks are interrupted again.
const KICK_AGAIN_NS: u64 = 1_000_000_000;
/// For so many looks, two seconds or more, the answer stands that code does not show where a task has come from.
const NO_LASTS: u32 = 40;
/// The time that means never.
const NEVER: u64 = u64::MAX;

/// When tasks are interrupted. Programs can notice this, and kernel threads may not expect it, so it comes later than everything that costs
/// nobody anything. `ms` is as in a request.
fn grace_over(began_ns: u64, ms: u32) -> u64 {
    match ms {
        uapi::NO_INTERRUPT => NEVER,
        ms => began_ns.saturating_add(u64::from(ms) * 1_000_000),
    }
}

/// What a transition does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Enable,
    Disable,
}

/// A request for a transition.
pub(crate) struct Wanted {
    pub(crate) kind: Kind,
    /// The patch that it is about.
    pub(crate) patch: u64,
    pub(crate) name: [u8; uapi::NAME_LEN],
    /// The stack of enabled patches afterwards.
    pub(crate) after: KVec<u64>,
    pub(crate) timeout_ms: u32,
    /// After how long tasks are interrupted, or `NO_INTERRUPT`.
    pub(crate) interrupt_ms: u32,
}

/// The time until tasks are interrupted: what a request asks for or, if it leaves that out, `usual`.
pub(crate) fn interrupt_ms(asked: u32, usual: u32) -> u32 {
    match asked {
        0 => usual,
        ms => ms,
    }
}

pub(super) struct Under {
    pub(super) moving: Moving,
    pub(super) wanted: Wanted,
    /// When tasks are to be interrupted next.
    pub(super) interrupt_ns: u64,
    /// How long the last look at the tasks took.
    pub(super) look_ns: u64,
}

impl Under {
    /// Starts the time until tasks are interrupted. Returns its end as a report has it.
    fn give_grace(&mut self, began_ns: u64) -> u64 {
        self.interrupt_ns = grace_over(began_ns, self.wanted.interrupt_ms);
        match self.interrupt_ns {
            NEVER => 0,
            ns => ns,
        }
    }
}

/// A place in the lists of functions of the enabled patches.
#[derive(Default)]
pub(super) struct Cursor {
    /// The place of the patch in the order, from 0.
    pub(super) rank: usize,
    pub(super) func: usize,
}

pub(super) enum State {
    Idle,
    Moving(KBox<Under>),
    /// The driver has to settle this.
    Ended(Remains),
    Settling,
    /// Sites that nobody needs, between these two addresses, are being given back to ftrace, which takes a while. No book has them any
    /// more.
    Returning(u64, u64),
}

/// The engine.
pub(crate) struct Engine {
    /// The ids of the enabled patches, the lowest first.
    pub(super) order: KVec<u64>,
    /// Sites whose calls come to the handler.
    pub(super) groups: KVec<Active>,
    /// The sites that ftrace is asked about with the registry unlocked, see `asking_ftrace.rs`.
    pub(super) asking: Option<Arc<KVVec<usize>>>,
    /// Sites whose calls come to a door.
    pub(super) doors: Doors,
    /// How far the search is for sites that are to have doors.
    pub(super) wanted: Cursor,
    /// How many doors wait to be opened, and from when on they can be.
    pub(super) shut: usize,
    pub(super) open_ns: u64,
    /// When the driver may go on with doors.
    pub(super) doors_ns: u64,
    pub(super) state: State,
    /// The grace period that began when the last transition had ended.
    pub(super) ticket: usize,
    /// Whether something can be let go of after that grace period.
    pub(super) untidy: bool,
    /// Since when. It is kept for a while, because what comes next often needs it again. 0: somebody waits for it.
    pub(super) tidy_from_ns: u64,
    /// Whether there may be a group of which no site is needed.
    pub(super) spare: bool,
    /// The grace period that was asked for before sites are given back, see `give_back()`.
    pub(super) asked: Option<usize>,
    /// Until then, no grace period is needed.
    pub(super) fresh_ns: u64,
    /// Whether ftrace has been found to be dead, so that nothing is given back any more.
    pub(super) dead: bool,
    pub(super) report: uapi::Transition,
    /// The phase in which the last transition has ended, until that is announced.
    pub(super) ended: Option<u32>,
    /// The reports before that one, for tasks that still wait for one of them.
    pub(super) past: [uapi::Transition; 4],
    pub(super) last_blockers: Blockers,
}

/// What an ended transition means for the patches.
pub(crate) struct Outcome {
    pub(crate) kind: Kind,
    pub(crate) patch: u64,
    /// The side that all tasks are on.
    pub(crate) side: Side,
    pub(crate) forced: bool,
    /// If it was forced, the patches whose functions it changed.
    pub(crate) took_part: KVec<u64>,
}

/// Notes that a transition that was in reverse moves forward again, because there is no way back for all tasks. Turning it again at a
/// deadline would be of no use.
fn turned_back(under: &Under, report: &mut uapi::Transition) {
    if report.phase == uapi::PHASE_REVERSING && !under.moving.reversing {
        report.phase = uapi::PHASE_LIVE;
        report.deadline_ns = 0;
        // SAFETY: No requirements.
        unsafe { ffi::lp_event() };
    }
}

/// Whether functions of a patch are entered by a jump when they are settled.
pub(super) fn may_promote(patch: &Patch) -> bool {
    // SAFETY: It is a byte, 0 or 1, whoever sets the parameter meanwhile.
    let promote = unsafe { (&raw const ffi::lp_promote).read_volatile() };
    // SAFETY: No requirements.
    patch.is_promoted() && promote && unsafe { ffi::lp_may_jump() } != 0
}

/// How long after a transition sites that nobody needs are given back to ftrace. Also how long a door stays shut, at most, because more
/// doors are to be opened with it.
pub(super) fn tidy_after_ns() -> u64 {
    // SAFETY: It is a word, whoever sets the parameter meanwhile.
    let ms = unsafe { (&raw const ffi::lp_tidy_ms).read_volatile() };
    u64::from(ms) * 1_000_000
}

impl Engine {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            order: KVec::new(),
            groups: KVec::new(),
            asking: None,
            doors: Doors::new()?,
            wanted: Cursor::default(),
            shut: 0,
            open_ns: 0,
            doors_ns: 0,
            state: State::Idle,
            ticket: 0,
            untidy: false,
            tidy_from_ns: 0,
            spare: false,
            asked: None,
            fresh_ns: 0,
            dead: false,
            report: uapi::Transition::default(),
            ended: None,
            past: [uapi::Transition::default(); 4],
            last_blockers: Blockers::default(),
        })
    }

    /// The enabled patches, the lowest first. A patch in transition is counted as before it.
    pub(crate) fn order(&self) -> &[u64] {
        &self.order
    }

    /// Whether something is still to be done after the last transition.
    pub(crate) fn settling(&self) -> bool {
        !matches!(self.state, State::Idle | State::Moving(_))
    }

    /// Whether only sites that are in no book are still to be given back.
    pub(crate) fn returning(&self) -> bool {
        matches!(self.state, State::Returning(..))
    }

    /// The patch that is in transition.
    pub(crate) fn in_transition(&self) -> Option<u64> {
        match &self.state {
            State::Moving(under) => Some(under.wanted.patch),
            _ => None,
        }
    }

    /// `STATE_*` of a patch.
    pub(crate) fn state_of(&self, id: u64) -> u32 {
        let before = self.order.contains(&id);
        let after = match &self.state {
            State::Moving(under) => under.wanted.after.contains(&id),
            _ => before,
        };
        match (before, after) {
            (false, false) => uapi::STATE_LOADED,
            (true, true) => uapi::STATE_ENABLED,
            (false, true) => uapi::STATE_ENABLING,
            (true, false) => uapi::STATE_DISABLING,
        }
    }

    /// The place of a patch among the enabled ones, from 1; 0: it is not.
    pub(crate) fn rank(&self, id: u64) -> u32 {
        let at = self.order.iter().position(|other| *other == id);
        at.map_or(0, |at| at as u32 + 1)
    }

    /// Begins a transition, for which no site is missing. It may have ended when this returns: see [`Engine::step`].
    ///
    /// Its frame is large, and is to be gone before the first look.
    #[inline(never)]
    pub(crate) fn begin(&mut self, patches: &[Patch], wanted: Wanted) -> Result<(), Refusal> {
        if let Some(id) = self.in_transition() {
            return Err(Refusal::new(Reason::InTransition).value(id));
        }
        let links = Links::new(patches, &self.order, &wanted.after)?;
        let under = KBox::<Under>::new_uninit(GFP_KERNEL)?;
        let begun = Moving::begin(&links, &self.doors);
        if begun.is_err() {
            self.tidy_up();
        }
        let moving = begun?;
        let started = now();
        self.past.rotate_right(1);
        self.past[0] = self.report;
        self.report = uapi::Transition {
            id: self.report.id + 1,
            phase: uapi::PHASE_LIVE,
            kind: match wanted.kind {
                Kind::Enable => uapi::KIND_ENABLE,
                Kind::Disable => uapi::KIND_DISABLE,
            },
            name: wanted.name,
            replaces: self
                .order
                .iter()
                .filter(|id| !wanted.after.contains(id))
                .count()
                .saturating_sub(usize::from(wanted.kind == Kind::Disable))
                as u32,
            started_ns: started,
            deadline_ns: match wanted.timeout_ms {
                0 => 0,
                ms => started.saturating_add(u64::from(ms) * 1_000_000),
            },
            ..Default::default()
        };
        let mut under = under.write(Under {
            moving,
            wanted,
            interrupt_ns: NEVER,
            look_ns: 0,
        });
        self.report.interrupt_ns = under.give_grace(started);
        self.state = State::Moving(under);
        Ok(())
    }

    /// Replaces the book, because functions of a module have come, whose sites are with the handler, or have gone. The engine is not
    /// settling, unless it returns sites of others. On failure the book is the same.
    pub(crate) fn refresh(&mut self, patches: &[Patch]) -> Result<(), Refusal> {
        let retired = self.replace(patches);
        // Also after a failure: sites may have come that nobody needs.
        self.tidy_up();
        // Waits for readers: who is in the module, or in the code for it, cannot be sent there any more.
        retired.map(drop)
    }

    fn replace(&mut self, patches: &[Patch]) -> Result<Retired, Refusal> {
        match &mut self.state {
            State::Moving(under) => {
                let Under { moving, wanted, .. } = &mut **under;
                let links = Links::new(patches, &self.order, &wanted.after)?;
                moving.replace(&links, &self.doors)
            }
            _ => {
                let links = Links::new(patches, &self.order, &self.order)?;
                Ok(book::replace(book::still(links.routes()?)?))
            }
        }
    }

    /// Forgets what code has shown: a module comes, and its code may be where that of another one was.
    pub(crate) fn code_comes(&mut self) {
        // SAFETY: The registry is locked, and books are replaced under its lock only.
        if let Some(book) = unsafe { book::current() } {
            book.tables.detours.forget();
        }
    }

    /// Notes that something can be let go of, when all tasks that are dying now are gone.
    pub(crate) fn tidy_up(&mut self) {
        // SAFETY: No requirements.
        self.ticket = unsafe { ffi::lp_grace_begin() };
        self.untidy = true;
        self.tidy_from_ns = now();
        self.wanted = Cursor::default();
        // It may have been over for long when the driver comes to it again.
        self.asked = None;
        self.doors.look_again();
    }

    /// Looks at the tasks that have not moved, reverses the transition when it is time to, and completes it when all have moved. Returns
    /// the outcome if it has ended.
    pub(crate) fn step(&mut self) -> Option<Outcome> {
        let State::Moving(under) = &mut self.state else {
            return None;
        };
        let time = now();
        let mut ended = under.moving.try_complete();
        turned_back(under, &mut self.report);
        let deadline = self.report.deadline_ns;
        if ended.is_none() && deadline != 0 && time >= deadline && !under.moving.reversing {
            // Who did not make it is told before things change.
            self.last_blockers = blockers::pending(&mut under.moving, KEPT).unwrap_or_default();
            if under.moving.reverse().is_ok() {
                self.report.interrupt_ns = under.give_grace(time);
                self.report.phase = uapi::PHASE_REVERSING;
                self.report.flags |= uapi::TRANSITION_DEADLINE;
                blockers::log(&self.last_blockers.list);
                // SAFETY: No requirements.
                unsafe { ffi::lp_event() };
            }
        }
        if ended.is_none() {
            let first = under.moving.looks == 0;
            let kick = if first {
                Kick::None
            } else if time < under.interrupt_ns {
                Kick::Leave
            } else {
                under.interrupt_ns = time.saturating_add(KICK_AGAIN_NS);
                Kick::Interrupt
            };
            let began = now();
            let interrupted = under.moving.look(kick);
            under.look_ns = now().saturating_sub(began);
            if under.moving.looks % NO_LASTS == 0 {
                // SAFETY: The registry is locked, and books are replaced under its lock only.
                if let Some(book) = unsafe { book::current() } {
                    book.tables.detours.doubt();
                }
            }
            if interrupted > 0 {
                self.report.interrupted = self.report.interrupted.saturating_add(interrupted);
                pr_info!("interrupted {interrupted} tasks that were asleep in functions of the transition\n");
            }
            ended = under.moving.try_complete();
            turned_back(under, &mut self.report);
        }
        self.update();
        let side = ended?;
        Some(self.end(side, None))
    }

    /// Whether a dying task could be sent to this text, because it may still be in a function that was replaced together with a function
    /// that is there.
    pub(crate) fn remembers(&self, text: &Range<usize>) -> bool {
        // SAFETY: The registry is locked, and books are replaced under its lock only.
        let book = unsafe { book::current() };
        let afterwards = match &self.state {
            State::Moving(under) => under.moving.remembers(text),
            _ => false,
        };
        afterwards || book.is_some_and(|book| book.remembers(text))
    }

    /// The numbers of the report, while tasks are moving.
    fn update(&mut self) {
        if let State::Moving(under) = &self.state {
            self.report.pending = under.moving.pending() as u32;
            self.report.moved = under.moving.motion.transition.counters().read();
        }
    }

    /// `took_part`: if it is ended by force, the patches whose functions it changed.
    fn end(&mut self, side: Side, took_part: Option<KVec<u64>>) -> Outcome {
        let State::Moving(under) = core::mem::replace(&mut self.state, State::Settling) else {
            unreachable!("the callers have seen it");
        };
        let Under { moving, wanted, .. } = KBox::into_inner(under);
        let forced = took_part.is_some();
        self.ended = Some(match (forced, side) {
            (true, _) => uapi::PHASE_FORCED,
            (false, Side::To) => uapi::PHASE_DONE,
            (false, Side::From) => uapi::PHASE_REVERSED,
        });
        self.report.pending = 0;
        self.report.moved = moving.motion.transition.counters().read();
        self.report.ended_ns = now();
        self.report.flags |= uapi::TRANSITION_SETTLING;
        if side == Side::To {
            self.order = wanted.after;
        }
        self.state = State::Ended(moving.into_remains(side));
        // SAFETY: No requirements.
        unsafe { ffi::lp_driver_kick() };
        Outcome {
            kind: wanted.kind,
            patch: wanted.patch,
            side,
            forced,
            took_part: took_part.unwrap_or_default(),
        }
    }

    /// Announces the end of the last transition to the tasks that wait for it: the callbacks that were due after it have been called.
    /// `flags`: `TRANSITION_*`.
    pub(crate) fn announce(&mut self, flags: u32) {
        if let Some(phase) = self.ended.take() {
            self.report.phase = phase;
            self.report.flags |= flags;
        }
        // SAFETY: No requirements.
        unsafe { ffi::lp_event() };
    }

    /// Turns the transition of this patch around.
    pub(crate) fn reverse(&mut self, patch: u64, asked_ms: u32) -> Result<(), Refusal> {
        let under = self.moving(patch)?;
        under.moving.reverse()?;
        let reversing = under.moving.reversing;
        under.wanted.interrupt_ms = interrupt_ms(asked_ms, under.wanted.interrupt_ms);
        self.report.interrupt_ns = under.give_grace(now());
        self.report.phase = if reversing {
            uapi::PHASE_REVERSING
        } else {
            uapi::PHASE_LIVE
        };
        // SAFETY: No requirements.
        unsafe { ffi::lp_event() };
        Ok(())
    }

    /// Ends the transition of this patch with tasks on both sides.
    pub(crate) fn force(&mut self, patch: u64) -> Result<Outcome, Refusal> {
        // Before anything is done: without the list nobody knows what must never be unloaded.
        let mut took_part = KVec::new();
        let after = &self.moving(patch)?.wanted.after;
        took_part.extend_from_slice(after, GFP_KERNEL)?;
        took_part.extend_from_slice(&self.order, GFP_KERNEL)?;
        let side = self.moving(patch)?.moving.force()?;
        Ok(self.end(side, Some(took_part)))
    }

    fn moving(&mut self, patch: u64) -> Result<&mut Under, Refusal> {
        match &mut self.state {
            State::Moving(under) if under.wanted.patch == patch => Ok(under),
            _ => Err(Reason::NoTransition.into()),
        }
    }

    /// The transition under way, or the last one.
    pub(crate) fn report(&mut self) -> uapi::Transition {
        self.update();
        self.report
    }

    /// The transition with this id, 0: the one under way or the last one. Only the last ones are remembered.
    pub(crate) fn report_of(&mut self, id: u64) -> Result<uapi::Transition, Refusal> {
        if id == 0 || id == self.report.id {
            return Ok(self.report());
        }
        let past = self.past.iter().find(|report| report.id == id);
        past.copied().ok_or(Reason::NoTransition.into())
    }

    /// The tasks that have not moved.
    pub(crate) fn blockers(&mut self, last: bool, shown: usize) -> Result<Blockers, Refusal> {
        if last {
            return self.last_blockers.copy();
        }
        match &mut self.state {
            State::Moving(under) => blockers::pending(&mut under.moving, shown),
            _ => Ok(Blockers::default()),
        }
    }

    /// `PATH_*` of a function, and why it is no better.
    pub(crate) fn path(&self, patch: &Patch, site: Site) -> (u32, u32) {
        // SAFETY: The registry is locked, and books are replaced under its lock only.
        let book = unsafe { book::current() };
        let route = book.and_then(|book| routes::find(book.tables.routes(), site.ip));
        let in_force = route.is_some_and(|route| route.from == site.new || route.to == site.new);
        if !in_force {
            return (uapi::PATH_NONE, 0);
        }
        match self.doors.is_open(site.ip) {
            Some(true) if code::jumps_at(site.ip) => (uapi::PATH_JUMP, 0),
            Some(true) => (uapi::PATH_TRACED, 0),
            Some(false) => (uapi::PATH_ASK, 0),
            None => {
                let errno = match self.doors.refused(site.ip) {
                    Some(error) => error.to_errno().unsigned_abs(),
                    None if may_promote(patch) => 0,
                    None => bindings::ECANCELED,
                };
                (uapi::PATH_HANDLER, errno)
            }
        }
    }

    /// The grace period that began when the last transition had ended.
    pub(crate) fn ticket(&self) -> usize {
        self.ticket
    }

    /// Whether something is still to be let go of: it was not time, or there was no memory for it.
    pub(crate) fn is_untidy(&self) -> bool {
        self.untidy
    }

    /// Whether every task that was dying when the last transition ended is gone.
    pub(crate) fn grace_is_over(&self) -> bool {
        // SAFETY: No requirements.
        unsafe { ffi::lp_grace_is_over(self.ticket) != 0 }
    }
}
