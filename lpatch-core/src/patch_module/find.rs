// SPDX-License-Identifier: GPL-2.0

//! The functions that a patch module replaces, found by their names.

use super::{trouble::Trouble, Home, Wanted};
use crate::{
    facts::{symbol_size, Running},
    model::{refusal::Refusal, verify::Kernel},
    modules::{self, Pinned, VMLINUX},
    patch::Replaced,
    symbols::{self, Search},
    targets::Target,
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
        for (i, func) in wanted.iter().enumerate() {
            let new_len =
                (home.length(func.new)).ok_or(Trouble::Function(Reason::FuncNew, func))?;
            let same = |other: &Wanted<'_>| {
                (other.objname, other.name, other.sympos) == (func.objname, func.name, func.sympos)
            };
            if wanted[..i].iter().any(same) {
                return Err(Trouble::Function(Reason::FuncTwice, func));
            }
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
            let search = Search {
                name: func.name,
                sympos: func.sympos,
                count: 0,
                addr: 0,
            };
            searches.push(search, GFP_KERNEL)?;
            places.push(i, GFP_KERNEL)?;
        }
        if searches.is_empty() {
            return Ok(());
        }
        let colds = symbols::find(&mut searches)?;
        for (search, i) in searches.iter().zip(places.iter()) {
            let unique = search.sympos == 0 && search.count == 1;
            if !unique && !(1..=search.count).contains(&search.sympos) {
                return Err(Trouble::NotFound(&self.wanted[*i], search.count));
            }
            self.put(*i, search.addr)?;
        }
        for cold in colds.iter() {
            self.put_cold(places[cold.search], cold.addr)?;
        }
        Ok(())
    }

    /// Looks into the modules that are there; functions of the others are found when they come. Returned are the modules,
    /// held.
    pub(super) fn in_modules(&mut self) -> Result<KVec<Pinned>, Trouble<'a>> {
        let mut held: KVec<Pinned> = KVec::new();
        for (i, func) in self.wanted.iter().enumerate() {
            if func.objname == VMLINUX {
                continue;
            }
            let Some(module) = Pinned::new(func.objname) else {
                if modules::exists(func.objname) {
                    // Who loads it has passed us already.
                    return Err(Trouble::Changing(func));
                }
                continue;
            };
            let target = Target::held(&module, func.objname);
            let sympos = self.replaced.funcs[i].sympos;
            match target.find(func.name, sympos, i, Reason::FuncSymbol) {
                Ok(found) => {
                    self.put(i, found.addr)?;
                    for cold in target.colds(func.name)?.iter() {
                        self.put_cold(i, cold.addr)?;
                    }
                }
                Err(_) => return Err(Trouble::NotFound(func, target.count(func.name))),
            }
            held.push(module, GFP_KERNEL)?;
        }
        Ok(held)
    }

    /// A function is at this address.
    fn put(&mut self, i: usize, addr: u64) -> Result<(), Trouble<'a>> {
        let bad = |reason| Trouble::Function(reason, &self.wanted[i]);
        let len = symbol_size(addr).and_then(|len| u32::try_from(len).ok());
        let len = len.ok_or(bad(Reason::FuncSymbol))?;
        if self.kernel.is_ours(addr) {
            return Err(bad(Reason::FuncOurs));
        }
        if self
            .replaced
            .funcs
            .iter()
            .any(|other| other.old_addr == addr)
        {
            return Err(bad(Reason::FuncTwice));
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
