// SPDX-License-Identifier: GPL-2.0

//! Enabling and disabling: what is checked before a transition, which callbacks are called, and what the end of a transition means for the
//! patches.

use crate::{
    ffi,
    log::Name,
    model::{callbacks::Goal, refusal::Refusal, states, transition::Side},
    patch::{callbacks::Others, Patch},
    registry::{busy::End, calling, unlocked::Unlocked, with, with_until, Registry, Until},
    running::time::wait_a_moment,
    transition::{
        asking_ftrace::Bringing,
        engine::{interrupt_ms, Kind, Outcome, Wanted},
        urgent::urgently,
    },
    uapi::{self, Reason},
};
use kernel::{bindings, prelude::*};

/// Begins to enable a patch.
pub(crate) fn enable(op: &uapi::Op) -> Result<(), Refusal> {
    let wanted = with_until(Until::Free, |registry| registry.claim_enable(op))?;
    transition(wanted, false)
}

/// Begins to disable a patch.
pub(crate) fn disable(op: &uapi::Op) -> Result<(), Refusal> {
    let wanted = with_until(Until::Free, |registry| registry.claim_disable(op))?;
    transition(wanted, false)
}

/// Whether a transition has begun.
enum Begun {
    /// No: callbacks are due before it.
    Due,
    /// No: these sites have to come to the handler first.
    Missing(Unlocked<Bringing>),
    /// Yes. `true`: it has also ended, and the caller has to call the callbacks that are due after it.
    Yes(bool),
}

/// Begins a transition that was claimed. `expel`: if it does not begin, the patch is removed.
pub(crate) fn transition(wanted: Wanted, expel: bool) -> Result<(), Refusal> {
    let id = wanted.patch;
    let (goal, back) = match wanted.kind {
        Kind::Enable => (Goal::Prepared, Goal::Old),
        Kind::Disable => (Goal::Leaving, Goal::New),
    };
    let mut wanted = Some(wanted);
    let mut begun = Ok(Begun::Due);
    let mut asked = false;
    let begun = loop {
        begun = match begun {
            Ok(Begun::Due) => calling::before(goal).and_then(|()| {
                // While callbacks ran, the driver may have begun to tidy up.
                with_until(Until::Settled, |registry| {
                    urgently(|| registry.begin(&mut wanted, goal))
                })
            }),
            Ok(Begun::Missing(bringing)) => {
                asked = true;
                bring(bringing, &mut wanted, goal)
            }
            Ok(Begun::Yes(ours)) => break Ok(ours),
            Err(refusal) => break Err(refusal),
        };
    };
    match begun {
        Ok(ours) => {
            if ours {
                calling::behind();
            }
            Ok(())
        }
        Err(refusal) => {
            calling::take_back(back);
            if asked {
                // Sites may have come that nobody needs.
                let _ = with(|registry| {
                    registry.engine().tidy_up();
                    Ok(())
                });
            }
            give_up(id, expel);
            Err(refusal)
        }
    }
}

/// Asks ftrace for sites, with the registry unlocked, and then tries to begin. If a module has been loaded meanwhile, the sites that ftrace
/// has taken are not enough. So this comes to an end when no module is loaded.
#[inline(never)]
fn bring(
    mut bringing: Unlocked<Bringing>,
    wanted: &mut Option<Wanted>,
    goal: Goal,
) -> Result<Begun, Refusal> {
    // The thread has nothing else to do: what is about a transition under way is not asked of it where none is.
    urgently(|| bringing.ask());
    // The driver does nothing about sites until this is taken in, and nobody else begins a transition. So nothing has to settle.
    with(|registry| {
        let taken = bringing.take_in(registry.engine())?;
        taken.map_err(|refusal| registry.place_of(wanted, refusal))?;
        urgently(|| registry.begin(wanted, goal))
    })
}

/// Ends the claim for a patch whose transition did not begin. `expel`: the patch is removed.
fn give_up(id: u64, expel: bool) {
    loop {
        let over = with(|registry| {
            let at = registry.patches.iter().position(|patch| patch.id() == id);
            if let Some(at) = at.filter(|_| expel) {
                // A module may be going that it was prepared for.
                let task = registry.patches[at].callbacks().task();
                if task.is_some_and(|task| !task.dead) {
                    return Ok(false);
                }
                // No call was sent into it, so nobody can be inside.
                drop(registry.patches.remove(at));
            }
            registry.unclaim();
            Ok(true)
        });
        if over.unwrap_or(true) {
            return;
        }
        wait_a_moment();
    }
}

/// Turns the transition of a patch around.
pub(crate) fn reverse(op: &uapi::Op) -> Result<(), Refusal> {
    let ours = with(|registry| {
        registry.reversible(op)?;
        urgently(|| registry.reverse(op))
    })?;
    if ours {
        calling::behind();
    }
    Ok(())
}

/// Ends the transition of a patch with tasks on both sides.
pub(crate) fn force(op: &uapi::Op) -> Result<(), Refusal> {
    if with(|registry| registry.force(op))? {
        calling::behind();
    }
    Ok(())
}

