// SPDX-License-Identifier: GPL-2.0

//! An address is the start of the symbol that userspace says it is.

use super::super::image::MODULE_SYMBOLS_MAX;
use super::super::num::wide;
use super::super::refusal::{ensure, Refusal};
use super::{Checker, Kernel, VMLINUX};
use crate::uapi::{self, Reason, NAME_LEN, SYM_LEN};
use core::mem::offset_of;

/// A claim about an address.
pub(super) struct Claim<'a> {
    pub(super) addr: u64,
    pub(super) name: &'a [u8],
    pub(super) objname: &'a [u8],
    /// The size of the symbol, where it matters.
    pub(super) size: Option<u64>,
}

/// Whether a module can have this name. It need not be loaded, so there is nobody to ask whether it exists.
pub(super) fn is_objname(name: &[u8]) -> bool {
    (1..NAME_LEN).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic)
}

/// Whether a symbol can have this name. A space or a newline would forge lines of /proc/kallsyms and of the log.
pub(super) fn is_name(name: &[u8]) -> bool {
    (1..SYM_LEN).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic)
}

/// What the kernel says about a claim.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    True,
    /// Another symbol, or the middle of one.
    OtherSymbol,
    /// The symbol, but its size is this.
    OtherSize(u64),
    /// The module is not there, or it is another one that has the symbol.
    OtherObject,
}

impl<K: Kernel> Checker<'_, '_, K> {
    /// Asks the kernel about a claim.
    pub(super) fn ask(&self, claim: &Claim<'_>) -> Answer {
        // Nothing is at the address of a module that is gone.
        let mut answer = if claim.objname == VMLINUX {
            Answer::OtherSymbol
        } else {
            Answer::OtherObject
        };
        self.kernel.symbol(claim.addr, &mut |symbol| {
            let same_object = symbol.module.unwrap_or(VMLINUX) == claim.objname;
            let same_size = claim.size.is_none_or(|size| size == symbol.size);
            answer = if !same_object {
                Answer::OtherObject
            } else if symbol.name != claim.name || symbol.offset != 0 {
                Answer::OtherSymbol
            } else if !same_size {
                Answer::OtherSize(symbol.size)
            } else {
                Answer::True
            };
        });
        answer
    }

    /// Whether a function that is not there, or a callback, is about this module. Of tables that are not sorted, which
    /// are refused later, any answer will do.
    fn is_awaited(&self, objname: &[u8]) -> Result<bool, Refusal> {
        let (funcs, callbacks) = (&self.image.funcs, &self.image.callbacks);
        let less = |name| self.image.string(name).is_ok_and(|name| name < objname);
        let func = funcs.partition_point(|func| func.old_addr == 0 && less(func.objname));
        let callback = callbacks.partition_point(|callback| less(callback.objname));
        let func = funcs.get(func).filter(|func| func.old_addr == 0);
        let func = func.map(|func| func.objname);
        let callback = callbacks.get(callback).map(|callback| callback.objname);
        for name in [func, callback].into_iter().flatten() {
            if self.image.string(name)? == objname {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn symbols(&self) -> Result<(), Refusal> {
        let mut of_modules = MODULE_SYMBOLS_MAX;
        for (i, symbol) in self.image.symbols.iter().enumerate() {
            if self.symbol(i, &symbol)? {
                of_modules = of_modules.checked_sub(1).ok_or_else(|| {
                    Refusal::at(Reason::TooBig, i).value(wide(MODULE_SYMBOLS_MAX))
                })?;
            }
        }
        Ok(())
    }

    /// Whether it was looked up in the table of a module, one by one.
    fn symbol(&self, i: usize, symbol: &uapi::Symbol) -> Result<bool, Refusal> {
        let refusal = |reason| Refusal::at(reason, i).value(symbol.addr);
        ensure(symbol.reserved == 0, || {
            let field = offset_of!(uapi::Symbol, reserved);
            Refusal::at(Reason::Reserved, self.image.symbols.field(i, field))
        })?;
        let claim = Claim {
            addr: symbol.addr,
            name: self.image.string(symbol.name)?,
            objname: self.image.string(symbol.objname)?,
            size: None,
        };
        if claim.addr == 0 && claim.objname != VMLINUX {
            ensure(is_name(claim.name), || refusal(Reason::Symbol))?;
            // Nothing else will ever look for the module.
            let comes = is_objname(claim.objname) && self.is_awaited(claim.objname)?;
            ensure(comes, || refusal(Reason::SymbolObject))?;
            return Ok(false);
        }
        // Another patch can be unloaded: nothing may refer to it. Of lpatch_core itself, what it
        // exports is there for patches, and nothing else is.
        let ours = self.kernel.is_ours(claim.addr);
        ensure(!ours || self.kernel.exports(claim.name, claim.addr), || {
            refusal(Reason::SymbolOurs)
        })?;
        match self.ask(&claim) {
            Answer::True => Ok(claim.objname != VMLINUX),
            Answer::OtherSymbol | Answer::OtherSize(_) => Err(refusal(Reason::Symbol)),
            Answer::OtherObject => Err(refusal(Reason::SymbolObject)),
        }
    }
}
