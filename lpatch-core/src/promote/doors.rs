// SPDX-License-Identifier: GPL-2.0

//! Doors: settled sites go to the new function through them, by one jump; see `shim/doors.S`.
//!
//! A site that has a door needs no handler: while the door is shut, a call that comes by asks the book. So a transition shuts the doors of
//! the functions that it changes and begins, and touches nothing of ftrace. When it is over, and every task that may have seen a door open
//! before it is gone, the doors are turned to where the calls go now, and opened.
//!
//! Attaching a site to its door takes ftrace some milliseconds, and giving it back takes some grace periods. Both are done after
//! transitions have finished, one site at a time, with the registry unlocked.

use crate::{
    arena::memory::{Alias, Pool, Run},
    ffi,
    model::{
        doors, fentry,
        routes::{self, Route},
        transition::stack::Span,
    },
    promote::door::{Done, Door, Work},
    running::{code, modules::OwnModule},
};
use core::{ptr::NonNull, sync::atomic::Ordering};
use kernel::prelude::*;

const SIZE: usize = ffi::LP_DOOR_SIZE as usize;

/// A site that ftrace did not take.
struct Refused {
    ip: u64,
    error: Error,
}

/// All doors. When this is dropped there are none, since each keeps the module.
pub(crate) struct Doors {
    pool: Pool,
    /// Those whose sites are attached, sorted by site.
    all: KVec<Door>,
    /// The site that is just being attached or given back, with the registry unlocked. Its door is not in `all`.
    under_way: Option<u64>,
    /// Sorted by site.
    refused: KVec<Refused>,
    /// Only the doors of `all` before this index may be of sites that are in no route any more.
    unchecked: usize,
}

/// Whether a site can come to a door.
pub(crate) enum Attach {
    Now(Work),
    /// When other doors are free, or there is memory again.
    Later,
    /// No, or it has one.
    Next,
}

/// Where the jump of a door goes for a function. If the function is in the arena, the jump goes behind the part of its beginning that only
/// tracers need.
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

    /// Where a task is that is on its way through the door of this site.
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

    /// Turns all doors to where calls go by these routes, and opens them. Nothing moves, and a task is in a shut door only from its
    /// question to the answer. Without memory, doors stay shut, which only costs time.
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

    /// The work to detach the site that [`Doors::has_unused`] has found, if nothing moves.
    pub(crate) fn detach_unused(&mut self) -> Option<(u64, Work)> {
        self.unchecked = self.unchecked.checked_sub(1)?;
        let door = self.all.remove(self.unchecked).ok()?;
        self.under_way = Some(door.ip);
        Some((door.ip, Work::Detach(door)))
    }

    /// The work to attach a site, if nothing moves. `Next`: not this one.
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

    /// Takes out the doors of sites that are about to be freed, as work to detach them; the room of `all` stays. `ENOMEM`: nothing has
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
