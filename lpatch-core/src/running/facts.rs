// SPDX-License-Identifier: GPL-2.0

//! The running kernel, as the model asks about it.

use crate::{
    ffi,
    model::{
        exits, fentry,
        finalize::{
            calls::{Counting, PADDING},
            facts,
            retpolines::{Form, Retpolines, THUNK_SIZE},
            returns::{Example, Returns},
            Facts, Features,
        },
        image::Image,
        refusal::{ensure, Refusal},
        symbol_text,
        verify::{Kernel, Symbol},
    },
    running::{modules::Pinned, probes::Asking},
    uapi::Reason,
};
use core::{
    cell::RefCell,
    fmt::{self, Write},
};
use kernel::prelude::*;

/// Longest text that the kernel makes of an address: name, offset, size and module.
const SYMBOL_TEXT: usize = 1024;
/// More than the text of facts takes.
const FACTS_TEXT: usize = ffi::LP_FACTS_TEXT as usize - 1;
/// How often a site that is being written is looked at, with a moment between two looks.
const LOOKS: usize = 20;

/// The running kernel.
pub(crate) struct Running {
    own_text: core::ops::Range<u64>,
    probes: RefCell<Asking>,
}

/// The CRC-32 that images carry, computed by the kernel's own code.
pub(crate) fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    // SAFETY: The pointer and the length are of one slice.
    unsafe { ffi::lp_crc32(crc, bytes.as_ptr(), bytes.len()) }
}

/// Reads an image; in memory of its own, as it is too large for a stack.
pub(crate) fn image(bytes: &[u8]) -> Result<KBox<Image<'_>>, Refusal> {
    let mut image = no_image()?;
    image.fill(bytes)?;
    Ok(image)
}

/// A function of its own, so that what it copies from is gone when the image is read.
#[inline(never)]
fn no_image<'a>() -> Result<KBox<Image<'a>>, Refusal> {
    Ok(KBox::new(Image::empty(crc32), GFP_KERNEL)?)
}

/// Copies kernel memory; fails where none is mapped.
pub(crate) fn read(addr: u64, out: &mut [u8]) -> bool {
    // SAFETY: `out` is writable for its length; the source may be any address.
    unsafe { ffi::lp_read_kernel(out.as_mut_ptr().cast(), addr as usize, out.len()) == 0 }
}

/// 8 bytes of kernel memory, or `None` where none is mapped.
pub(crate) fn word(addr: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    read(addr, &mut bytes).then(|| u64::from_ne_bytes(bytes))
}

/// Whether a fentry site is a jump. One that is written at this moment is looked at again, until it has been for a while, by which
/// time it may be called one that somebody else uses too.
pub(crate) fn jumps_at(ip: u64) -> bool {
    for _ in 0..LOOKS {
        let mut site = [0; 5];
        let found = read(ip, &mut site).then(|| fentry::site(&site));
        match found.flatten().map(|found| found.form) {
            Some(fentry::Form::Jmp(_)) => return true,
            // SAFETY: No requirements; who asks may sleep.
            Some(fentry::Form::Changing) => unsafe { ffi::lp_wait_a_moment() },
            _ => return false,
        }
    }
    false
}

/// Whether this kernel takes patches that nobody signed.
pub(crate) fn unsigned_allowed() -> bool {
    // SAFETY: No requirements.
    unsafe { ffi::lp_unsigned_allowed() != 0 }
}

/// The size of the symbol that begins at an address.
pub(crate) fn symbol_size(addr: u64) -> Option<u64> {
    let mut size = None;
    symbol(addr, &mut |symbol| {
        size = Some(symbol.size).filter(|_| symbol.offset == 0)
    });
    size
}

/// Where the symbol begins that an address is in, if that is code of the kernel, or of a module; and that module, kept from going away.
/// `None` also where it goes just now.
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

/// Of the kernel's `struct module`. Of a longer name nothing would be known.
const MODULE_NAME_LEN: usize = 56;

