// SPDX-License-Identifier: GPL-2.0

//! What is checked and computed when a module comes that a verified image is about.
//!
//! It may come after the patch, go, and come back elsewhere: whatever the image says of the module's addresses, what
//! counts is where its functions and symbols are now.

#[cfg(test)]
mod tests;

use super::image::Image;
use super::num::{index, wide};
use super::refusal::{ensure, Refusal};
use super::reloc;
use super::verify::{self, Kernel, Reservation};
use crate::uapi::{Reason, TARGET_SYMBOL};

/// Where a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its address.
    pub addr: u64,
    /// Its length in bytes, as `sprint_symbol()` gives it.
    pub len: u64,
}

/// Checks that the function with the index `i`, found at this place, is the one to replace: the same as
/// [`verify::verify`] asks of functions that are there.
///
/// # Errors
///
/// The reasons that verification has for functions, at `i`.
pub fn func(
    image: &Image<'_>,
    i: usize,
    found: Found,
    kernel: &impl Kernel,
) -> Result<(), Refusal> {
    let missing = || Refusal::at(Reason::FuncSymbol, i);
    let mut func = image.funcs.get(i).ok_or_else(missing)?;
    // Nothing else than a damaged symbol table names a function of 4 GiB.
    func.old_len = u32::try_from(found.len).map_err(|_| missing().value(found.len))?;
    func.old_addr = found.addr;
    verify::func(image, i, &func, kernel)
}

/// Computes every field that depends on a symbol for which `addr_of`, asked with its index, gives an address.
///
/// `put` gets the section, the offset in it, and 4 or 8 bytes. What a field holds before is not looked at.
///
/// # Errors
///
/// [`Reason::RelocRange`] where a value does not fit, at the index of the relocation: fields before it have been
/// put.
pub fn fields(
    image: &Image<'_>,
    reservation: &Reservation,
    addr_of: impl Fn(usize) -> Option<u64>,
    mut put: impl FnMut(u8, u32, &[u8]),
) -> Result<(), Refusal> {
    for (i, entry) in image.relocs.iter().enumerate() {
        let refusal = |reason| Refusal::at(reason, i);
        let symbol = (entry.target_kind == TARGET_SYMBOL).then(|| index(entry.target));
        let Some(s) = symbol.and_then(&addr_of) else {
            continue;
        };
        let kind = reloc::lookup(entry.kind.into()).ok_or_else(|| refusal(Reason::RelocKind))?;
        let area = reservation
            .area(entry.section)
            .ok_or_else(|| refusal(Reason::RelocSite))?;
        // Verified of the image; but what is written here becomes code.
        let end = u64::from(entry.offset).saturating_add(wide(kind.size));
        ensure(end <= area.len, || refusal(Reason::RelocSite))?;
        let p = area.addr.wrapping_add(entry.offset.into());
        let value = kind
            .value(s, entry.addend, p)
            .map_err(|out| refusal(Reason::RelocRange).value(out.value))?;
        let bytes = value.to_le_bytes();
        match bytes.get(..kind.size) {
            Some(field) if !field.is_empty() => put(entry.section, entry.offset, field),
            _ => {}
        }
    }
    Ok(())
}
