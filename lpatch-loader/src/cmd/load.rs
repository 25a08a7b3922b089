// SPDX-License-Identifier: GPL-2.0

//! `load`: runs the steps and shows each with its time.

use super::outcome::Told;
use super::watch::Watcher;
use super::{dry_run, installed, map, meta, problems, transition};
use crate::cli;
use crate::failure::Failure;
use crate::output::{Output, Report};
use crate::system::System;
use lpatch_loader::install::{install, Enable, Installed, Observe, Step};
use lpatch_loader::kprobes::{self, Kprobe};
use lpatch_loader::link::{self, Linked};
use lpatch_loader::wait::{End, Outcome, Verb, Watch};
use lpatch_model::uapi::{Transition, LOAD_NO_PROMOTE, LOAD_REFUSE_MODULES};
use serde_json::{json, Value};
use std::time::{Duration, Instant};

/// Shows the steps of the installation.
struct Loading<'o> {
    watcher: Watcher<'o>,
    start: Instant,
    relocations: usize,
}

impl Watch for Loading<'_> {
    fn look(&mut self, transition: &Transition, elapsed: Duration, now_ns: u64) -> u32 {
        self.watcher.look(transition, elapsed, now_ns)
    }

    fn over(&mut self) {
        self.watcher.over();
    }

    fn interrupted(&self) -> Option<i32> {
        self.watcher.interrupted()
    }
}

impl Observe for Loading<'_> {
    fn step(&mut self, step: Step<'_>) {
        let (name, detail) = match step {
            Step::Reserved(room) => (
                "reserve",
                format!(
                    "text {} at {:#x}, rodata {}, data {} bytes",
                    room.text_len, room.text_addr, room.rodata_len, room.data_len
                ),
            ),
            Step::Loaded(bytes) => {
                let relocations = self.relocations;
                ("load", format!("{bytes} bytes, {relocations} relocations"))
            }
            Step::Enabled(outcome) => ("enable", enabled(outcome)),
        };
        self.watcher
            .output
            .step(name, &detail, self.start.elapsed());
        self.start = Instant::now();
    }
}

/// The step's detail.
fn enabled(outcome: &Outcome) -> String {
    match (&outcome.transition, outcome.end) {
        (None, _) => "all tasks at once".into(),
        (Some(now), End::Complete) => transition::moved(now),
        (Some(_), End::Reversed) => "reversed".into(),
        (Some(_), End::UnderWay) => "begun".into(),
        (Some(_), _) => "not seen to its end".into(),
    }
}

/// Loads and, unless told not to, enables.
pub(crate) fn run(
    args: &cli::Load,
    system: &mut dyn System,
    output: &mut Output,
) -> Result<Report, Failure> {
    let all = Instant::now();
    // Without the core or the right to use it, nothing else matters.
    let core = system.core()?;

    let path = &args.file;
    let file = map(path)?;
    // Before the kernel is read: a damaged file needs no kernel to be refused.
    let opened = link::open(&file).map_err(problems(path))?;
    let detail = format!("{}, {} functions", path.display(), opened.meta.funcs.len());
    output.step("open", &detail, all.elapsed());

    let start = Instant::now();
    let mut target = system.target()?;
    if !args.dry_run {
        // The core asks ftrace about these functions alone, in a moment. The whole list takes longer than all the rest.
        target.traceable = None;
    }
    let detail = format!("{} symbols of {}", target.kallsyms.len(), target.release);
    output.step("kernel", &detail, start.elapsed());

    let start = Instant::now();
    let linked = link::link_opened(opened, &target).map_err(problems(path))?;
    let resolved = &linked.resolved;
    let preimages = if resolved.preimages_checked {
        "pre-images match"
    } else {
        "pre-images left to the core"
    };
    let detail = format!("{} symbols, {preimages}", resolved.symbols.len());
    output.step("link", &detail, start.elapsed());

    if args.dry_run {
        return dry_run::run(path, core, &linked);
    }
    let enable = (!args.no_enable).then_some(Enable {
        limits: args.waiting.limits(),
        wait: !args.waiting.no_wait,
        keep: args.keep,
    });
    // From here on there is something to clean up, or to say, when a signal comes.
    let mut loading = Loading {
        watcher: Watcher::new(system, output)?,
        start: Instant::now(),
        relocations: linked.fields.list.len(),
    };
    let flag = |set: bool, flag: u64| if set { flag } else { 0 };
    let flags =
        flag(args.no_promote, LOAD_NO_PROMOTE) | flag(args.refuse_modules, LOAD_REFUSE_MODULES);
    let done = install(core, &linked, flags, enable, &mut loading).map_err(installed(path))?;
    // Those of now, and only where the old functions are out of use.
    let list = done.outcome.as_ref().and(target.kprobes.as_ref());
    let list = list.and_then(|kprobes| kprobes.list()).unwrap_or_default();
    let silent = kprobes::silent(list, &kprobes::unused(&linked.resolved));
    report(args, &linked, &done, &silent, all.elapsed())
}

fn report(
    args: &cli::Load,
    linked: &Linked<'_>,
    done: &Installed,
    silent: &[Kprobe],
    elapsed: Duration,
) -> Result<Report, Failure> {
    let name = &linked.info.name;
    let ms = elapsed.as_secs_f64() * 1000.0;
    let (text, state, transition) = match &done.outcome {
        None => {
            let text = format!("{name} loaded in {}", transition::time(ms));
            (text, "loaded", Value::Null)
        }
        Some(outcome) => {
            let told = Told {
                name,
                verb: Verb::Enable,
                limits: args.waiting.limits(),
                outcome,
                after: done.after.as_deref(),
                loaded: done.loaded,
                ms,
                now_ns: done.now_ns,
            };
            let result = told.judge()?;
            (result.text, result.state, result.transition)
        }
    };
    let lines = std::iter::once(text).chain(meta::waiting(linked));
    let lines: Vec<String> = lines.chain(meta::silent(silent)).collect();
    Ok(Report::new(
        lines.join("\n"),
        json!({
            "name": name,
            "version": linked.info.version,
            "state": state,
            "functions": linked.resolved.funcs.len(),
            "preimages_checked_by_loader": linked.resolved.preimages_checked,
            "waiting": meta::waiting_json(linked),
            "silent_probes": meta::silent_json(silent),
            "text_addr": done.room.text_addr,
            "transition": transition,
            "ms": ms,
        }),
    ))
}
