// SPDX-License-Identifier: GPL-2.0

//! The man page names every key of what --json prints.

use super::common::script::{blocker, Look, State};
use super::json_keys::KEYS;
use super::{run, Ran};
use lpatch_model::refusal::Refusal;
use lpatch_model::uapi::{FuncInfo, PatchInfo, Reason};
use serde_json::Value;
use std::collections::BTreeSet;
use Look::*;

fn keys_of(value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                keys.insert(key.clone());
                keys_of(value, keys);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| keys_of(value, keys)),
        _ => (),
    }
}

#[test]
fn every_key_is_documented() {
    let late = || State {
        blockers: vec![blocker(7, "cat", b'S')],
        ..State::script(&[Pending(1), Late(1), End])
    };
    let listed = || State {
        others: vec![(PatchInfo::default(), vec![FuncInfo::default()])],
        ..State::default()
    };
    let refused = || State::refusing("enable", Refusal::new(Reason::Stacked));
    let runs: [(State, &[&str]); 9] = [
        (State::script(&[Pending(1), End]), &["enable", "good"]),
        (late(), &["enable", "good"]),
        (
            State::script(&[Pending(1)]),
            &["enable", "good", "--no-wait"],
        ),
        (late(), &["status", "--blockers"]),
        (State::default(), &["status"]),
        (listed(), &["list"]),
        (refused(), &["enable", "good"]),
        (State::script(&[]), &["unload", "good"]),
        (State::script(&[]), &["force", "good"]),
    ];
    let mut keys = BTreeSet::new();
    for (state, args) in runs {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let ran: Ran = run(state, &args);
        keys_of(&ran.json(), &mut keys);
    }
    assert!(keys.len() > 60, "only {} were seen", keys.len());
    let known: BTreeSet<&str> = KEYS
        .iter()
        .flat_map(|(_, keys)| keys.iter().map(|(key, _)| *key))
        .collect();
    let missing: Vec<&String> = keys
        .iter()
        .filter(|k| !known.contains(k.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
