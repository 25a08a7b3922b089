// SPDX-License-Identifier: GPL-2.0

//! `list`: what is loaded.

use crate::failure::Failure;
use crate::output::{table, Report};
use lpatch_loader::device::{name_of, Device};
use lpatch_model::uapi::{
    PatchInfo, PATCH_HOLDS, PATCH_IN_CALLBACK, PATCH_LEFT_OUT, PATCH_MODULE, PATCH_PINNED,
    PATCH_REPLACE, PATCH_STUCK, STATE_DISABLING, STATE_ENABLED, STATE_ENABLING, STATE_LOADED,
};
use serde_json::{json, Value};

/// The state of a patch.
pub(crate) fn state_word(state: u32) -> &'static str {
    match state {
        STATE_LOADED => "loaded",
        STATE_ENABLED => "enabled",
        STATE_ENABLING => "enabling",
        STATE_DISABLING => "disabling",
        _ => "unknown",
    }
}

/// A version that is empty is a column that is missing.
pub(crate) fn or_dash(text: String) -> String {
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
        match info.flags & PATCH_STUCK {
            0 => state_word(info.state).into(),
            _ => format!("{}, stuck", state_word(info.state)),
        },
        info.funcs.to_string(),
        or_dash(name_of(&info.set)),
        info.text_len.to_string(),
        info.rodata_len.to_string(),
        info.data_len.to_string(),
    ]
}

/// A patch for programs.
pub(crate) fn patch_json(info: &PatchInfo) -> Value {
    json!({
        "id": info.id,
        "name": name_of(&info.name),
        "version": name_of(&info.version),
        "state": state_word(info.state),
        "set": name_of(&info.set),
        "order": info.order,
        "cumulative": info.flags & PATCH_REPLACE != 0,
        "pinned": info.flags & PATCH_PINNED != 0,
        "from_module": info.flags & PATCH_MODULE != 0,
        "in_callback": info.flags & PATCH_IN_CALLBACK != 0,
        "stuck": info.flags & PATCH_STUCK != 0,
        "holds_modules": info.flags & PATCH_HOLDS != 0,
        "left_out": info.flags & PATCH_LEFT_OUT != 0,
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

/// Patches for people.
pub(crate) fn patches(list: &[PatchInfo]) -> String {
    let heading = [
        "ID", "NAME", "VERSION", "STATE", "FUNCS", "SET", "TEXT", "RODATA", "DATA",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(list.iter().map(row));
    table(&rows)
}

/// All patches.
pub(crate) fn run(core: &mut dyn Device) -> Result<Report, Failure> {
    let list = core.list()?;
    let text = if list.is_empty() {
        "no patches are loaded".into()
    } else {
        patches(&list)
    };
    let all: Vec<Value> = list.iter().map(patch_json).collect();
    Ok(Report::new(text, json!({ "patches": all })))
}
