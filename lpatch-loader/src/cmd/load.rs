// SPDX-License-Identifier: GPL-2.0

//! `load`: runs the steps and shows each with its time.

use super::{installed, map, problems};
use crate::cli;
use crate::failure::Failure;
use crate::output::{Output, Report};
use lpatch_loader::device::Core;
use lpatch_loader::install::{install, Step};
use lpatch_loader::{kernel, link};
use serde_json::json;
use std::time::Instant;

/// Loads and, unless told not to, enables.
pub(crate) fn run(args: &cli::Load, output: &mut Output) -> Result<Report, Failure> {
    let all = Instant::now();
    // Without the core or the right to use it, nothing else matters.
    let core = Core::open()?;

    let path = &args.file;
    let file = map(path)?;
    // Before the kernel is read: a damaged file needs no kernel to be refused.
    let opened = link::open(&file).map_err(problems(path))?;
    let detail = format!("{}, {} functions", path.display(), opened.meta.funcs.len());
    output.step("open", &detail, all.elapsed());

    let start = Instant::now();
    let target = kernel::running()?;
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

    let mut start = Instant::now();
    let mut watch = |step: Step<'_>| {
        let (name, detail) = match step {
            Step::Reserved(room) => (
                "reserve",
                format!(
                    "text {} at {:#x}, rodata {}, data {} bytes",
                    room.text_len, room.text_addr, room.rodata_len, room.data_len
                ),
            ),
            Step::Loaded(bytes) => {
                let relocations = linked.fields.list.len();
                ("load", format!("{bytes} bytes, {relocations} relocations"))
            }
            Step::Enabled => ("enable", "immediate: all tasks at once".into()),
        };
        output.step(name, &detail, start.elapsed());
        start = Instant::now();
    };
    let room = install(core, &linked, !args.no_enable, &mut watch).map_err(installed(path))?;

    let name = &linked.info.name;
    let state = if args.no_enable { "loaded" } else { "enabled" };
    let ms = all.elapsed().as_secs_f64() * 1000.0;
    Ok(Report {
        text: format!("{name} {state} in {ms:.1} ms"),
        json: json!({
            "name": name,
            "version": linked.info.version,
            "state": state,
            "functions": linked.resolved.funcs.len(),
            "preimages_checked_by_loader": linked.resolved.preimages_checked,
            "text_addr": room.text_addr,
            "ms": ms,
        }),
    })
}
