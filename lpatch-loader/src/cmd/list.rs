// SPDX-License-Identifier: GPL-2.0

//! `list` and `status`: what is loaded.

use crate::failure::Failure;
use crate::output::{table, Report};
use lpatch_loader::device::{name_of, Device};
use lpatch_model::uapi::{PatchInfo, F_CONSISTENCY, STATE_ENABLED, STATE_LOADED};
use serde_json::{json, Value};

fn state(info: &PatchInfo) -> &'static str {
    match info.state {
        STATE_LOADED => "loaded",
        STATE_ENABLED => "enabled",
        _ => "unknown",
    }
}

/// A version that is empty is a column that is missing.
fn or_dash(text: String) -> String {
    if text.is_empty() {
        "-".into()
    } else {
        text
    }
}

fn row(info: &PatchInfo) -> Vec<String> {
    vec![
        info.id.to_string(),
        name_of(&info.name),
        or_dash(name_of(&info.version)),
        state(info).into(),
        info.funcs.to_string(),
        info.text_len.to_string(),
        info.rodata_len.to_string(),
        info.data_len.to_string(),
    ]
}

fn patch_json(info: &PatchInfo) -> Value {
    json!({
        "id": info.id,
        "name": name_of(&info.name),
        "version": name_of(&info.version),
        "state": state(info),
        "functions": info.funcs,
        "text_addr": info.text_addr,
        "text_len": info.text_len,
        "rodata_len": info.rodata_len,
        "data_len": info.data_len,
        "bugs": info.bugs,
        "loaded_ns": info.loaded_ns,
        "enabled_ns": info.enabled_ns,
    })
}

fn patches(list: &[PatchInfo]) -> String {
    let heading = [
        "ID", "NAME", "VERSION", "STATE", "FUNCS", "TEXT", "RODATA", "DATA",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(list.iter().map(row));
    table(&rows)
}

/// All patches.
pub(crate) fn list(core: &mut dyn Device) -> Result<Report, Failure> {
    let list = core.list()?;
    let text = if list.is_empty() {
        "no patches are loaded".into()
    } else {
        patches(&list)
    };
    let all: Vec<Value> = list.iter().map(patch_json).collect();
    Ok(Report {
        text,
        json: json!({ "patches": all }),
    })
}

/// One patch with its functions, or the core.
pub(crate) fn status(core: &mut dyn Device, name: Option<&str>) -> Result<Report, Failure> {
    match name {
        Some(name) => patch(core, name),
        None => whole(core),
    }
}

fn patch(core: &mut dyn Device, name: &str) -> Result<Report, Failure> {
    let (info, funcs) = core.status(name)?;
    let heading = ["FUNCTION", "OBJECT", "OLD", "LEN", "NEW", "LEN"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(funcs.iter().map(|f| {
        vec![
            name_of(&f.name),
            name_of(&f.objname),
            format!("{:#x}", f.old_addr),
            f.old_len.to_string(),
            format!("{:#x}", f.new_addr),
            f.new_len.to_string(),
        ]
    }));
    let funcs: Vec<Value> = funcs
        .iter()
        .map(|f| {
            json!({
                "name": name_of(&f.name),
                "objname": name_of(&f.objname),
                "old_addr": f.old_addr,
                "old_len": f.old_len,
                "new_addr": f.new_addr,
                "new_len": f.new_len,
            })
        })
        .collect();
    let mut json = patch_json(&info);
    if let Value::Object(object) = &mut json {
        object.insert("function_list".into(), Value::Array(funcs));
    }
    Ok(Report {
        text: format!("{}\n\n{}", patches(&[info]), table(&rows)),
        json,
    })
}

fn whole(core: &mut dyn Device) -> Result<Report, Failure> {
    let query = core.query()?;
    let transition = if query.features & F_CONSISTENCY != 0 {
        "task by task"
    } else {
        "immediate: all tasks at once"
    };
    let arena = |free: u64, total: u64| format!("{free} of {total} bytes free");
    let rows = [
        ("interface", format!("version {}", query.abi)),
        ("transitions", transition.into()),
        ("patches", query.patches.to_string()),
        ("text", arena(query.text_free, query.text_total)),
        ("rodata", arena(query.rodata_free, query.rodata_total)),
        ("data", arena(query.data_free, query.data_total)),
        (
            "bug entries",
            format!("{} of {} free", query.bugs_free, query.bugs_total),
        ),
    ];
    let rows: Vec<Vec<String>> = rows.map(|(key, value)| vec![key.into(), value]).into();
    Ok(Report {
        text: table(&rows),
        json: json!({
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
            "image_max": query.image_max,
        }),
    })
}
