// SPDX-License-Identifier: GPL-2.0

//! What a patch does when a module that it is about is loaded or removed.

use crate::{
    arena::memory::Mapped,
    model::{
        arrive::{self, Found},
        image::Image,
        refusal::Refusal,
    },
    patch::{
        body::Body,
        exits::Finder,
        image,
        lists::twice,
        replaced::sort_colds,
        sites::{site, Site},
        ways::AllExits,
        Parts,
    },
    running::{modules::Target, names, symbols::Search, view::Running},
    uapi::{self, Reason},
};
use kernel::{prelude::*, sync::Arc};

/// The functions of a patch that have come.
struct Arrived {
    /// The index of each, itself, where its calls are redirected.
    funcs: KVVec<(usize, uapi::Func, Site)>,
    colds: KVVec<uapi::Cold>,
}

impl Parts {
    /// The image that a module being loaded is compared with, see [`compare`].
    pub(crate) fn image(&self) -> Option<Arc<KVVec<u8>>> {
        self.body.image()
    }

    /// Takes in a module that the patch is about, that is being loaded, and whose functions were compared. Finds its symbols, writes the
    /// fields that depend on them, and checks its functions. On failure nothing of it is in use; `depart` takes the rest back.
    #[inline(never)]
    pub(crate) fn arrive(&mut self, coming: &Target<'_>) -> Result<(), Refusal> {
        let arrived = match &self.body {
            Body::Module(_) => self.look_for(coming)?,
            Body::Arena { reserved, image } => {
                let image = image::read(image)?;
                let addrs = addresses(&image, coming)?;
                let arrived = self.look_for(coming)?;

                // What can fail comes before anything is written.
                let reservation = reserved.reservation();
                let addr_of = |i: usize| addrs.get(i).copied().flatten();
                arrive::fields(&image, &reservation, addr_of, |_, _, _| ())?;
                let mut mapped = Mapped::new(&reserved.runs)?;
                let loaded = &mut self.loaded;
                let put = |section: u8, offset: u32, field: &[u8]| {
                    mapped.put(&reserved.runs, section, offset as usize, field);
                    loaded.put(section, offset as usize, field);
                };
                arrive::fields(&image, &reservation, addr_of, put)?;
                mapped.sync();
                arrived
            }
        };
        self.colds.extend_from_slice(&arrived.colds, GFP_KERNEL)?;
        for (i, func, site) in arrived.funcs.iter() {
            if let (Some(slot), Some(old)) = (self.sites.get_mut(*i), self.funcs.get_mut(*i)) {
                *slot = Site {
                    ready: false,
                    ..*site
                };
                *old = *func;
            }
        }
        sort_colds(&mut self.colds);
        // The patch's own code may jump to what has come.
        let (body, loaded) = (&self.body, &self.loaded);
        let text = |finder: &mut Finder| match body {
            Body::Arena { .. } => finder.of_text(loaded.text(), body.text().start as u64),
            Body::Module(_) => finder.of_memory(body.text()),
        };
        self.exits = AllExits::find(&self.funcs, &self.sites, &self.colds, text)?;
        Ok(())
    }

    /// Finds the functions of the patch that are of this module, and checks them as they are checked when a patch is loaded.
    fn look_for(&self, coming: &Target<'_>) -> Result<Arrived, Refusal> {
        let mut searches = KVec::new();
        let mut places = KVec::new();
        for (i, func) in self.funcs.iter().enumerate() {
            if self.names.get(func.objname) == coming.name {
                let name = self.names.get(func.name);
                searches.push(Search::new(name, func.sympos as usize), GFP_KERNEL)?;
                places.push(i, GFP_KERNEL)?;
            }
        }
        let parts = coming.find(&mut searches)?;
        let mut arrived = Arrived {
            funcs: KVVec::with_capacity(places.len(), GFP_KERNEL)?,
            colds: KVVec::with_capacity(parts.len(), GFP_KERNEL)?,
        };
        for (search, i) in searches.iter().zip(places.iter().copied()) {
            let found = place(search, i, Reason::FuncSymbol)?;
            let there = uapi::Func {
                old_addr: found.addr,
                old_len: u32::try_from(found.len).unwrap_or(u32::MAX),
                ..self.funcs[i]
            };
            let site = site(&there, self.body.text().start as u64)?;
            let site = site.ok_or_else(|| Refusal::at(Reason::FuncFentry, i))?;
            arrived.funcs.push((i, there, site), GFP_KERNEL)?;
        }
        for part in parts.iter() {
            let len = names::symbol_size(part.addr).unwrap_or(0);
            let cold = uapi::Cold {
                func: places[part.search] as u32,
                addr: part.addr,
                len: u32::try_from(len).unwrap_or(u32::MAX),
                ..Default::default()
            };
            arrived.colds.push(cold, GFP_KERNEL)?;
        }
        let at = (arrived.funcs.iter()).map(|(i, func, _)| (func.old_addr, *i));
        match twice(at, arrived.funcs.len())? {
            Some(i) => Err(Refusal::at(Reason::FuncTwice, i)),
            None => Ok(arrived),
        }
    }

