// SPDX-License-Identifier: GPL-2.0

//! Doors: where sites that are settled go to the new function by one jump; see `shim/doors.S`.
//!
//! A site that has a door needs no handler: while the door is shut, whoever comes by asks the book. So a transition shuts the
//! doors of the functions that it changes and begins, and nothing of ftrace is touched. When it is over, and everybody
//! who may have seen a door open before it is gone, the doors are turned to where the calls go now, and opened.
//!
//! Attaching a site to its door takes ftrace some milliseconds, and giving it back some grace periods. Both are done behind finished
//! transitions, one site at a time, with the registry unlocked.

use crate::{
    arena::memory::{Alias, Pool, Run},
    ffi,
    model::{
        doors, fentry,
        routes::{self, Route},
        transition::stack::Span,
    },
    running::{code, modules::OwnModule},
};
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU8, AtomicUsize, Ordering},
};
use kernel::{
    error::{to_result, Result},
    prelude::*,
};

const SIZE: usize = ffi::LP_DOOR_SIZE as usize;

/// A door, and the site that has it.
///
/// # Invariants
///
/// `run` is one unit of the pool of doors. `ops` was made by `lp_door_new()`, and is attached to this door, for `ip`, if the
/// value is in [`Doors::all`]. As long as the site leads to the door, the module stays.
pub(crate) struct Door {
    ip: u64,
    run: Run,
    ops: NonNull<ffi::lp_door>,
    /// Where its jump goes; 0: it has not been turned to anywhere.
    to: u64,
    _own: OwnModule,
}

// SAFETY: The C struct is heap memory without ties to a thread.
unsafe impl Send for Door {}

impl Door {
    fn index(&self) -> usize {
        self.run.first
    }

    fn shut(&self) -> &AtomicU8 {
        // SAFETY: The array has that many bytes, and they are only used as atomics, or by doors.S.
        unsafe { AtomicU8::from_ptr((&raw mut ffi::lp_door_shut).cast::<u8>().add(self.index())) }
    }

    fn is_open(&self) -> bool {
        self.shut().load(Ordering::Relaxed) == 0
    }

    /// Where it is that calls of the site go by: [`ffi::lp_door_sites`] of it.
    fn set_site(&self, ip: u64) {
        let sites = (&raw mut ffi::lp_door_sites).cast::<usize>();
        // SAFETY: The array has that many words, and they are only used as atomics, or by doors.S.
        let site = unsafe { AtomicUsize::from_ptr(sites.add(self.index())) };
        site.store(ip as usize, Ordering::Relaxed);
    }
}

/// A site that ftrace did not take.
struct Refused {
    ip: u64,
    error: Error,
}

/// All doors. There are none when it is dropped, since each keeps the module.
pub(crate) struct Doors {
    pool: Pool,
    /// Those whose sites are attached, sorted by site.
    all: KVec<Door>,
    /// The site that is just being attached or given back, with the registry unlocked. Its door is not in `all`.
    under_way: Option<u64>,
    /// Sorted by site.
    refused: KVec<Refused>,
    /// Of `all`, only those before this one may be of sites that are in no route any more.
    unchecked: usize,
}

/// What the driver does about doors next, with the registry unlocked.
pub(crate) enum Work {
    Attach(Door),
    Detach(Door),
}

/// Whether a site can come to a door.
pub(crate) enum Attach {
    Now(Work),
    /// When other doors are free, or there is memory again.
    Later,
    /// No, or it has one.
    Next,
}

/// What came of [`Work`].
pub(crate) enum Done {
    Attached(Door),
    Refused(Door, Error),
    Detached(Door),
    /// ftrace is out of order; the site still goes to the door.
    Stuck(Door),
}

