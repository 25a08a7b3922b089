// SPDX-License-Identifier: GPL-2.0

//! All patches, and what happens to them.
//!
//! Lock order:
//! 1. the lock of an open file (`device.rs`), which guards its reservation
//! 2. [`REGISTRY`]
//! 3. the kernel's own, taken by what is called here: `direct_mutex`, `ftrace_lock`, `cpu_hotplug_lock`
//!
//! Readers that take none of these: the ftrace handler (`redirect.rs`), the readers of the module's tables
//! (`tables.rs`) and of its symbols (`kallsyms.rs`).

use crate::{
    callbacks::Others,
    engine::{now, Engine, Kind, Outcome, Wanted},
    facts, ffi,
    kallsyms::Kallsyms,
    memory::{Mapped, Memory, Runs},
    model::{
        extable, finalize, image::Image, orc, plan::Plan, refusal::Refusal, states, transition::Side,
    },
    patch::{Patch, Reserved, Staged},
    tables::{Bug, Tables},
    uapi::{self, Reason},
};
use kernel::{bindings, prelude::*};

kernel::sync::global_lock! {
    // SAFETY: Initialized by the module's initialization before the device exists.
    pub(crate) unsafe(uninit) static REGISTRY: Mutex<Option<Registry>> = None;
}

/// The patches and what they live in.
pub(crate) struct Registry {
    module: &'static ThisModule,
    memory: Memory,
    tables: Tables,
    kallsyms: Kallsyms,
    facts: Result<finalize::Facts, Refusal>,
    pub(crate) patches: KVec<Patch>,
    pub(crate) engine: Engine,
    /// For the callbacks at the end of a transition.
    others: Others,
    next_id: u64,
}

/// What a request waits for before it is carried out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Nothing is left to be done behind the last transition.
    Settled,
    /// And all tasks are gone that were dying when it ended, and everything is let go of, or that takes too long.
    Tidy,
}

/// How long a request waits for a grace period.
const GRACE_NS: u64 = 3_000_000_000;

/// Runs `f` on the registry when it is time to.
pub(crate) fn with_until<T>(
    until: Until,
    f: impl FnOnce(&mut Registry) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let end = now().saturating_add(GRACE_NS);
    loop {
        // SAFETY: No requirements.
        let seen = unsafe { ffi::lp_event_count() };
        let limit_ms = {
            let mut guard = REGISTRY.lock();
            let registry = guard.as_mut().ok_or(Reason::NotReady)?;
            let left = end.saturating_sub(now());
            if registry.engine.settling() {
                0
            } else if until == Until::Settled || registry.engine.tidy_soon() || left == 0 {
                return f(registry);
            } else {
                (left / 1_000_000 + 1) as u32
            }
        };
        // SAFETY: No requirements; we may sleep.
        let error = unsafe { ffi::lp_event_wait(seen, limit_ms) };
        if error == -(bindings::EINTR as i32) {
            return Err(Reason::Interrupted.into());
        }
    }
}

/// Runs `f` on the registry.
pub(crate) fn with<T>(f: impl FnOnce(&mut Registry) -> Result<T, Refusal>) -> Result<T, Refusal> {
    match REGISTRY.lock().as_mut() {
        Some(registry) => f(registry),
        None => Err(Reason::NotReady.into()),
    }
}

impl Registry {
    /// # Safety
    ///
    /// Called once, from the module's initialization, with this module.
    pub(crate) unsafe fn new(module: &'static ThisModule) -> Result<Self> {
        let memory = Memory::new()?;
        // SAFETY: As this function's.
        let tables = unsafe { Tables::install(module.as_ptr(), memory.text.all())? };
        Ok(Self {
            module,
            memory,
            tables,
            // SAFETY: As this function's.
            kallsyms: unsafe { Kallsyms::new(module.as_ptr()) },
            facts: facts::learn(),
            patches: KVec::new(),
            engine: Engine::new(),
            others: Others::default(),
            next_id: 1,
        })
    }

    /// Says in the log what there is.
    pub(crate) fn announce(&self) {
        let m = &self.memory;
        pr_info!(
            "ready: {} KiB text, {} KiB rodata, {} KiB data for patches\n",
            m.text.total() >> 10,
            m.rodata.total() >> 10,
            m.data.total() >> 10
        );
        if let Err(refusal) = self.facts {
            let (reason, value) = (refusal.reason.code(), refusal.value);
            pr_warn!("no patch can be loaded on this boot: reason {reason}, value {value:#x}\n");
        }
    }

