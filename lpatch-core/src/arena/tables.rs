// SPDX-License-Identifier: GPL-2.0

//! The ORC, exception and bug tables of our own `struct module`, with room for patches.
//!
//! The kernel looks up unwind data, exception fixups and WARN sites of an address in the tables of the module that the address belongs to.
//! The arena belongs to us, so the entries of patches belong into our tables. At load time, before there is any patch, each table is
//! replaced once by a copy of itself with slots behind it. From then on its address and length are constant. Installing a patch only writes
//! slots that cannot influence a lookup for any other address (see `model/orc.rs`).
//!
//! The tables that the kernel owns are read as bytes, with no reference to them: their sections have the alignment that the compiler, the
//! assembler or objtool happened to give them (`.orc_unwind_ip` has none), and no type of ours vouches for it.
//!
//! Readers (no lock, under RCU, in any context including NMI):
//! - `orc_module_find()`: `arch.orc_unwind_ip`, `arch.orc_unwind`, `arch.num_orcs`
//! - `search_module_extables()`: `extable`, `num_exentries`
//! - `module_find_bug()`: `bug_table`, `num_bugs`

use crate::{
    ffi,
    model::{extable, orc, plan, slots},
};
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use kernel::{bindings, prelude::*};

const ORC_SIZE: usize = size_of::<bindings::orc_entry>();
const _: () = assert!(ORC_SIZE == ffi::LP_ORC_SIZE as usize);
const _: () = assert!(size_of::<bindings::exception_table_entry>() == ffi::LP_EX_SIZE as usize);
const _: () = assert!(size_of::<bindings::bug_entry>() == ffi::LP_BUG_SIZE as usize);
const _: () = assert!(plan::ORC_PER_PAGE == ffi::LP_ORC_PER_PAGE as usize);
const _: () = assert!(plan::EX_PER_PAGE == ffi::LP_EX_PER_PAGE as usize);

/// A bug table entry; addresses are absolute, 0 for none.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bug {
    pub(crate) insn: usize,
    pub(crate) format: usize,
    pub(crate) file: usize,
    pub(crate) line: u16,
    pub(crate) flags: u16,
}

/// The enlarged tables, with the number of entries of the module itself in front of the slots.
///
/// # Invariants
///
/// The tables in `arena.S` are the ones that our `struct module` points to, and hold `core_*` entries
/// followed by as many slots as the arena has room for.
pub(crate) struct Tables {
    core_orcs: usize,
    core_exs: usize,
    core_bugs: usize,
    orc_slots: usize,
    ex_slots: usize,
}

/// The distance from a field to what it refers to, as the relative tables of the kernel hold it.
fn relative(to: usize, field: usize) -> i32 {
    // Both lie in this module, whose size is far below 2 GiB, so that nothing is cut off.
    to.wrapping_sub(field) as i32
}

fn store(field: *mut i32, to: usize) {
    // SAFETY: All callers pass an aligned field of a table of ours, which lives as long as the module, and
    // which nobody accesses other than by single loads and stores of 32 bits.
    let field = unsafe { AtomicI32::from_ptr(field) };
    // Release: the payload of the entry was written before; readers depend on the address first.
    field.store(relative(to, field.as_ptr() as usize), Ordering::Release);
}

fn orc_ip(slot: usize) -> *mut i32 {
    (&raw mut ffi::lp_table_orc_ip)
        .cast::<i32>()
        .wrapping_add(slot)
}

fn orc_entry(slot: usize) -> *mut bindings::orc_entry {
    (&raw mut ffi::lp_table_orc)
        .cast::<bindings::orc_entry>()
        .wrapping_add(slot)
}

fn ex_entry(slot: usize) -> *mut bindings::exception_table_entry {
    (&raw mut ffi::lp_table_ex)
        .cast::<bindings::exception_table_entry>()
        .wrapping_add(slot)
}

fn bug_entry(slot: usize) -> *mut bindings::bug_entry {
    (&raw mut ffi::lp_table_bug)
        .cast::<bindings::bug_entry>()
        .wrapping_add(slot)
}

/// Where a field of a table of the kernel leads that holds a distance from itself.
///
/// # Safety
///
/// The field is in such a table, which is not freed meanwhile.
unsafe fn target(field: *const i32) -> usize {
    // SAFETY: As this function's; there is no alignment to rely on.
    let distance = unsafe { field.read_unaligned() };
    (field as usize).wrapping_add_signed(distance as isize)
}

/// The address of an entry of the kernel's ORC table of the module.
fn core_orc_ip(m: &bindings::module, i: usize) -> usize {
    // SAFETY: Callers stay below num_orcs, the length of the table.
    unsafe { target(m.arch.orc_unwind_ip.wrapping_add(i)) }
}

/// The address of a field of an entry of a table of the kernel, wherever that is.
macro_rules! field {
    ($entry:expr, $type:ident, $field:ident) => {
        $entry.wrapping_byte_add(core::mem::offset_of!(bindings::$type, $field))
    };
}

