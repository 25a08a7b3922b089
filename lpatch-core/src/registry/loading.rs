// SPDX-License-Identifier: GPL-2.0

//! Loading and unloading of patch objects: what they take from the arena and from the tables, and when that is given back.

use crate::{
    arena::{
        memory::{Mapped, Runs},
        tables::Bug,
    },
    ffi,
    log::Name,
    model::{callbacks::Goal, extable, finalize, image::Image, orc, plan::Plan, refusal::Refusal},
    patch::{
        image,
        reserved::Reserved,
        staged::{not_there, Staged},
        Patch,
    },
    registry::{with, Registry},
    running::time::now,
    uapi::{self, Reason},
};
use kernel::prelude::*;

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

impl Registry {
    /// Takes room in the arena.
    #[inline(never)]
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

    /// Makes the table slots of a patch match nothing.
    fn clear_tables(&self, runs: &Runs) {
        self.tables.clear(runs.text.slots());
        for slot in runs.bugs.first..runs.bugs.first + runs.bugs.units {
            self.tables.clear_bug(slot);
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

    /// Whether it makes sense to wait until a patch can be unloaded: the refusal if not.
    pub(crate) fn unloadable(&self, name: &[u8; uapi::NAME_LEN]) -> Result<(), Refusal> {
        self.unused(name).map(drop)
    }

    /// Frees a patch that is not enabled, if nothing can be executing in it.
    #[inline(never)]
    pub(crate) fn unload(&mut self, name: &[u8; uapi::NAME_LEN]) -> Result<(), Refusal> {
        let at = self.unused(name)?;
        // A dying task goes by the eras of a book, by way of the routes of patches that are not in force any more. They are taken out when
        // nobody needs them, for which memory can be short.
        let text = self.patches[at].text();
        if !self.engine.grace_is_over() || self.engine.remembers(&text) {
            return Err(Reason::Grace.into());
        }
        let others = (self.patches.iter().enumerate())
            .filter(|(i, _)| *i != at)
            .filter_map(|(_, p)| p.names());
        let cleaning = match self.patches[at].runs() {
            Some(runs) => Some((self.kallsyms.prepare(others)?, Mapped::new(runs)?)),
            None => None,
        };

        // Nothing enters the text any more: see `tasks.c`. Who is still inside?
        let range = self.patches[at].text();
        let mut pid = 0;
        // SAFETY: The pointer is to a local variable.
        if unsafe { ffi::lp_text_user(range.start, range.end, &mut pid) } != 0 {
            return Err(Refusal::new(Reason::Busy).value(pid.unsigned_abs().into()));
        }

        // Nothing fails from here on.
        let Ok(patch) = self.patches.remove(at) else {
            return Err(Reason::NoSuchPatch.into());
        };
        if let (Some((prepared, mapped)), Some(runs)) = (cleaning, patch.runs()) {
            self.kallsyms.publish(prepared);
            self.clear_tables(runs);
            mapped.wipe(runs);
        }
        pr_info!("unloaded patch '{}'\n", Name(patch.name()));
        if let Some(runs) = patch.into_runs() {
            self.memory.give(runs);
        }
        Ok(())
    }
}