impl Registry {
    /// Whether a patch can be enabled now, and the transition that this takes, which the caller begins.
    pub(super) fn claim_enable(&mut self, op: &uapi::Op) -> Result<Wanted, Refusal> {
        let at = self.position(&op.name)?;
        let patch = &self.patches[at];
        if let Some(pid) = patch.stuck() {
            return Err(Refusal::new(Reason::Stuck).value(pid.into()));
        }
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
            interrupt_ms: interrupt_ms(op.interrupt_ms, uapi::INTERRUPT_MS),
        };
        // SAFETY: No requirements.
        unsafe {
            bindings::add_taint(
                bindings::TAINT_LIVEPATCH,
                bindings::lockdep_ok_LOCKDEP_STILL_OK,
            )
        };
        self.claimed(wanted)
    }

    /// Whether a patch can be disabled now, and the transition that this takes, which the caller begins.
    fn claim_disable(&mut self, op: &uapi::Op) -> Result<Wanted, Refusal> {
        let at = self.position(&op.name)?;
        let patch = &self.patches[at];
        if let Some(pid) = patch.stuck() {
            return Err(Refusal::new(Reason::Stuck).value(pid.into()));
        }
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
            interrupt_ms: interrupt_ms(op.interrupt_ms, uapi::INTERRUPT_MS),
        };
        self.claimed(wanted)
    }

    fn claimed(&mut self, wanted: Wanted) -> Result<Wanted, Refusal> {
        self.others = self.others(wanted.patch)?;
        let doing = match wanted.kind {
            Kind::Enable => "enabling",
            Kind::Disable => "disabling",
        };
        pr_info!("{doing} patch '{}'\n", Name(&wanted.name));
        self.claim(wanted.patch, wanted.kind);
        Ok(wanted)
    }

    /// Begins a transition, after the callbacks that are due before it.
    fn begin(&mut self, wanted: &mut Option<Wanted>, goal: Goal) -> Result<Begun, Refusal> {
        // From now on a module that comes finds the patch in transition. One that has come since is not prepared yet.
        if self.is_due(goal) {
            return Ok(Begun::Due);
        }
        let after = wanted.as_ref().map_or(&[][..], |wanted| &wanted.after);
        if let Some(bringing) = self.engine.missing_for(&self.patches, after)? {
            return Ok(Begun::Missing(Unlocked::new(bringing)));
        }
        let Some(wanted) = wanted.take() else {
            unreachable!("it begins once");
        };
        self.engine.begin(&self.patches, wanted)?;
        self.busy = None;
        // SAFETY: No requirements.
        unsafe { ffi::lp_event() };
        let ours = self.step(true);
        // SAFETY: No requirements.
        unsafe { ffi::lp_driver_kick() };
        Ok(Begun::Yes(ours))
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

    /// Turns ftrace's refusal of a site into one of a function of the patch.
    fn place_of(&self, wanted: &Option<Wanted>, refusal: Refusal) -> Refusal {
        let id = wanted.as_ref().map(|wanted| wanted.patch);
        let patch = self.patches.iter().find(|patch| Some(patch.id()) == id);
        let Some(patch) = patch.filter(|_| refusal.reason == Reason::FuncOwned) else {
            return refusal;
        };
        let i = (patch.sites().iter()).position(|site| site.ip == refusal.value);
        Refusal::at(Reason::FuncOwned, i.unwrap_or(0))
    }

    /// Refuses to reverse a transition that is not under way. Only a request that begins a transition asks ftrace by the urgent thread. So
    /// from here on, that thread waits for nobody.
    fn reversible(&self, op: &uapi::Op) -> Result<(), Refusal> {
        let at = self.position(&op.name)?;
        self.not_before(at)?;
        match self.engine.in_transition() {
            Some(id) if id == self.patches[at].id() => Ok(()),
            _ => Err(Reason::NoTransition.into()),
        }
    }

    /// Returns whether the caller has to call the callbacks that are due after the transition.
    fn reverse(&mut self, op: &uapi::Op) -> Result<bool, Refusal> {
        let id = self.patches[self.position(&op.name)?].id();
        self.engine.reverse(id, op.interrupt_ms)?;
        pr_info!("reversing the transition of patch '{}'\n", Name(&op.name));
        let ours = self.step(true);
        // SAFETY: No requirements.
        unsafe { ffi::lp_driver_kick() };
        Ok(ours)
    }

    /// Returns whether the caller has to call the callbacks that are due after the transition.
    fn force(&mut self, op: &uapi::Op) -> Result<bool, Refusal> {
        let at = self.position(&op.name)?;
        self.not_before(at)?;
        let outcome = self.engine.force(self.patches[at].id())?;
        Ok(self.ended(&outcome, true))
    }

    /// Refuses requests about the transition of a patch while that transition is about to begin.
    fn not_before(&self, at: usize) -> Result<(), Refusal> {
        let patch = &self.patches[at];
        if self.is_before(patch.id()) {
            return self.no_callback(patch);
        }
        Ok(())
    }

    /// Moves tasks, and completes the transition if all have moved. Returns whether callbacks are due after it. If it is `ours`, the caller
    /// has to call them.
    pub(crate) fn step(&mut self, ours: bool) -> bool {
        match self.engine.step() {
            Some(outcome) => self.ended(&outcome, ours),
            None => false,
        }
    }

    /// Notes that a transition has ended. Returns the same as `step()`.
    fn ended(&mut self, outcome: &Outcome, ours: bool) -> bool {
        if outcome.forced {
            // Tasks may be in code of any patch that took part, for ever.
            for id in outcome.took_part.iter() {
                let part = self.patches.iter_mut().find(|patch| patch.id() == *id);
                part.map(Patch::pin);
            }
        }
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
        let end = End {
            enabled: (outcome.kind == Kind::Enable) == (outcome.side == Side::To),
            how: match (outcome.forced, outcome.side) {
                (true, _) => " by force",
                (false, Side::To) => "",
                (false, Side::From) => " again",
            },
            taken: ours,
        };
        self.end(outcome.patch, end)
    }
}