impl Work {
    pub(crate) fn run(self) -> Done {
        match self {
            Self::Attach(door) => {
                // Before the first one: what ftrace makes of it.
                // SAFETY: We are the driver, with the registry unlocked.
                if let Err(error) = to_result(unsafe { ffi::lp_try_jump() }) {
                    return Done::Refused(door, error);
                }
                // Here, since ftrace takes a lock for it that others hold for long.
                // SAFETY: It was made by `lp_door_new()` and is not attached.
                let filter = unsafe { ffi::lp_door_filter(door.ops.as_ptr(), door.ip as usize) };
                if let Err(error) = to_result(filter) {
                    return Done::Refused(door, error);
                }
                // SAFETY: It was made by `lp_door_new()`, has its site, and is not attached.
                match to_result(unsafe {
                    ffi::lp_door_attach(door.ops.as_ptr(), door.index() as u32)
                }) {
                    Ok(()) => Done::Attached(door),
                    // It lived when the filter was set. What has died in the middle may have left a site that leads to it.
                    Err(ENODEV) => Done::Stuck(door),
                    Err(error) => {
                        // It may have been in ftrace's list for a moment, and somebody may be looking at it there.
                        // SAFETY: No requirements; we may sleep.
                        unsafe { ffi::lp_synchronize() };
                        Done::Refused(door, error)
                    }
                }
            }
            Self::Detach(door) => detach(door),
        }
    }
}

/// Waits for grace periods of RCU tasks, in ftrace and with its locks held. So nobody does it with the registry locked, and only when such
/// a grace period was over a moment ago.
fn detach(door: Door) -> Done {
    // SAFETY: It is attached to this door.
    let error = unsafe { ffi::lp_door_detach(door.ops.as_ptr(), door.index() as u32) };
    if error == 0 {
        Done::Detached(door)
    } else {
        pr_err!("ftrace keeps a direct call (errno {error}); lpatch_core stays loaded\n");
        Done::Stuck(door)
    }
}

/// The site of our own at which it was tried what ftrace makes of a door, until that is dropped. Waits as [`detach`] does, with the same rules.
pub(crate) struct Trial(());

impl Trial {
    /// The address of the site, if ftrace has it. Only for the driver.
    pub(crate) fn site() -> Option<u64> {
        // SAFETY: We are the driver.
        let site = unsafe { ffi::lp_trial_site() } as u64;
        (site != 0).then_some(site)
    }

    /// Only for the driver, and once after each time that there is a site.
    pub(crate) fn take() -> Self {
        Self(())
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // SAFETY: We are the driver, with the registry unlocked, and ftrace has the site.
        unsafe { ffi::lp_trial_return() };
    }
}

/// Where the jump of a door goes for a function: in the arena behind what only tracers need of its beginning.
fn behind_entry(to: u64) -> u64 {
    let arena = &raw const ffi::lp_arena_text as u64..&raw const ffi::lp_arena_text_end as u64;
    let mut start = [0; 16];
    if arena.contains(&to) && code::read(to, &mut start) {
        to + u64::from(fentry::unused(&start))
    } else {
        to
    }
}

impl Doors {
    pub(crate) fn new() -> Result<Self> {
        let base = &raw const ffi::lp_doors as usize;
        Ok(Self {
            pool: Pool::new(base, ffi::LP_DOORS as usize, SIZE)?,
            all: KVec::new(),
            under_way: None,
            refused: KVec::new(),
            unchecked: 0,
        })
    }

    fn find(&self, ip: u64) -> Option<&Door> {
        let at = self.all.binary_search_by_key(&ip, |door| door.ip).ok()?;
        self.all.get(at)
    }

    /// Whether calls at this site come to a door.
    pub(crate) fn has(&self, ip: u64) -> bool {
        self.find(ip).is_some()
    }

    /// Whether its door is open, if it has one.
    pub(crate) fn is_open(&self, ip: u64) -> Option<bool> {
        self.find(ip).map(Door::is_open)
    }

