// SPDX-License-Identifier: GPL-2.0

//! Static calls: what a site or a trampoline has to be follows from the function in the key.
//!
//! The forms are those of __static_call_transform() in arch/x86/kernel/static_call.c.

use crate::breaks::Break;
use crate::compare::Counts;
use crate::dump::{relative, Dump};
use crate::link::Linked;
use crate::meaning::{branch, KEY_FLAGS};
use lpatch_loader::elf::Home;
use lpatch_loader::kallsyms::Kallsyms;
use lpatch_loader::relocate::NOP5;
use lpatch_model::finalize::{finalize, Facts, Records};
use lpatch_model::image::Table;
use lpatch_model::num::wide;
use lpatch_model::uapi::{Site, Wire, SITE_RETURN};
use std::collections::HashMap;

/// Bytes of struct static_call_site: the site and the key, 32 bits each, relative.
pub(crate) const CALL_SITE: usize = 8;
/// In the low bits of the key: the call is the last thing of its function.
const TAIL: u64 = 1;
/// And: the code is gone after the initialization; only the kernel sets it.
pub(crate) const CALL_INIT: u64 = 2;
const CALL: u8 = 0xe8;
const JMP: u8 = 0xe9;
/// `cs cs cs xorl %eax, %eax`, for a function that returns 0.
const RETURN_0: [u8; 5] = [0x2e, 0x2e, 0x2e, 0x31, 0xc0];
/// `ud1 (%edx), %rdi`, for the function behind WARN.
const WARN: [u8; 5] = [0x67, 0x48, 0x0f, 0xb9, 0x3a];

/// A site of a static call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallSite {
    pub(crate) addr: u64,
    /// With its low bits.
    pub(crate) key: u64,
}

/// The entries of a table of static calls at this address.
pub(crate) fn call_sites(addr: u64, table: &[u8]) -> Vec<CallSite> {
    let entries = (0..table.len()).step_by(CALL_SITE);
    entries
        .filter_map(|at| {
            Some(CallSite {
                addr: relative(table, addr, at)?,
                key: relative(table, addr, at + 4)?,
            })
        })
        .collect()
}

/// Names of trampolines and of keys by address, without what all of them begin with.
#[derive(Debug, Default)]
pub(crate) struct Names {
    trampolines: HashMap<u64, String>,
    keys: HashMap<u64, String>,
}

impl Names {
    pub(crate) fn new(kallsyms: &Kallsyms) -> Self {
        let named = |prefix: &str| {
            let all = kallsyms.iter();
            all.filter_map(|f| Some((f.addr, f.name.strip_prefix(prefix)?.to_owned())))
                .collect()
        };
        Self {
            trampolines: named("__SCT__"),
            keys: named("__SCK__"),
        }
    }

    /// Whether the kernel's key is the one that a module's table means: a module that may not change it names the
    /// trampoline.
    pub(crate) fn is_key_of(&self, meant: u64, key: u64) -> bool {
        let name = self.trampolines.get(&meant);
        meant == key || name.is_some_and(|name| self.keys.get(&key) == Some(name))
    }
}

/// `ret`, as this boot has it at this address.
fn ret(facts: &Facts, at: u64) -> Option<[u8; 5]> {
    let mut code = [JMP, 0, 0, 0, 0];
    let mut site = [0; Site::SIZE];
    Site {
        offset: 0,
        kind: SITE_RETURN,
        reserved: 0,
    }
    .write(&mut site)?;
    let records = Records {
        sites: Table::over(&site),
        alts: Table::over(&[]),
        relocs: Table::over(&[]),
    };
    finalize(&mut code, at, &records, facts, &|_| None).ok()?;
    Some(code)
}

/// Puts into our text what the sites and trampolines of static calls have to be.
pub(crate) fn settle(
    linked: &mut Linked<'_>,
    dump: &Dump,
    bug: Option<Break>,
    counts: &mut Counts,
) -> Result<(), String> {
    sites(linked, dump, bug, counts)?;
    trampolines(linked, dump, counts)
}

