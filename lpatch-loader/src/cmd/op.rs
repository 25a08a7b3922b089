// SPDX-License-Identifier: GPL-2.0

//! `enable`, `disable`, `unload`: one request each.

use crate::failure::Failure;
use crate::output::Report;
use lpatch_loader::device::Device;
use serde_json::json;
use std::time::Instant;

/// Which request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verb {
    Enable,
    Disable,
    Unload,
}

/// Sends the request.
pub(crate) fn run(core: &mut dyn Device, verb: Verb, name: &str) -> Result<Report, Failure> {
    let start = Instant::now();
    let (state, how) = match verb {
        Verb::Enable => {
            core.enable(name)?;
            ("enabled", " (immediate: all tasks at once)")
        }
        Verb::Disable => {
            core.disable(name)?;
            ("disabled", " (immediate: all tasks at once)")
        }
        Verb::Unload => {
            core.unload(name)?;
            ("unloaded", "")
        }
    };
    let ms = start.elapsed().as_secs_f64() * 1000.0;
    Ok(Report {
        text: format!("{name} {state}{how} in {ms:.1} ms"),
        json: json!({"name": name, "state": state, "ms": ms}),
    })
}
