// SPDX-License-Identifier: GPL-2.0

//! What the core asks ftrace for while the registry is not locked: to take sites, or to let go of some.
//!
//! When a function is given back to ftrace, ftrace waits for RCU-tasks grace periods with its locks held. A kernel thread that never sleeps
//! makes it wait for ever, and every other request to ftrace waits behind that. So the core finds the question under the registry's lock,
//! asks ftrace without the lock, and decides anew under the lock again (`registry/unlocked.rs`). One task asks at a time. Meanwhile
//!
//! - questions are answered;
//! - a request that would begin a transition waits, unless it is the one that asks;
//! - a module that is being loaded waits if it has to ask as well; a module that is being removed waits if it has to ask, or if one of the
//!   sites is its own;
//! - the driver looks at tasks, and does nothing about sites.
//!
//! As long as the sites are in no book, their calls go to the original functions, whatever becomes of the request.

use crate::{
    ffi,
    model::refusal::Refusal,
    patch::Patch,
    redirect::{self, Active, LettingGo},
    transition::{
        engine::{Engine, State},
        sides::Links,
    },
    uapi::Reason,
};
use kernel::{prelude::*, sync::Arc};

/// A request to ftrace. Until its result is taken over, under the registry's lock, nobody else asks.
pub(crate) trait Unfinished {
    /// Whether its result is still to be taken over.
    fn is_open(&self) -> bool;

    /// Takes over its result, if there is one. On failure, for want of memory, this is to be tried again.
    fn finish(&mut self, engine: &mut Engine) -> Result;
}

/// Sites that have to come to the handler first.
pub(crate) struct Bringing {
    sites: Arc<KVVec<usize>>,
    /// Whether the handler already has the site of our own that nobody else can own.
    has_probe: bool,
    /// The sites that ftrace has taken.
    taken: KVec<Active>,
    result: Result<(), Refusal>,
    /// The result has not been taken in.
    open: bool,
}

impl Bringing {
    /// Asks ftrace for them. The registry is not locked.
    pub(crate) fn ask(&mut self) {
        self.result = redirect::bring(&self.sites, self.has_probe, &mut self.taken);
    }

    /// Takes over the result: the refusal, if ftrace did not take all sites. A caller that does not need the taken sites then has them
    /// tidied up. `ENOMEM`: there is no room for them, and nothing has changed.
    pub(crate) fn take_in(&mut self, engine: &mut Engine) -> Result<Result<(), Refusal>> {
        engine.groups.reserve(self.taken.len(), GFP_KERNEL)?;
        while let Some(group) = self.taken.pop() {
            if engine.groups.push_within_capacity(group).is_err() {
                unreachable!("room was reserved");
            }
        }
        engine.answered();
        self.open = false;
        Ok(core::mem::replace(&mut self.result, Ok(())))
    }
}

impl Unfinished for Bringing {
    fn is_open(&self) -> bool {
        self.open
    }

    fn finish(&mut self, engine: &mut Engine) -> Result {
        let _ = self.take_in(engine)?;
        // Nobody may need them any more.
        engine.tidy_up();
        Ok(())
    }
}

/// Sites that groups are to let go of; the groups keep other sites.
pub(crate) struct Shrinking {
    parts: KVec<LettingGo>,
    /// The first and the last one of the sites.
    pub(crate) between: (u64, u64),
    /// The sites are of a module that is being removed.
    gone: bool,
}

impl Shrinking {
    /// Asks ftrace. The registry is not locked.
    pub(crate) fn ask(&mut self) {
        for part in self.parts.iter_mut() {
            part.ask(self.gone);
        }
    }
}

impl Unfinished for Shrinking {
    fn is_open(&self) -> bool {
        true
    }

    fn finish(&mut self, engine: &mut Engine) -> Result {
        for part in self.parts.iter() {
            engine
                .groups
                .iter_mut()
                .for_each(|group| group.let_go(part));
            engine.untidy |= !self.gone && part.is_to_be_tried_again();
        }
        engine.answered();
        Ok(())
    }
}

impl Engine {
    /// Whether somebody asks ftrace.
    pub(crate) fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// Whether one of these sites is what ftrace is asked about.
    pub(super) fn asks_about(&self, sites: impl Fn(u64) -> bool) -> bool {
        let asking = self.asking.as_ref();
        asking.is_some_and(|asking| asking.iter().any(|ip| sites(*ip as u64)))
    }

    /// Notes that ftrace has answered.
    fn answered(&mut self) {
        self.asking = None;
        // SAFETY: No requirements.
        unsafe { ffi::lp_event() };
        // SAFETY: No requirements.
        unsafe { ffi::lp_driver_kick() };
    }

    /// The sites that have to come to the handler before the transition to this stack of patches can begin, if there are any.
    pub(crate) fn missing_for(
        &mut self,
        patches: &[Patch],
        after: &[u64],
    ) -> Result<Option<Bringing>, Refusal> {
        let sites = self.missing(patches, after)?;
        self.bringing(sites)
    }

    /// The sites that have to come before the book can be replaced, because functions of a module have come. `NotReady`: somebody else
    /// asks.
    pub(crate) fn missing_now(&mut self, patches: &[Patch]) -> Result<Option<Bringing>, Refusal> {
        let after = match &self.state {
            State::Moving(under) => &under.wanted.after,
            _ => &self.order,
        };
        let sites = self.missing(patches, after)?;
        self.bringing(sites)
    }

    /// The sites of all functions that are not with the handler and have no door, sorted.
    #[inline(never)]
    fn missing(&self, patches: &[Patch], after: &[u64]) -> Result<KVVec<usize>, Refusal> {
        let links = Links::new(patches, &self.order, after)?;
        let is_missing = |ip| !self.doors.has(ip) && !has(&self.groups, ip);
        Links::ips(&links.routes()?, is_missing)
    }

    fn bringing(&mut self, sites: KVVec<usize>) -> Result<Option<Bringing>, Refusal> {
        if sites.is_empty() {
            return Ok(None);
        }
        if self.is_asking() {
            return Err(Reason::NotReady.into());
        }
        let sites = Arc::new(sites, GFP_KERNEL)?;
        self.asking = Some(sites.clone());
        Ok(Some(Bringing {
            sites,
            has_probe: has(&self.groups, redirect::probe_site() as u64),
            taken: KVec::new(),
            result: Ok(()),
            open: true,
        }))
    }

    /// Has all groups let go of the sites that are not kept, if they have other sites too. `gone`: the sites are of a module that is being
    /// removed. Nobody else is asking.
    pub(super) fn shrinking(
        groups: &[Active],
        asking: &mut Option<Arc<KVVec<usize>>>,
        kept: impl Fn(u64) -> bool,
        gone: bool,
    ) -> Result<Option<Shrinking>> {
        let mut parts = KVec::new();
        let mut sites = KVVec::new();
        for group in groups {
            if let Some(part) = group.letting_go(&kept)? {
                sites.extend_from_slice(part.sites(), GFP_KERNEL)?;
                parts.push(part, GFP_KERNEL)?;
            }
        }
        let (Some(first), Some(last)) = (sites.iter().min(), sites.iter().max()) else {
            return Ok(None);
        };
        let between = (*first as u64, *last as u64);
        *asking = Some(Arc::new(sites, GFP_KERNEL)?);
        Ok(Some(Shrinking {
            parts,
            between,
            gone,
        }))
    }
}

fn has(groups: &[Active], ip: u64) -> bool {
    groups.iter().any(|group| group.has(ip))
}
