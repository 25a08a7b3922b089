// SPDX-License-Identifier: GPL-2.0

//! Enabling and disabling: what is asked before a transition, which callbacks are called, and what its end means for
//! the patches.

use super::{now, Name, Registry};
use crate::{
    callbacks::Others,
    engine::{Kind, Outcome, Wanted},
    ffi,
    model::{refusal::Refusal, states, transition::Side},
    patch::Patch,
    uapi::{self, Reason},
};
use kernel::{bindings, prelude::*};

impl Registry {
    /// Begins to enable a patch.
    pub(crate) fn enable(&mut self, op: &uapi::Op) -> Result<(), Refusal> {
        let at = self.position(&op.name)?;
        let patch = &self.patches[at];
        if let Some(id) = self.engine.in_transition() {
            return Err(Refusal::new(Reason::InTransition).value(id));
        }
        if self.engine.rank(patch.id()) > 0 {
            return Err(Reason::Enabled.into());
        }
        let mut after = KVec::with_capacity(self.engine.order().len() + 1, GFP_KERNEL)?;
        for id in self.engine.order() {
            let Some(other) = self.patches.iter().find(|other| other.id() == *id) else {
                continue;
            };
            if other.set() == patch.set() {
                if patch.is_cumulative() {
                    continue;
                }
            } else if let Some(i) = patch.shares(other)? {
                return Err(Refusal::at(Reason::FuncConflict, i).value(other.id()));
            }
            after.push(*id, GFP_KERNEL)?;
        }
        after.push(patch.id(), GFP_KERNEL)?;
        let states = patch.callbacks().states()?;
        for other in self.enabled().filter(|other| other.set() == patch.set()) {
            states::compatible(&states, patch.is_cumulative(), &other.callbacks().states()?)
                .map_err(|id| Refusal::new(Reason::State).value(id))?;
        }
        let wanted = Wanted {
            kind: Kind::Enable,
            patch: patch.id(),
            name: op.name,
            after,
            timeout_ms: op.timeout_ms,
        };
        // SAFETY: No requirements.
        unsafe {
            bindings::add_taint(
                bindings::TAINT_LIVEPATCH,
                bindings::lockdep_ok_LOCKDEP_STILL_OK,
            )
        };
        self.begin(at, wanted)
    }

    /// Begins to disable a patch.
    pub(crate) fn disable(&mut self, op: &uapi::Op) -> Result<(), Refusal> {
        let at = self.position(&op.name)?;
        let patch = &self.patches[at];
        if let Some(id) = self.engine.in_transition() {
            return Err(Refusal::new(Reason::InTransition).value(id));
        }
        let rank = self.engine.rank(patch.id());
        if rank == 0 {
            return Err(Reason::NotEnabled.into());
        }
        for id in &self.engine.order()[rank as usize..] {
            let newer = self.patches.iter().find(|other| other.id() == *id);
            if let Some(newer) = newer {
                if patch.shares(newer)?.is_some() {
                    return Err(Refusal::new(Reason::Stacked).value(*id));
                }
            }
        }
        let mut after = KVec::with_capacity(self.engine.order().len(), GFP_KERNEL)?;
        for id in self.engine.order().iter().filter(|id| **id != patch.id()) {
            after.push(*id, GFP_KERNEL)?;
        }
        let wanted = Wanted {
            kind: Kind::Disable,
            patch: patch.id(),
            name: op.name,
            after,
            timeout_ms: op.timeout_ms,
        };
        self.begin(at, wanted)
    }

