// SPDX-License-Identifier: GPL-2.0

//! `enable`, `disable`, `reverse`, `force`, `unload`: one request each, and the wait for what it begins.

use super::list::state_word;
use super::outcome::Told;
use super::watch::Watcher;
use super::{meta, transition};
use crate::cli;
use crate::failure::Failure;
use crate::output::{Output, Report};
use crate::progress::tasks;
use crate::system::System;
use lpatch_loader::device::{name_of, Device};
use lpatch_loader::kprobes::{self, Kprobe};
use lpatch_loader::wait::{self, End, Outcome, Request, Side, Verb};
use lpatch_model::uapi::CAUSE_FORCED;
use serde_json::json;
use std::time::Instant;

/// What `force` says without `--yes`.
const UNSOUND: &str = "\
Tasks that are still in functions of the version that is left go on in them, mixed with functions of the other one,
for as long as they like. Nothing that the patch relies on holds for them: not the meaning of data that both versions
use, nor the order of locks. The fix may not be in effect for them; what happens may be a crash.
The kernel is tainted. The patches that took part can never be unloaded, and lpatch_core neither, until the next boot.
`lpatch status --blockers` shows the tasks, `lpatch reverse` takes the transition back, which is sound.";

/// Begins a transition, or turns one around.
pub(crate) fn begin(
    system: &mut dyn System,
    output: &mut Output,
    verb: Verb,
    name: &str,
    waiting: &cli::Waiting,
) -> Result<Report, Failure> {
    let start = Instant::now();
    let mut core = system.core()?;
    let request = Request {
        verb,
        name,
        limits: waiting.limits(),
        wait: !waiting.no_wait,
    };
    let mut watcher = Watcher::new(system, output)?;
    let outcome = match wait::run(core.as_mut(), request, &mut watcher) {
        Ok(outcome) => outcome,
        Err(error) => return Err(Failure::about(core.as_mut(), name, error)),
    };
    let ms = start.elapsed().as_secs_f64() * 1000.0;
    let silent = silent(system, core.as_mut(), name, &outcome);
    let told = Told {
        name,
        verb,
        limits: waiting.limits(),
        outcome: &outcome,
        after: None,
        loaded: true,
        ms,
        now_ns: core.now_ns(),
    };
    let result = told.judge()?;
    let json = json!({
        "name": name,
        "state": result.state,
        "ms": ms,
        "silent_probes": meta::silent_json(&silent),
        "transition": result.transition,
    });
    let lines: Vec<String> = std::iter::once(result.text)
        .chain(meta::silent(&silent))
        .collect();
    Ok(Report::new(lines.join("\n"), json))
}

/// The probes in the old functions of a patch that is coming into force. Nothing fails for want of them.
fn silent(
    system: &mut dyn System,
    core: &mut dyn Device,
    name: &str,
    outcome: &Outcome,
) -> Vec<Kprobe> {
    let comes = outcome.goal == Side::Enabled;
    let comes = comes && matches!(outcome.end, End::Complete | End::UnderWay);
    let Some(list) = comes.then(|| system.kprobes()).flatten() else {
        return Vec::new();
    };
    if list.is_empty() {
        return list;
    }
    let Ok((_, funcs)) = core.status(name) else {
        return Vec::new();
    };
    kprobes::silent_in(list, &funcs)
}

/// Frees a patch.
pub(crate) fn unload(system: &mut dyn System, name: &str) -> Result<Report, Failure> {
    let start = Instant::now();
    let mut core = system.core()?;
    let held = match wait::unload(core.as_mut(), name) {
        Ok(held) => held,
        Err(error) => return Err(Failure::about(core.as_mut(), name, error)),
    };
    let ms = start.elapsed().as_secs_f64() * 1000.0;
    let mut text = format!("{name} unloaded in {}", transition::time(ms));
    if held {
        text += "; modules that it refers to stay in use until `lpatch status` shows no unloaded patch any more";
    }
    Ok(Report::new(
        text,
        json!({"name": name, "state": "unloaded", "ms": ms, "holds_modules": held}),
    ))
}

/// Ends a transition by force.
pub(crate) fn force(system: &mut dyn System, args: &cli::Force) -> Result<Report, Failure> {
    let name = &args.patch.name;
    if !args.yes {
        return Err(Failure::Argument(format!(
            "nothing was done: force is unsound\n{UNSOUND}\nIf that is what you want: lpatch force --yes {name}"
        )));
    }
    let start = Instant::now();
    let mut core = system.core()?;
    if let Err(error) = core.force(name) {
        return Err(Failure::about(core.as_mut(), name, error));
    }
    let now = core.transition()?;
    let (info, _) = core.status(name)?;
    let ms = start.elapsed().as_secs_f64() * 1000.0;
    let state = state_word(info.state);
    // Of a transition that somebody began since, the number would say nothing.
    let ours = name_of(&now.name) == *name;
    let forced = now.moved.get(CAUSE_FORCED).filter(|_| ours);
    let left = forced.map_or_else(|| "tasks that had not moved".into(), |n| tasks(*n));
    let text = format!(
        "{name} is {state} by force: {left} may go on in the functions that were left; the kernel is tainted, and the patches that took part can never be unloaded"
    );
    let transition = transition::json(Some(&now).filter(|_| ours), core.now_ns());
    Ok(Report::new(
        text,
        json!({"name": name, "state": state, "ms": ms, "transition": transition}),
    ))
}