    pub(crate) fn query(&mut self, q: &mut uapi::Query) {
        q.abi = uapi::ABI_VERSION;
        q.features = uapi::F_CONSISTENCY;
        q.page_size = kernel::page::PAGE_SIZE as u32;
        q.orc_per_page = ffi::LP_ORC_PER_PAGE;
        q.ex_per_page = ffi::LP_EX_PER_PAGE;
        q.bugs_total = self.memory.bugs.total() as u32;
        q.bugs_free = self.memory.bugs.free() as u32;
        q.patches = self.patches.len() as u32;
        q.text_total = self.memory.text.total();
        q.text_free = self.memory.text.free();
        q.rodata_total = self.memory.rodata.total();
        q.rodata_free = self.memory.rodata.free();
        q.data_total = self.memory.data.total();
        q.data_free = self.memory.data.free();
        q.image_max = uapi::IMAGE_MAX.into();
        q.orc_hash = crate::model::verify::Kernel::orc_hash(&facts::Running::new());
    }

    /// Takes room in the arena.
    pub(crate) fn reserve(&mut self, request: &uapi::Reserve) -> Result<Reserved, Refusal> {
        let plan = Plan::new(request)?;
        let full = |reason: Reason| move |largest: u64| Refusal::new(reason).value(largest);
        let m = &mut self.memory;
        let text = m
            .text
            .take(plan.text_pages)
            .map_err(full(Reason::ArenaText))?;
        let rodata = match m.rodata.take(plan.rodata_pages) {
            Ok(run) => run,
            Err(largest) => {
                m.text.give(text);
                return Err(full(Reason::ArenaRodata)(largest));
            }
        };
        let data = match m.data.take(plan.data_pages) {
            Ok(run) => run,
            Err(largest) => {
                m.text.give(text);
                m.rodata.give(rodata);
                return Err(full(Reason::ArenaData)(largest));
            }
        };
        let bugs = match m.bugs.take(plan.bugs) {
            Ok(run) => run,
            Err(largest) => {
                m.text.give(text);
                m.rodata.give(rodata);
                m.data.give(data);
                return Err(full(Reason::ArenaBugs)(largest));
            }
        };
        Ok(Reserved {
            runs: Runs {
                text,
                rodata,
                data,
                bugs,
            },
            request: *request,
        })
    }

    /// Gives a reservation back that no patch came of.
    pub(crate) fn release(&mut self, reserved: Reserved) {
        self.memory.give(reserved.runs);
    }

    fn position(&self, name: &[u8; uapi::NAME_LEN]) -> Result<usize, Refusal> {
        self.patches
            .iter()
            .position(|p| p.name() == name)
            .ok_or(Reason::NoSuchPatch.into())
    }

    /// Verifies and installs an image. Takes the reservation only on success.
    pub(crate) fn load(
        &mut self,
        slot: &mut Option<Reserved>,
        bytes: &[u8],
    ) -> Result<(), Refusal> {
        if !self.kallsyms.is_ready() {
            return Err(Reason::NotReady.into());
        }
        let reserved = slot.as_ref().ok_or(Reason::NoReservation)?;
        let facts = self.facts?;
        let image = Image::parse(bytes, facts::crc32)?;
        if self.position(&image.header.name).is_ok() {
            return Err(Reason::Exists.into());
        }
        let staged = Staged::new(&image, bytes, reserved, &facts, self.module)?;
        let loaded = self.patches.iter().map(Patch::names);
        let names = Iterator::chain(loaded, core::iter::once(staged.names(reserved)));
        let prepared = self.kallsyms.prepare(names)?;
        self.patches.reserve(1, GFP_KERNEL)?;

        // Nothing fails from here on.
        let Some(reserved) = slot.take() else {
            return Err(Reason::NoReservation.into());
        };
        let patch = staged.install(&image, reserved, self.next_id, now());
        self.next_id += 1;
        self.fill_tables(&image, patch.runs());
        self.kallsyms.publish(prepared);
        pr_info!(
            "loaded patch '{}': {} functions\n",
            Name(patch.name()),
            patch.funcs().len()
        );
        if self.patches.push_within_capacity(patch).is_err() {
            unreachable!("room was reserved");
        }
        Ok(())
    }

    /// Fills the table slots of a patch that is written and that nothing executes yet.
    fn fill_tables(&self, image: &Image<'_>, runs: &Runs) {
        let run = runs.text.slots();
        // Both fit: the plan counted the slots, and `verify` the entries against it.
        orc::fill(run, image.orcs)
            .into_iter()
            .flatten()
            .for_each(|slot| self.tables.set_orc(slot));
        extable::fill(run, image.exs)
            .into_iter()
            .flatten()
            .for_each(|slot| self.tables.set_ex(slot));

        let string = |offset: u32| match offset {
            uapi::NO_OFFSET => 0,
            offset => runs.rodata.addr + offset as usize,
        };
        for (i, bug) in image.bugs.iter().enumerate() {
            let bug = Bug {
                insn: runs.text.addr + bug.insn as usize,
                format: string(bug.format),
                file: string(bug.file),
                line: bug.line,
                flags: bug.flags,
            };
            self.tables.set_bug(runs.bugs.first + i, bug);
        }
    }

