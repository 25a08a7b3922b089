// SPDX-License-Identifier: GPL-2.0

//! What a patch does when a module comes or goes that it is about.

use super::{copy, sites::site, Patch};
use crate::{
    facts::{self, Running},
    memory::Mapped,
    model::{arrive, image::Image, refusal::Refusal},
    redirect::Ready,
    targets::Coming,
    uapi::{self, Reason},
};
use kernel::prelude::*;

impl Patch {
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
}
