// SPDX-License-Identifier: GPL-2.0

//! The life of one patch.
//!
//! `Reserved` (memory, no contents) → [`Staged`] (verified, everything that can fail is done, nothing of it visible) → [`Patch`] (in memory
//! and in the tables). Each step consumes the one before. The engine decides whether calls are sent into a patch. The code of a patch that
//! a module registers is in place already, so such a patch begins as a [`Patch`].

use crate::{
    arena::{memory::Runs, symbols::Names},
    model::{refusal::Refusal, routes, sort, transition::stack::Span},
    patch::{
        body::Body,
        callbacks::Callbacks,
        exits::Exits,
        home::Home,
        lists::collect,
        loaded::{Compared, Loaded},
        replaced::{spans_of, Replaced},
        sites::Site,
        strings::Strings,
        ways::{AllExits, Ways, UNKNOWN},
    },
    running::modules::{Modules, OwnModule, VMLINUX},
    uapi::{self, Reason, NAME_LEN, VERSION_LEN},
};
use core::ops::{Deref, DerefMut};
use kernel::prelude::*;

pub(crate) mod arrival;
mod body;
pub(crate) mod callbacks;
pub(crate) mod exits;
pub(crate) mod home;
pub(crate) mod image;
pub(crate) mod lists;
pub(crate) mod loaded;
mod misfit;
pub(crate) mod replaced;
pub(crate) mod reserved;
pub(crate) mod sites;
pub(crate) mod staged;
mod statics;
mod strings;
pub(crate) mod ways;

/// What makes a function the same for two patches: its address. A function of a module is also the same by its name, because one of the
/// patches may wait for that module or be left out of it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Identity<'a> {
    addr: u64,
    objname: &'a [u8],
    name: &'a [u8],
    sympos: u32,
}

/// What the author of a patch says about it.
pub(crate) struct Title {
    pub(crate) name: [u8; NAME_LEN],
    pub(crate) version: [u8; VERSION_LEN],
    pub(crate) set: [u8; NAME_LEN],
    pub(crate) cumulative: bool,
    /// Whether its functions may be entered by a jump.
    pub(crate) promoted: bool,
    /// Whether a module that the patch does not fit is refused.
    pub(crate) refuses_modules: bool,
}

/// An installed patch. What it consists of is in memory of its own: it is too large for a stack, and patches are moved around.
pub(crate) struct Patch(KBox<Parts>);

/// What a patch consists of.
pub(crate) struct Parts {
    name: [u8; NAME_LEN],
    version: [u8; VERSION_LEN],
    set: [u8; NAME_LEN],
    cumulative: bool,
    id: u64,
    body: Body,
    loaded: Loaded,
    names: Strings,
    /// The modules that functions or callbacks are about.
    pub(crate) about: KVec<KVVec<u8>>,
    /// The modules among them that are there and that the patch is left out of, and why.
    left_out: KVec<(usize, Refusal)>,
    /// Whether such a module is refused instead.
    refuses_modules: bool,
    funcs: KVVec<uapi::Func>,
    /// Sorted by function.
    colds: KVVec<uapi::Cold>,
    callbacks: Callbacks,
    loaded_ns: u64,
    enabled_ns: u64,
    sites: KVVec<Site>,
    exits: AllExits,
    /// Whether it stays for ever.
    pinned: bool,
    /// The task that has died in a callback of it, if one has.
    stuck: Option<u32>,
    /// Whether its functions may be entered by a jump.
    promoted: bool,
    // Given back when the patch is dropped, after everything that refers to them.
    modules: Modules,
    _own: OwnModule,
}

impl Deref for Patch {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl DerefMut for Patch {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}

impl Patch {
    /// A patch whose code is there already, in a module. Nothing of it is visible yet. `about`: the modules that
    /// functions or callbacks are about.
    #[inline(never)]
    pub(crate) fn of_module(
        home: Home,
        title: Title,
        replaced: Replaced,
        ways: Ways,
        callbacks: Callbacks,
        about: KVec<KVVec<u8>>,
        own: OwnModule,
    ) -> Result<Self, Refusal> {
        let Ways { sites, exits } = ways;
        let parts = Parts {
            name: title.name,
            version: title.version,
            set: title.set,
            cumulative: title.cumulative,
            id: 0,
            body: Body::Module(home),
            loaded: Loaded::new(KVVec::new()),
            names: Strings {
                patch: KVVec::new(),
                strings: replaced.strings,
                ksyms: KVVec::new(),
            },
            about,
            left_out: KVec::new(),
            refuses_modules: title.refuses_modules,
            funcs: replaced.funcs,
            colds: replaced.colds,
            callbacks,
            loaded_ns: 0,
            enabled_ns: 0,
            sites,
            exits,
            pinned: false,
            stuck: None,
            promoted: title.promoted,
            modules: Modules::default(),
            _own: own,
        };
        Ok(Self(KBox::new(parts, GFP_KERNEL)?))
    }

    /// It is loaded now.
    pub(crate) fn set_loaded(&mut self, id: u64, now: u64) {
        self.id = id;
        self.loaded_ns = now;
    }

    pub(crate) fn name(&self) -> &[u8; NAME_LEN] {
        &self.name
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Its memory in the arena, if it lives there.
    pub(crate) fn runs(&self) -> Option<&Runs> {
        self.body.runs()
    }

    /// Its symbols, if the kernel does not know them without us.
    pub(crate) fn names(&self) -> Option<Names<'_>> {
        match &self.body {
            Body::Arena { reserved, .. } => Some(self.names.at(reserved)),
            Body::Module(_) => None,
        }
    }

