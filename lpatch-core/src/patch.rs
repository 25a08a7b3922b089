// SPDX-License-Identifier: GPL-2.0

//! The life of one patch.
//!
//! `Reserved` (memory, no contents) → [`Staged`] (verified, everything that can fail is done, nothing of it
//! visible) → [`Patch`] (in memory and in the tables). Each step consumes the one before. Whether calls are sent into a
//! patch is the engine's business.

use crate::{
    callbacks::Callbacks,
    facts::{self, Running},
    kallsyms::Names,
    memory::{Mapped, Run, Runs},
    model::{
        fentry, finalize,
        image::Image,
        refusal::Refusal,
        transition::stack::Span,
        verify::{self, Area, Reservation},
    },
    modules::{Modules, OwnModule},
    redirect::Ready,
    uapi::{self, Reason, NAME_LEN, VERSION_LEN},
};
use kernel::prelude::*;

/// Room in the arena for one patch, with the lengths that were asked for.
pub(crate) struct Reserved {
    pub(crate) runs: Runs,
    pub(crate) request: uapi::Reserve,
}

impl Reserved {
    /// Addresses and lengths, as the image is verified against them.
    fn reservation(&self) -> Reservation {
        let area = |run: &Run, len: u32| Area {
            addr: run.addr as u64,
            len: len.into(),
        };
        let (runs, request) = (&self.runs, &self.request);
        Reservation {
            text: area(&runs.text, request.text_len),
            rodata: area(&runs.rodata, request.rodata_len),
            data: area(&runs.data, request.data_len),
            orcs: request.orcs.into(),
            exs: request.exs.into(),
            bugs: request.bugs.into(),
        }
    }
}

/// A verified image, with everything that its installation needs. Nothing of it is visible yet; dropping
/// it takes everything back.
pub(crate) struct Staged {
    mapped: Mapped,
    text: KVVec<u8>,
    sites: KVVec<Site>,
    modules: Modules,
    own: OwnModule,
    names: Strings,
    funcs: KVVec<uapi::Func>,
    colds: KVVec<uapi::Cold>,
    callbacks: Callbacks,
}

/// The strings of a patch and its symbols.
struct Strings {
    /// The name of the patch itself.
    patch: KVVec<u8>,
    strings: KVVec<u8>,
    ksyms: KVVec<uapi::Ksym>,
}

impl Staged {
    /// Checks every claim of the image against the reservation and the running kernel.
    pub(crate) fn new(
        image: &Image<'_>,
        reserved: &Reserved,
        facts: &finalize::Facts,
        module: &'static ThisModule,
    ) -> Result<Self, Refusal> {
        if !facts::unsigned_allowed() {
            return Err(Reason::Lockdown.into());
        }
        // Modules first: what is verified about them has to stay true.
        let modules = Modules::pin(image)?;
        let own = OwnModule::get(module).ok_or(Reason::NotReady)?;
        let running = Running::new();
        verify::verify(image, &reserved.reservation(), &running)?;

        let base = reserved.runs.text.addr as u64;
        let mut text = KVVec::with_capacity(image.text.len(), GFP_KERNEL)?;
        text.extend_from_slice(image.text, GFP_KERNEL)?;
        finalize::finalize(&mut text, base, image.sites, facts)?;

        Ok(Self {
            mapped: Mapped::new(&reserved.runs)?,
            text,
            sites: sites(image, base)?,
            modules,
            own,
            names: Strings {
                patch: copy(image.name())?,
                strings: copy(image.strings())?,
                ksyms: collect(image.ksyms.iter(), image.ksyms.len())?,
            },
            funcs: collect(image.funcs.iter(), image.funcs.len())?,
            colds: collect(image.colds.iter(), image.colds.len())?,
            callbacks: Callbacks::new(image, base)?,
        })
    }