/// How many of the module's ORC entries stay: those in front of the arena. Lookups in the table are binary searches, so the slots for the
/// arena must be the last ones. Entries behind the start of the arena may only be about the arena itself and about initialization, whose
/// text is freed.
fn own_orcs(m: &bindings::module, arena: slots::Run) -> Result<usize> {
    let init = &m.mem[bindings::mod_mem_type_MOD_INIT_TEXT as usize];
    let init = init.base as usize..=init.base as usize + init.size as usize;
    let count = m.arch.num_orcs as usize;
    let behind = |i: &usize| core_orc_ip(m, *i) >= arena.start() as usize;
    let own = (0..count).find(behind).unwrap_or(count);
    for i in own..count {
        let ip = core_orc_ip(m, i);
        if ip > arena.last_byte() as usize + 1 && !init.contains(&ip) {
            pr_err!("the arena is not behind all other text of the module\n");
            return Err(ENOEXEC);
        }
    }
    Ok(own)
}

impl Tables {
    /// Replaces the tables of `module` by ours.
    ///
    /// # Safety
    ///
    /// `module` is this module, and it is called once, from its initialization.
    pub(crate) unsafe fn install(module: *mut bindings::module, arena: slots::Run) -> Result<Self> {
        // SAFETY: The struct is valid as long as the module; the kernel wrote the fields before it called
        // our initialization, and nobody but us writes them until the module goes.
        let m = unsafe { &mut *module };
        let tables = Self {
            core_orcs: own_orcs(m, arena)?,
            core_exs: m.num_exentries as usize,
            core_bugs: m.num_bugs as usize,
            orc_slots: arena.slots(plan::ORC_PER_PAGE).len(),
            ex_slots: arena.slots(plan::EX_PER_PAGE).len(),
        };
        if tables.core_orcs > ffi::LP_CORE_ORCS as usize
            || tables.core_exs > ffi::LP_CORE_EXS as usize
            || tables.core_bugs > ffi::LP_CORE_BUGS as usize
        {
            pr_err!("the module's own tables are larger than layout.h says\n");
            return Err(E2BIG);
        }
        tables.copy_core(m, arena)?;
        tables.clear(arena);
        for slot in 0..ffi::LP_BUG_SLOTS as usize {
            tables.clear_bug(slot);
        }

        let publish = |count: *mut u32, value: usize| {
            // SAFETY: A 32-bit field of our struct module, accessed by single loads and stores.
            unsafe { AtomicU32::from_ptr(count) }.store(value as u32, Ordering::Release);
            // Pairs with the RCU sections of the readers named above: whoever could have picked up the old
            // count or base is done when this returns.
            // SAFETY: Module initialization may sleep.
            unsafe { bindings::synchronize_rcu() };
        };
        // First the entries that do not stay: from here on a stack that goes through our initialization
        // cannot be unwound, which is as it should be after it.
        publish(&raw mut m.arch.num_orcs, tables.core_orcs);

        // Each base is replaced by one that shows the same entries within the count that is in force, so
        // that any mix of old and new that a reader picks up gives the same answer. The copies are complete
        // before they can be seen: the call above orders them.
        // SAFETY: Plain fields of our struct module; the stores are single and aligned.
        unsafe { (&raw mut m.arch.orc_unwind_ip).write_volatile(orc_ip(0)) };
        // SAFETY: As above.
        unsafe { (&raw mut m.arch.orc_unwind).write_volatile(orc_entry(0)) };
        // SAFETY: As above.
        unsafe { (&raw mut m.extable).write_volatile(ex_entry(0)) };
        // SAFETY: As above.
        unsafe { (&raw mut m.bug_table).write_volatile(bug_entry(0)) };

        // No reader may use an old base with a new count.
        // SAFETY: Module initialization may sleep.
        unsafe { bindings::synchronize_rcu() };
        publish(
            &raw mut m.arch.num_orcs,
            tables.core_orcs + tables.orc_slots,
        );
        publish(&raw mut m.num_exentries, tables.core_exs + tables.ex_slots);
        publish(
            &raw mut m.num_bugs,
            tables.core_bugs + ffi::LP_BUG_SLOTS as usize,
        );
        // INVARIANT: The struct module points to the tables in arena.S now, with all counts in force.
        Ok(tables)
    }

