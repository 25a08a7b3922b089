// SPDX-License-Identifier: GPL-2.0

//! From an image to an installed patch: all that can fail is done before anything of it is visible.

use crate::{
    arena::{memory::Mapped, symbols::Names},
    model::{
        finalize::{self, Records},
        image::{Image, OBJECTS_MAX},
        refusal::Refusal,
        verify,
    },
    patch::{
        body::Body,
        callbacks::Callbacks,
        lists::{collect, copy},
        loaded::Loaded,
        replaced::sort_colds,
        reserved::Reserved,
        sites::{sites, Site},
        strings::Strings,
        ways::AllExits,
        Parts, Patch,
    },
    running::{
        code,
        modules::{self, Modules, OwnModule, VMLINUX},
        view::{self, Running},
    },
    uapi::{self, Reason},
};
use core::mem::MaybeUninit;
use kernel::{prelude::*, sync::Arc};

/// A verified image, with everything that its installation needs. Nothing of it is visible yet; dropping
/// it takes everything back.
pub(crate) struct Staged {
    /// For the patch that it becomes.
    room: KBox<MaybeUninit<Parts>>,
    mapped: Mapped,
    text: KVVec<u8>,
    sites: KVVec<Site>,
    modules: Modules,
    /// Modules whose functions are replaced. They are held until the patch is in the registry, which is locked then, so that we hear when
    /// they go.
    _targets: Modules,
    own: OwnModule,
    names: Strings,
    about: KVec<KVVec<u8>>,
    image: Arc<KVVec<u8>>,
    funcs: KVVec<uapi::Func>,
    colds: KVVec<uapi::Cold>,
    exits: AllExits,
    callbacks: Callbacks,
}

impl Staged {
    /// Checks every claim of the image against the reservation and the running kernel. The registry is not locked, see
    /// [`Running::original`]. The caller has to ask again about modules that are not there, see [`not_there`].
    #[inline(never)]
    pub(crate) fn new(
        image: &Image<'_>,
        bytes: &[u8],
        reserved: &Reserved,
        facts: &finalize::Facts,
    ) -> Result<Self, Refusal> {
        if !view::unsigned_allowed() {
            return Err(Reason::Lockdown.into());
        }
        // Modules first: what is verified about them has to stay true. Those whose functions are replaced may go later.
        let about = about(image)?;
        let is_target = |name: &[u8]| about.iter().any(|other| &other[..] == name);
        let modules = Modules::pin(image, |name| !is_target(name))?;
        let targets = Modules::pin(image, is_target)?;
        let own = OwnModule::get().ok_or(Reason::NotReady)?;
        let running = Running::new();
        verify::verify(image, &reserved.reservation(), &running)?;

        let base = reserved.runs.text.addr as u64;
        let text = finished(image, base, facts)?;
        let funcs = collect(image.funcs.iter(), image.funcs.len())?;
        let mut colds = collect(image.colds.iter(), image.colds.len())?;
        sort_colds(&mut colds);
        let sites = sites(&funcs, base)?;
        let exits = AllExits::find(&funcs, &sites, &colds, |finder| finder.of_text(&text, base))?;
        let kept = if about.is_empty() {
            KVVec::new()
        } else {
            copy(bytes)?
        };
        Ok(Self {
            room: KBox::new_uninit(GFP_KERNEL)?,
            mapped: Mapped::new(&reserved.runs)?,
            text,
            sites,
            exits,
            modules,
            _targets: targets,
            own,
            image: Arc::new(kept, GFP_KERNEL)?,
            about,
            names: Strings {
                patch: copy(image.name())?,
                strings: copy(image.strings())?,
                ksyms: collect(image.ksyms.iter(), image.ksyms.len())?,
            },
            funcs,
            colds,
            callbacks: Callbacks::of_image(image, base)?,
        })
    }

    /// The symbols that the patch will have.
    pub(crate) fn names<'a>(&'a self, reserved: &Reserved) -> Names<'a> {
        self.names.at(reserved)
    }

    /// Writes the patch into its memory. Cannot fail. The caller fills the tables.
    #[inline(never)]
    pub(crate) fn install(self, image: &Image<'_>, reserved: Reserved, id: u64, now: u64) -> Patch {
        let Self {
            room,
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
            exits,
            callbacks,
        } = self;
        mapped.write(&reserved.runs, &text, image.rodata, image.data);
        Patch(room.write(Parts {
            name: image.header.name,
            version: image.header.version,
            set: image.header.set,
            cumulative: image.replaces(),
            id,
            body: Body::Arena {
                reserved,
                image: bytes,
            },
            loaded: Loaded::new(text),
            names,
            about,
            left_out: KVec::new(),
            refuses_modules: false,
            funcs,
            colds,
            callbacks,
            loaded_ns: now,
            enabled_ns: 0,
            sites,
            exits,
            pinned: false,
            stuck: None,
            promoted: true,
            modules,
            _own: own,
        }))
    }
}

/// The text of an image, finished for this boot and for the address where it will be.
#[inline(never)]
fn finished(image: &Image<'_>, base: u64, facts: &finalize::Facts) -> Result<KVVec<u8>, Refusal> {
    let mut text = copy(image.text)?;
    finalize::finalize(&mut text, base, &Records::from(image), facts, &code::word)?;
    Ok(text)
}

/// The modules that functions or callbacks of an image are about.
fn about(image: &Image<'_>) -> Result<KVec<KVVec<u8>>, Refusal> {
    let mut all: KVec<KVVec<u8>> = KVec::new();
    let funcs = image.funcs.iter().map(|func| func.objname);
    let callbacks = image.callbacks.iter().map(|callback| callback.objname);
    for objname in Iterator::chain(funcs, callbacks) {
        let name = image.string(objname)?;
        if name != VMLINUX && !all.iter().any(|other| &other[..] == name) {
            if all.len() == OBJECTS_MAX {
                return Err(Refusal::new(Reason::TooBig).value(OBJECTS_MAX as u64));
            }
            all.push(copy(name)?, GFP_KERNEL)?;
        }
    }
    not_there(image)?;
    Ok(all)
}

/// Makes sure that modules of which an image has no addresses are really not there. If the registry is locked, a task that loads one of
/// them hears of a patch that is there when the registry is unlocked.
pub(crate) fn not_there(image: &Image<'_>) -> Result<(), Refusal> {
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
    Ok(())
}
