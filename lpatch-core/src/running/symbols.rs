// SPDX-License-Identifier: GPL-2.0

//! From names of functions and other symbols to addresses.
//!
//! The kernel exports only the other direction. So all symbols of vmlinux or of a module are gone through, once for all symbols that are
//! looked for. That also counts the symbols of each name.

use crate::{
    ffi,
    model::{cold, refusal::Refusal, sort, symbol_text, verify::Symbol},
    running::{
        code,
        texts::{kernel_text, SYMBOL_TEXT},
    },
    uapi::Reason,
};
use core::ffi::c_void;
use kernel::{alloc::Flags, bindings, prelude::*};

/// A symbol that is looked for, and what was found.
pub(crate) struct Search<'a> {
    /// Its name, as in /proc/kallsyms.
    pub(crate) name: &'a [u8],
    /// Which one of that name, from 1; 0: there is only one.
    pub(crate) sympos: usize,
    /// How many there are.
    pub(crate) count: usize,
    /// The address of that one, or of the first.
    pub(crate) addr: u64,
}

impl<'a> Search<'a> {
    pub(crate) fn new(name: &'a [u8], sympos: usize) -> Self {
        Self {
            name,
            sympos,
            count: 0,
            addr: 0,
        }
    }

    /// The address, if there is one and it is clear which.
    pub(crate) fn found(&self) -> Option<u64> {
        let unique = self.sympos == 0 && self.count == 1;
        (unique || (1..=self.count).contains(&self.sympos)).then_some(self.addr)
    }
}

/// The address of a symbol that is named like the cold part of a function, and the index of its search.
pub(crate) struct Cold {
    pub(crate) search: usize,
    pub(crate) addr: u64,
}

/// A way through the symbols.
struct Pass<'a, 'b> {
    searches: &'a mut [Search<'b>],
    /// Indices into `searches`, by name.
    sorted: KVec<usize>,
    colds: KVec<Cold>,
    /// Of allocations on the way.
    flags: Flags,
    no_memory: bool,
}

/// Looks up `searches` among the functions of vmlinux and fills in what was found. Returns the cold parts of functions with these names. Takes long, and
/// may sleep.
pub(crate) fn find(searches: &mut [Search<'_>]) -> Result<KVec<Cold>, Refusal> {
    go_through(searches, GFP_KERNEL, |pass| {
        each_of_vmlinux(|addr, name| pass.symbol(addr, name))
    })
}

/// The same for symbols of a module.
///
/// # Safety
///
/// `module` is a `struct module` that is not freed meanwhile.
pub(crate) unsafe fn find_in_module(
    module: *mut c_void,
    searches: &mut [Search<'_>],
) -> Result<KVec<Cold>, Refusal> {
    go_through(searches, GFP_ATOMIC, |pass| {
        let arg = (&raw mut *pass).cast();
        // SAFETY: As this function's. `symbol` gets the `Pass` that it is made for, and does not sleep with these flags.
        unsafe { ffi::lp_each_module_symbol(module, Some(symbol), arg) };
        Ok(())
    })
}

/// `each` has to hand all symbols to the `Pass`.
fn go_through<'a, 'b>(
    searches: &'a mut [Search<'b>],
    flags: Flags,
    each: impl FnOnce(&mut Pass<'a, 'b>) -> Result<(), Refusal>,
) -> Result<KVec<Cold>, Refusal> {
    let mut sorted = KVec::with_capacity(searches.len(), GFP_KERNEL)?;
    for i in 0..searches.len() {
        sorted.push(i, GFP_KERNEL)?;
    }
    sort::sort_by_key(&mut sorted, |i: &usize| searches[*i].name);
    let mut pass = Pass {
        searches,
        sorted,
        colds: KVec::new(),
        flags,
        no_memory: false,
    };
    each(&mut pass)?;
    if pass.no_memory {
        return Err(Reason::Nomem.into());
    }
    Ok(pass.colds)
}

/// Calls `f` for all names in the text of vmlinux, by address.
///
/// Each address has one name: of several, the one that /proc/kallsyms lists first. The text is mapped in one piece, executable from its first to its last
/// page, and has no neighbor that is. All of it has names.
#[inline(never)]
fn each_of_vmlinux(mut f: impl FnMut(u64, &[u8])) -> Result<(), Refusal> {
    let mut room = KVec::from_elem(0, SYMBOL_TEXT, GFP_KERNEL)?;
    // Any function of it.
    let mut addr = bindings::ktime_get as *const () as u64;
    while let Some(page) = code::executable(addr) {
        addr = page.start - 1;
    }
    addr += 1;
    let mut end = addr;
    loop {
        if addr >= end {
            match code::executable(addr) {
                Some(page) => end = page.end,
                None => return Ok(()),
            }
        }
        match symbol_text::parse(kernel_text(addr, &mut room)) {
            Some(Symbol {
                name,
                offset: 0,
                size: size @ 1..,
                ..
            }) => {
                f(addr, name);
                addr += size;
            }
            // What has no name is not text.
            _ => return Ok(()),
        }
    }
}

/// # Safety
///
/// `arg` points to a `Pass` that nobody else uses; there are `len` bytes at `name`.
unsafe extern "C" fn symbol(
    arg: *mut c_void,
    addr: usize,
    name: *const kernel::ffi::c_char,
    len: usize,
) {
    // SAFETY: As this function's.
    let pass = unsafe { &mut *arg.cast::<Pass<'_, '_>>() };
    // SAFETY: As this function's.
    let name = unsafe { core::slice::from_raw_parts(name.cast::<u8>(), len) };
    pass.symbol(addr as u64, name);
}

impl Pass<'_, '_> {
    fn symbol(&mut self, addr: u64, name: &[u8]) {
        self.each(name, |pass, i| {
            let Some(search) = pass.searches.get_mut(i) else {
                return;
            };
            search.count = search.count.saturating_add(1);
            if search.count == search.sympos.max(1) {
                search.addr = addr;
            }
        });
        let Some(at) = name.windows(5).rposition(|part| part == b".cold") else {
            return;
        };
        let function = &name[..at];
        if cold::is_part_of(name, function) {
            self.each(function, |pass, search| {
                let pushed = pass.colds.push(Cold { search, addr }, pass.flags);
                pass.no_memory |= pushed.is_err();
            });
        }
    }

    /// Calls `f` for all searches for this name.
    fn each(&mut self, name: &[u8], f: impl Fn(&mut Self, usize)) {
        let key = |i: usize| self.searches.get(i).map(|search| search.name);
        let mut at = self.sorted.partition_point(|i| key(*i) < Some(name));
        while let Some(&i) = self.sorted.get(at) {
            if self.searches.get(i).map(|search| search.name) != Some(name) {
                return;
            }
            f(self, i);
            at += 1;
        }
    }
}
