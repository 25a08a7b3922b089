// SPDX-License-Identifier: GPL-2.0

//! Which tasks would block the transition of a patch that is not loaded.

use crate::device::{name_of, Ask, Blocking, Device, DeviceError};
use crate::kallsyms::Length;
use crate::link::Linked;
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

/// The text that tasks would have to leave: of each function the version that is in force, and all of the patches that
/// would be replaced.
///
/// `patches` are the enabled patches with their functions, the newest first.
pub fn ranges(linked: &Linked<'_>, patches: &[(PatchInfo, Vec<FuncInfo>)]) -> Vec<Range> {
    let text = |info: &PatchInfo| range(info.text_addr, info.text_len.into());
    let replaced =
        |info: &PatchInfo| linked.info.cumulative && name_of(&info.set) == linked.info.set;
    let mut ranges: Vec<Range> = (patches.iter())
        .filter(|(info, _)| replaced(info))
        .map(|(info, _)| text(info))
        .collect();
    let resolved = &linked.resolved;
    for (index, func) in resolved.funcs.iter().enumerate() {
        // Nobody is in a function whose module is not loaded.
        if func.addr == 0 {
            continue;
        }
        let has = |list: &[FuncInfo]| list.iter().any(|f| f.old_addr == func.addr);
        match patches.iter().find(|(_, funcs)| has(funcs)) {
            // A patch's parts call one another without ftrace: it counts as one.
            Some((info, _)) => ranges.push(text(info)),
            None => {
                ranges.push(range(func.addr, known(func.len)));
                let parts = resolved.colds.iter().filter(|part| part.func == index);
                ranges.extend(parts.map(|part| range(part.addr, known(part.len))));
            }
        }
    }
    ranges.sort_by_key(|range| range.start);
    ranges.dedup();
    ranges
}

/// Asks the core.
pub fn blocking(core: &mut dyn Device, linked: &Linked<'_>) -> Result<Blocking, DeviceError> {
    let mut infos = core.list()?;
    infos.retain(|info| info.order != 0);
    infos.sort_by_key(|info| std::cmp::Reverse(info.order));
    let mut patches = Vec::new();
    for info in infos {
        patches.push(core.status(&name_of(&info.name))?);
    }
    let ranges = ranges(linked, &patches);
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
