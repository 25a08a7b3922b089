// SPDX-License-Identifier: GPL-2.0

//! The tables that the kernel sorts, or writes to: ORC, exceptions, bugs, fentry sites, static keys and calls.
//!
//! What they have to hold are the records that the loader makes of the object. For ORC and exceptions they are written down as the core
//! writes them, at the addresses of the kernel's table, and compared byte for byte.

use crate::calls::{call_sites, CallSite, CALL_INIT, CALL_SITE};
use crate::compare::{Difference, Outcome};
use crate::dump::{relative, Dump};
use crate::link::Linked;
use crate::meaning::{jumps, Jump, JUMP_ENTRY, JUMP_INIT};
use lpatch_loader::layout::{Place, Region};
use lpatch_model::num::wide;
use lpatch_model::uapi::{Bug, Orc, NO_OFFSET};

/// Constant tables that the kernel sorts.
pub(crate) const SORTED: [&str; 3] = [".orc_unwind", ".orc_unwind_ip", "__ex_table"];

const ORC_LEN: usize = 6;
const EX_LEN: usize = 12;
const BUG_LEN: usize = 16;
/// ORC_TYPE_UNDEFINED in the bits 8 to 10 of the flags.
const ORC_TYPE: u16 = 7 << 8;
/// A warning that is given once was given.
const BUG_DONE: u16 = 4;

/// A table in memory.
struct Found<'m> {
    name: &'static str,
    addr: u64,
    memory: &'m [u8],
}

impl<'m> Found<'m> {
    fn new(
        name: &'static str,
        linked: &Linked<'_>,
        dump: &'m Dump,
    ) -> Result<Option<Self>, String> {
        let Some((addr, ours)) = linked.section_named(name).filter(|(_, b)| !b.is_empty()) else {
            return Ok(None);
        };
        let memory = dump
            .bytes(addr, ours.len())
            .ok_or_else(|| format!("{name} was not read"))?;
        Ok(Some(Self { name, addr, memory }))
    }

    fn difference(
        &self,
        linked: &Linked<'_>,
        at: usize,
        (ours, memory): (Vec<u8>, Vec<u8>),
        note: String,
    ) -> Difference {
        Difference {
            module: linked.name.into(),
            section: self.name.into(),
            offset: wide(at),
            address: self.addr.wrapping_add(wide(at)),
            ours,
            memory,
            note,
            code: false,
        }
    }
}

pub(crate) fn compare(
    linked: &Linked<'_>,
    dump: &Dump,
    outcome: &mut Outcome,
) -> Result<(), String> {
    orc(linked, dump, outcome)?;
    extable(linked, dump, outcome)?;
    bugs(linked, dump, outcome)?;
    mcount(linked, dump, outcome)?;
    static_keys(linked, dump, outcome)?;
    static_calls(linked, dump, outcome)
}

/// The field of 32 bits at `at` that leads to an address.
fn pointer(at: u64, to: u64) -> Vec<u8> {
    let distance = i64::from_ne_bytes(to.wrapping_sub(at).to_ne_bytes());
    i32::try_from(distance).map_or(vec![], |field| field.to_le_bytes().to_vec())
}

fn orc_bytes(orc: &Orc) -> Vec<u8> {
    let mut bytes = orc.sp_offset.to_le_bytes().to_vec();
    bytes.extend(orc.bp_offset.to_le_bytes());
    bytes.extend(orc.bits.to_le_bytes());
    bytes
}

