// SPDX-License-Identifier: GPL-2.0

//! What `info` and `verify` both show of a patch: its set, callbacks and states.

use crate::output::table;
use lpatch_loader::meta::Meta;
use lpatch_loader::notes::Info;
use serde_json::{json, Value};

/// "main", or "main, replaces all others of it".
pub(super) fn set(info: &Info) -> String {
    if info.cumulative {
        format!("{}, cumulative: replaces all others of the set", info.set)
    } else {
        info.set.clone()
    }
}

fn heading<const N: usize>(names: [&str; N]) -> Vec<Vec<String>> {
    vec![names.map(str::to_owned).to_vec()]
}

/// Tables of the callbacks and of the states; a patch that has none has no table.
pub(super) fn tables(meta: &Meta<'_>) -> Vec<String> {
    let mut callbacks = heading(["CALLBACK", "OBJECT", "FUNCTION"]);
    callbacks.extend(meta.callbacks.iter().map(|entry| {
        let cells = [entry.kind_name(), entry.objname, entry.function];
        cells.map(str::to_owned).to_vec()
    }));
    let mut states = heading(["STATE", "VERSION"]);
    let numbers = meta.states.iter();
    states.extend(numbers.map(|state| vec![state.id.to_string(), state.version.to_string()]));
    let tables = [callbacks, states].into_iter();
    tables
        .filter(|rows| rows.len() > 1)
        .map(|rows| table(&rows))
        .collect()
}

/// The callbacks for programs.
pub(super) fn callbacks(meta: &Meta<'_>) -> Value {
    let entries = meta.callbacks.iter();
    entries
        .map(|e| json!({ "kind": e.kind_name(), "objname": e.objname, "function": e.function }))
        .collect()
}

/// The states for programs.
pub(super) fn states(meta: &Meta<'_>) -> Value {
    let states = meta.states.iter();
    states
        .map(|state| json!({ "id": state.id, "version": state.version }))
        .collect()
}
