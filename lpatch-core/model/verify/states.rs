// SPDX-License-Identifier: GPL-2.0

//! The states of a patch are in order, as comparing them with those of other patches needs it.

use super::super::refusal::{ensure, Refusal};
use super::{Checker, Kernel};
use crate::uapi::{Reason, State};
use core::mem::offset_of;

impl<K: Kernel> Checker<'_, '_, K> {
    pub(super) fn states(&self) -> Result<(), Refusal> {
        let states = &self.image.states;
        let mut before = None;
        for (i, entry) in states.iter().enumerate() {
            ensure(entry.reserved == 0, || {
                Refusal::at(
                    Reason::Reserved,
                    states.field(i, offset_of!(State, reserved)),
                )
            })?;
            ensure(before < Some(entry.id), || {
                Refusal::at(Reason::StateTable, i).value(entry.id)
            })?;
            before = Some(entry.id);
        }
        Ok(())
    }
}