    /// The symbols that the patch will have.
    pub(crate) fn names<'a>(&'a self, reserved: &Reserved) -> Names<'a> {
        self.names.at(reserved)
    }

    /// Writes the patch into its memory. Cannot fail. The caller fills the tables.
    pub(crate) fn install(self, image: &Image<'_>, reserved: Reserved, id: u64, now: u64) -> Patch {
        let Self {
            mapped,
            text,
            sites,
            modules,
            own,
            names,
            funcs,
            colds,
            callbacks,
        } = self;
        mapped.write(&reserved.runs, &text, image.rodata, image.data);
        Patch {
            name: image.header.name,
            version: image.header.version,
            set: image.header.set,
            cumulative: image.replaces(),
            id,
            reserved,
            names,
            funcs,
            colds,
            callbacks,
            loaded_ns: now,
            enabled_ns: 0,
            sites,
            pinned: false,
            _modules: modules,
            _own: own,
        }
    }
}

/// A function's fentry site, and what it is replaced by.
#[derive(Clone, Copy)]
pub(crate) struct Site {
    pub(crate) ip: u64,
    pub(crate) new: u64,
}

/// The fentry sites of the functions that the image names, in that order, and their replacements in its text at `base`.
/// All of them are known to ftrace.
fn sites(image: &Image<'_>, base: u64) -> Result<KVVec<Site>, Refusal> {
    let mut sites = KVVec::with_capacity(image.funcs.len(), GFP_KERNEL)?;
    let mut ips = KVVec::with_capacity(image.funcs.len(), GFP_KERNEL)?;
    for (i, func) in image.funcs.iter().enumerate() {
        let site = site(&func, base).ok_or_else(|| Refusal::at(Reason::FuncFentry, i))?;
        ips.push(site.ip as usize, GFP_KERNEL)?;
        sites.push(site, GFP_KERNEL)?;
    }
    match Ready::new(ips) {
        Ok(_) => Ok(sites),
        // ftrace knows no site at one of the addresses. Find out which.
        Err(error) if error == EINVAL => {
            for (i, site) in sites.iter().enumerate() {
                let mut one = KVVec::new();
                one.push(site.ip as usize, GFP_KERNEL)?;
                if Ready::new(one).is_err_and(|error| error == EINVAL) {
                    return Err(Refusal::at(Reason::FuncFentry, i));
                }
            }
            Err(Refusal::new(Reason::FuncFentry))
        }
        Err(error) => Err(error.into()),
    }
}

/// Where the call of a function is redirected, if it has a place for that.
fn site(func: &uapi::Func, base: u64) -> Option<Site> {
    let mut start = [0; 16];
    if !facts::read(func.old_addr, &mut start) {
        return None;
    }
    let fentry = fentry::site(&start)?;
    Some(Site {
        ip: func.old_addr + u64::from(fentry.offset),
        new: base + u64::from(func.new_off),
    })
}

fn copy(bytes: &[u8]) -> Result<KVVec<u8>, Refusal> {
    let mut copy = KVVec::with_capacity(bytes.len(), GFP_KERNEL)?;
    copy.extend_from_slice(bytes, GFP_KERNEL)?;
    Ok(copy)
}

fn collect<T>(items: impl Iterator<Item = T>, len: usize) -> Result<KVVec<T>, Refusal> {
    let mut all = KVVec::with_capacity(len, GFP_KERNEL)?;
    for item in items {
        all.push(item, GFP_KERNEL)?;
    }
    Ok(all)
}

impl Strings {
    fn at(&self, reserved: &Reserved) -> Names<'_> {
        let runs = &reserved.runs;
        Names {
            name: &self.patch,
            text_end: runs.text.addr + reserved.request.text_len as usize,
            strings: &self.strings,
            ksyms: &self.ksyms,
            sections: [runs.text.addr, runs.rodata.addr, runs.data.addr],
        }
    }

    fn get(&self, offset: u32) -> &[u8] {
        let rest = self.strings.get(offset as usize..).unwrap_or_default();
        rest.split(|b| *b == 0).next().unwrap_or_default()
    }
}

/// An installed patch.
pub(crate) struct Patch {
    name: [u8; NAME_LEN],
    version: [u8; VERSION_LEN],
    set: [u8; NAME_LEN],
    cumulative: bool,
    id: u64,
    reserved: Reserved,
    names: Strings,
    funcs: KVVec<uapi::Func>,
    colds: KVVec<uapi::Cold>,
    callbacks: Callbacks,
    loaded_ns: u64,
    enabled_ns: u64,
    sites: KVVec<Site>,
    /// Whether it stays for ever.
    pinned: bool,
    // Given back when the patch is dropped, after everything that refers to them.
    _modules: Modules,
    _own: OwnModule,
}