    /// Whether both replace the same function; if so, the index of the first such function of `self`.
    pub(crate) fn shares(&self, other: &Self) -> Result<Option<usize>, Refusal> {
        let theirs = other.identities().map(|(_, identity)| identity);
        let mut theirs = collect(theirs, 2 * other.funcs.len())?;
        sort::sort_by_key(&mut theirs, |identity| *identity);
        let mut all = self.identities();
        let shared = all.find(|(_, own)| theirs.binary_search(own).is_ok());
        Ok(shared.map(|(i, _)| i))
    }

    /// The index of each function, with each of its identities.
    fn identities(&self) -> impl Iterator<Item = (usize, Identity<'_>)> {
        let names = &self.names;
        self.funcs.iter().enumerate().flat_map(move |(i, func)| {
            let by_addr = (func.old_addr != 0).then(|| Identity {
                addr: func.old_addr,
                ..Identity::default()
            });
            let objname = names.get(func.objname);
            let by_name = (objname != VMLINUX).then(|| Identity {
                addr: 0,
                objname,
                name: names.get(func.name),
                sympos: func.sympos,
            });
            Iterator::chain(by_addr.into_iter(), by_name).map(move |identity| (i, identity))
        })
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
        spans_of(&self.colds, func)
    }

    /// Where an original function goes on by jumps.
    pub(crate) fn exits(&self, func: usize) -> routes::Exits<'_> {
        self.exits.funcs.get(func).map_or(UNKNOWN, Exits::get)
    }

    /// Where its own code does.
    pub(crate) fn text_exits(&self) -> routes::Exits<'_> {
        self.exits.text.get()
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
        self.body.text()
    }

    /// How its text differs from what was loaded; the first `limit` differences are described.
    pub(crate) fn compare(&self, limit: usize) -> Result<Compared, Refusal> {
        match self.body.runs() {
            Some(runs) => self.loaded.compare(runs.text.range(), limit),
            None => Err(uapi::Reason::NoCopy.into()),
        }
    }

    /// The set that it belongs to.
    pub(crate) fn set(&self) -> &[u8; NAME_LEN] {
        &self.set
    }

    /// Whether functions, symbols or callbacks of it are about this module.
    pub(crate) fn is_about(&self, module: &[u8]) -> bool {
        self.about.iter().any(|name| &name[..] == module)
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

    /// A task has died in a callback of it: nobody knows what it had done, and what it still holds.
    pub(crate) fn set_stuck(&mut self, pid: u32) {
        self.stuck = Some(pid);
    }

    /// The task that has died in a callback of it.
    pub(crate) fn stuck(&self) -> Option<u32> {
        self.stuck
    }

    /// Whether its functions may be entered by a jump.
    pub(crate) fn set_promoted(&mut self, promoted: bool) {
        self.promoted = promoted;
    }

    /// Whether its functions may be entered by a jump.
    pub(crate) fn is_promoted(&self) -> bool {
        self.promoted
    }

    /// Sets whether a module that comes and that the patch does not fit is refused, instead of the patch being left out.
    pub(crate) fn set_refuses_modules(&mut self, refuses: bool) {
        self.refuses_modules = refuses;
    }

    /// Whether a module that comes and that the patch does not fit is refused.
    pub(crate) fn refuses_modules(&self) -> bool {
        self.refuses_modules
    }

    /// Whether it stays for ever.
    pub(crate) fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Takes the patch apart; what remains is its memory in the arena.
    #[inline(never)]
    pub(crate) fn into_runs(self) -> Option<Runs> {
        KBox::into_inner(self.0).body.into_runs()
    }

    /// `state`: `STATE_*`; `order`: its place among the enabled patches.
    pub(crate) fn info(&self, state: u32, order: u32) -> uapi::PatchInfo {
        let mut info = uapi::PatchInfo {
            name: self.name,
            version: self.version,
            set: *self.set(),
            state,
            flags: self.flags(),
            order,
            funcs: self.funcs.len() as u32,
            id: self.id,
            loaded_ns: self.loaded_ns,
            enabled_ns: self.enabled_ns,
            ..Default::default()
        };
        self.body.describe(&mut info);
        info
    }

    fn flags(&self) -> u32 {
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        flag(self.is_cumulative(), uapi::PATCH_REPLACE)
            | flag(self.pinned, uapi::PATCH_PINNED)
            | flag(self.stuck.is_some(), uapi::PATCH_STUCK)
            | flag(!self.modules.is_empty(), uapi::PATCH_HOLDS)
            | flag(!self.left_out.is_empty(), uapi::PATCH_LEFT_OUT)
    }

    /// Why a function of the patch is not replaced although its module is there.
    pub(crate) fn left_out_of(&self, func: &uapi::Func) -> Option<Reason> {
        self.why_left_out(self.names.get(func.objname))
    }

    /// Fills in `to`, which is zero, from a function of this patch.
    pub(crate) fn func_info(&self, func: &uapi::Func, to: &mut uapi::FuncInfo) {
        to.old_addr = func.old_addr;
        to.new_addr = self.text().start as u64 + u64::from(func.new_off);
        to.old_len = func.old_len;
        to.new_len = func.new_len;
        let fill = |field: &mut [u8], text: &[u8]| {
            // The last byte stays NUL.
            let room = field.len() - 1;
            for (to, from) in field[..room].iter_mut().zip(text) {
                *to = *from;
            }
        };
        fill(&mut to.name, self.names.get(func.name));
        fill(&mut to.objname, self.names.get(func.objname));
    }
}
