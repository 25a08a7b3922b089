// SPDX-License-Identifier: GPL-2.0

//! All patches, and what happens to them.
//!
//! Lock order:
//! 1. the lock of an open file (`ioctl/device.rs`), which guards its reservation
//! 2. [`REGISTRY`]
//! 3. the kernel's own, taken by functions that are called here: `cpu_hotplug_lock`, `text_mutex`
//!
//! No lock is held while callbacks of patches are called (`calling.rs`). Meanwhile the registry is *busy*.
//!
//! Others can hold some locks of the kernel for as long as a kernel thread does not sleep. Everything that takes one of these locks is done
//! with the registry unlocked: asking kprobes (`running/probes.rs`), and asking ftrace for anything that takes `direct_mutex` or
//! `ftrace_lock` (`transition/asking_ftrace.rs`, `driver.rs`).
//!
//! Some readers take none of these locks: the ftrace handler (`shim/redirect.c`, `transition/handler.rs`), and the readers of the module's
//! tables (`arena/tables.rs`) and of its symbols (`arena/symbols.rs`).

use crate::{
    arena::{memory::Memory, symbols::Kallsyms, tables::Tables},
    ffi,
    log::{self, Name},
    model::{finalize, refusal::Refusal},
    patch::{callbacks::Others, Patch},
    registry::{
        busy::{may_wait, Busy, Step},
        unloaded::Lingering,
    },
    running::time::{now, GRACE_NS},
    transition::engine::Engine,
    uapi::{self, Reason},
};
use kernel::{bindings, prelude::*};

mod busy;
mod calling;
mod driver;
pub(crate) mod lifecycle;
mod lingering;
pub(crate) mod loading;
mod patch_module;
mod questions;
mod register;
pub(crate) mod targets;
mod unloaded;
mod unlocked;

kernel::sync::global_lock! {
    // SAFETY: Initialized by the module's initialization before the device exists.
    pub(crate) unsafe(uninit) static REGISTRY: Mutex<Option<KBox<Registry>>> = None;
}

/// The patches and what they live in.
pub(crate) struct Registry {
    memory: Memory,
    tables: Tables,
    kallsyms: Kallsyms,
    facts: Result<finalize::Facts, Refusal>,
    pub(crate) patches: KVec<Patch>,
    /// Patches that were unloaded, but in whose memory a dying task may still execute.
    lingering: KVec<Lingering>,
    pub(crate) engine: Engine,
    /// Callbacks before or after a transition, if some are due.
    busy: Option<Busy>,
    /// The states of other patches for those callbacks, from the claim until the callbacks that are due after the transition have been
    /// called.
    others: Others,
    next_id: u64,
}

/// What a request waits for before it is carried out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Nothing is left to be done after the last transition, and nobody asks ftrace.
    Settled,
    /// Nothing is left to be done after the last transition, and no callbacks are due before or after one.
    Free,
    /// Nothing is left to be done after the last transition. Also, every task that was dying at its end is gone, and the current book holds
    /// only what is in force; or [`GRACE_NS`] have passed. Sites that nobody needs may still be on their way back to ftrace, since no call
    /// gets from there to a patch.
    Tidy,
}

/// How often a task that waits for a callback looks whether the callback's task is still alive. Nobody is told of its death.
pub(crate) const LOOK_MS: u32 = 1000;

/// Runs `f` on the registry when the condition holds.
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
            registry.bury();
            let left = end.saturating_sub(now());
            let engine = &registry.engine;
            if until == Until::Free && registry.busy.is_some() {
                may_wait()?;
                LOOK_MS
            } else if engine.settling() && !(until == Until::Tidy && engine.returning())
                || until == Until::Settled && engine.is_asking()
            {
                0
            } else if until != Until::Tidy || registry.engine.tidy_soon() || left == 0 {
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
        Some(registry) => {
            registry.bury();
            f(registry)
        }
        None => Err(Reason::NotReady.into()),
    }
}

impl Registry {
    /// # Safety
    ///
    /// Called once, from the module's initialization, with this module.
    #[inline(never)]
    pub(crate) unsafe fn new(
        module: &'static ThisModule,
        facts: Result<finalize::Facts, Refusal>,
    ) -> Result<KBox<Self>> {
        let room = KBox::<Self>::new_uninit(GFP_KERNEL)?;
        let memory = Memory::new()?;
        // SAFETY: As this function's.
        let tables = unsafe { Tables::install(module.as_ptr(), memory.text.all())? };
        Ok(room.write(Self {
            memory,
            tables,
            // SAFETY: As this function's.
            kallsyms: unsafe { Kallsyms::new(module.as_ptr()) },
            facts,
            patches: KVec::new(),
            lingering: KVec::new(),
            engine: Engine::new()?,
            busy: None,
            others: Others::default(),
            next_id: 1,
        }))
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
            let (reason, value) = (refusal.reason.code(), log::Shown(refusal.value));
            pr_warn!("no patch can be loaded on this boot: reason {reason}, value {value}\n");
        }
    }

    fn position(&self, name: &[u8; uapi::NAME_LEN]) -> Result<usize, Refusal> {
        self.patches
            .iter()
            .position(|p| p.name() == name)
            .ok_or(Reason::NoSuchPatch.into())
    }

    pub(crate) fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// Ends a claim: no request is about to begin a transition any more.
    pub(super) fn unclaim(&mut self) {
        self.busy = None;
        self.others = Others::default();
        // SAFETY: No requirements.
        unsafe { ffi::lp_event() };
    }

    /// Gives up tasks that have died in a callback: their patches stay as they are, and the registry is not busy with them any more.
    pub(super) fn bury(&mut self) {
        // SAFETY: No requirements.
        if unsafe { ffi::lp_any_active() } == 0 {
            return;
        }
        for patch in self.patches.iter_mut() {
            let dead = patch.callbacks().task().filter(|task| task.dead);
            if let Some(task) = dead.filter(|_| patch.stuck().is_none()) {
                patch.set_stuck(task.pid);
                pr_err!(
                    "a task ({}) died in a callback of patch '{}', which stays as it is until the next boot\n",
                    task.pid,
                    Name(patch.name())
                );
            }
        }
        let Some(Busy {
            patch,
            at: Some(at),
            step,
        }) = &self.busy
        else {
            return;
        };
        let callbacks = (self.patches.iter()).find(|other| other.id() == *patch);
        let task = callbacks.and_then(|patch| patch.callbacks().task_at(*at));
        if task.is_some_and(|task| task.dead) {
            if matches!(step, Step::Behind(_)) {
                self.engine.announce(uapi::TRANSITION_DIED);
            }
            self.unclaim();
        }
    }
}