impl Patch {
    pub(crate) fn name(&self) -> &[u8; NAME_LEN] {
        &self.name
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn runs(&self) -> &Runs {
        &self.reserved.runs
    }

    pub(crate) fn names(&self) -> Names<'_> {
        self.names.at(&self.reserved)
    }

    /// Whether it replaces the function at this address.
    pub(crate) fn replaces(&self, old_addr: u64) -> bool {
        self.funcs.iter().any(|func| func.old_addr == old_addr)
    }

    /// The functions that it replaces.
    pub(crate) fn funcs(&self) -> &[uapi::Func] {
        &self.funcs
    }

    /// The fentry sites of these functions, in the same order.
    pub(crate) fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The parts of an original function that the compiler moved away from it.
    pub(crate) fn colds(&self, func: usize) -> impl Iterator<Item = Span> + '_ {
        let own = move |cold: &&uapi::Cold| cold.func as usize == func;
        self.colds.iter().filter(own).map(|cold| Span {
            start: cold.addr,
            end: cold.addr + u64::from(cold.len),
        })
    }

    /// Its callbacks and states.
    pub(crate) fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }

    pub(crate) fn callbacks_mut(&mut self) -> &mut Callbacks {
        &mut self.callbacks
    }

    /// Its text.
    pub(crate) fn text(&self) -> core::ops::Range<usize> {
        self.reserved.runs.text.range()
    }

    /// The set that it belongs to.
    pub(crate) fn set(&self) -> &[u8; NAME_LEN] {
        &self.set
    }

    /// Whether it replaces all others of its set.
    pub(crate) fn is_cumulative(&self) -> bool {
        self.cumulative
    }

    /// It is in force for all tasks now.
    pub(crate) fn set_enabled(&mut self, now: u64) {
        self.enabled_ns = now;
    }

    /// Keeps it for ever: tasks may be executing in it, and nobody knows which.
    pub(crate) fn pin(&mut self) {
        self.pinned = true;
    }

    /// Whether it stays for ever.
    pub(crate) fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Takes the patch apart; what remains is its memory.
    pub(crate) fn into_runs(self) -> Runs {
        self.reserved.runs
    }

    /// `state`: `STATE_*`; `order`: its place among the enabled patches.
    pub(crate) fn info(&self, state: u32, order: u32) -> uapi::PatchInfo {
        uapi::PatchInfo {
            name: self.name,
            version: self.version,
            set: *self.set(),
            state,
            flags: self.flags(),
            order,
            funcs: self.funcs.len() as u32,
            id: self.id,
            text_addr: self.reserved.runs.text.addr as u64,
            text_len: self.reserved.request.text_len,
            rodata_len: self.reserved.request.rodata_len,
            data_len: self.reserved.request.data_len,
            bugs: self.reserved.request.bugs,
            loaded_ns: self.loaded_ns,
            enabled_ns: self.enabled_ns,
        }
    }

    fn flags(&self) -> u32 {
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        flag(self.is_cumulative(), uapi::PATCH_REPLACE) | flag(self.pinned, uapi::PATCH_PINNED)
    }

    /// Fills in `to`, which is zero, from a function of this patch.
    pub(crate) fn func_info(&self, func: &uapi::Func) -> uapi::FuncInfo {
        let mut info = uapi::FuncInfo {
            old_addr: func.old_addr,
            new_addr: self.reserved.runs.text.addr as u64 + u64::from(func.new_off),
            old_len: func.old_len,
            new_len: func.new_len,
            ..Default::default()
        };
        let fill = |field: &mut [u8], text: &[u8]| {
            // The last byte stays NUL.
            let room = field.len() - 1;
            for (to, from) in field[..room].iter_mut().zip(text) {
                *to = *from;
            }
        };
        fill(&mut info.name, self.names.get(func.name));
        fill(&mut info.objname, self.names.get(func.objname));
        info
    }
}
