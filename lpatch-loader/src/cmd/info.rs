// SPDX-License-Identifier: GPL-2.0

//! `info`: what a patch object says about itself, sealed or not, without a kernel.

use super::{map, meta, problems};
use crate::failure::Failure;
use crate::output::{table, Report};
use lpatch_loader::class::Class;
use lpatch_loader::dormant;
use lpatch_loader::elf::Home;
use lpatch_loader::link::{self, Opened};
use lpatch_loader::target::hex;
use serde_json::json;
use std::path::Path;

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

/// The modules that the patch is about. There is no kernel here to ask whether they are loaded.
fn may_come(modules: &[&str]) -> String {
    match modules {
        [] => String::new(),
        _ => format!("{} (may be loaded after the patch)", modules.join(" ")),
    }
}

fn func_rows(opened: &Opened<'_>) -> Vec<Vec<String>> {
    let heading = ["FUNCTION", "OBJECT", "SYMPOS", "REPLACED BY", "BYTES"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(opened.meta.funcs.iter().map(|f| {
        vec![
            f.old_name.into(),
            f.objname.into(),
            f.sympos.map_or_else(|| "-".into(), |p| p.to_string()),
            f.new_name.into(),
            f.len.to_string(),
        ]
    }));
    rows
}

fn section_rows(opened: &Opened<'_>) -> Vec<Vec<String>> {
    let heading = ["SECTION", "BYTES", "USE"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for (section, class) in opened.object.classified() {
        let used = match class {
            Class::Ignored(why) if section.is_alloc() => format!("left out: {why}"),
            Class::Ignored(_) => continue,
            Class::Refused(why) => format!("refused: {why}"),
            Class::Text => "text".into(),
            Class::Rodata => "rodata".into(),
            Class::Data => "data".into(),
            Class::Bss => "data, zeros".into(),
            Class::Notes | Class::Funcs | Class::Syms | Class::Callbacks | Class::States => {
                "about the patch".into()
            }
            _ => "table".into(),
        };
        if section.size > 0 {
            rows.push(vec![section.name.into(), section.size.to_string(), used]);
        }
    }
    rows
}

/// Describes the object.
pub(crate) fn run(path: &Path) -> Result<Report, Failure> {
    let file = map(path)?;
    let opened = link::open(&file).map_err(problems(path))?;
    let notes = &opened.notes;
    let info = &notes.info;
    let seal = notes.seal(&opened.meta.funcs);
    let undefined = undefined(&opened);

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
    let modules = dormant::modules(&opened.meta);
    rows.push(vec!["modules".into(), may_come(&modules)]);
    rows.push(vec!["refers to".into(), undefined.join(" ")]);
    rows.retain(|row| row.iter().all(|cell| !cell.is_empty()));

    let funcs: Vec<_> = opened
        .meta
        .funcs
        .iter()
        .map(|f| {
            json!({
                "name": f.old_name,
                "objname": f.objname,
                "sympos": f.sympos.unwrap_or(0),
                "new_name": f.new_name,
                "new_len": f.len,
            })
        })
        .collect();
    let mut text = vec![table(&rows), table(&func_rows(&opened))];
    text.extend(meta::tables(&opened.meta));
    text.push(table(&section_rows(&opened)));
    Ok(Report {
        code: 0,
        text: text.join("\n\n"),
        json: json!({
            "name": info.name,
            "version": info.version,
            "description": info.description,
            "fixes": info.fixes,
            "set": info.set,
            "cumulative": info.cumulative,
            "sealed": seal.is_ok(),
            "release": notes.release,
            "build_id": notes.build_id.as_deref().map(hex),
            "functions": funcs,
            "callbacks": meta::callbacks(&opened.meta),
            "states": meta::states(&opened.meta),
            "modules": modules,
            "undefined": undefined,
        }),
    })
}
