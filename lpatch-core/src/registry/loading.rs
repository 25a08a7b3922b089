// SPDX-License-Identifier: GPL-2.0

//! Loading and unloading of patches: what patch objects take from the arena and from the tables. `lingering.rs` gives it back.

use crate::{
    arena::{memory::Runs, tables::Bug},
    ffi,
    log::Name,
    model::{callbacks::Goal, extable, finalize, image::Image, orc, plan::Plan, refusal::Refusal},
    patch::{
        image,
        reserved::Reserved,
        staged::{not_there, Staged},
        Patch,
    },
    registry::{with, with_until, Registry, Until},
    running::time::{now, GRACE_NS},
    transition::users::user_of,
    uapi::{self, Reason},
};
use kernel::{bindings, prelude::*};

/// How often tasks are looked at, a few milliseconds apart, before one counts as one that is in a patch.
const PASSES: u32 = 50;

/// Verifies and installs an image. Takes the reservation, which is the caller's alone, only on success.
///
/// To verify it can take long, where the kernel has to be asked what was in the place of kprobes. So the registry is not locked
/// meanwhile. The modules that the image has addresses of are held until the patch is there.
#[inline(never)]
pub(crate) fn load(slot: &mut Option<Reserved>, bytes: &[u8], flags: u64) -> Result<(), Refusal> {
    let image = image::read(bytes)?;
    let facts = with(|registry| registry.may_load(&image.header.name))?;
    let reserved = slot.as_ref().ok_or(Reason::NoReservation)?;
    let staged = Staged::new(&image, bytes, reserved, &facts)?;
    with(|registry| registry.install(slot, &image, staged, flags))
}

/// Takes room in the arena. If there is none, it waits until unloaded patches have given theirs back.
pub(crate) fn reserve(request: &uapi::Reserve) -> Result<Reserved, Refusal> {
    let end = now().saturating_add(GRACE_NS);
    loop {
        // SAFETY: No requirements.
        let seen = unsafe { ffi::lp_event_count() };
        let (taken, more) = with(|registry| {
            let taken = registry.take(request);
            Ok((taken, registry.lingering() > 0))
        })?;
        let left = end.saturating_sub(now());
        match taken {
            Err(refusal) if more && left > 0 && is_full(refusal.reason) => {
                // SAFETY: No requirements; we may sleep.
                let error = unsafe { ffi::lp_event_wait(seen, (left / 1_000_000 + 1) as u32) };
                if error == -(bindings::EINTR as i32) {
                    return Err(Reason::Interrupted.into());
                }
            }
            taken => return taken,
        }
    }
}

fn is_full(reason: Reason) -> bool {
    use Reason::{ArenaBugs, ArenaData, ArenaRodata, ArenaText};
    matches!(reason, ArenaText | ArenaRodata | ArenaData | ArenaBugs)
}

