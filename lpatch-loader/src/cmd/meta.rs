// SPDX-License-Identifier: GPL-2.0

//! What several commands show of a patch: its set, callbacks, states, and the modules that it waits for.

use crate::output::table;
use lpatch_loader::kprobes::Kprobe;
use lpatch_loader::link::Linked;
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

/// What there is to say of the probes in the code that a patch has put out of use: a line for each.
pub(super) fn silent(probes: &[Kprobe]) -> Vec<String> {
    let line = |probe: &Kprobe| {
        let Kprobe { place, addr, .. } = probe;
        format!("warning: the kprobe at {place} ({addr:#x}) is not hit while the patch is enabled: nobody executes the old function")
    };
    probes.iter().map(line).collect()
}

/// The same for programs.
pub(super) fn silent_json(probes: &[Kprobe]) -> Value {
    let one = |probe: &Kprobe| json!({ "place": probe.place, "addr": probe.addr });
    probes.iter().map(one).collect()
}

/// "2 functions wait for module foo": a line for each module that is not loaded.
pub(super) fn waiting(linked: &Linked<'_>) -> Vec<String> {
    let modules = linked.resolved.waiting.iter();
    modules
        .map(|module| {
            let who = match module.functions {
                0 => "callbacks wait".to_owned(),
                1 => "1 function waits".to_owned(),
                count => format!("{count} functions wait"),
            };
            format!("{who} for module {}", module.objname)
        })
        .collect()
}

/// The same for programs.
pub(super) fn waiting_json(linked: &Linked<'_>) -> Value {
    let modules = linked.resolved.waiting.iter();
    modules
        .map(|module| json!({ "objname": module.objname, "functions": module.functions }))
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