/// The kernel's table has the end of each section too. Where code follows at once, no lookup finds it, and we leave it out.
fn orc(linked: &Linked<'_>, dump: &Dump, outcome: &mut Outcome) -> Result<(), String> {
    let ips = Found::new(".orc_unwind_ip", linked, dump)?;
    let entries = Found::new(".orc_unwind", linked, dump)?;
    let (Some(ips), Some(entries)) = (ips, entries) else {
        return Ok(());
    };
    outcome.counts.tables += wide(ips.memory.len() + entries.memory.len());
    let mut ours = linked.tables.orcs.iter().peekable();
    let kernel: Vec<(u64, &[u8])> = (entries.memory.chunks_exact(ORC_LEN).enumerate())
        .map(|(i, entry)| (relative(ips.memory, ips.addr, 4 * i).unwrap_or(0), entry))
        .collect();
    let text_end = linked.text_address(linked.layout.text_len);
    for (i, (ip, entry)) in kernel.iter().enumerate() {
        outcome.counts.orc_entries += 1;
        let at = ips.addr.wrapping_add(wide(4 * i));
        let slot = |orc: &Orc| {
            let mut bytes = pointer(at, linked.text_address(orc.offset));
            bytes.extend(orc_bytes(orc));
            bytes
        };
        let mut memory = ips
            .memory
            .get(4 * i..4 * i + 4)
            .unwrap_or_default()
            .to_vec();
        memory.extend(*entry);
        let expected = ours.peek().map(|orc| slot(orc)).unwrap_or_default();
        if expected == memory {
            ours.next();
            continue;
        }
        let undefined = matches!(entry, [.., a, b] if u16::from_le_bytes([*a, *b]) & ORC_TYPE == 0);
        let shadowed = kernel.get(i + 1).is_some_and(|(next, _)| next == ip);
        if undefined && (shadowed || *ip == text_end) {
            outcome.counts.orc_terminators += 1;
            continue;
        }
        let note = format!("entry {i}, for {ip:#x}: the address, then the entry");
        let found = ips.difference(linked, 4 * i, (expected, memory), note);
        outcome.differences.push(found);
        // One is enough: what follows may be shifted.
        return Ok(());
    }
    if let Some(orc) = ours.next() {
        let note = format!("the kernel has no entry for text+{:#x}", orc.offset);
        let found = ips.difference(linked, ips.memory.len(), (orc_bytes(orc), vec![]), note);
        outcome.differences.push(found);
    }
    Ok(())
}

fn extable(linked: &Linked<'_>, dump: &Dump, outcome: &mut Outcome) -> Result<(), String> {
    let Some(table) = Found::new("__ex_table", linked, dump)? else {
        return Ok(());
    };
    outcome.counts.tables += wide(table.memory.len());
    let mut ours = Vec::with_capacity(table.memory.len());
    for (i, ex) in linked.tables.exs.iter().enumerate() {
        let at = table.addr.wrapping_add(wide(EX_LEN * i));
        ours.extend(pointer(at, linked.text_address(ex.insn)));
        ours.extend(pointer(at.wrapping_add(4), linked.text_address(ex.fixup)));
        ours.extend(ex.data.to_le_bytes());
        outcome.counts.extable_entries += 1;
    }
    whole(linked, &table, EX_LEN, &ours, outcome);
    Ok(())
}

/// The first entry that differs.
fn whole(linked: &Linked<'_>, table: &Found<'_>, len: usize, ours: &[u8], outcome: &mut Outcome) {
    let all = ours.len().max(table.memory.len());
    for at in (0..all).step_by(len) {
        let entry = |bytes: &[u8]| {
            let end = bytes.len().min(at + len);
            bytes.get(at..end).unwrap_or_default().to_vec()
        };
        let (a, b) = (entry(ours), entry(table.memory));
        if a != b {
            let note = format!("entry {}", at / len);
            let found = table.difference(linked, at, (a, b), note);
            outcome.differences.push(found);
            return;
        }
    }
}

/// The kernel keeps the order of the file, and notes which warnings were given.
fn bugs(linked: &Linked<'_>, dump: &Dump, outcome: &mut Outcome) -> Result<(), String> {
    let Some(table) = Found::new("__bug_table", linked, dump)? else {
        return Ok(());
    };
    outcome.counts.tables += wide(table.memory.len());
    let rodata = |offset: u32| {
        let region = Region::Rodata;
        (offset != NO_OFFSET).then(|| linked.address(Place { region, offset }))
    };
    let mut entries: Vec<(u64, usize)> = (0..table.memory.len())
        .step_by(BUG_LEN)
        .map(|at| (relative(table.memory, table.addr, at).unwrap_or(0), at))
        .collect();
    entries.sort_unstable();
    let mut ours: Vec<&Bug> = linked.tables.bugs.iter().collect();
    ours.sort_by_key(|bug| bug.insn);
    if entries.len() != ours.len() {
        let note = format!("{} entries, the kernel has {}", ours.len(), entries.len());
        let found = table.difference(linked, 0, (vec![], vec![]), note);
        outcome.differences.push(found);
        return Ok(());
    }
    for ((_, start), bug) in entries.iter().zip(ours) {
        outcome.counts.bug_entries += 1;
        let at = table.addr.wrapping_add(wide(*start));
        let memory = table
            .memory
            .get(*start..start + BUG_LEN)
            .unwrap_or_default();
        let field = |offset: u64, to: Option<u64>| {
            to.map_or(vec![0; 4], |to| pointer(at.wrapping_add(offset), to))
        };
        let done = match memory {
            [.., a, b] => u16::from_le_bytes([*a, *b]) & BUG_DONE,
            _ => 0,
        };
        let mut expected = pointer(at, linked.text_address(bug.insn));
        expected.extend(field(4, rodata(bug.format)));
        expected.extend(field(8, rodata(bug.file)));
        expected.extend(bug.line.to_le_bytes());
        expected.extend((bug.flags | done).to_le_bytes());
        if expected != memory {
            let note = format!("for text+{:#x}", bug.insn);
            let found = table.difference(linked, *start, (expected, memory.to_vec()), note);
            outcome.differences.push(found);
        }
    }
    Ok(())
}

