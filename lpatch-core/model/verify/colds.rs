// SPDX-License-Identifier: GPL-2.0

//! The cold parts of the functions to replace are where userspace says they are.
//!
//! That none is missing cannot be checked: no exported function lists the kernel's symbols. A part too many makes a
//! stack check stricter and does no harm.

use super::super::cold;
use super::super::num::index;
use super::super::refusal::{ensure, Refusal};
use super::symbols::{Answer, Claim};
use super::{Checker, Kernel};
use crate::uapi::{Cold, Reason};
use core::mem::offset_of;

impl<K: Kernel> Checker<'_, '_, K> {
    /// The functions have been verified.
    pub(super) fn colds(&self) -> Result<(), Refusal> {
        let colds = &self.image.colds;
        let mut before = None;
        for (i, entry) in colds.iter().enumerate() {
            let refusal = || Refusal::at(Reason::Cold, i).value(entry.addr);
            ensure(entry.reserved == 0, || {
                Refusal::at(Reason::Reserved, colds.field(i, offset_of!(Cold, reserved)))
            })?;
            ensure(before < Some(entry.addr), refusal)?;
            before = Some(entry.addr);
            let func = self
                .image
                .funcs
                .get(index(entry.func))
                // Where a function is not there, its parts are not either.
                .filter(|func| func.old_addr != 0)
                .ok_or_else(refusal)?;
            let name = self.image.string(entry.name)?;
            ensure(
                cold::is_part_of(name, self.image.string(func.name)?),
                refusal,
            )?;
            let claim = Claim {
                addr: entry.addr,
                name,
                objname: self.image.string(func.objname)?,
                size: Some(entry.len.into()),
            };
            match self.ask(&claim) {
                Answer::True => {}
                Answer::OtherSize(size) => return Err(refusal().value(size)),
                Answer::OtherSymbol | Answer::OtherObject => return Err(refusal()),
            }
        }
        Ok(())
    }
}