    /// Sets whether calls of the functions of a module may be redirected: they may when everything has been asked about the module.
    pub(crate) fn set_ready_for(&mut self, module: &[u8], ready: bool) {
        for i in 0..self.funcs.len() {
            if self.names.get(self.funcs[i].objname) == module {
                if let Some(site) = self.sites.get_mut(i) {
                    site.ready = ready;
                }
            }
        }
    }

    /// Leaves the patch out of a module that is being loaded and that it does not fit, as if the module were not there.
    pub(crate) fn leave_out(&mut self, module: &[u8], why: Refusal) -> Result<(), Refusal> {
        self.left_out.reserve(1, GFP_KERNEL)?;
        self.depart(module);
        let at = self.about.iter().position(|name| &name[..] == module);
        if let Some(at) = at {
            self.left_out.push((at, why), GFP_KERNEL)?;
        }
        self.callbacks.leave_out(module, true);
        Ok(())
    }

    /// Why it is left out of a module.
    pub(super) fn why_left_out(&self, module: &[u8]) -> Option<Reason> {
        let mut all = self.left_out.iter();
        let is_it = |at: usize| self.about.get(at).is_some_and(|name| &name[..] == module);
        all.find(|(at, _)| is_it(*at)).map(|(_, why)| why.reason)
    }

    /// Whether it is left out of a module.
    pub(crate) fn is_left_out(&self, module: &[u8]) -> bool {
        self.why_left_out(module).is_some()
    }

    /// Notes that a module is being removed: its functions are not replaced any more.
    pub(crate) fn depart(&mut self, module: &[u8]) {
        let about = &self.about;
        (self.left_out).retain(|(at, _)| about.get(*at).is_some_and(|name| &name[..] != module));
        self.callbacks.leave_out(module, false);
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
}

/// Compares the functions of a module that is being loaded with what an image was made for. The registry is not locked, see
/// [`Running::original`]; the module waits for us. Returns where kprobes are in these functions.
#[inline(never)]
pub(crate) fn compare(image: &[u8], coming: &Target<'_>) -> Result<KVec<u64>, Refusal> {
    let image = image::read(image)?;
    // What it lacks comes first.
    addresses(&image, coming)?;
    let mut searches = KVec::new();
    let mut places = KVec::new();
    for (i, func) in image.funcs.iter().enumerate() {
        if image.string(func.objname)? == coming.name {
            let name = image.string(func.name)?;
            searches.push(Search::new(name, func.sympos as usize), GFP_KERNEL)?;
            places.push(i, GFP_KERNEL)?;
        }
    }
    coming.find(&mut searches)?;
    let running = Running::coming();
    for (search, i) in searches.iter().zip(places.iter().copied()) {
        let found = place(search, i, Reason::FuncSymbol)?;
        arrive::func(&image, i, found, &running)?;
    }
    Ok(running.probed())
}

/// The addresses of the symbols of an image that are of this module; `None` for a symbol of another one.
fn addresses(image: &Image<'_>, coming: &Target<'_>) -> Result<KVVec<Option<u64>>, Refusal> {
    let mut searches = KVec::new();
    let mut places = KVec::new();
    for (i, symbol) in image.symbols.iter().enumerate() {
        if image.string(symbol.objname)? == coming.name {
            let name = image.string(symbol.name)?;
            searches.push(Search::new(name, symbol.sympos as usize), GFP_KERNEL)?;
            places.push(i, GFP_KERNEL)?;
        }
    }
    coming.find(&mut searches)?;
    let mut addrs = KVVec::from_elem(None, image.symbols.len(), GFP_KERNEL)?;
    for (search, i) in searches.iter().zip(places.iter().copied()) {
        addrs[i] = Some(place(search, i, Reason::Symbol)?.addr);
    }
    Ok(addrs)
}

/// Where the search has found something. `at`: the index of the entry that names it, for the refusal.
fn place(search: &Search<'_>, at: usize, reason: Reason) -> Result<Found, Refusal> {
    let found = search.found();
    let found = found.and_then(|addr| names::symbol_size(addr).map(|len| Found { addr, len }));
    found.ok_or(Refusal::at(reason, at))
}