/// One for each register.
const THUNKS_LEN: u64 = 16 * THUNK_SIZE;

/// Where the symbol begins that an address is in, and what a jump there comes to.
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
    /// The text that the kernel makes of an address is too long for a stack, so there is room for one. A leaf: who holds
    /// it takes no other lock, and asks for no other symbol.
    pub(crate) unsafe(uninit) static TEXT: Mutex<[u8; SYMBOL_TEXT]> = [0; SYMBOL_TEXT];
}

/// Has the kernel write the text for an address, and returns it. May sleep, as all that asks for symbols.
fn kernel_text(addr: u64, room: &mut [u8; SYMBOL_TEXT]) -> &[u8] {
    // SAFETY: The buffer is writable for the length that is passed.
    let len =
        unsafe { ffi::lp_symbol(addr as usize, room.as_mut_ptr().cast(), SYMBOL_TEXT as u32) };
    room.get(..len as usize).unwrap_or_default()
}

/// Writes the text for an address, "name+0xoffset/0xsize [module]", as far as there is room; returns its length.
pub(crate) fn symbol_text(addr: u64, out: &mut [u8]) -> usize {
    let mut room = TEXT.lock();
    let text = kernel_text(addr, &mut room);
    let len = text.len().min(out.len());
    out[..len].copy_from_slice(&text[..len]);
    len
}

/// Calls `with` with the name of an address, unless it has none. `with` must not ask for another.
fn symbol(addr: u64, with: &mut dyn FnMut(Symbol<'_>)) -> bool {
    let mut room = TEXT.lock();
    match symbol_text::parse(kernel_text(addr, &mut room)) {
        Some(symbol) => {
            with(symbol);
            true
        }
        None => false,
    }
}

impl Running {
    /// For a request.
    pub(crate) fn new() -> Self {
        Self::with(true)
    }

    /// For a module that comes: a signal for who loads it must not leave a patch out.
    pub(crate) fn coming() -> Self {
        Self::with(false)
    }

    /// Where kprobes were, of those functions whose bytes they have changed.
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

fn return_thunk() -> u64 {
    // SAFETY: No requirements.
    unsafe { ffi::lp_return_thunk() as u64 }
}

fn indirect_thunks() -> u64 {
    // SAFETY: No requirements.
    unsafe { ffi::lp_indirect_thunks() as u64 }
}

fn bug_func() -> u64 {
    // SAFETY: No requirements.
    unsafe { ffi::lp_bug_func() as u64 }
}

/// A return of ours, as the kernel left it.
fn example(site: *const u8) -> Example {
    let at = site as u64;
    let mut bytes = [0; 5];
    read(at, &mut bytes);
    Example { at, bytes }
}

/// Learns what this boot's kernel makes of code, from what it says about the CPU and from the examples in `examples.S`.
#[inline(never)]
fn learn() -> Result<Facts, Refusal> {
    let lower = example((&raw const ffi::lp_example_lower).cast());
    let upper = example((&raw const ffi::lp_example_upper).cast());
    let mut seal = fentry::ENDBR64;
    if cfg!(CONFIG_X86_KERNEL_IBT) {
        read(lower.at - 4, &mut seal);
    }
    // SAFETY: No requirements.
    let mitigations = unsafe { ffi::lp_mitigations() };
    Ok(Facts {
        returns: Returns::learn(lower, upper, return_thunk())?,
        retpolines: retpolines(mitigations)?,
        calls: if mitigations & ffi::LP_CALL_DEPTH != 0 {
            Some(counting().ok_or(Reason::CallDepth)?)
        } else {
            None
        },
        seal: facts::seal(seal)?,
        features: features().ok_or(Reason::Mitigation)?,
        one_cpu: one_cpu(),
        bug_func: bug_func(),
        // SAFETY: No requirements.
        nop_func: unsafe { ffi::lp_nop_func() as u64 },
    })
}

/// Learns it, and shows what was learned in the module's parameter "facts".
#[inline(never)]
pub(crate) fn known() -> Result<Facts, Refusal> {
    let facts = learn();
    show(&facts);
    facts
}

/// What does not fit is not shown; it all fits.
#[inline(never)]
fn show(facts: &Result<Facts, Refusal>) {
    let mut text = Text {
        bytes: [0; FACTS_TEXT],
        len: 0,
    };
    let _ = match facts {
        Ok(facts) => facts.show(&mut text),
        Err(refusal) => {
            let (reason, value) = (refusal.reason.code(), refusal.value);
            writeln!(text, "refused {reason} {value:x}")
        }
    };
    // SAFETY: The pointer and the length are of one array.
    unsafe { ffi::lp_show_facts(text.bytes.as_ptr().cast(), text.len) };
}

/// Text in the making.
struct Text {
    bytes: [u8; FACTS_TEXT],
    len: usize,
}

impl Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let place = room.get_mut(..more.len()).ok_or(fmt::Error)?;
        place.copy_from_slice(more.as_bytes());
        self.len += more.len();
        Ok(())
    }
}