/// The same entries, sorted.
fn sorted<T: Ord + std::fmt::Debug>(
    linked: &Linked<'_>,
    table: &Found<'_>,
    len: usize,
    (mut ours, mut memory): (Vec<T>, Vec<T>),
    outcome: &mut Outcome,
) {
    outcome.counts.tables += wide(table.memory.len());
    ours.sort_unstable();
    memory.sort_unstable();
    let differ = ours.iter().zip(&memory).position(|(a, b)| a != b);
    let at = differ.or((ours.len() != memory.len()).then_some(ours.len().min(memory.len())));
    if let Some(at) = at {
        let note = format!("ours {:x?}, memory {:x?}", ours.get(at), memory.get(at));
        let found = table.difference(linked, at * len, (vec![], vec![]), note);
        outcome.differences.push(found);
    }
}

/// Addresses of fentry sites.
fn mcount(linked: &Linked<'_>, dump: &Dump, outcome: &mut Outcome) -> Result<(), String> {
    let Some(table) = Found::new("__mcount_loc", linked, dump)? else {
        return Ok(());
    };
    let Some((_, ours)) = linked.section_named("__mcount_loc") else {
        return Ok(());
    };
    let words = |bytes: &[u8]| -> Vec<u64> {
        let words = bytes.chunks_exact(8).filter_map(|b| b.first_chunk());
        words.map(|b| u64::from_le_bytes(*b)).collect()
    };
    let both = (words(ours), words(table.memory));
    sorted(linked, &table, 8, both, outcome);
    Ok(())
}

fn static_keys(linked: &Linked<'_>, dump: &Dump, outcome: &mut Outcome) -> Result<(), String> {
    let Some(table) = Found::new("__jump_table", linked, dump)? else {
        return Ok(());
    };
    let Some((addr, ours)) = linked.section_named("__jump_table") else {
        return Ok(());
    };
    let entries = |bytes: &[u8]| -> Vec<(u64, u64, u64)> {
        let all = jumps(addr, bytes).into_iter();
        all.map(|Jump { code, target, key }| (code, target, key & !JUMP_INIT))
            .collect()
    };
    let both = (entries(ours), entries(table.memory));
    sorted(linked, &table, JUMP_ENTRY, both, outcome);
    Ok(())
}

/// The kernel writes keys in the place of trampolines.
fn static_calls(linked: &Linked<'_>, dump: &Dump, outcome: &mut Outcome) -> Result<(), String> {
    let Some(table) = Found::new(".static_call_sites", linked, dump)? else {
        return Ok(());
    };
    let Some((addr, ours)) = linked.section_named(".static_call_sites") else {
        return Ok(());
    };
    let entries = |bytes: &[u8]| -> Vec<(u64, u64)> {
        let all = call_sites(addr, bytes).into_iter();
        all.map(|CallSite { addr, key }| (addr, key & !CALL_INIT))
            .collect()
    };
    let (mut meant, mut found) = (entries(ours), entries(table.memory));
    meant.sort_unstable();
    found.sort_unstable();
    // Addresses and flags first; then the keys, one by one.
    for ((_, key), (_, theirs)) in meant.iter_mut().zip(&found) {
        if key != theirs && dump.names.is_key_of(*key & !3, theirs & !3) {
            *key = (*theirs & !3) | (*key & 3);
        }
    }
    sorted(linked, &table, CALL_SITE, (meant, found), outcome);
    Ok(())
}
