// SPDX-License-Identifier: GPL-2.0

//! From addresses to the names of what is there.

use crate::{
    model::{exits, finalize::retpolines::THUNK_SIZE, symbol_text, verify::Symbol},
    running::{
        code::{indirect_thunks, return_thunk},
        modules::Pinned,
        texts::{kernel_text, SYMBOL_TEXT},
    },
};
use kernel::prelude::*;

/// The size of the symbol that begins at an address.
pub(crate) fn symbol_size(addr: u64) -> Option<u64> {
    let mut size = None;
    symbol(addr, &mut |symbol| {
        size = Some(symbol.size).filter(|_| symbol.offset == 0)
    });
    size
}

/// Where the symbol that an address is in begins, if that is code of the kernel, or of a module; and that module, kept from going away.
/// `None` also if the module is just going.
pub(crate) fn held_code(addr: u64) -> Option<(u64, Option<Pinned>)> {
    let mut found = None;
    let (mut name, mut len) = ([0; MODULE_NAME_LEN], 0);
    symbol(addr, &mut |symbol| {
        let module = symbol.module.unwrap_or_default();
        if let Some(room) = name.get_mut(..module.len()) {
            room.copy_from_slice(module);
            len = module.len();
            found = Some((addr - symbol.offset, symbol.module.is_some()));
        }
    });
    match found? {
        (start, false) => Some((start, None)),
        (start, true) => Some((start, Some(Pinned::new(&name[..len])?))),
    }
}

/// That of the kernel's `struct module`. Of a longer name nothing would be known.
const MODULE_NAME_LEN: usize = 56;

/// One for each register.
const THUNKS_LEN: u64 = 16 * THUNK_SIZE;

/// Where the symbol that an address is in begins, and what a jump to the address comes to.
pub(crate) fn holder(addr: u64) -> Option<(u64, exits::Target)> {
    let mut found = None;
    symbol(addr, &mut |symbol| {
        found = Some((addr - symbol.offset, exits::target(symbol.name)));
    });
    // Whatever they are called: an address can have several names.
    let thunks = indirect_thunks();
    match found {
        Some((start, _)) if addr == return_thunk() => Some((start, exits::Target::Return)),
        Some((start, _)) if thunks != 0 && addr.wrapping_sub(thunks) < THUNKS_LEN => {
            Some((start, exits::Target::Anywhere))
        }
        found => found,
    }
}

kernel::sync::global_lock! {
    // SAFETY: Initialized by the module's initialization before anything asks for a symbol.
    /// Room for the text that the kernel makes of an address, since it is too long for a stack. A leaf lock: whoever holds it takes no
    /// other lock, and asks for no other symbol.
    pub(crate) unsafe(uninit) static TEXT: Mutex<[u8; SYMBOL_TEXT]> = [0; SYMBOL_TEXT];
}

/// Writes the text for an address, "name+0xoffset/0xsize [module]", as far as there is room; returns its length.
pub(crate) fn symbol_text(addr: u64, out: &mut [u8]) -> usize {
    let mut room = TEXT.lock();
    let text = kernel_text(addr, &mut *room);
    let len = text.len().min(out.len());
    out[..len].copy_from_slice(&text[..len]);
    len
}

/// Calls `with` with the name of an address, unless it has none. `with` must not ask for another. A function of its own, by whose name
/// `qemu/check-frames` knows what it calls.
#[inline(never)]
pub(super) fn symbol(addr: u64, with: &mut dyn FnMut(Symbol<'_>)) -> bool {
    let mut room = TEXT.lock();
    match symbol_text::parse(kernel_text(addr, &mut *room)) {
        Some(symbol) => {
            with(symbol);
            true
        }
        None => false,
    }
}