fn sites(
    linked: &mut Linked<'_>,
    dump: &Dump,
    bug: Option<Break>,
    counts: &mut Counts,
) -> Result<(), String> {
    let Some((addr, table)) = linked.section_named(".static_call_sites") else {
        return Ok(());
    };
    // The kernel's table, sorted, and with keys in the place of trampolines.
    let memory = dump.bytes(addr, table.len()).unwrap_or_default();
    for site in call_sites(addr, memory) {
        let Some(offset) = linked.offset(site.addr) else {
            continue;
        };
        let key = site.key & !KEY_FLAGS;
        let function = dump
            .word(key)
            .ok_or_else(|| format!("the key of a static call at {key:#x} was not read"))?;
        let function = if bug == Some(Break::Keys) {
            function ^ 16
        } else {
            function
        };
        let right = forms(linked, dump, (offset, site), function)
            .ok_or_else(|| format!("no static call at text+{offset:#x}"))?;
        let found = right
            .iter()
            .find(|form| dump.bytes(site.addr, form.len()) == Some(form));
        if let Some(form) = found.or(right.first()) {
            linked.put(offset, form);
        }
        counts.static_calls += 1;
    }
    Ok(())
}

/// What a site may be; the first is what we would write.
fn forms(
    linked: &Linked<'_>,
    dump: &Dump,
    (offset, site): (u32, CallSite),
    function: u64,
) -> Option<Vec<Vec<u8>>> {
    let is = |name: &str| function != 0 && dump.symbol(name) == Some(function);
    let at = site.addr;
    let code = linked.text(offset, 6)?;
    let tail = site.key & TAIL != 0;
    let list = match (code, function) {
        ([CALL, ..], 0) if !tail => vec![NOP5.to_vec()],
        ([CALL, ..], _) if !tail => {
            let counted = linked.facts.calls.map_or(0, |c| wide(c.example().0.len()));
            // The kernel looks for those that are no calls after it has moved the call to the padding.
            let mut forms = vec![branch(CALL, at, function)?.to_vec()];
            if counted > 0 {
                forms.push(branch(CALL, at, function.wrapping_sub(counted))?.to_vec());
            }
            if is("__static_call_return0") {
                forms.insert(0, RETURN_0.into());
            }
            if is("__WARN_trap") {
                forms.insert(0, WARN.into());
            }
            forms
        }
        ([JMP, ..], 0) if tail => vec![ret(&linked.facts, at)?.to_vec()],
        ([JMP, ..], _) if tail => vec![branch(JMP, at, function)?.to_vec()],
        ([0x0f, condition @ 0x80..=0x8f, ..], _) if tail => {
            let to = match function {
                0 => dump.symbol("__static_call_return")?,
                _ => function,
            };
            let [_, field @ ..] = branch(JMP, at.wrapping_add(1), to)?;
            let mut form = vec![0x0f, *condition];
            form.extend(field);
            vec![form]
        }
        _ => return None,
    };
    Some(list)
}

/// A trampoline jumps to the function in its key, or returns if there is none.
fn trampolines(linked: &mut Linked<'_>, dump: &Dump, counts: &mut Counts) -> Result<(), String> {
    let object = &linked.object.elf;
    let address = |name: &str| {
        let symbol = object.symbols().iter().find(|s| s.name == name)?;
        let Home::Section(section) = symbol.home else {
            return None;
        };
        let place = linked
            .layout
            .place(object.sections().get(section)?, symbol.value)?;
        Some(linked.address(place))
    };
    let names = object.symbols().iter();
    let names = names.filter(|s| matches!(s.home, Home::Section(_)));
    let all: Vec<(u64, u64)> = names
        .filter_map(|s| s.name.strip_prefix("__SCT__"))
        .map(|name| {
            let key = address(&format!("__SCK__{name}"));
            let key = key.ok_or_else(|| format!("the trampoline of {name} has no key"))?;
            Ok((address(&format!("__SCT__{name}")).unwrap_or(0), key))
        })
        .collect::<Result<_, String>>()?;
    for (trampoline, key) in all {
        let Some(offset) = linked.offset(trampoline) else {
            continue;
        };
        let function = dump
            .word(key)
            .ok_or_else(|| format!("the key of a static call at {key:#x} was not read"))?;
        let form = match function {
            0 => ret(&linked.facts, trampoline),
            _ => branch(JMP, trampoline, function),
        };
        let form = form.ok_or_else(|| format!("no trampoline at text+{offset:#x}"))?;
        linked.put(offset, &form);
        counts.static_calls += 1;
    }
    Ok(())
}
