// SPDX-License-Identifier: GPL-2.0

//! What this boot's kernel makes of code that it loads, done to a patch.
//!
//! Compilers leave places open that the kernel finishes for the CPU and the mitigations in force. One file for each kind
//! of place; [`facts`] says what has to be known of the boot, and nothing else is asked. Bytes at their final address and
//! their records go in, finished bytes come out, so a program can do to a module's file what the kernel does.
//!
//! The order is that of module_finalize() in arch/x86/kernel/module.c: branches first, since an alternative copies what
//! is in its replacement; what is left of landing pads and lock prefixes last.

pub(crate) mod alternatives;
pub mod calls;
pub mod facts;
mod locks;
mod nops;
pub mod retpolines;
pub mod returns;
mod seals;
mod show;
#[cfg(test)]
mod tests;

pub use facts::{Facts, Features};

use super::image::{Image, Table};
use super::num::index;
use super::refusal::{ensure, Refusal};
use crate::uapi::{
    Alt, Reason, Reloc, Site, SITE_CALL, SITE_LOCK, SITE_RETPOLINE, SITE_RETURN, SITE_SEAL,
};

const INT3: u8 = 0xcc;
const CALL: u8 = 0xe8;
const JMP: u8 = 0xe9;
const JMP8: u8 = 0xeb;
const CS: u8 = 0x2e;

/// The places to finish in a text, as an image lists them.
#[derive(Clone, Copy)]
pub struct Records<'a> {
    /// Single instructions, sorted by offset.
    pub sites: Table<'a, Site>,
    /// Alternatives, sorted by offset.
    pub alts: Table<'a, Alt>,
    /// Relocated fields, sorted by section and offset.
    pub relocs: Table<'a, Reloc>,
}

impl<'a> From<&Image<'a>> for Records<'a> {
    fn from(image: &Image<'a>) -> Self {
        Self {
            sites: image.sites,
            alts: image.alts,
            relocs: image.relocs,
        }
    }
}

/// Finishes the text of a verified image, relocated for the address `base`, where it will run.
///
/// `word` reads 8 bytes of the kernel's memory, for calls through pointers that become direct. A refusal points at the
/// site or the alternative; the text is of no use then.
pub fn finalize(
    text: &mut [u8],
    base: u64,
    records: &Records<'_>,
    facts: &Facts,
    word: &dyn Fn(u64) -> Option<u64>,
) -> Result<(), Refusal> {
    for (i, site) in records.sites.iter().enumerate() {
        let at = base.wrapping_add(site.offset.into());
        let code = text
            .get_mut(index(site.offset)..)
            .ok_or_else(|| Refusal::at(Reason::Site, i))?;
        let done = match (site.kind, &facts.calls) {
            (SITE_RETURN, _) => facts.returns.finish(code, at),
            (SITE_RETPOLINE, _) => facts.retpolines.finish(code, at),
            (SITE_CALL, Some(calls)) => calls.finish(text, base, index(site.offset), word),
            // The last two come after the alternatives.
            (SITE_CALL | SITE_SEAL | SITE_LOCK, _) => Some(()),
            _ => None,
        };
        done.ok_or_else(|| Refusal::at(Reason::Site, i).value(at))?;
    }
    alternatives::apply(text, base, records, facts, word)?;
    for (i, site) in records.sites.iter().enumerate() {
        let code = text.get_mut(index(site.offset)..);
        let done = match (site.kind, code) {
            (SITE_SEAL, Some(code)) => seals::finish(code, facts.seal),
            (SITE_LOCK, Some(code)) => locks::finish(code, facts.one_cpu),
            (_, code) => code.map(|_| ()),
        };
        ensure(done.is_some(), || Refusal::at(Reason::Site, i))?;
    }
    Ok(())
}

/// The displacement of a branch that ends at `end`, or `None` if the target is out of reach.
pub(super) fn displacement(end: u64, target: u64) -> Option<[u8; 4]> {
    let distance = i64::from_ne_bytes(target.wrapping_sub(end).to_ne_bytes());
    Some(i32::try_from(distance).ok()?.to_le_bytes())
}

/// Where a branch that ends at `end` goes.
fn target(end: u64, displacement: [u8; 4]) -> u64 {
    end.wrapping_add_signed(i32::from_le_bytes(displacement).into())
}
