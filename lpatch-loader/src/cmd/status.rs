// SPDX-License-Identifier: GPL-2.0

//! `status`: one patch, the core with its transition, or who is in the way.

use super::list::{or_dash, patch_json, patches};
use super::promotion::Promotion;
use super::{blockers, meta, transition};
use crate::cli;
use crate::failure::Failure;
use crate::output::{table, Report};
use crate::system::System;
use lpatch_loader::device::{name_of, Ask, Blocking, Device};
use lpatch_loader::kprobes::{self, Kprobe};
use lpatch_loader::reason;
use lpatch_loader::wait::ended;
use lpatch_model::uapi::{
    FuncInfo, PatchInfo, Reason, F_CONSISTENCY, PATCH_IN_CALLBACK, PATCH_LEFT_OUT, PATCH_MODULE,
    PATCH_PINNED, PATCH_REPLACE, PATCH_STUCK, PATH_ASK, PATH_HANDLER, PATH_JUMP, PATH_LEFT_OUT,
    PATH_NONE, PATH_TRACED, PHASE_NONE, STATE_DISABLING, STATE_ENABLED, STATE_ENABLING,
};
use serde_json::{json, Value};

/// Shows what was asked for.
pub(crate) fn run(args: &cli::Status, system: &mut dyn System) -> Result<Report, Failure> {
    let mut core = system.core()?;
    match &args.name {
        Some(name) => patch(core.as_mut(), name, || system.kprobes()),
        None if args.blockers => blocked(core.as_mut()),
        None => whole(core.as_mut()),
    }
}

/// Its place among the enabled patches.
fn order(info: &PatchInfo) -> String {
    match info.order {
        0 => "-".into(),
        order => format!("{order}; the highest that changes a function is in force"),
    }
}

fn flags(info: &PatchInfo) -> String {
    let all = [
        (PATCH_REPLACE, "cumulative (replaces all others of its set)"),
        (PATCH_PINNED, "pinned (by force; can never be unloaded)"),
        (PATCH_MODULE, "registered by a kernel module"),
        (PATCH_IN_CALLBACK, "busy (a callback of it is running)"),
        (
            PATCH_STUCK,
            "stuck (a task has died in a callback of it; it stays as it is until the next boot)",
        ),
        (PATCH_LEFT_OUT, "left out of a module that it does not fit"),
    ];
    let set = all.iter().filter(|(flag, _)| info.flags & flag != 0);
    set.map(|(_, word)| *word).collect::<Vec<_>>().join(", ")
}

/// How calls come to the replacement: a word for programs.
pub(super) fn path_word(func: &FuncInfo) -> &'static str {
    match func.path {
        PATH_NONE => "none",
        PATH_HANDLER => "handler",
        PATH_ASK => "ask",
        PATH_JUMP => "jump",
        PATH_TRACED => "traced",
        PATH_LEFT_OUT => "left_out",
        _ => "unknown",
    }
}

/// The same for a person.
pub(super) fn path_text(func: &FuncInfo) -> String {
    let why = |why: &str| format!("through the handler ({why})");
    match func.path {
        PATH_NONE => "-".into(),
        PATH_HANDLER => match i32::try_from(func.path_errno) {
            Ok(0) => why("a jump soon"),
            Ok(libc::EBUSY) => why("another owner, such as a BPF program, has its jump"),
            Ok(libc::ECANCELED) => {
                why("jumps are switched off: --no-promote, or lpatch_core's parameter")
            }
            Ok(libc::ENOSPC) => why("there are as many jumps as can be"),
            Ok(libc::ENOMEM) => why("no memory for a jump"),
            Ok(errno) => why(&std::io::Error::from_raw_os_error(errno).to_string()),
            Err(_) => why("unknown reason"),
        },
        PATH_ASK => "by a jump that asks".into(),
        PATH_JUMP => "by a jump".into(),
        PATH_TRACED => "by a jump, behind a tracer".into(),
        PATH_LEFT_OUT => {
            let why = reason::misfit(func.path_errno);
            format!("to the old function ({why}; see the kernel's log)")
        }
        other => format!("unknown ({other})"),
    }
}