    fn begin(&mut self, at: usize, wanted: Wanted) -> Result<(), Refusal> {
        let doing = match wanted.kind {
            Kind::Enable => "enabling",
            Kind::Disable => "disabling",
        };
        pr_info!("{doing} patch '{}'\n", Name(&wanted.name));
        let mut others = self.others(wanted.patch)?;
        let (kind, callbacks) = (wanted.kind, self.patches[at].callbacks_mut());
        match kind {
            Kind::Enable => callbacks.pre_patch(&mut others)?,
            Kind::Disable => callbacks.pre_unpatch(&mut others),
        }
        if let Err(refusal) = self.engine.begin(&self.patches, wanted) {
            let callbacks = self.patches[at].callbacks_mut();
            match kind {
                Kind::Enable => callbacks.post_unpatch(&mut others),
                Kind::Disable => callbacks.post_patch(&mut others),
            }
            return Err(self.place(at, refusal));
        }
        self.others = others;
        self.step();
        // SAFETY: No requirements.
        unsafe { ffi::lp_driver_kick() };
        Ok(())
    }

    /// The enabled patches, the lowest first.
    fn enabled(&self) -> impl Iterator<Item = &Patch> {
        let find = |id: &u64| self.patches.iter().find(|patch| patch.id() == *id);
        self.engine.order().iter().filter_map(find)
    }

    /// The states of the other enabled patches of its set.
    pub(crate) fn others(&self, id: u64) -> Result<Others, Refusal> {
        let patch = self.patches.iter().find(|patch| patch.id() == id);
        let set = patch.map(Patch::set);
        let others = (self.enabled()).filter(|other| other.id() != id && Some(other.set()) == set);
        Others::new(others.map(Patch::callbacks))
    }

    /// ftrace's refusal of a site, as one of a function of the patch.
    fn place(&self, at: usize, refusal: Refusal) -> Refusal {
        if refusal.reason != Reason::FuncOwned {
            return refusal;
        }
        let sites = self.patches[at].sites();
        let i = sites.iter().position(|site| site.ip == refusal.value);
        Refusal::at(Reason::FuncOwned, i.unwrap_or(0))
    }

    /// Turns the transition of a patch around.
    pub(crate) fn reverse(&mut self, op: &uapi::Op) -> Result<(), Refusal> {
        let at = self.position(&op.name)?;
        self.engine.reverse(self.patches[at].id())?;
        pr_info!("reversing the transition of patch '{}'\n", Name(&op.name));
        self.step();
        // SAFETY: No requirements.
        unsafe { ffi::lp_driver_kick() };
        Ok(())
    }

    /// Ends the transition of a patch with tasks on both sides.
    pub(crate) fn force(&mut self, op: &uapi::Op) -> Result<(), Refusal> {
        let at = self.position(&op.name)?;
        let outcome = self.engine.force(self.patches[at].id())?;
        self.ended(&outcome);
        Ok(())
    }

    /// Moves tasks, and completes the transition if all have moved.
    pub(crate) fn step(&mut self) {
        if let Some(outcome) = self.engine.step() {
            self.ended(&outcome);
        }
    }

    /// A transition has ended.
    fn ended(&mut self, outcome: &Outcome) {
        if outcome.forced {
            // Tasks may be in code of any patch that took part, for ever.
            for id in outcome.took_part.iter() {
                let part = self.patches.iter_mut().find(|patch| patch.id() == *id);
                part.map(Patch::pin);
            }
        }
        let enabled = (outcome.kind == Kind::Enable) == (outcome.side == Side::To);
        let engine = &self.engine;
        for other in self
            .patches
            .iter_mut()
            .filter(|patch| patch.id() != outcome.patch)
        {
            if engine.rank(other.id()) == 0 {
                other.callbacks_mut().replaced();
            }
        }
        let patch = (self.patches.iter_mut()).find(|patch| patch.id() == outcome.patch);
        let Some(patch) = patch else { return };
        let callbacks = patch.callbacks_mut();
        if enabled {
            callbacks.post_patch(&mut self.others);
            patch.set_enabled(now());
        } else {
            callbacks.post_unpatch(&mut self.others);
        }
        let state = if enabled { "enabled" } else { "disabled" };
        let how = match (outcome.forced, outcome.side) {
            (true, _) => " by force",
            (false, Side::To) => "",
            (false, Side::From) => " again",
        };
        pr_info!("{state} patch '{}'{how}\n", Name(patch.name()));
    }
}
