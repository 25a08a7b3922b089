// SPDX-License-Identifier: GPL-2.0

//! Lock prefixes, which a machine with one CPU does without.
//!
//! The kernel makes them a prefix without effect: alternatives_smp_unlock() in arch/x86/kernel/alternative.c. Where
//! another CPU could come later, it would put them back, and lpatch leaves them: that is right on any number of CPUs.

const LOCK: u8 = 0xf0;
/// The segment override ds, which means nothing in 64-bit mode.
pub(super) const DS: u8 = 0x3e;

/// Takes the lock prefix at the start of `code` away, unless an alternative did, if there is only one CPU ever.
pub(super) fn finish(code: &mut [u8], one_cpu: bool) -> Option<()> {
    let prefix = code.first_mut()?;
    if one_cpu && *prefix == LOCK {
        *prefix = DS;
    }
    Some(())
}
