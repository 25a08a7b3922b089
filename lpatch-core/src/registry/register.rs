// SPDX-License-Identifier: GPL-2.0

//! Taking in patches whose code is in a kernel module.

use crate::{
    log::Name,
    model::refusal::Refusal,
    patch::Patch,
    registry::Registry,
    running::{modules::OwnModule, time::now},
    transition::engine::Wanted,
    uapi::{self, Reason},
};
use kernel::prelude::*;

/// What a description says about the time that a transition takes, as in a request.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub(crate) timeout_ms: u32,
    pub(crate) interrupt_ms: u32,
}

impl Registry {
    /// What a new patch of a module needs of us, if the name of the patch is free.
    pub(crate) fn prepare(&self, name: &[u8; uapi::NAME_LEN]) -> Result<OwnModule, Refusal> {
        if self.position(name).is_ok() {
            return Err(Reason::Exists.into());
        }
        OwnModule::get().ok_or(Reason::NotReady.into())
    }

    /// Takes in a patch that is to be enabled: see [`lifecycle::transition`](super::lifecycle::transition). On failure the patch is not
    /// there.
    pub(crate) fn register(&mut self, mut patch: Patch, times: Times) -> Result<Wanted, Refusal> {
        let name = *patch.name();
        if self.position(&name).is_ok() {
            return Err(Reason::Exists.into());
        }
        self.patches.reserve(1, GFP_KERNEL)?;
        patch.set_loaded(self.next_id, now());
        self.next_id += 1;
        pr_info!(
            "loaded patch '{}': {} functions, from a module\n",
            Name(&name),
            patch.funcs().len()
        );
        if self.patches.push_within_capacity(patch).is_err() {
            unreachable!("room was reserved");
        }
        let wanted = self.claim_enable(&uapi::Op {
            name,
            timeout_ms: times.timeout_ms,
            interrupt_ms: times.interrupt_ms,
            ..Default::default()
        });
        if wanted.is_err() {
            drop(self.patches.pop());
        }
        wanted
    }

    /// The name of the patch with this id.
    pub(crate) fn name_of(&self, id: u64) -> Option<[u8; uapi::NAME_LEN]> {
        let patch = self.patches.iter().find(|patch| patch.id() == id);
        patch.map(|patch| *patch.name())
    }
}
