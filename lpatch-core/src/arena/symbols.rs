// SPDX-License-Identifier: GPL-2.0

//! Names of patched code and data in the kernel's symbol table of our module.
//!
//! `mod->kallsyms` points to the table that backtraces, `/proc/kallsyms` and perf read. When the core is first asked for
//! something, it has this pointer point to a table of ours: the module's own symbols, then those of the patches. So a patch costs no more
//! than its symbols. When the module is removed, the kernel's table is put back.

use crate::{
    ffi,
    uapi::{Ksym, SEC_DATA, SEC_RODATA, SEC_TEXT},
};
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicPtr, Ordering},
};
use kernel::{bindings, prelude::*};

/// The symbols of one patch.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) strings: &'a [u8],
    pub(crate) ksyms: &'a [Ksym],
    /// Addresses of text, rodata, data.
    pub(crate) sections: [usize; 3],
    /// The name of the patch.
    pub(crate) name: &'a [u8],
    /// The address behind its text.
    pub(crate) text_end: usize,
}

/// What stands behind the name of a patch in the symbol of its end.
const SUFFIX: &[u8] = b".end";
/// With a NUL.
const SUFFIX_LEN: usize = SUFFIX.len() + 1;

/// A symbol table in the kernel's format. The vectors own what `head` points into.
struct Table {
    head: bindings::mod_kallsyms,
    /// The same arrays without what is behind the module's own symbols.
    bare: bindings::mod_kallsyms,
    // By pages: what kmalloc() has for as much is up to twice as large.
    _symbols: VVec<bindings::Elf64_Sym>,
    _strings: VVec<u8>,
    _letters: VVec<u8>,
}

/// A finished table that is not yet in force. `None`: the current one, without patches.
pub(crate) struct Prepared(Option<KBox<Table>>);

/// What `mod->kallsyms` points to.
///
/// # Invariants
///
/// `module` is our module, alive. While `current` is `Some`, `mod->kallsyms` points to one of its heads.
pub(crate) struct Kallsyms {
    module: *mut bindings::module,
    current: Option<KBox<Table>>,
    /// Those before, each with the grace period of RCU tasks after which nobody reads it: who goes through the symbols of all modules does so under
    /// `module_mutex`, which we cannot take, and not under RCU. He does not sleep meanwhile of his own accord.
    old: KVec<(KBox<Table>, usize)>,
    /// What the exit waits with.
    readers: Option<Readers>,
}

/// What waits for readers of a table when the module goes.
struct Readers(NonNull<ffi::lp_readers>);

// SAFETY: Heap memory without ties to a thread.
unsafe impl Send for Readers {}

impl Readers {
    fn new() -> Result<Self> {
        // SAFETY: No requirements.
        NonNull::new(unsafe { ffi::lp_readers_new() })
            .map(Self)
            .ok_or(ENOMEM)
    }

    /// Waits until all are done who read now. `false`: some may still.
    fn are_gone(self) -> bool {
        let readers = self.0.as_ptr();
        core::mem::forget(self);
        // SAFETY: It is ours, and not used any more. We may sleep.
        unsafe { ffi::lp_readers_are_gone(readers) != 0 }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        // SAFETY: It is ours, and not used any more.
        unsafe { ffi::lp_readers_free(self.0.as_ptr()) };
    }
}

// SAFETY: The pointer is to our own module, which outlives the value, and is used under the lock that the
// value is kept behind.
unsafe impl Send for Kallsyms {}

impl Kallsyms {
    /// # Safety
    ///
    /// `module` is this module, and there is one value of this type.
    pub(crate) unsafe fn new(module: *mut bindings::module) -> Self {
        // INVARIANT: `current` is `None`.
        Self {
            module,
            current: None,
            old: KVec::new(),
            readers: None,
        }
    }

