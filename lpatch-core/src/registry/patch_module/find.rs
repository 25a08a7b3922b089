// SPDX-License-Identifier: GPL-2.0

//! The functions that a patch module replaces, found by their names.

use crate::{
    model::{offline, refusal::Refusal, verify::Kernel},
    patch::{home::Home, lists::twice, replaced::Replaced},
    registry::patch_module::{description::Wanted, trouble::Trouble},
    running::{
        modules::{self, Pinned, Target, VMLINUX},
        names::symbol_size,
        symbols::{self, Cold, Search},
        view::Running,
    },
    uapi::{self, Reason},
};
use kernel::prelude::*;

/// The functions, as far as they have been found: the others have no addresses.
pub(super) struct Found<'a> {
    /// Those of the description; the patch has them in the same order.
    wanted: &'a [Wanted<'a>],
    pub(super) replaced: Replaced,
    kernel: Running,
}

impl<'a> Found<'a> {
    /// Checks the replacements.
    pub(super) fn new(home: &Home, wanted: &'a [Wanted<'a>]) -> Result<Self, Trouble<'a>> {
        if wanted.is_empty() {
            return Err(Reason::NoFuncs.into());
        }
        let mut strings = KVVec::from_elem(0, 1, GFP_KERNEL)?;
        let mut add = |text: &[u8]| {
            let offset = strings.len() as u32;
            strings.extend_from_slice(text, GFP_KERNEL)?;
            strings.push(0, GFP_KERNEL)?;
            Ok::<u32, Refusal>(offset)
        };
        let mut funcs = KVVec::with_capacity(wanted.len(), GFP_KERNEL)?;
        for func in wanted {
            let new_len =
                (home.length(func.new)).ok_or(Trouble::Function(Reason::FuncNew, func))?;
            let entry = uapi::Func {
                name: add(func.name)?,
                objname: add(func.objname)?,
                // A position that does not fit is one that there is not.
                sympos: u32::try_from(func.sympos).unwrap_or(u32::MAX),
                new_off: func.new.saturating_sub(home.text.start as u64) as u32,
                new_len,
                ..Default::default()
            };
            funcs.push(entry, GFP_KERNEL)?;
        }
        let names = (wanted.iter().enumerate())
            .map(|(i, func)| ((func.objname, func.name, func.sympos), i));
        if let Some(i) = twice(names, wanted.len())? {
            return Err(Trouble::Function(Reason::FuncTwice, &wanted[i]));
        }
        Ok(Self {
            wanted,
            replaced: Replaced {
                strings,
                funcs,
                colds: KVVec::new(),
            },
            kernel: Running::new(),
        })
    }

    /// Goes through the symbols of vmlinux, if a function is of it. Takes long.
    pub(super) fn in_kernel(&mut self) -> Result<(), Trouble<'a>> {
        let mut searches = KVec::new();
        let mut places = KVec::new();
        for (i, func) in self.wanted.iter().enumerate() {
            if func.objname != VMLINUX {
                continue;
            }
            searches.push(Search::new(func.name, func.sympos), GFP_KERNEL)?;
            places.push(i, GFP_KERNEL)?;
        }
        if searches.is_empty() {
            return Ok(());
        }
        let colds = symbols::find(&mut searches)?;
        self.put_all(&searches, &places, &colds)
    }

    /// Searches the modules that are there. The functions of other modules are found when these are loaded. Returns the modules, held.
    pub(super) fn in_modules(&mut self) -> Result<KVec<Pinned>, Trouble<'a>> {
        let mut held: KVec<Pinned> = KVec::new();
        let mut names: KVec<&[u8]> = KVec::new();
        for func in self.wanted {
            if func.objname == VMLINUX || names.contains(&func.objname) {
                continue;
            }
            names.push(func.objname, GFP_KERNEL)?;
            let Some(module) = Pinned::new(func.objname) else {
                if modules::exists(func.objname) {
                    // Who loads it has passed us already.
                    return Err(Trouble::Changing(func));
                }
                continue;
            };
            let mut searches = KVec::new();
            let mut places = KVec::new();
            for (i, other) in self.wanted.iter().enumerate() {
                if other.objname == func.objname {
                    searches.push(Search::new(other.name, other.sympos), GFP_KERNEL)?;
                    places.push(i, GFP_KERNEL)?;
                }
            }
            let colds = Target::held(&module, func.objname).find(&mut searches)?;
            self.put_all(&searches, &places, &colds)?;
            held.push(module, GFP_KERNEL)?;
        }
        // By different names, or one of them with a position.
        let funcs = &self.replaced.funcs;
        let there = funcs
            .iter()
            .enumerate()
            .filter(|(_, func)| func.old_addr != 0);
        let places = there.map(|(i, func)| (func.old_addr, i));
        match twice(places, funcs.len())? {
            Some(i) => Err(Trouble::Function(Reason::FuncTwice, &self.wanted[i])),
            None => Ok(held),
        }
    }

    /// Takes over what was found. `places` has the index of the function that each search is for.
    fn put_all(
        &mut self,
        searches: &[Search<'_>],
        places: &[usize],
        colds: &[Cold],
    ) -> Result<(), Trouble<'a>> {
        for (search, i) in searches.iter().zip(places) {
            match search.found() {
                Some(addr) => self.put(*i, addr)?,
                None => return Err(Trouble::NotFound(&self.wanted[*i], search.count)),
            }
        }
        for cold in colds {
            self.put_cold(places[cold.search], cold.addr)?;
        }
        Ok(())
    }

    /// A function is at this address.
    fn put(&mut self, i: usize, addr: u64) -> Result<(), Trouble<'a>> {
        let bad = |reason| Trouble::Function(reason, &self.wanted[i]);
        let len = symbol_size(addr).and_then(|len| u32::try_from(len).ok());
        let len = len.ok_or(bad(Reason::FuncSymbol))?;
        if self.kernel.is_ours(addr) {
            return Err(bad(Reason::FuncOurs));
        }
        if offline::may_execute(self.wanted[i].name) {
            return Err(bad(Reason::FuncOffline));
        }
        if let Some(func) = self.replaced.funcs.get_mut(i) {
            func.old_addr = addr;
            func.old_len = len;
        }
        Ok(())
    }

    fn put_cold(&mut self, func: usize, addr: u64) -> Result<(), Trouble<'a>> {
        let len = symbol_size(addr).and_then(|len| u32::try_from(len).ok());
        let cold = uapi::Cold {
            func: func as u32,
            addr,
            len: len.unwrap_or(0),
            ..Default::default()
        };
        self.replaced.colds.push(cold, GFP_KERNEL)?;
        Ok(())
    }
}
