// SPDX-License-Identifier: GPL-2.0

//! Everything that userspace claims about a linked image, checked against the reservation and the
//! running kernel before one byte of it is installed.
//!
//! One file for each kind of claim; the order is that in which a claim needs others. The cost is
//! linear in the size of the image, times a logarithm where a table of it is searched. What the kernel
//! is asked for costs more, and is limited: see [`super::image::FUNCS_MAX`] and the constants behind it.

mod alts;
mod callbacks;
mod colds;
#[cfg(test)]
mod dormant;
mod funcs;
#[cfg(test)]
mod mutations;
mod probes;
mod relocs;
mod states;
mod symbols;
mod tables;
#[cfg(test)]
mod tests;

use super::image::Image;
use super::num::wide;
use super::refusal::{ensure, Refusal};
use crate::uapi::{Func, Reason, ORC_HASH_LEN, SEC_DATA, SEC_RODATA, SEC_TEXT};

pub use probes::PROBES_MAX;

/// The objname of the kernel itself.
pub const VMLINUX: &[u8] = b"vmlinux";

/// What the running kernel says about an address, as `sprint_symbol()` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// The name of the symbol that the address belongs to.
    pub name: &'a [u8],
    /// From its start.
    pub offset: u64,
    /// Its size.
    pub size: u64,
    /// The module that has it, `None` for the kernel itself.
    pub module: Option<&'a [u8]>,
}

/// The running kernel.
pub trait Kernel {
    /// Calls `with` with the symbol that `addr` belongs to; false, without a call, if there is
    /// none.
    fn symbol(&self, addr: u64, with: &mut dyn FnMut(Symbol<'_>)) -> bool;
    /// Copies kernel text; false if it cannot be read.
    fn read_text(&self, addr: u64, out: &mut [u8]) -> bool;
    /// The byte that was at `addr` before a kprobe was put there; `None` if there can be none. From then until
    /// [`Kernel::forget_originals`] no probe there changes more than that byte.
    ///
    /// # Errors
    ///
    /// Without memory, or if the kernel cannot be asked now.
    fn original(&self, _addr: u64) -> Result<Option<u8>, Refusal> {
        Ok(None)
    }
    /// Takes back what [`Kernel::original`] has done. It may be called without.
    fn forget_originals(&self) {}
    /// The kernel's release, as in `uname -r`.
    fn release(&self) -> &[u8];
    /// The hash of the kernel's ORC format.
    fn orc_hash(&self) -> [u8; ORC_HASH_LEN];
    /// The address of `__x86_return_thunk`. Its name does not tell: it has an alias.
    fn return_thunk(&self) -> u64;
    /// The address of the first of the `__x86_indirect_thunk_*`, that of rax.
    fn indirect_thunks(&self) -> u64;
    /// The address of `BUG_func`.
    fn bug_func(&self) -> u64;
    /// Whether the kernel is built for IBT: an indirect call then has to land on `endbr64`.
    fn has_ibt(&self) -> bool;
    /// Whether the address belongs to lpatch_core or to a patch.
    fn is_ours(&self, addr: u64) -> bool;
    /// Whether a symbol of this name is exported (to modules under the GPL), and is at this address.
    fn exports(&self, name: &[u8], addr: u64) -> bool;
}

/// A part of the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Area {
    /// Address of the first byte.
    pub addr: u64,
    /// Bytes that were asked for.
    pub len: u64,
}

/// What was reserved for the patch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reservation {
    /// Room for code.
    pub text: Area,
    /// Room for constants.
    pub rodata: Area,
    /// Room for data; what the image does not fill is zero.
    pub data: Area,
    /// ORC entries that were asked for.
    pub orcs: u64,
    /// Exception table entries that were asked for.
    pub exs: u64,
    /// Bug table entries that were asked for.
    pub bugs: u64,
}

impl Reservation {
    /// The area of a section, or `None` for a number that is not one of a section.
    pub fn area(&self, section: u8) -> Option<Area> {
        match section {
            SEC_TEXT => Some(self.text),
            SEC_RODATA => Some(self.rodata),
            SEC_DATA => Some(self.data),
            _ => None,
        }
    }
}

/// What every check looks at.
struct Checker<'i, 'k, K> {
    image: &'i Image<'i>,
    room: &'i Reservation,
    kernel: &'k K,
}

/// Checks an image that was linked for this reservation of this kernel.
///
/// With `Ok`, the image may be installed; whether its functions may be redirected now (other
/// patches, other users of ftrace) is asked when it is enabled.
pub fn verify<K: Kernel>(image: &Image<'_>, room: &Reservation, kernel: &K) -> Result<(), Refusal> {
    let checker = Checker {
        image,
        room,
        kernel,
    };
    checker.made_for_this_kernel()?;
    checker.lengths()?;
    checker.symbols()?;
    checker.relocs()?;
    checker.orcs()?;
    checker.exs()?;
    checker.bugs()?;
    checker.sites()?;
    checker.alts()?;
    checker.ksyms()?;
    checker.funcs()?;
    checker.colds()?;
    checker.callbacks()?;
    checker.states()
}

/// Checks of the function with the index `i` what the running kernel has at its place; the rest was verified.
pub(super) fn func<K: Kernel>(
    image: &Image<'_>,
    i: usize,
    func: &Func,
    kernel: &K,
) -> Result<(), Refusal> {
    let checker = Checker {
        image,
        room: &Reservation::default(),
        kernel,
    };
    checker.old_func(i, func)
}

impl<K: Kernel> Checker<'_, '_, K> {
    fn made_for_this_kernel(&self) -> Result<(), Refusal> {
        let release = self.image.string(self.image.header.release)?;
        ensure(release == self.kernel.release(), || {
            Reason::ImageRelease.into()
        })?;
        ensure(self.image.header.orc_hash == self.kernel.orc_hash(), || {
            Reason::ImageOrc.into()
        })
    }

    /// The sections and tables fit what was reserved for them.
    fn lengths(&self) -> Result<(), Refusal> {
        let (image, room) = (self.image, self.room);
        ensure(!image.text.is_empty(), || Reason::Empty.into())?;
        for (section, bytes, area) in [
            (SEC_TEXT, image.text, room.text),
            (SEC_RODATA, image.rodata, room.rodata),
            (SEC_DATA, image.data, room.data),
        ] {
            ensure(wide(bytes.len()) <= area.len, || Refusal {
                reason: Reason::ImageLength,
                at: section.into(),
                value: area.len,
            })?;
        }
        for (reason, entries, limit) in [
            (Reason::Orc, image.orcs.len(), room.orcs),
            (Reason::Extable, image.exs.len(), room.exs),
            (Reason::Bug, image.bugs.len(), room.bugs),
        ] {
            // The first entry that has no slot.
            ensure(wide(entries) <= limit, || Refusal {
                reason,
                at: limit,
                value: limit,
            })?;
        }
        Ok(())
    }
}
