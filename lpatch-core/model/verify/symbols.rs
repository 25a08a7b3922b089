// SPDX-License-Identifier: GPL-2.0

//! An address is the start of the symbol that userspace says it is.

use super::super::refusal::{ensure, Refusal};
use super::{Checker, Kernel};
use crate::uapi::{self, Reason};
use core::mem::offset_of;

/// The objname of the kernel itself.
pub(super) const VMLINUX: &[u8] = b"vmlinux";

/// A claim about an address.
pub(super) struct Claim<'a> {
    pub(super) addr: u64,
    pub(super) name: &'a [u8],
    pub(super) objname: &'a [u8],
    /// The size of the symbol, where it matters.
    pub(super) size: Option<u64>,
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

    pub(super) fn symbols(&self) -> Result<(), Refusal> {
        let symbols = &self.image.symbols;
        for (i, symbol) in symbols.iter().enumerate() {
            let refusal = |reason| Refusal::at(reason, i).value(symbol.addr);
            ensure(symbol.reserved == 0, || {
                let field = offset_of!(uapi::Symbol, reserved);
                Refusal::at(Reason::Reserved, symbols.field(i, field))
            })?;
            let claim = Claim {
                addr: symbol.addr,
                name: self.image.string(symbol.name)?,
                objname: self.image.string(symbol.objname)?,
                size: None,
            };
            // Another patch can be unloaded: nothing may refer to it. Of lpatch_core itself, what it
            // exports is there for patches, and nothing else is.
            let ours = self.kernel.is_ours(claim.addr);
            ensure(!ours || self.kernel.exports(claim.name, claim.addr), || {
                refusal(Reason::SymbolOurs)
            })?;
            match self.ask(&claim) {
                Answer::True => {}
                Answer::OtherSymbol | Answer::OtherSize(_) => return Err(refusal(Reason::Symbol)),
                Answer::OtherObject => return Err(refusal(Reason::SymbolObject)),
            }
        }
        Ok(())
    }
}
