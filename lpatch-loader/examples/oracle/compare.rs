// SPDX-License-Identifier: GPL-2.0

//! Compares one module.

use crate::breaks::Break;
use crate::dump::{Dump, Sections};
use crate::link::{differ, Linked};
use crate::plan::{is_compared, WRITABLE_TABLES};
use crate::{calls, meaning, tables};
use lpatch_loader::elf::Section;
use lpatch_model::num::wide;
use serde::Serialize;
use std::ops::AddAssign;

/// What the kernel's loader reads, and does not keep in memory.
const READ_ONCE: [&str; 4] = [
    ".modinfo",
    "__versions",
    "__version_ext_crcs",
    "__version_ext_names",
];

/// Bytes that are the same between two that differ, and that are shown as one place all the same.
const NEAR: usize = 8;
/// Bytes in front of and behind what differs that are shown.
const AROUND: usize = 12;

/// How much was compared.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Counts {
    /// Bytes of code.
    pub(crate) text: u64,
    /// Of constants.
    pub(crate) rodata: u64,
    /// Of tables that the kernel sorts or writes to, which are compared entry by entry.
    pub(crate) tables: u64,
    /// Of those of the text, bytes that finishing changed.
    pub(crate) finished: u64,
    /// Entries of the tables.
    pub(crate) orc_entries: u64,
    pub(crate) extable_entries: u64,
    pub(crate) bug_entries: u64,
    /// Places that were finished, as the module lists them.
    pub(crate) sites: u64,
    pub(crate) alternatives: u64,
    /// Places compared by their meaning: what has to be there was computed from the state of the kernel.
    pub(crate) ftrace: u64,
    pub(crate) static_keys: u64,
    /// Of those, jumps.
    pub(crate) static_jumps: u64,
    pub(crate) static_calls: u64,
    /// Branches through thunks for ITS of the module's own.
    pub(crate) its_branches: u64,
    /// Functions with an instruction in their padding that counts, because others call them.
    pub(crate) counted_functions: u64,
    /// Ends of ORC tables that no lookup finds, which we leave out.
    pub(crate) orc_terminators: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.text += more.text;
        self.rodata += more.rodata;
        self.tables += more.tables;
        self.finished += more.finished;
        self.orc_entries += more.orc_entries;
        self.extable_entries += more.extable_entries;
        self.bug_entries += more.bug_entries;
        self.sites += more.sites;
        self.alternatives += more.alternatives;
        self.ftrace += more.ftrace;
        self.static_keys += more.static_keys;
        self.static_jumps += more.static_jumps;
        self.static_calls += more.static_calls;
        self.its_branches += more.its_branches;
        self.counted_functions += more.counted_functions;
        self.orc_terminators += more.orc_terminators;
    }
}

/// Something that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    pub(crate) module: String,
    pub(crate) section: String,
    /// In the section: the first byte that differs, or the entry of a table.
    pub(crate) offset: u64,
    /// Address of the first byte of `ours` and `memory`.
    pub(crate) address: u64,
    /// What we made, with what is around it.
    pub(crate) ours: Vec<u8>,
    /// What the kernel has.
    pub(crate) memory: Vec<u8>,
    /// Where it is, or what is wrong with it.
    pub(crate) note: String,
    /// It is code.
    #[serde(skip)]
    pub(crate) code: bool,
}

/// What came of a module.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) counts: Counts,
    pub(crate) differences: Vec<Difference>,
    /// Why it could not be compared; a failure.
    pub(crate) error: Option<String>,
}

/// Links, finishes and compares the module `name`.
pub(crate) fn module(
    name: &str,
    file: &[u8],
    sections: &Sections,
    dump: &Dump,
    bug: Option<Break>,
) -> Outcome {
    let mut outcome = Outcome::default();
    if let Err(error) = compare(name, file, sections, dump, bug, &mut outcome) {
        outcome.error = Some(error);
    }
    outcome
}

fn compare(
    name: &str,
    file: &[u8],
    sections: &Sections,
    dump: &Dump,
    bug: Option<Break>,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let mut linked = Linked::new(name, file, sections, dump, bug)?;
    let counts = &mut outcome.counts;
    counts.finished = wide(linked.finished);
    counts.sites = wide(linked.tables.sites.len());
    counts.alternatives = wide(linked.tables.alts.len());
    meaning::settle(&mut linked, dump, bug, counts)?;
    calls::settle(&mut linked, dump, bug, counts)?;
    let linked = &linked;
    for section in linked.object.elf.sections() {
        if !is_compared(section) || READ_ONCE.contains(&section.name) {
            continue;
        }
        if !sections.contains_key(section.name) {
            return Err(format!("the kernel does not say where {} is", section.name));
        }
        if WRITABLE_TABLES.contains(&section.name) || tables::SORTED.contains(&section.name) {
            continue;
        }
        bytes(linked, section, dump, outcome)?;
    }
    tables::compare(linked, dump, outcome)
}

/// Every byte of a section.
fn bytes(
    linked: &Linked<'_>,
    section: &Section<'_>,
    dump: &Dump,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let (addr, ours) = linked.section(section).ok_or("a section has no place")?;
    let memory = dump
        .bytes(addr, ours.len())
        .ok_or_else(|| format!("{} was not read", section.name))?;
    let count = if section.is_exec() {
        &mut outcome.counts.text
    } else {
        &mut outcome.counts.rodata
    };
    *count += wide(ours.len());
    if differ(ours, memory) == 0 {
        return Ok(());
    }
    for (start, end) in runs(ours, memory) {
        let from = start.saturating_sub(AROUND);
        let to = end.saturating_add(AROUND).min(ours.len());
        let show = |bytes: &[u8]| bytes.get(from..to).unwrap_or_default().to_vec();
        let offset = wide(start);
        outcome.differences.push(Difference {
            module: linked.name.into(),
            section: section.name.into(),
            offset,
            address: addr.wrapping_add(wide(from)),
            ours: show(ours),
            memory: show(memory),
            note: linked.object.place(section.index, offset),
            code: section.is_exec(),
        });
    }
    Ok(())
}

/// Where two strings of one length differ, as starts and ends.
fn runs(ours: &[u8], memory: &[u8]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let differ = ours.iter().zip(memory).enumerate();
    for (at, _) in differ.filter(|(_, (a, b))| a != b) {
        match runs.last_mut() {
            Some((_, end)) if at < *end + NEAR => *end = at + 1,
            _ => runs.push((at, at + 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_are_near_are_one() {
        let ours = [0; 40];
        let mut memory = ours;
        assert_eq!(runs(&ours, &memory), []);
        for at in [3, 5, 12, 30, 39] {
            memory[at] = 1;
        }
        assert_eq!(runs(&ours, &memory), [(3, 13), (30, 31), (39, 40)]);
    }
}
