// SPDX-License-Identifier: GPL-2.0

//! The functions of a patch that the core will call can be called.

use super::super::fentry::ENDBR64;
use super::super::num::index;
use super::super::refusal::{ensure, Refusal};
use super::symbols::is_objname;
use super::{Checker, Kernel};
use crate::uapi::{Callback, Reason, CALLBACK_POST_UNPATCH, CALLBACK_PRE_PATCH, SITE_SEAL};
use core::mem::offset_of;

impl<K: Kernel> Checker<'_, '_, K> {
    /// The ORC entries, the sites and the alternatives have been verified.
    pub(super) fn callbacks(&self) -> Result<(), Refusal> {
        let callbacks = &self.image.callbacks;
        let mut before = None;
        for (i, entry) in callbacks.iter().enumerate() {
            let refusal = || Refusal::at(Reason::CallbackTable, i).value(entry.offset.into());
            ensure(entry.reserved == 0, || {
                let field = offset_of!(Callback, reserved);
                Refusal::at(Reason::Reserved, callbacks.field(i, field))
            })?;
            let objname = self.image.string(entry.objname)?;
            let known = (CALLBACK_PRE_PATCH..=CALLBACK_POST_UNPATCH).contains(&entry.kind);
            let key = Some((objname, entry.kind));
            let callable = self.unwinds(entry.offset) && self.lands(entry.offset);
            ensure(
                is_objname(objname) && known && before < key && callable,
                refusal,
            )?;
            before = key;
        }
        Ok(())
    }

    /// Whether an indirect call can go to this offset of the text, which may be out of bounds.
    fn lands(&self, offset: u32) -> bool {
        let Some(code) = self.image.text.get(index(offset)..) else {
            return false;
        };
        if !self.kernel.has_ibt() {
            return !code.is_empty();
        }
        let sites = &self.image.sites;
        let sealed = sites
            .get(sites.partition_point(|site| site.offset < offset))
            .is_some_and(|site| site.offset == offset && site.kind == SITE_SEAL);
        let start = index(offset);
        let pad = start..start.saturating_add(ENDBR64.len());
        code.starts_with(&ENDBR64) && !sealed && !self.is_replaced(&pad)
    }
}
