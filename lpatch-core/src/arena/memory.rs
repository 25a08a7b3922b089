// SPDX-License-Identifier: GPL-2.0

//! The arena: who has which of its pages, and how they are written.
//!
//! Text and rodata are never writable where they are used. They are written through an [`Alias`], a second
//! mapping that is writable, not executable, and gone before the pages come into use.

use crate::{
    ffi,
    model::{arena::Arena, slots},
    uapi,
};
use core::ops::Range;
use kernel::{page::PAGE_SIZE, prelude::*};

/// What an unused byte of text holds.
pub(crate) const INT3: u8 = 0xcc;

/// A run of units that belongs to somebody, with the address of its first byte.
///
/// # Invariants
///
/// The units are marked as used in the [`Pool`] that the run came from, for this run only.
pub(crate) struct Run {
    pub(crate) first: usize,
    pub(crate) units: usize,
    pub(crate) addr: usize,
}

impl Run {
    /// Pages of the module that are nobody's but the caller's.
    pub(crate) fn pages(addr: usize, len: usize) -> Self {
        // INVARIANT: It never comes to a pool.
        Self {
            first: 0,
            units: len.div_ceil(PAGE_SIZE),
            addr,
        }
    }

    /// The addresses of a run of pages.
    pub(crate) fn range(&self) -> Range<usize> {
        self.addr..self.addr + self.units * PAGE_SIZE
    }
}

impl Run {
    /// The slots in the tables that come with a run of text.
    pub(crate) fn slots(&self) -> slots::Run {
        let arena = self.addr - self.first * PAGE_SIZE;
        // Text runs have at least one page (see `Plan`) and lie in mapped memory.
        slots::Run::new(arena as u64, self.first, self.units).unwrap_or_else(|| unreachable!())
    }
}

/// Equal units of memory that are handed out in contiguous runs.
pub(crate) struct Pool {
    base: usize,
    units: usize,
    unit_size: usize,
    used: KVec<u64>,
}

impl Pool {
    pub(crate) fn new(base: usize, units: usize, unit_size: usize) -> Result<Self> {
        let used = KVec::from_elem(0, units.div_ceil(64), GFP_KERNEL)?;
        Ok(Self {
            base,
            units,
            unit_size,
            used,
        })
    }

    fn pages(start: *const u8, end: *const u8) -> Result<Self> {
        Self::new(
            start as usize,
            (end as usize - start as usize) / PAGE_SIZE,
            PAGE_SIZE,
        )
    }

    fn view(&mut self) -> Arena<'_> {
        // The bitmap was made for this number of units.
        Arena::new(&mut self.used, self.units).unwrap_or_else(|| unreachable!())
    }

    /// Takes `count` units; `Err` has the bytes of the largest free run.
    pub(crate) fn take(&mut self, count: usize) -> Result<Run, u64> {
        if count == 0 {
            // INVARIANT: There is nothing to be marked.
            return Ok(Run {
                first: 0,
                units: 0,
                addr: 0,
            });
        }
        match self.view().alloc(count) {
            // INVARIANT: The model just marked the units for this run.
            Some(first) => Ok(Run {
                first,
                units: count,
                addr: self.base + first * self.unit_size,
            }),
            None => Err((self.view().largest_run() * self.unit_size) as u64),
        }
    }

    /// Gives a run back.
    pub(crate) fn give(&mut self, run: Run) {
        // By the invariant of `Run` this cannot fail; if it ever does, the units stay taken.
        if run.units != 0 && self.view().free(run.first, run.units).is_err() {
            pr_err!("arena: a run was given back twice\n");
        }
    }

    /// All units, as if they were one run.
    pub(crate) fn all(&self) -> slots::Run {
        slots::Run::new(self.base as u64, 0, self.units).unwrap_or_else(|| unreachable!())
    }

    /// Bytes in all.
    pub(crate) fn total(&self) -> u64 {
        (self.units * self.unit_size) as u64
    }

    /// Bytes that are free.
    pub(crate) fn free(&mut self) -> u64 {
        (self.view().free_units() * self.unit_size) as u64
    }
}

/// The memory that patches live in.
pub(crate) struct Memory {
    pub(crate) text: Pool,
    pub(crate) rodata: Pool,
    pub(crate) data: Pool,
    pub(crate) bugs: Pool,
}

/// What one patch has of each pool.
pub(crate) struct Runs {
    pub(crate) text: Run,
    pub(crate) rodata: Run,
    pub(crate) data: Run,
    pub(crate) bugs: Run,
}

impl Memory {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            text: Pool::pages(
                (&raw const ffi::lp_arena_text).cast(),
                (&raw const ffi::lp_arena_text_end).cast(),
            )?,
            rodata: Pool::pages(
                (&raw const ffi::lp_arena_rodata).cast(),
                (&raw const ffi::lp_arena_rodata_end).cast(),
            )?,
            data: Pool::pages(
                (&raw const ffi::lp_arena_data).cast(),
                (&raw const ffi::lp_arena_data_end).cast(),
            )?,
            bugs: Pool::new(0, ffi::LP_BUG_SLOTS as usize, 1)?,
        })
    }

    /// Gives everything of a patch back. The text has to be wiped, the table slots cleared before.
    pub(crate) fn give(&mut self, runs: Runs) {
        self.text.give(runs.text);
        self.rodata.give(runs.rodata);
        self.data.give(runs.data);
        self.bugs.give(runs.bugs);
    }
}

