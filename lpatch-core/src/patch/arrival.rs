// SPDX-License-Identifier: GPL-2.0

//! What a patch does when a module comes or goes that it is about.

use super::{
    body::Body,
    sites::{site, Site},
    Patch,
};
use crate::{
    facts::{self, Running},
    memory::Mapped,
    model::{
        arrive::{self, Found},
        image::Image,
        refusal::Refusal,
    },
    redirect::Ready,
    targets::Target,
    uapi::{self, Reason},
};
use kernel::prelude::*;

/// The functions of a patch that have come: the index of each, itself, where its calls are redirected, its cold parts.
type Arrived = KVVec<(usize, uapi::Func, Site, KVVec<Found>)>;

impl Patch {
    /// A module that it is about is coming: its symbols are found, the fields that depend on them written, its functions
    /// checked. On failure nothing of it is in use; `depart` takes the rest back.
    pub(crate) fn arrive(&mut self, coming: &Target<'_>) -> Result<(), Refusal> {
        let arrived = match &self.body {
            Body::Module(_) => self.look_for(coming, |_, _| Ok(()))?,
            Body::Arena { reserved, image } => {
                let image = Image::parse(image, facts::crc32)?;
                let addrs = addresses(&image, coming)?;
                let running = Running::new();
                let check = |i, found| arrive::func(&image, i, found, &running);
                let arrived = self.look_for(coming, check)?;

                let mut mapped = Mapped::new(&reserved.runs)?;
                let loaded = &mut self.loaded;
                let addr_of = |i: usize| addrs.get(i).copied().flatten();
                let put = |section: u8, offset: u32, field: &[u8]| {
                    mapped.put(&reserved.runs, section, offset as usize, field);
                    loaded.put(section, offset as usize, field);
                };
                arrive::fields(&image, &reserved.reservation(), addr_of, put)?;
                mapped.sync();
                arrived
            }
        };
        for (i, func, site, colds) in arrived.iter() {
            for cold in colds.iter() {
                let cold = uapi::Cold {
                    func: *i as u32,
                    addr: cold.addr,
                    len: u32::try_from(cold.len).unwrap_or(u32::MAX),
                    ..Default::default()
                };
                self.colds.push(cold, GFP_KERNEL)?;
            }
            if let (Some(slot), Some(old)) = (self.sites.get_mut(*i), self.funcs.get_mut(*i)) {
                *slot = *site;
                *old = *func;
            }
        }
        Ok(())
    }

    /// Finds its functions that are of this module, and checks what a patch's functions are checked for when it is loaded;
    /// `check`: what else is.
    fn look_for(
        &self,
        coming: &Target<'_>,
        check: impl Fn(usize, Found) -> Result<(), Refusal>,
    ) -> Result<Arrived, Refusal> {
        let mut arrived = Arrived::new();
        for (i, func) in self.funcs.iter().enumerate() {
            if self.names.get(func.objname) != coming.name {
                continue;
            }
            let name = self.names.get(func.name);
            let found = coming.find(name, func.sympos, i, Reason::FuncSymbol)?;
            check(i, found)?;
            if arrived
                .iter()
                .any(|(_, other, ..)| other.old_addr == found.addr)
            {
                return Err(Refusal::at(Reason::FuncTwice, i));
            }
            let there = uapi::Func {
                old_addr: found.addr,
                old_len: u32::try_from(found.len).unwrap_or(u32::MAX),
                ..*func
            };
            let refused = || Refusal::at(Reason::FuncFentry, i);
            let site = site(&there, self.text().start as u64).ok_or_else(refused)?;
            let mut one = KVVec::new();
            one.push(site.ip as usize, GFP_KERNEL)?;
            Ready::new(one).map_err(|error| match error {
                EINVAL => refused(),
                other => other.into(),
            })?;
            arrived.push((i, there, site, coming.colds(name)?), GFP_KERNEL)?;
        }
        Ok(arrived)
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
}

/// Where the symbols of an image are that are of this module; `None`: of another one.
fn addresses(image: &Image<'_>, coming: &Target<'_>) -> Result<KVVec<Option<u64>>, Refusal> {
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
    Ok(addrs)
}
