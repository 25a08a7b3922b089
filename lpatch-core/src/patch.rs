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
        arrive, fentry, finalize,
        image::Image,
        refusal::Refusal,
        transition::stack::Span,
        verify::{self, Area, Reservation},
    },
    modules::{self, Modules, OwnModule, VMLINUX},
    redirect::Ready,
    targets::Coming,
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
    /// As long as the registry is locked: then we hear when they go.
    _targets: Modules,
    own: OwnModule,
    names: Strings,
    about: KVec<KVVec<u8>>,
    image: KVVec<u8>,
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
        bytes: &[u8],
        reserved: &Reserved,
        facts: &finalize::Facts,
        module: &'static ThisModule,
    ) -> Result<Self, Refusal> {
        if !facts::unsigned_allowed() {
            return Err(Reason::Lockdown.into());
        }
        // Modules first: what is verified about them has to stay true. Those whose functions are replaced may go later.
        let about = about(image)?;
        let is_target = |name: &[u8]| about.iter().any(|other| &other[..] == name);
        let modules = Modules::pin(image, |name| !is_target(name))?;
        let targets = Modules::pin(image, is_target)?;
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
            _targets: targets,
            own,
            image: if about.is_empty() {
                KVVec::new()
            } else {
                copy(bytes)?
            },
            about,
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
            _targets,
            own,
            names,
            about,
            image: bytes,
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
            about,
            image: bytes,
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

/// The modules that functions or callbacks of an image are about. Those that are not loaded have to be really not
/// there: who loads them must not have passed us already.
fn about(image: &Image<'_>) -> Result<KVec<KVVec<u8>>, Refusal> {
    let mut all: KVec<KVVec<u8>> = KVec::new();
    let funcs = image.funcs.iter().map(|func| func.objname);
    let callbacks = image.callbacks.iter().map(|callback| callback.objname);
    for objname in Iterator::chain(funcs, callbacks) {
        let name = image.string(objname)?;
        if name != VMLINUX && !all.iter().any(|other| &other[..] == name) {
            all.push(copy(name)?, GFP_KERNEL)?;
        }
    }
    for func in image.funcs.iter().filter(|func| func.old_addr == 0) {
        if modules::exists(image.string(func.objname)?) {
            return Err(Reason::NotReady.into());
        }
    }
    for symbol in image.symbols.iter().filter(|symbol| symbol.addr == 0) {
        if modules::exists(image.string(symbol.objname)?) {
            return Err(Reason::NotReady.into());
        }
    }
    Ok(all)
}

/// A function's fentry site, and what it is replaced by.
#[derive(Clone, Copy)]
pub(crate) struct Site {
    /// 0: its module is not loaded.
    pub(crate) ip: u64,
    pub(crate) new: u64,
}

/// The fentry sites of the functions that the image names, in that order, and their replacements in its text at `base`.
/// All of them are known to ftrace.
fn sites(image: &Image<'_>, base: u64) -> Result<KVVec<Site>, Refusal> {
    let mut sites = KVVec::with_capacity(image.funcs.len(), GFP_KERNEL)?;
    let mut ips = KVVec::with_capacity(image.funcs.len(), GFP_KERNEL)?;
    for (i, func) in image.funcs.iter().enumerate() {
        if func.old_addr == 0 {
            let new = base + u64::from(func.new_off);
            sites.push(Site { ip: 0, new }, GFP_KERNEL)?;
            continue;
        }
        let site = site(&func, base).ok_or_else(|| Refusal::at(Reason::FuncFentry, i))?;
        ips.push(site.ip as usize, GFP_KERNEL)?;
        sites.push(site, GFP_KERNEL)?;
    }
    if ips.is_empty() {
        return Ok(sites);
    }
    match Ready::new(ips) {
        Ok(_) => Ok(sites),
        // ftrace knows no site at one of the addresses. Find out which.
        Err(error) if error == EINVAL => {
            for (i, site) in sites.iter().enumerate().filter(|(_, site)| site.ip != 0) {
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
    /// The modules that functions or callbacks are about.
    pub(crate) about: KVec<KVVec<u8>>,
    /// The image, for when such a module comes; else empty.
    image: KVVec<u8>,
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

    /// Whether both replace the same function, and which of `self` is the first.
    pub(crate) fn shares(&self, other: &Self) -> Option<usize> {
        let same = |a: &uapi::Func, b: &uapi::Func| match (a.old_addr, b.old_addr) {
            // By name, where the module is not loaded.
            (0, 0) => {
                self.names.get(a.name) == other.names.get(b.name)
                    && self.names.get(a.objname) == other.names.get(b.objname)
                    && a.sympos == b.sympos
            }
            (a, b) => a == b,
        };
        (self.funcs.iter()).position(|func| other.funcs.iter().any(|theirs| same(func, theirs)))
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

    /// A module that it is about is coming: its symbols are found, the fields that depend on them written, its functions
    /// checked. On failure nothing of it is in use; `depart` takes the rest back.
    pub(crate) fn arrive(&mut self, coming: &Coming<'_>) -> Result<(), Refusal> {
        let bytes = copy(&self.image)?;
        let image = Image::parse(&bytes, facts::crc32)?;
        let mut addrs = KVVec::with_capacity(image.symbols.len(), GFP_KERNEL)?;
        for (i, symbol) in image.symbols.iter().enumerate() {
            let addr = if image.string(symbol.objname)? == coming.name {
                let name = image.string(symbol.name)?;
                Some(coming.find(name, symbol.sympos, i, Reason::Symbol)?.addr)
            } else {
                None
            };
            addrs.push(addr, GFP_KERNEL)?;
        }
        let running = Running::new();
        let base = self.reserved.runs.text.addr as u64;
        for (i, func) in image.funcs.iter().enumerate() {
            if image.string(func.objname)? != coming.name {
                continue;
            }
            let name = image.string(func.name)?;
            let found = coming.find(name, func.sympos, i, Reason::FuncSymbol)?;
            let (addr, len) = (found.addr, found.len);
            arrive::func(&image, i, found, &running)?;
            let there = uapi::Func {
                old_addr: addr,
                old_len: u32::try_from(len).unwrap_or(u32::MAX),
                ..func
            };
            let refused = || Refusal::at(Reason::FuncFentry, i);
            let site = site(&there, base).ok_or_else(refused)?;
            let mut one = KVVec::new();
            one.push(site.ip as usize, GFP_KERNEL)?;
            Ready::new(one).map_err(|_| refused())?;
            for cold in coming.colds(name)?.iter() {
                let cold = uapi::Cold {
                    func: i as u32,
                    addr: cold.addr,
                    len: u32::try_from(cold.len).unwrap_or(u32::MAX),
                    ..Default::default()
                };
                self.colds.push(cold, GFP_KERNEL)?;
            }
            if let (Some(slot), Some(old)) = (self.sites.get_mut(i), self.funcs.get_mut(i)) {
                *slot = site;
                *old = there;
            }
        }
        let mut mapped = Mapped::new(&self.reserved.runs)?;
        let runs = &self.reserved.runs;
        let addr_of = |i: usize| addrs.get(i).copied().flatten();
        let reservation = self.reserved.reservation();
        let put = |section: u8, offset: u32, field: &[u8]| {
            mapped.put(runs, section, offset as usize, field);
        };
        arrive::fields(&image, &reservation, addr_of, put)?;
        mapped.sync();
        Ok(())
    }

    /// A module is going: its functions are not replaced any more.
    pub(crate) fn depart(&mut self, module: &[u8]) {
        for i in 0..self.funcs.len() {
            if self.names.get(self.funcs[i].objname) != module {
                continue;
            }
            self.funcs[i].old_addr = 0;
            self.funcs[i].old_len = 0;
            if let Some(site) = self.sites.get_mut(i) {
                site.ip = 0;
            }
        }
        let Self { colds, funcs, .. } = self;
        colds.retain(|cold| (funcs.get(cold.func as usize)).is_some_and(|func| func.old_addr != 0));
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