/// A second, writable mapping of pages of the arena.
///
/// # Invariants
///
/// `map` is a live mapping of `len` bytes, which only this value knows.
pub(crate) struct Alias {
    map: *mut u8,
    len: usize,
}

impl Alias {
    /// Maps the pages of a run, which is not empty.
    pub(crate) fn map(run: &Run) -> Result<Self> {
        // SAFETY: The run is memory of our module.
        let map = unsafe { ffi::lp_alias_map(run.addr, run.units as u32) };
        if map.is_null() {
            return Err(ENOMEM);
        }
        // INVARIANT: The mapping was just made.
        Ok(Self {
            map: map.cast(),
            len: run.units * PAGE_SIZE,
        })
    }

    /// Writes a field that nothing uses. Its pages may be in use otherwise, because a patch may be executing in them. So there is no
    /// reference to them, here or elsewhere. `false`: the field is not inside.
    pub(crate) fn put(&mut self, offset: usize, field: &[u8]) -> bool {
        let inside = offset
            .checked_add(field.len())
            .is_some_and(|end| end <= self.len);
        if inside {
            // SAFETY: It is inside the mapping, which is live, and nobody else reads or writes the field.
            unsafe { self.map.add(offset).copy_from(field.as_ptr(), field.len()) };
        }
        inside
    }

    /// Writes `contents` to the start and `fill` to the rest, of pages that nobody uses.
    fn write(&mut self, contents: &[u8], fill: u8) {
        // SAFETY: By the type invariant the mapping is live and has this length. Nobody uses the pages through their other mapping
        // either: they belong to one patch that is being installed or removed, under the registry's lock.
        unsafe { write(self.map, self.len, contents, fill) };
    }
}

/// Writes `contents` to the start and `fill` to the rest.
///
/// # Safety
///
/// `to` is valid for writes of `len` bytes, which nobody else uses.
unsafe fn write(to: *mut u8, len: usize, contents: &[u8], fill: u8) {
    let used = contents.len().min(len);
    // SAFETY: It is inside, and `contents` is ordinary memory.
    unsafe { to.copy_from(contents.as_ptr(), used) };
    // SAFETY: As above.
    unsafe { to.add(used).write_bytes(fill, len - used) };
}

impl Drop for Alias {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the mapping is live and ours; nobody uses it afterwards.
        unsafe { ffi::lp_alias_unmap(self.map.cast()) };
    }
}

/// The writable mappings of a patch's text and rodata. Making them may fail; writing cannot, so they are
/// made before the first step that is hard to take back.
pub(crate) struct Mapped {
    text: Alias,
    rodata: Option<Alias>,
}

impl Mapped {
    pub(crate) fn new(runs: &Runs) -> Result<Self> {
        let rodata = if runs.rodata.units == 0 {
            None
        } else {
            Some(Alias::map(&runs.rodata)?)
        };
        Ok(Self {
            text: Alias::map(&runs.text)?,
            rodata,
        })
    }

    /// Writes a patch, such that every CPU sees its text. What the contents do not cover traps or is zero.
    pub(crate) fn write(mut self, runs: &Runs, text: &[u8], rodata: &[u8], data: &[u8]) {
        self.text.write(text, INT3);
        if let Some(alias) = &mut self.rodata {
            alias.write(rodata, 0);
        }
        write_data(&runs.data, data);
        // SAFETY: Called from an ioctl, which may sleep.
        unsafe { ffi::lp_sync_cores() };
    }

    /// Writes a field of a patch that nothing uses, though the rest of it may be in use. `sync` comes before anything does.
    pub(crate) fn put(&mut self, runs: &Runs, section: u8, offset: usize, field: &[u8]) {
        let inside = match section {
            uapi::SEC_TEXT => self.text.put(offset, field),
            uapi::SEC_RODATA => (self.rodata.as_mut()).is_some_and(|to| to.put(offset, field)),
            _ => put_data(&runs.data, offset, field),
        };
        if !inside {
            // The image was verified, and it is not.
            pr_err!("arena: a field is outside of its patch\n");
        }
    }

    /// Lets every CPU see what was written.
    pub(crate) fn sync(self) {
        // SAFETY: The callers may sleep.
        unsafe { ffi::lp_sync_cores() };
    }

    /// Makes the memory look as if it had never been used.
    pub(crate) fn wipe(self, runs: &Runs) {
        self.write(runs, &[], &[], &[]);
    }
}

/// Writes a field of the data of a patch that nothing uses; the rest may be in use. `false`: it is not inside.
fn put_data(run: &Run, offset: usize, field: &[u8]) -> bool {
    let range = run.range();
    let end = offset.checked_add(field.len());
    let inside = end.is_some_and(|end| end <= range.len());
    if inside {
        let to = (range.start + offset) as *mut u8;
        // SAFETY: It is in the run, which is writable memory of our module, and nobody else reads or writes the field.
        unsafe { to.copy_from(field.as_ptr(), field.len()) };
    }
    inside
}

/// Writes the data of a patch that nobody uses; what `contents` does not cover becomes zero.
fn write_data(run: &Run, contents: &[u8]) {
    let range = run.range();
    if !range.is_empty() {
        // SAFETY: The run is writable memory of our module, and belongs to one patch, none of whose code runs yet or any more.
        unsafe { write(range.start as *mut u8, range.len(), contents, 0) };
    }
}
