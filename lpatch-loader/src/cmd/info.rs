// SPDX-License-Identifier: GPL-2.0

//! `info`: what a patch object is, sealed or not; without a kernel, or for one from files.

use super::{explain, kernel, map, meta, problems};
use crate::cli;
use crate::failure::Failure;
use crate::output::{table, Report};
use crate::system::System;
use lpatch_loader::dormant;
use lpatch_loader::elf::Home;
use lpatch_loader::link::{self, Examined, Opened};
use lpatch_loader::target::hex;
use serde_json::{json, Map, Value};

/// Undefined symbols of the object, sorted.
fn undefined<'d>(opened: &Opened<'d>) -> Vec<&'d str> {
    let symbols = opened.object.elf.symbols().iter();
    let mut names: Vec<&str> = symbols
        .filter(|s| s.home == Home::Undefined && !s.name.is_empty())
        .map(|s| s.name)
        .collect();
    names.sort_unstable();
    names
}

/// The modules that the patch is about. They may come and go.
fn may_come(modules: &[&str]) -> String {
    match modules {
        [] => String::new(),
        _ => format!("{} (may be loaded after the patch)", modules.join(" ")),
    }
}

/// What it says about itself.
fn head(examined: &Examined<'_>) -> (String, Map<String, Value>) {
    let opened = &examined.opened;
    let notes = &opened.notes;
    let info = &notes.info;
    let seal = notes.seal(&opened.meta.funcs);
    let modules = dormant::modules(&opened.meta);
    let mut rows = vec![
        vec!["name".to_owned(), info.name.clone()],
        vec!["version".into(), info.version.clone()],
        vec!["description".into(), info.description.clone()],
        vec!["fixes".into(), info.fixes.join(", ")],
        vec!["set".into(), meta::set(info)],
    ];
    match &seal {
        Ok(seal) => {
            rows.push(vec!["sealed for".into(), seal.release.into()]);
            rows.push(vec!["build-id".into(), hex(seal.build_id)]);
        }
        Err(error) => rows.push(vec!["sealed".into(), format!("no: {error}")]),
    }
    rows.push(vec!["modules".into(), may_come(&modules)]);
    rows.retain(|row| row.iter().all(|cell| !cell.is_empty()));
    let json = json!({
        "name": info.name,
        "version": info.version,
        "description": info.description,
        "fixes": info.fixes,
        "set": info.set,
        "cumulative": info.cumulative,
        "sealed": seal.is_ok(),
        "release": notes.release,
        "build_id": notes.build_id.as_deref().map(hex),
        "modules": modules,
        "undefined": undefined(opened),
    });
    match json {
        Value::Object(keys) => (table(&rows), keys),
        _ => (table(&rows), Map::new()),
    }
}

/// Describes the object.
pub(crate) fn run(args: &cli::Info, system: &mut dyn System) -> Result<Report, Failure> {
    let path = &args.file;
    let file = map(path)?;
    let mut examined = link::examine(&file, None).map_err(problems(path))?;
    if kernel::is_named(&args.kernel) {
        let target = kernel::target(&args.kernel, &examined.opened.notes, system)?;
        examined = kernel::examine(&args.kernel, path, &file, &target)?;
    }
    let (head, mut keys) = head(&examined);
    let (parts, more) = explain::explain(&examined);
    keys.extend(more);
    let text: Vec<String> = [head].into_iter().chain(parts).collect();
    explain::report(path, examined.problems, text.join("\n\n"), keys.into())
}
