// SPDX-License-Identifier: GPL-2.0

//! Which tasks would block the transition of a patch that is not loaded.

use crate::device::{name_of, Ask, Blocking, Device, DeviceError};
use crate::kallsyms::{Kallsyms, Length};
use crate::link::Linked;
use crate::resolve::OldFunc;
use lpatch_model::uapi::{Blocker, FuncInfo, PatchInfo, Range, RANGES_MAX};

/// A range of kernel text; as the core does, we take no more than kallsyms tells.
fn range(addr: u64, len: u64) -> Range {
    Range {
        start: addr,
        end: addr.saturating_add(len),
    }
}

fn known(len: Length) -> u64 {
    let (Length::Exact(len) | Length::AtLeast(len)) = len;
    len
}

/// Whether gcc makes this name for the unlikely part of a function: `name.cold`, `name.cold.0`.
fn is_cold(part: &str, name: &str) -> bool {
    match part
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix(".cold"))
    {
        Some("") => true,
        Some(rest) => rest
            .strip_prefix('.')
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())),
        None => false,
    }
}

/// The original function, with the parts of it that lie elsewhere.
fn original(func: &OldFunc, kallsyms: &Kallsyms, ranges: &mut Vec<Range>) {
    ranges.push(range(func.addr, known(func.len)));
    for part in func.parts.iter().filter(|part| is_cold(part, &func.name)) {
        let found = kallsyms.by_name(part);
        for found in found.filter(|found| found.objname == func.objname) {
            if let Some(len) = kallsyms.length(&found) {
                ranges.push(range(found.addr, known(len)));
            }
        }
    }
}

/// The text that tasks would have to leave: of each function the version that is in force.
///
/// `patches` are the enabled patches with their functions, the newest first.
pub fn ranges(
    linked: &Linked<'_>,
    kallsyms: &Kallsyms,
    patches: &[(PatchInfo, Vec<FuncInfo>)],
) -> Vec<Range> {
    let mut ranges = Vec::new();
    // Nobody is in a function whose module is not loaded.
    let there = linked.resolved.funcs.iter().filter(|func| func.addr != 0);
    for func in there {
        let has = |list: &[FuncInfo]| list.iter().any(|f| f.old_addr == func.addr);
        match patches.iter().find(|(_, funcs)| has(funcs)) {
            // A patch's parts call one another without ftrace: it counts as one.
            Some((info, _)) => ranges.push(range(info.text_addr, info.text_len.into())),
            None => original(func, kallsyms, &mut ranges),
        }
    }
    ranges.sort_by_key(|range| range.start);
    ranges.dedup();
    ranges
}

/// Asks the core.
pub fn blocking(
    core: &mut dyn Device,
    linked: &Linked<'_>,
    kallsyms: &Kallsyms,
) -> Result<Blocking, DeviceError> {
    let mut infos = core.list()?;
    infos.retain(|info| info.order != 0);
    infos.sort_by_key(|info| std::cmp::Reverse(info.order));
    let mut patches = Vec::new();
    for info in infos {
        patches.push(core.status(&name_of(&info.name))?);
    }
    let ranges = ranges(linked, kallsyms, &patches);
    let mut all = Blocking::default();
    let limit = usize::try_from(RANGES_MAX).unwrap_or(usize::MAX);
    for part in ranges.chunks(limit) {
        let mut more = core.blockers(Ask::Ranges(part))?;
        // A task that several parts name is one task; idle tasks have one pid.
        let key = |task: &Blocker| (task.pid, if task.pid == 0 { task.cpu } else { 0 });
        let seen = |task: &Blocker| all.list.iter().any(|other| key(other) == key(task));
        let before = more.list.len();
        more.list.retain(|task| !seen(task));
        let twice = u32::try_from(before - more.list.len()).unwrap_or(0);
        all.count = all.count.saturating_add(more.count).saturating_sub(twice);
        all.list.append(&mut more.list);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::is_cold;

    #[test]
    fn cold_parts() {
        for part in ["show.cold", "show.cold.0", "show.cold.12"] {
            assert!(is_cold(part, "show"), "{part}");
        }
        for part in [
            "show",
            "show.part.0",
            "show.cold.",
            "show.colder",
            "show.cold.x",
            "shower.cold",
        ] {
            assert!(!is_cold(part, "show"), "{part}");
        }
    }
}
