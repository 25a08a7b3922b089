// SPDX-License-Identifier: GPL-2.0

//! The running kernel, as the model asks about it.

use crate::{
    ffi,
    model::{
        refusal::Refusal,
        verify::{Kernel, Symbol},
    },
    running::{
        code::{bug_func, indirect_thunks, read, return_thunk},
        names::symbol,
        probes::Asking,
    },
};
use core::cell::RefCell;
use kernel::prelude::*;

/// The running kernel.
pub(crate) struct Running {
    own_text: core::ops::Range<u64>,
    probes: RefCell<Asking>,
}

impl Running {
    /// For a request.
    pub(crate) fn new() -> Self {
        Self::with(true)
    }

    /// For a module that is being loaded: a signal to the task that loads it must not leave a patch out.
    pub(crate) fn coming() -> Self {
        Self::with(false)
    }

    /// Where kprobes were, in those functions whose bytes they have changed.
    pub(crate) fn probed(self) -> KVec<u64> {
        self.probes.into_inner().found()
    }

    fn with(interruptible: bool) -> Self {
        let start = (&raw const ffi::lp_arena_text) as u64;
        let end = (&raw const ffi::lp_arena_text_end) as u64;
        Self {
            own_text: start..end,
            probes: RefCell::new(Asking::new(interruptible)),
        }
    }
}

impl Kernel for Running {
    fn symbol(&self, addr: u64, with: &mut dyn FnMut(Symbol<'_>)) -> bool {
        symbol(addr, with)
    }

    fn read_text(&self, addr: u64, out: &mut [u8]) -> bool {
        read(addr, out)
    }

    /// May wait, for as long as requests do; so the registry is not locked.
    fn original(&self, addr: u64) -> Result<Option<u8>, Refusal> {
        self.probes.borrow_mut().original(addr)
    }

    fn forget_originals(&self) {
        self.probes.borrow_mut().forget();
    }

    fn release(&self) -> &[u8] {
        // SAFETY: The kernel's release is a NUL-terminated string that never changes.
        unsafe { CStr::from_char_ptr(ffi::lp_release()) }.to_bytes()
    }

    fn orc_hash(&self) -> [u8; 20] {
        // SAFETY: The shim's array has 20 bytes and lives as long as the module.
        unsafe { *ffi::lp_orc_hash().cast::<[u8; 20]>() }
    }

    fn return_thunk(&self) -> u64 {
        return_thunk()
    }

    fn indirect_thunks(&self) -> u64 {
        indirect_thunks()
    }

    fn bug_func(&self) -> u64 {
        bug_func()
    }

    fn has_ibt(&self) -> bool {
        cfg!(CONFIG_X86_KERNEL_IBT)
    }

    fn is_ours(&self, addr: u64) -> bool {
        let mut ours = self.own_text.contains(&addr);
        if !ours {
            symbol(addr, &mut |symbol| {
                ours = symbol.module == Some(b"lpatch_core")
            });
        }
        ours
    }

    fn exports(&self, name: &[u8], addr: u64) -> bool {
        // SAFETY: The pointer and the length are of one slice.
        unsafe { ffi::lp_exports(name.as_ptr().cast(), name.len(), addr as usize) != 0 }
    }
}

/// Whether this kernel takes patches that nobody signed.
pub(crate) fn unsigned_allowed() -> bool {
    // SAFETY: No requirements.
    unsafe { ffi::lp_unsigned_allowed() != 0 }
}