    /// Copies the module's own entries to the front.
    fn copy_core(&self, m: &bindings::module, arena: slots::Run) -> Result {
        for i in 0..self.core_orcs {
            let from = m.arch.orc_unwind.wrapping_add(i);
            // SAFETY: The kernel's table has num_orcs entries, of whatever alignment.
            let entry = unsafe { from.cast::<[u8; ORC_SIZE]>().read_unaligned() };
            let to = orc_entry(i).cast::<[u8; ORC_SIZE]>();
            // SAFETY: The slot of the same number is in our table, which nobody reads yet.
            unsafe { to.write_unaligned(entry) };
            store(orc_ip(i), core_orc_ip(m, i));
        }
        for i in 0..self.core_exs {
            let from = m.extable.wrapping_add(i);
            let insn = field!(from, exception_table_entry, insn).cast::<i32>();
            let fixup = field!(from, exception_table_entry, fixup).cast::<i32>();
            let data = field!(from, exception_table_entry, data).cast::<u32>();
            // SAFETY: The kernel's table has num_exentries entries, and this is a field of one.
            let insn = unsafe { target(insn) };
            // SAFETY: As above.
            let fixup = unsafe { target(fixup) };
            // SAFETY: As above.
            let data = unsafe { data.read_unaligned() };
            if insn >= arena.start() as usize {
                pr_err!("the arena is not behind all other text of the module\n");
                return Err(ENOEXEC);
            }
            self.write_ex(i, insn, fixup, data);
        }
        for i in 0..self.core_bugs {
            let from = m.bug_table.wrapping_add(i);
            let resolve = |field: *const i32| {
                // SAFETY: The kernel's table has num_bugs entries, and this is a field of one.
                match unsafe { field.read_unaligned() } {
                    0 => 0,
                    distance => (field as usize).wrapping_add_signed(distance as isize),
                }
            };
            let number = |field: *const u16| {
                // SAFETY: As above.
                unsafe { field.read_unaligned() }
            };
            let bug = Bug {
                insn: resolve(field!(from, bug_entry, bug_addr_disp).cast()),
                format: resolve(field!(from, bug_entry, format_disp).cast()),
                file: resolve(field!(from, bug_entry, file_disp).cast()),
                line: number(field!(from, bug_entry, line).cast()),
                flags: number(field!(from, bug_entry, flags).cast()),
            };
            self.write_bug(i, bug);
        }
        Ok(())
    }

    /// Writes an ORC entry of the arena.
    pub(crate) fn set_orc(&self, slot: orc::Slot) {
        assert!(slot.index < self.orc_slots);
        let entry = orc_entry(self.core_orcs + slot.index).cast::<[u8; ORC_SIZE]>();
        let mut bytes = [0; ORC_SIZE];
        bytes[0..2].copy_from_slice(&slot.sp_offset.to_le_bytes());
        bytes[2..4].copy_from_slice(&slot.bp_offset.to_le_bytes());
        bytes[4..6].copy_from_slice(&slot.bits.to_le_bytes());
        // SAFETY: The slot is in our table (type invariant and the check above); it belongs to pages whose
        // text nobody executes, so no lookup returns it now.
        unsafe { entry.write_unaligned(bytes) };
        store(orc_ip(self.core_orcs + slot.index), slot.ip as usize);
    }

    /// Writes an exception table entry of the arena.
    pub(crate) fn set_ex(&self, slot: extable::Slot) {
        assert!(slot.index < self.ex_slots);
        self.write_ex(
            self.core_exs + slot.index,
            slot.insn as usize,
            slot.fixup as usize,
            slot.data,
        );
    }

    /// Makes the slots of a run of pages match nothing.
    pub(crate) fn clear(&self, run: slots::Run) {
        orc::clear(run).for_each(|slot| self.set_orc(slot));
        extable::clear(run).for_each(|slot| self.set_ex(slot));
    }

    fn write_ex(&self, index: usize, insn: usize, fixup: usize, data: u32) {
        let entry = ex_entry(index);
        // SAFETY: The entry is in our table; no lookup returns it now.
        let field = unsafe { &raw mut (*entry).data };
        // SAFETY: As above.
        unsafe { field.write(data as i32) };
        // SAFETY: As above.
        store(unsafe { &raw mut (*entry).fixup }, fixup);
        // SAFETY: As above.
        store(unsafe { &raw mut (*entry).insn }, insn);
    }

    /// Writes the bug table entry in `slot`.
    pub(crate) fn set_bug(&self, slot: usize, bug: Bug) {
        assert!(slot < ffi::LP_BUG_SLOTS as usize);
        self.write_bug(self.core_bugs + slot, bug);
    }

    /// Makes `slot` match no address that can trap.
    pub(crate) fn clear_bug(&self, slot: usize) {
        // The end of the arena is never executed.
        let nowhere = (&raw const ffi::lp_arena_text_end) as usize;
        self.set_bug(
            slot,
            Bug {
                insn: nowhere,
                ..Bug::default()
            },
        );
    }

    fn write_bug(&self, index: usize, bug: Bug) {
        let entry = bug_entry(index);
        // SAFETY: The entry is in our table; its instruction is not executed now, so that a lookup that meets it only compares the
        // address, which is written last. Others read entries beside it, so there is no reference.
        unsafe { (&raw mut (*entry).line).write(bug.line) };
        // SAFETY: As above.
        unsafe { (&raw mut (*entry).flags).write(bug.flags) };
        // SAFETY: It is inside of our table.
        let format = unsafe { &raw mut (*entry).format_disp };
        // SAFETY: As above.
        let file = unsafe { &raw mut (*entry).file_disp };
        // SAFETY: As above.
        let insn = unsafe { &raw mut (*entry).bug_addr_disp };
        // Distance 0 means no format to the kernel; a file it prints without asking.
        store(
            format,
            if bug.format == 0 {
                format as usize
            } else {
                bug.format
            },
        );
        store(
            file,
            if bug.file == 0 {
                c"".as_ptr() as usize
            } else {
                bug.file
            },
        );
        store(insn, bug.insn);
    }
}
