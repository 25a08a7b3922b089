// SPDX-License-Identifier: GPL-2.0

//! Landing pads of functions whose address is never taken.
//!
//! The kernel takes them away, so that no indirect call can go there: poison_endbr() in arch/x86/kernel/alternative.c.

use super::super::fentry::ENDBR64;

/// Writes the seal of this boot over the landing pad at the start of `code`, if it still is one.
pub(super) fn finish(code: &mut [u8], seal: [u8; 4]) -> Option<()> {
    let pad: &mut [u8; 4] = code.first_chunk_mut()?;
    if *pad == ENDBR64 {
        *pad = seal;
    }
    Some(())
}