    fn pointer(&self) -> &AtomicPtr<bindings::mod_kallsyms> {
        // SAFETY: By the type invariant the module is alive.
        let field = unsafe { &raw mut (*self.module).kallsyms };
        // SAFETY: An aligned pointer field, written by the kernel only until initialization is over, which
        // `is_ready` checks, and read by single loads under RCU.
        unsafe { AtomicPtr::from_ptr(field) }
    }

    fn core(&self) -> *mut bindings::mod_kallsyms {
        // SAFETY: By the type invariant the module is alive.
        unsafe { &raw mut (*self.module).core_kallsyms }
    }

    /// Whether the kernel is done with the module's symbol table; it switches to the final one after our
    /// initialization has returned.
    pub(crate) fn is_ready(&self) -> bool {
        self.current.is_some() || self.pointer().load(Ordering::Acquire) == self.core()
    }

    /// Puts a table of ours in force, if possible. If not, the first patch brings it.
    pub(crate) fn begin(&mut self) {
        if self.current.is_none() && self.is_ready() {
            if let Ok(prepared) = self.prepare(core::iter::empty()) {
                self.publish(prepared);
            }
        }
    }

    /// Builds the table for these patches. That cannot fail if there are none, and there were some before.
    pub(crate) fn prepare<'a>(
        &mut self,
        patches: impl Iterator<Item = Names<'a>> + Clone,
    ) -> Result<Prepared> {
        let any = patches.clone().next().is_some();
        match self.room().and_then(|()| self.table(patches)) {
            Err(error) if any || self.current.is_none() => Err(error),
            table => Ok(Prepared(table.ok())),
        }
    }

    /// What is needed to put a table in force.
    fn room(&mut self) -> Result {
        if self.readers.is_none() {
            self.readers = Some(Readers::new()?);
        }
        self.old.reserve(1, GFP_KERNEL)?;
        Ok(())
    }

    fn table<'a>(&self, patches: impl Iterator<Item = Names<'a>> + Clone) -> Result<KBox<Table>> {
        // And one more for each, see below.
        let extra: usize = patches.clone().map(|p| p.ksyms.len() + 1).sum();
        // SAFETY: Written by the kernel before our initialization, constant since.
        let core = unsafe { &*self.core() };
        let count = core.num_symtab as usize;
        // SAFETY: The kernel's table has num_symtab symbols. Where it lies in the module is the linker's business.
        let symbol = |i| unsafe { core.symtab.add(i).read_unaligned() };
        // SAFETY: Its string table holds a NUL-terminated name for each of them.
        let name = |at: u32| unsafe { CStr::from_char_ptr(core.strtab.add(at as usize)) };
        // Not the assembler's own labels, which the kernel's lookup skips, nor the padding in front of functions.
        let is_own = |i: &usize| {
            let name = name(symbol(*i).st_name).to_bytes();
            !name.starts_with(b".L") && !name.starts_with(b"__pfx_")
        };
        let own = || (0..count).filter(is_own);
        let lens = own().map(|i| name(symbol(i).st_name).to_bytes_with_nul().len());
        let extra_lens = patches
            .clone()
            .map(|p| p.strings.len() + p.name.len() + SUFFIX_LEN);
        let len = lens.sum::<usize>() + extra_lens.sum::<usize>();
        let count = own().count();
        let mut symbols = VVec::with_capacity(count + extra, GFP_KERNEL)?;
        let mut letters = VVec::with_capacity(count + extra, GFP_KERNEL)?;
        let mut strings = VVec::with_capacity(len, GFP_KERNEL)?;

        for i in own() {
            let mut symbol = symbol(i);
            let name = name(symbol.st_name);
            symbol.st_name = strings.len() as u32;
            strings.extend_from_slice(name.to_bytes_with_nul(), GFP_KERNEL)?;
            symbols.push(symbol, GFP_KERNEL)?;
            // SAFETY: The kernel's table has num_symtab letters.
            letters.push(unsafe { *core.typetab.add(i) } as u8, GFP_KERNEL)?;
        }
        let own_count = symbols.len() as u32;
        let mut push = |name: &[u8], suffix: &[u8], address: usize, size: u32, letter: u8| {
            let symbol = bindings::Elf64_Sym {
                st_name: strings.len() as u32,
                // Any section but SHN_UNDEF, which the lookup skips.
                st_shndx: 1,
                st_value: address as u64,
                st_size: size.into(),
                ..Default::default()
            };
            strings.extend_from_slice(name, GFP_KERNEL)?;
            strings.extend_from_slice(suffix, GFP_KERNEL)?;
            strings.push(0, GFP_KERNEL)?;
            symbols.push(symbol, GFP_KERNEL)?;
            letters.push(letter, GFP_KERNEL)?;
            Ok::<(), Error>(())
        };
        for patch in patches {
            for ksym in patch.ksyms {
                let section = match ksym.section {
                    SEC_TEXT | SEC_RODATA | SEC_DATA => patch.sections[usize::from(ksym.section)],
                    _ => continue,
                };
                let name = patch.strings.get(ksym.name as usize..).unwrap_or_default();
                let name = name.split(|b| *b == 0).next().unwrap_or_default();
                push(
                    name,
                    b"",
                    section + ksym.offset as usize,
                    ksym.size,
                    ksym.letter,
                )?;
            }
            // The kernel takes a symbol to end where the next one begins.
            push(patch.name, SUFFIX, patch.text_end, 0, b't')?;
        }
        let head = bindings::mod_kallsyms {
            symtab: symbols.as_mut_ptr(),
            num_symtab: symbols.len() as u32,
            strtab: strings.as_mut_ptr().cast(),
            typetab: letters.as_mut_ptr().cast(),
        };
        let bare = bindings::mod_kallsyms {
            num_symtab: own_count,
            ..head
        };
        Ok(KBox::new(
            Table {
                head,
                bare,
                _symbols: symbols,
                _strings: strings,
                _letters: letters,
            },
            GFP_KERNEL,
        )?)
    }

    /// Puts a table in force. The one before is freed when nobody reads it any more.
    pub(crate) fn publish(&mut self, prepared: Prepared) {
        match (prepared.0, &mut self.current) {
            (Some(mut table), _) => {
                let head = &raw mut table.head;
                // INVARIANT: It points to the table that becomes the current one.
                self.point_to(head);
                if let Some(old) = self.current.replace(table) {
                    // SAFETY: No requirements.
                    let ticket = unsafe { ffi::lp_grace_begin() };
                    if self.old.push_within_capacity((old, ticket)).is_err() {
                        unreachable!("room was reserved");
                    }
                }
            }
            (None, Some(table)) => {
                let bare = &raw mut table.bare;
                // INVARIANT: It is the other head of the same one.
                self.point_to(bare);
            }
            (None, None) => {}
        }
    }

    /// Frees the tables that nobody reads any more. Of the driver, which is kicked when a grace period is over.
    pub(crate) fn forget(&mut self) {
        // SAFETY: No requirements.
        let open = |ticket: usize| unsafe { ffi::lp_grace_is_over(ticket) == 0 };
        self.old.retain(|(_, ticket)| open(*ticket));
    }

    fn point_to(&self, head: *mut bindings::mod_kallsyms) {
        // Release: the table is complete before it can be seen; pairs with the rcu_dereference() of readers.
        self.pointer().store(head, Ordering::Release);
    }
}

impl Drop for Kallsyms {
    /// The tables before are read by nobody: their grace periods hold the module until they are over.
    fn drop(&mut self) {
        let Some(current) = self.current.take() else {
            return;
        };
        self.point_to(self.core());
        if !self.readers.take().is_some_and(Readers::are_gone) {
            pr_warn!("somebody may still read our symbols, so their memory is lost\n");
            core::mem::forget(current);
        }
    }
}