/// Why the patch is left out of a function's module, as the number of a reason; null: it is not.
fn left_out(func: &FuncInfo) -> Option<u32> {
    (func.path == PATH_LEFT_OUT).then_some(func.path_errno)
}

/// `probes`: those of the kernel, if they may be seen.
fn patch(
    core: &mut dyn Device,
    name: &str,
    probes: impl FnOnce() -> Option<Vec<Kprobe>>,
) -> Result<Report, Failure> {
    let (info, funcs) = core.status(name)?;
    let probes = if info.state == STATE_ENABLED {
        kprobes::silent_in(probes().unwrap_or_default(), &funcs)
    } else {
        Vec::new()
    };
    let heading = ["FUNCTION", "OBJECT", "OLD", "LEN", "NEW", "LEN", "CALLS GO"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(funcs.iter().map(|f| {
        let (old, len) = match f.old_addr {
            0 if f.path == PATH_LEFT_OUT => ("left out".into(), "-".into()),
            0 => ("waits for its module".into(), "-".into()),
            addr => (format!("{addr:#x}"), f.old_len.to_string()),
        };
        vec![
            name_of(&f.name),
            name_of(&f.objname),
            old,
            len,
            format!("{:#x}", f.new_addr),
            f.new_len.to_string(),
            path_text(f),
        ]
    }));
    let promotion = Promotion::of(&funcs);
    let funcs: Vec<Value> = funcs
        .iter()
        .map(|f| {
            json!({
                "name": name_of(&f.name),
                "objname": name_of(&f.objname),
                "waiting": f.old_addr == 0 && f.path != PATH_LEFT_OUT,
                "old_addr": f.old_addr,
                "old_len": f.old_len,
                "new_addr": f.new_addr,
                "new_len": f.new_len,
                "path": path_word(f),
                "path_errno": if f.path == PATH_LEFT_OUT { 0 } else { f.path_errno },
                "left_out": left_out(f),
            })
        })
        .collect();
    let mut json = patch_json(&info);
    promotion.insert(&mut json);
    if let Value::Object(object) = &mut json {
        object.insert("function_list".into(), Value::Array(funcs));
        object.insert("silent_probes".into(), meta::silent_json(&probes));
    }
    let about = table(&[
        vec!["order".into(), order(&info)],
        vec!["flags".into(), or_dash(flags(&info))],
        vec!["jumps".into(), promotion.text()],
    ]);
    let mut text = format!("{}\n\n{about}\n\n{}", patches(&[info]), table(&rows));
    let warnings = meta::silent(&probes);
    if !warnings.is_empty() {
        text = format!("{}\n\n{}", text.trim_end(), warnings.join("\n"));
    }
    Ok(Report::new(text, json))
}

fn whole(core: &mut dyn Device) -> Result<Report, Failure> {
    let query = core.query()?;
    let transition = if query.features & F_CONSISTENCY != 0 {
        "task by task"
    } else {
        "all tasks at once"
    };
    // A core that moves all at once has none to tell about.
    let last = if query.features & F_CONSISTENCY != 0 {
        Some(core.transition()?).filter(|t| t.phase != PHASE_NONE)
    } else {
        None
    };
    let promotion = Promotion::of_all(core)?;
    let now_ns = core.now_ns();
    let arena = |free: u64, total: u64| format!("{free} of {total} bytes free");
    let rows = [
        ("interface", format!("version {}", query.abi)),
        ("transitions", transition.into()),
        ("patches", query.patches.to_string()),
        ("jumps", promotion.text()),
        ("text", arena(query.text_free, query.text_total)),
        ("rodata", arena(query.rodata_free, query.rodata_total)),
        ("data", arena(query.data_free, query.data_total)),
        (
            "bug entries",
            format!("{} of {} free", query.bugs_free, query.bugs_total),
        ),
    ];
    let mut rows: Vec<Vec<String>> = rows.map(|(key, value)| vec![key.into(), value]).into();
    if query.lingering > 0 {
        let text = format!(
            "{} still have memory, in which a task that is dying may be",
            query.lingering
        );
        rows.push(vec!["unloaded".into(), text]);
    }
    let left_out = core.list()?;
    let left_out = left_out
        .iter()
        .filter(|info| info.flags & PATCH_LEFT_OUT != 0);
    let left_out: Vec<String> = left_out.map(|info| name_of(&info.name)).collect();
    if !left_out.is_empty() {
        let names = left_out.join(", ");
        let text = format!("{names}, of a module; `lpatch status NAME` tells more");
        rows.push(vec!["left out".into(), text]);
    }
    if let Some(last) = &last {
        let key = if ended(last) {
            "last transition"
        } else {
            "transition"
        };
        rows.push(vec![key.into(), transition::line(last, now_ns)]);
        rows.push(vec![String::new(), transition::moved(last)]);
    }
    let mut json = json!({
        "abi": query.abi,
        "consistency": query.features & F_CONSISTENCY != 0,
        "patches": query.patches,
        "text_total": query.text_total,
        "text_free": query.text_free,
        "rodata_total": query.rodata_total,
        "rodata_free": query.rodata_free,
        "data_total": query.data_total,
        "data_free": query.data_free,
        "bugs_total": query.bugs_total,
        "bugs_free": query.bugs_free,
        "lingering": query.lingering,
        "image_max": query.image_max,
        "left_out": left_out,
        "transition": transition::json(last.as_ref(), now_ns),
    });
    promotion.insert(&mut json);
    Ok(Report::new(table(&rows), json))
}

/// Whether a request has begun with it, for which no task moves yet.
fn is_about_to_move(info: &PatchInfo) -> bool {
    matches!(info.state, STATE_ENABLING | STATE_DISABLING)
}

fn about_to_move(next: &PatchInfo) -> String {
    let name = name_of(&next.name);
    let verb = match next.state {
        STATE_DISABLING => "disabled",
        _ => "enabled",
    };
    let why = if next.flags & PATCH_IN_CALLBACK != 0 {
        "a callback of it is running"
    } else {
        "ftrace is taking its functions, which waits for whoever else changes ftrace's sites"
    };
    format!("no transition is under way yet: {name} is about to be {verb}; {why}")
}

/// The tasks that the transition under way waits for; if the last one ended at its deadline, those of then.
fn blocked(core: &mut dyn Device) -> Result<Report, Failure> {
    let now = core.transition()?;
    let none = |error: &lpatch_loader::device::DeviceError| {
        // It may have ended between the two questions.
        error.reason() == Some(Reason::NoTransition)
    };
    let under_way = if ended(&now) {
        None
    } else {
        match core.blockers(Ask::UnderWay) {
            Ok(blocking) => Some(blocking),
            Err(error) if none(&error) => None,
            Err(error) => return Err(Failure::device(core, error)),
        }
    };
    let then = if under_way.is_none() && transition::timed_out(&now) {
        Some(core.blockers(Ask::AtDeadline)?)
    } else {
        None
    };
    let next = match under_way {
        None => core.list()?.into_iter().find(is_about_to_move),
        Some(_) => None,
    };
    let now_ns = core.now_ns();
    let line = transition::line(&now, now_ns);
    let text = match (&under_way, &next, &then) {
        (Some(blocking), ..) if blocking.count == 0 => line,
        (Some(blocking), ..) => format!("{line}\n\n{}", blockers::overview(blocking)),
        (None, Some(next), _) => about_to_move(next),
        (None, None, None) => "no transition is under way".into(),
        (None, None, Some(then)) => format!(
            "no transition is under way; the last one: {line}\nthen {} pending:\n\n{}",
            blockers::count(then, "was", "were"),
            blockers::overview(then)
        ),
    };
    let list = |blocking: &Option<Blocking>| {
        let empty = Blocking::default();
        blockers::json(blocking.as_ref().unwrap_or(&empty))
    };
    let json = json!({
        "under_way": under_way.is_some(),
        "about_to_begin": next.as_ref().map(|next| name_of(&next.name)),
        "transition": transition::json(Some(&now), now_ns),
        "blockers": list(&under_way),
        "blocker_count": under_way.as_ref().map_or(0, |b| b.count),
        "at_deadline": list(&then),
    });
    Ok(Report::new(text, json))
}