    /// Why ftrace did not take a site.
    pub(crate) fn refused(&self, ip: u64) -> Option<Error> {
        let at = self.refused.binary_search_by_key(&ip, |refused| refused.ip);
        self.refused.get(at.ok()?).map(|refused| refused.error)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Where somebody is who is on the way through the door of this site.
    pub(crate) fn span(&self, ip: u64) -> Option<Span> {
        let start = self.find(ip)?.run.addr as u64;
        let end = start + SIZE as u64;
        Some(Span { start, end })
    }

    /// Shuts the doors of the functions that change, before anybody moves.
    pub(crate) fn shut(&self, routes: &[Route]) {
        for route in routes.iter().filter(|route| route.changes()) {
            if let Some(door) = self.find(route.ip) {
                // The book that is published next is published with Release: who reads it finds the door shut. Who does
                // not, and finds the door open, is in the spans of both sides until he is behind it.
                door.shut().store(1, Ordering::Relaxed);
            }
        }
    }

    /// Turns all doors to where calls go by these routes, and opens them. Nothing moves, and nobody has been in a shut door
    /// for longer than from asking to the answer. Without memory doors stay shut, which costs time only.
    pub(crate) fn settle(&mut self, routes: &[Route]) -> Result {
        let mut alias = None;
        let base = &raw const ffi::lp_doors as usize;
        // Not by the function: another patch can have come to the same place, with another beginning.
        let turned = |door: &Door| match routes::find(routes, door.ip) {
            Some(route) if route.to != 0 && !door.is_open() => Some(behind_entry(route.to)),
            _ => None,
        };
        for door in self.all.iter_mut() {
            let Some(to) = turned(door).filter(|to| *to != door.to) else {
                continue;
            };
            let Some(jump) = doors::jump(door.run.addr as u64, to) else {
                continue;
            };
            let alias = match &mut alias {
                Some(alias) => alias,
                none => none.insert(Alias::map(&Run::pages(
                    base,
                    ffi::LP_DOORS as usize * SIZE,
                ))?),
            };
            door.to = 0;
            alias.put(door.run.addr - base + doors::OPERAND, &jump);
            door.to = to;
        }
        if alias.take().is_some() {
            // SAFETY: The driver may sleep.
            unsafe { ffi::lp_sync_cores() };
        }
        for door in self.all.iter() {
            if turned(door).is_some_and(|to| to == door.to) {
                // Release: who finds it open finds what was written. All cores have been synchronized since.
                door.shut().store(0, Ordering::Release);
            }
        }
        Ok(())
    }

    /// Takes a door back that is not attached.
    fn free(&mut self, door: Door) {
        door.set_site(0);
        // SAFETY: It is not attached, and ftrace has waited for who was in it.
        unsafe { ffi::lp_door_free(door.ops.as_ptr()) };
        self.pool.give(door.run);
    }

    /// Another book is in force: any door may be of a site that is in no route any more, and what was refused is tried again.
    pub(crate) fn look_again(&mut self) {
        self.unchecked = self.all.len();
        self.refused.clear();
    }

    /// Whether a site that has a door is in no route any more. Each is looked at once for each book.
    pub(crate) fn has_unused(&mut self, routes: &[Route]) -> bool {
        self.unchecked = self.unchecked.min(self.all.len());
        // The last one first: what is behind it need not move up.
        while let Some(at) = self.unchecked.checked_sub(1) {
            if routes::find(routes, self.all[at].ip).is_none() {
                return true;
            }
            self.unchecked = at;
        }
        false
    }

    /// Has the site detached that [`Doors::has_unused`] has found, if nothing moves.
    pub(crate) fn detach_unused(&mut self) -> Option<(u64, Work)> {
        self.unchecked = self.unchecked.checked_sub(1)?;
        let door = self.all.remove(self.unchecked).ok()?;
        self.under_way = Some(door.ip);
        Some((door.ip, Work::Detach(door)))
    }

    /// Has a site attached, if nothing moves; `Next`: not this one.
    pub(crate) fn attach(&mut self, ip: u64) -> Attach {
        if self.has(ip) || self.refused(ip).is_some() {
            return Attach::Next;
        }
        match self.prepare(ip) {
            Ok(door) => {
                self.under_way = Some(ip);
                Attach::Now(Work::Attach(door))
            }
            // One more is free as soon as that is done.
            Err(ENOSPC) if self.unchecked > 0 => Attach::Later,
            Err(error) if self.refuse(ip, error) => Attach::Next,
            Err(_) => Attach::Later,
        }
    }

    fn prepare(&mut self, ip: u64) -> Result<Door> {
        // So that it can be taken in without memory.
        self.all.reserve(1, GFP_KERNEL)?;
        self.refused.reserve(1, GFP_KERNEL)?;
        let own = OwnModule::get().ok_or(EAGAIN)?;
        let run = self.pool.take(1).map_err(|_| ENOSPC)?;
        // SAFETY: No requirements.
        let Some(ops) = NonNull::new(unsafe { ffi::lp_door_new() }) else {
            self.pool.give(run);
            return Err(ENOMEM);
        };
        let door = Door {
            ip,
            run,
            ops,
            to: 0,
            _own: own,
        };
        door.shut().store(1, Ordering::Relaxed);
        door.set_site(ip);
        Ok(door)
    }

    /// Remembers that a site was refused. `false`: without memory it does not, and it is to be tried again.
    fn refuse(&mut self, ip: u64, error: Error) -> bool {
        let at = self.refused.partition_point(|other| other.ip < ip);
        let refused = Refused { ip, error };
        self.refused.reserve(1, GFP_KERNEL).is_ok()
            && self.refused.insert_within_capacity(at, refused).is_ok()
    }

    /// Takes over what came of [`Work`]. `true`: a site has come to a door.
    pub(crate) fn done(&mut self, done: Done) -> bool {
        let (Done::Attached(door)
        | Done::Refused(door, _)
        | Done::Detached(door)
        | Done::Stuck(door)) = &done;
        // Not so if its module went, which is nothing of the driver's.
        if self.under_way == Some(door.ip) {
            self.under_way = None;
        }
        match done {
            Done::Attached(door) => {
                self.put_back(door);
                true
            }
            Done::Refused(door, error) => {
                // Room was reserved for that.
                let _ = self.refuse(door.ip, error);
                self.free(door);
                false
            }
            Done::Detached(door) => {
                self.free(door);
                false
            }
            Done::Stuck(door) => {
                // It stays shut, and asks for ever.
                self.put_back(door);
                false
            }
        }
    }

    fn put_back(&mut self, door: Door) {
        let at = self.all.partition_point(|other| other.ip < door.ip);
        if self.all.insert_within_capacity(at, door).is_err() {
            unreachable!("room was reserved");
        }
        if at < self.unchecked {
            // The last one of those before it has moved up.
            self.unchecked += 1;
        }
    }

    /// Whether one of these sites has a door, or is just being attached to one or given back.
    pub(crate) fn concern(&self, sites: impl Fn(u64) -> bool) -> bool {
        self.under_way.is_some_and(&sites) || self.all.iter().any(|door| sites(door.ip))
    }

    /// Takes out what has to be done about sites that are about to be freed; the room of `all` stays. `ENOMEM`: nothing has
    /// changed.
    pub(crate) fn forget(&mut self, gone: impl Fn(u64) -> bool) -> Result<KVec<Work>> {
        let count = self.all.iter().filter(|door| gone(door.ip)).count();
        let mut works = KVec::with_capacity(count, GFP_KERNEL)?;
        // The last one first: what is behind it need not move up.
        for at in (0..self.all.len()).rev() {
            if gone(self.all[at].ip) {
                if let Ok(door) = self.all.remove(at) {
                    let _ = works.push_within_capacity(Work::Detach(door));
                }
            }
        }
        Ok(works)
    }
}
