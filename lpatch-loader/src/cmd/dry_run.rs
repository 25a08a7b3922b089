// SPDX-License-Identifier: GPL-2.0

//! `load --dry-run`: everything short of loading, and who would block the transition now.

use super::{blockers, installed, meta};
use crate::failure::{Failure, INCOMPLETE, REFUSED};
use crate::output::Report;
use lpatch_loader::blocking;
use lpatch_loader::device::{name_of, Device};
use lpatch_loader::install;
use lpatch_loader::link::Linked;
use lpatch_model::uapi::PatchInfo;
use serde_json::json;
use std::path::Path;

/// Tries. The room that is reserved goes with the device.
pub(crate) fn run(
    path: &Path,
    mut core: Box<dyn Device>,
    linked: &Linked<'_>,
) -> Result<Report, Failure> {
    let core = core.as_mut();
    let name = &linked.info.name;
    let taken = |info: &PatchInfo| name_of(&info.name) == *name;
    if core.list()?.iter().any(taken) {
        return Err(Failure::Unfinished {
            message: format!("a patch named {name} is loaded already; unload it first, or give the new one another name"),
            code: REFUSED,
            details: json!({ "name": name }),
        });
    }
    install::rehearse(core, linked).map_err(installed(path))?;
    let asked = blocking::blocking(core, linked);
    let blocking = asked.map_err(|error| Failure::device(core, error))?;
    let functions = linked.resolved.funcs.len();
    let text = if blocking.count == 0 {
        format!("{name} could be loaded, and no task would block it now; nothing was loaded")
    } else {
        let would = blockers::count(&blocking, "would", "would");
        let list = blockers::paragraphs(&blocking);
        format!("{name} could be loaded; {would} block it now; nothing was loaded{list}")
    };
    let lines: Vec<String> = meta::waiting(linked).into_iter().chain([text]).collect();
    let text = lines.join("\n");
    let json = json!({
        "name": name,
        "dry_run": true,
        "waiting": meta::waiting_json(linked),
        "functions": functions,
        "blockers": blockers::json(&blocking),
        "blocker_count": blocking.count,
    });
    Ok(Report {
        text,
        json,
        code: if blocking.count == 0 { 0 } else { INCOMPLETE },
    })
}
