// SPDX-License-Identifier: GPL-2.0

//! `load`: link → reserve → relocate → load → enable. Whatever fails, nothing stays behind.

use super::{map, problems};
use crate::cli;
use crate::failure::Failure;
use crate::output::{Output, Report};
use lpatch_loader::device::{Device, DeviceError};
use lpatch_loader::image::{self, Built};
use lpatch_loader::kallsyms::Length;
use lpatch_loader::link::{self, Linked};
use lpatch_loader::reason;
use lpatch_loader::relocate::Bases;
use lpatch_loader::target::{Target, TargetError};
use lpatch_model::uapi::Reason;
use serde_json::json;
use std::path::Path;
use std::time::Instant;

/// Pages that the text of a module may reach behind the start of its last function.
const EXTRA_PAGES_MAX: u64 = 256;

fn refused(linked: &Linked<'_>, image: &[u8], after: String, error: DeviceError) -> Failure {
    let message = match &error {
        DeviceError::Refused(refused) => reason::sentence_for(refused, linked, image),
        other => other.to_string(),
    };
    Failure::Refused {
        message,
        after,
        error,
    }
}

fn build(
    path: &Path,
    linked: &Linked<'_>,
    bases: &Bases,
    extra_pages: &[u64],
) -> Result<Built, Failure> {
    let built = image::build(linked, bases, extra_pages).map_err(problems(path))?;
    image::check(&built.bytes).map_err(|refusal| {
        Failure::Bug(format!(
            "the linker built an image that is malformed: {refusal:?}"
        ))
    })?;
    Ok(built)
}

/// Builds and loads. The length of the last function of a module's text is not in kallsyms: it ends with a page, and
/// only the kernel knows which. The core compares it, so asking for one page after the other finds it.
fn build_and_load(
    core: &mut dyn Device,
    path: &Path,
    linked: &Linked<'_>,
    bases: &Bases,
) -> Result<Built, Failure> {
    let mut extra_pages = vec![0; linked.resolved.funcs.len()];
    loop {
        let built = build(path, linked, bases, &extra_pages)?;
        let error = match core.load(&built.bytes) {
            Ok(()) => return Ok(built),
            Err(error) => error,
        };
        let open_ended = match &error {
            DeviceError::Refused(r) if r.reason() == Some(Reason::FuncSymbol) => {
                reason::func_index(r, &built.bytes).filter(|index| {
                    let func = linked.resolved.funcs.get(*index);
                    func.is_some_and(|f| matches!(f.len, Length::AtLeast(_)))
                })
            }
            _ => None,
        };
        match open_ended.and_then(|index| extra_pages.get_mut(index)) {
            Some(pages) if *pages < EXTRA_PAGES_MAX => *pages += 1,
            _ => {
                let after = "; nothing was loaded".into();
                return Err(refused(linked, &built.bytes, after, error));
            }
        }
    }
}

/// Loads and, unless told not to, enables.
pub(crate) fn run(
    core: &mut dyn Device,
    args: &cli::Load,
    output: &mut Output,
    target: impl FnOnce() -> Result<Target, TargetError>,
) -> Result<Report, Failure> {
    let path = &args.file;
    let all = Instant::now();
    let file = map(path)?;
    // Before the kernel is read: a damaged file needs no kernel to be refused.
    let opened = link::open(&file).map_err(problems(path))?;
    let detail = format!("{}, {} functions", path.display(), opened.meta.funcs.len());
    output.step("open", &detail, all.elapsed());

    let start = Instant::now();
    let target = target()?;
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
    output.step("resolve", &detail, start.elapsed());

    let start = Instant::now();
    let mut room = linked.reservation();
    core.reserve(&mut room)
        .map_err(|error| refused(&linked, &[], "; nothing was loaded".into(), error))?;
    let bases = Bases {
        text: room.text_addr,
        rodata: room.rodata_addr,
        data: room.data_addr,
    };
    let detail = format!(
        "text {} at {:#x}, rodata {}, data {}",
        room.text_len, room.text_addr, room.rodata_len, room.data_len
    );
    output.step("reserve", &detail, start.elapsed());

    let start = Instant::now();
    let built = build_and_load(core, path, &linked, &bases)?;
    let detail = format!(
        "{} bytes, {} relocations",
        built.bytes.len(),
        linked.fields.list.len()
    );
    output.step("load", &detail, start.elapsed());

    let name = &linked.info.name;
    let mut state = "loaded";
    if !args.no_enable {
        let start = Instant::now();
        core.enable(name).map_err(|error| {
            let after = match core.unload(name) {
                Ok(()) => "; the patch was unloaded again".to_owned(),
                Err(left) => format!("; unloading it again failed too ({left}), so it stays loaded and disabled: try `lpatch unload {name}`"),
            };
            refused(&linked, &built.bytes, after, error)
        })?;
        state = "enabled";
        output.step("enable", "immediate: all tasks at once", start.elapsed());
    }
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