impl Registry {
    /// Takes room in the arena.
    #[inline(never)]
    fn take(&mut self, request: &uapi::Reserve) -> Result<Reserved, Refusal> {
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

    /// Symbols of patches have a table from now on.
    pub(crate) fn begin_names(&mut self) {
        self.kallsyms.begin();
    }

    /// Frees the tables of symbols that nobody reads any more.
    pub(super) fn forget_names(&mut self) {
        self.kallsyms.forget();
    }

    /// Gives a reservation back that no patch came of.
    pub(crate) fn release(&mut self, reserved: Reserved) {
        self.memory.give(reserved.runs);
    }

    /// Whether a patch of this name can be loaded; what that takes to know of this boot.
    #[inline(never)]
    fn may_load(&self, name: &[u8; uapi::NAME_LEN]) -> Result<KBox<finalize::Facts>, Refusal> {
        if !self.kallsyms.is_ready() {
            return Err(Reason::NotReady.into());
        }
        let facts = self.facts.as_ref().map_err(|refusal| *refusal)?;
        if self.position(name).is_ok() {
            return Err(Reason::Exists.into());
        }
        Ok(KBox::new(*facts, GFP_KERNEL)?)
    }

    /// Installs a verified image. Takes the reservation only on success.
    #[inline(never)]
    fn install(
        &mut self,
        slot: &mut Option<Reserved>,
        image: &Image<'_>,
        staged: Staged,
        flags: u64,
    ) -> Result<(), Refusal> {
        // What may have come since that was asked: the registry was not locked.
        if self.position(&image.header.name).is_ok() {
            return Err(Reason::Exists.into());
        }
        not_there(image)?;
        let reserved = slot.as_ref().ok_or(Reason::NoReservation)?;
        let loaded = self.patches.iter().filter_map(Patch::names);
        let names = Iterator::chain(loaded, core::iter::once(staged.names(reserved)));
        let prepared = self.kallsyms.prepare(names)?;
        self.patches.reserve(1, GFP_KERNEL)?;

        // Nothing fails from here on.
        let Some(reserved) = slot.take() else {
            return Err(Reason::NoReservation.into());
        };
        let mut patch = staged.install(image, reserved, self.next_id, now());
        patch.set_promoted(flags & uapi::LOAD_NO_PROMOTE == 0);
        patch.set_refuses_modules(flags & uapi::LOAD_REFUSE_MODULES != 0);
        self.next_id += 1;
        if let Some(runs) = patch.runs() {
            self.fill_tables(image, runs);
        }
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

    /// Where a patch is that may be unloaded as soon as nobody is in it.
    fn unused(&self, name: &[u8; uapi::NAME_LEN]) -> Result<usize, Refusal> {
        let at = self.position(name)?;
        self.no_callback(&self.patches[at])?;
        let id = self.patches[at].id();
        match self.state_of(id) {
            uapi::STATE_LOADED => {}
            uapi::STATE_ENABLED => return Err(Reason::Enabled.into()),
            _ => return Err(Refusal::new(Reason::InTransition).value(id)),
        }
        if self.patches[at].is_pinned() {
            return Err(Reason::Pinned.into());
        }
        // Of a module that comes, in a moment.
        if self.patches[at].callbacks().is_due(Goal::Old) {
            return Err(Reason::InCallback.into());
        }
        Ok(at)
    }

    /// Whether it makes sense to wait until a patch module can be unloaded: the refusal if not. `false`: it is no module, and nothing has to be waited for.
    fn waits(&self, name: &[u8; uapi::NAME_LEN]) -> Result<bool, Refusal> {
        Ok(self.patches[self.unused(name)?].runs().is_none())
    }

    /// Takes a patch out that is not enabled, if no task is seen in it. The memory of a patch object is given back later. That of a patch
    /// module is freed when its module goes, which it may from now on. So nobody may be in it any more.
    #[inline(never)]
    fn take_out(&mut self, name: &[u8; uapi::NAME_LEN]) -> Result<(), Refusal> {
        let at = self.unused(name)?;
        let patch = &self.patches[at];
        let text = patch.text();
        // Of a module; it may have come in the place of an object meanwhile.
        if patch.runs().is_none() && self.may_be_entered(&text) {
            return Err(Reason::Grace.into());
        }
        let others = (self.patches.iter().enumerate())
            .filter(|(i, _)| *i != at)
            .filter_map(|(_, p)| p.names());
        let names = (patch.runs())
            .map(|_| self.kallsyms.prepare(others))
            .transpose()?;
        self.lingering.reserve(1, GFP_KERNEL)?;
        if let Some(pid) = user_of(&text, PASSES) {
            return Err(Refusal::new(Reason::Busy).value(pid));
        }

        // Nothing fails from here on.
        let Ok(patch) = self.patches.remove(at) else {
            return Err(Reason::NoSuchPatch.into());
        };
        pr_info!("unloaded patch '{}'\n", Name(patch.name()));
        if let Some(names) = names {
            self.kallsyms.publish(names);
            self.linger(patch);
        }
        Ok(())
    }
}

/// Unloads a patch. What that has to wait for before a patch module is unloaded is not waited for in a transition, since nothing is tidied up then.
pub(crate) fn unload(name: &[u8; uapi::NAME_LEN]) -> Result<(), Refusal> {
    let take_out = |registry: &mut Registry| registry.take_out(name);
    if with(|registry| registry.waits(name))? {
        with_until(Until::Tidy, take_out)
    } else {
        with(take_out)
    }
}