fn features() -> Option<Features> {
    let mut count = 0;
    // SAFETY: The pointer is valid for writes.
    let words = unsafe { ffi::lp_cpu_features(&raw mut count) };
    // SAFETY: The words are in the kernel's data; they change only while CPUs come up at boot.
    Features::new(unsafe { core::slice::from_raw_parts(words, count as usize) })
}

/// The rules follow from the features of the CPU. The kernel has to have done to our branches what they say.
fn retpolines(found: u32) -> Result<Retpolines, Refusal> {
    let has = |feature: u32| found & feature != 0;
    let lfence = has(ffi::LP_RETPOLINE_LFENCE);
    let its = (&raw const ffi::lp_its_thunks) as u64;
    let retpolines = Retpolines {
        thunks: indirect_thunks(),
        form: if has(ffi::LP_RETPOLINE) && !lfence && has(ffi::LP_CALL_DEPTH) {
            Form::Counted {
                // SAFETY: No requirements.
                calls: unsafe { ffi::lp_indirect_call_thunks() as u64 },
                // SAFETY: No requirements.
                jumps: unsafe { ffi::lp_indirect_jump_thunks() as u64 },
            }
        } else if has(ffi::LP_RETPOLINE) && !lfence {
            Form::Thunk
        } else {
            Form::Inline {
                lfence,
                its: has(ffi::LP_INDIRECT_ITS).then_some(its),
            }
        },
    };
    // SAFETY: It is constant data of ours.
    let examples = unsafe { &*(&raw const ffi::lp_example_branches) };
    for example in examples.iter().filter(|_| retpolines.thunks != 0) {
        let at = example.site as u64;
        let mut bytes = [0; 6];
        read(at, &mut bytes);
        let agrees = retpolines.agrees(at, example.reg as u8, example.call != 0, &bytes);
        ensure(agrees, || Refusal::new(Reason::Mitigation).value(at))?;
    }
    Ok(retpolines)
}

/// What counts a call.
fn counting() -> Option<Counting> {
    let at = (&raw const ffi::lp_example_count) as u64;
    let end = (&raw const ffi::lp_example_count_end) as u64;
    let mut bytes = [0; PADDING];
    let example = bytes.get_mut(..(end - at) as usize)?;
    let counting = read(at, example).then(|| Counting::new(example, at))?;
    if counting.is_some() {
        crate::transition::walk::set_count_len(example.len() as u8);
    }
    counting
}

/// Whether the kernel took our lock prefix away, and will never put it back.
fn one_cpu() -> bool {
    const DS: u8 = 0x3e;
    let mut prefix = [0];
    read((&raw const ffi::lp_example_lock) as u64, &mut prefix);
    // SAFETY: No requirements.
    let only = unsafe { ffi::lp_one_cpu() != 0 };
    only && prefix == [DS]
}