    /// Makes the table slots of a patch match nothing.
    fn clear_tables(&self, runs: &Runs) {
        self.tables.clear(runs.text.slots());
        for slot in runs.bugs.first..runs.bugs.first + runs.bugs.units {
            self.tables.clear_bug(slot);
        }
    }

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
            } else if let Some(i) = patch.shares(other) {
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
            if newer.is_some_and(|other| patch.shares(other).is_some()) {
                return Err(Refusal::new(Reason::Stacked).value(*id));
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

    pub(crate) fn engine(&mut self) -> &mut Engine {
        &mut self.engine
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
        for other in self.patches.iter_mut().filter(|patch| patch.id() != outcome.patch) {
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

    /// Where a patch is that may be unloaded as soon as nobody is in it.
    fn unused(&self, name: &[u8; uapi::NAME_LEN]) -> Result<usize, Refusal> {
        let at = self.position(name)?;
        let id = self.patches[at].id();
        match self.engine.state_of(id) {
            uapi::STATE_LOADED => {}
            uapi::STATE_ENABLED => return Err(Reason::Enabled.into()),
            _ => return Err(Refusal::new(Reason::InTransition).value(id)),
        }
        if self.patches[at].is_pinned() {
            return Err(Reason::Pinned.into());
        }
        Ok(at)
    }

    /// Whether it makes sense to wait until a patch can be unloaded: the refusal if not.
    pub(crate) fn unloadable(&self, name: &[u8; uapi::NAME_LEN]) -> Result<(), Refusal> {
        self.unused(name).map(drop)
    }

    /// Frees a patch that is not enabled, if nothing can be executing in it.
    pub(crate) fn unload(&mut self, name: &[u8; uapi::NAME_LEN]) -> Result<(), Refusal> {
        let at = self.unused(name)?;
        if !self.engine.grace_is_over() {
            return Err(Reason::Grace.into());
        }
        let others = self
            .patches
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != at)
            .map(|(_, p)| p.names());
        let prepared = self.kallsyms.prepare(others)?;
        let mapped = Mapped::new(self.patches[at].runs())?;

        // Nothing enters the text any more, since `disable` waited for the handlers. Who is still inside?
        let range = self.patches[at].runs().text.range();
        let mut pid = 0;
        // SAFETY: The pointer is to a local variable.
        if unsafe { ffi::lp_text_user(range.start, range.end, &mut pid) } != 0 {
            return Err(Refusal::new(Reason::Busy).value(pid.unsigned_abs().into()));
        }

        // Nothing fails from here on.
        self.kallsyms.publish(prepared);
        let Ok(patch) = self.patches.remove(at) else {
            return Err(Reason::NoSuchPatch.into());
        };
        self.clear_tables(patch.runs());
        mapped.wipe(patch.runs());
        pr_info!("unloaded patch '{}'\n", Name(patch.name()));
        self.memory.give(patch.into_runs());
        Ok(())
    }

    /// All patches, oldest first.
    pub(crate) fn list(&self) -> Result<KVVec<uapi::PatchInfo>, Refusal> {
        let mut all = KVVec::with_capacity(self.patches.len(), GFP_KERNEL)?;
        for patch in self.patches.iter() {
            all.push(self.info(patch), GFP_KERNEL)?;
        }
        Ok(all)
    }

    /// One patch with the functions that it replaces, of which the first `limit` are described.
    pub(crate) fn status(
        &self,
        name: &[u8; uapi::NAME_LEN],
        limit: usize,
    ) -> Result<(uapi::PatchInfo, KVVec<uapi::FuncInfo>), Refusal> {
        let patch = &self.patches[self.position(name)?];
        let len = patch.funcs().len().min(limit);
        let mut funcs = KVVec::with_capacity(len, GFP_KERNEL)?;
        for func in &patch.funcs()[..len] {
            funcs.push(patch.func_info(func), GFP_KERNEL)?;
        }
        Ok((self.info(patch), funcs))
    }

    fn info(&self, patch: &Patch) -> uapi::PatchInfo {
        let id = patch.id();
        patch.info(self.engine.state_of(id), self.engine.rank(id))
    }
}

/// A name for the log.
pub(crate) struct Name<'a>(pub(crate) &'a [u8]);

impl kernel::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        let name = self.0.split(|b| *b == 0).next().unwrap_or_default();
        f.write_str(core::str::from_utf8(name).unwrap_or("?"))
    }
}
