// SPDX-License-Identifier: GPL-2.0

//! What the kernel says of an address, as text.

use crate::ffi;

/// Longest text that the kernel makes of an address: name, offset, size and module.
pub(super) const SYMBOL_TEXT: usize = 1024;

/// Has the kernel write the text for an address, and returns it. `room` is for [`SYMBOL_TEXT`] bytes. May sleep, as all that asks for
/// symbols.
pub(super) fn kernel_text(addr: u64, room: &mut [u8]) -> &[u8] {
    // SAFETY: The buffer is writable for the length that is passed.
    let len = unsafe { ffi::lp_symbol(addr as usize, room.as_mut_ptr().cast(), room.len() as u32) };
    room.get(..len as usize).unwrap_or_default()
}
