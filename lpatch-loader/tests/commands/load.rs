// SPDX-License-Identifier: GPL-2.0

//! `load`, with what it leaves behind.

use super::common::fake::{blocker, Look, State};
use super::common::object;
use super::{run, Ran};
use lpatch_loader::device::name_field;
use lpatch_model::refusal::Refusal;
use lpatch_model::uapi::{PatchInfo, Reason};
use std::path::PathBuf;
use Look::*;

fn file() -> String {
    // Tests run at the same time, and write the same.
    let name = format!("commands-{:?}.lpo", std::thread::current().id());
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, object(&[])).expect("the target directory is writable");
    path.display().to_string()
}

fn load(state: State, more: &[&str]) -> Ran {
    let file = file();
    let args: Vec<&str> = ["load", &file].iter().chain(more).copied().collect();
    run(state, &args)
}

fn empty(looks: &[Look]) -> State {
    State {
        looks: looks.iter().copied().collect(),
        ..State::default()
    }
}

const ALL: [&str; 3] = ["reserve", "load", "enable"];

#[test]
fn load_waits() {
    let ran = load(empty(&[Pending(3), End]), &[]);
    ran.succeeds(&["good enabled in ", "359 tasks moved: 359 asleep"]);
    assert_eq!(ran.state.calls, ALL);
    let json = load(empty(&[Pending(3), End]), &["--json"]).json();
    assert_eq!(json["state"], "enabled");
    assert_eq!(json["transition"]["kind"], "enable");
    assert_eq!(json["steps"].as_array().map(Vec::len), Some(6));
    let ran = load(empty(&[Pending(3)]), &["--no-wait"]);
    ran.succeeds(&["enabling good: 3 tasks left"]);
    let ran = load(empty(&[]), &["--no-enable"]);
    ran.succeeds(&["good loaded in "]);
    assert_eq!(ran.state.calls, ["reserve", "load"]);
}

fn late() -> State {
    State {
        blockers: vec![blocker(77, "cat", b'D')],
        ..empty(&[Pending(1), Late(1), End])
    }
}

#[test]
fn what_was_reversed_is_unloaded_again() {
    let ran = load(late(), &[]);
    ran.fails(
        1,
        &[
            "was not complete after 60.0 s and was reversed; the patch was unloaded again",
            "1 task was pending",
            "pid 77 (cat)",
        ],
    );
    assert_eq!(ran.state.loaded, [""; 0]);
    let error = &load(late(), &["--json"]).json()["error"];
    assert_eq!(error["state"], "unloaded");
    assert_eq!(error["blockers"][0]["comm"], "cat");
    let ran = load(empty(&[Pending(1), Turned, End]), &[]);
    ran.fails(1, &["turned around by somebody", "unloaded again"]);
}

#[test]
fn what_was_reversed_stays_if_wanted() {
    let ran = load(late(), &["--keep"]);
    ran.fails(1, &["stays loaded and disabled", "lpatch enable good"]);
    assert_eq!(ran.state.loaded, ["good"]);
    assert_eq!(ran.state.calls, ALL);
    let error = &load(late(), &["--keep", "--json"]).json()["error"];
    assert_eq!(error["state"], "disabled");
    // Also if enabling did not even begin.
    let refused = State::refusing("enable", Refusal::new(Reason::FuncOwned));
    let ran = load(refused, &["--keep"]);
    ran.fails(3, &["is held by", "stays loaded and disabled"]);
}

#[test]
fn what_was_reversed_and_cannot_be_unloaded() {
    let stuck = State {
        stuck: true,
        ..late()
    };
    let ran = load(stuck, &[]);
    ran.fails(1, &["unloading it again failed too", "task 7 may still be"]);
    assert_eq!(ran.state.loaded, ["good"]);
}

#[test]
fn a_signal_before_the_patch_is_enabled_leaves_nothing() {
    for (at, calls, after) in [
        ("reserve", &["reserve"][..], "nothing was loaded"),
        ("load", &["reserve", "load", "unload"], "unloaded again"),
    ] {
        let state = State {
            signal_at: Some((at, 2)),
            ..State::default()
        };
        let ran = load(state, &[]);
        ran.fails(130, &["interrupted before the patch was enabled", after]);
        assert_eq!(ran.state.calls, calls);
        assert_eq!((ran.state.loaded.len(), ran.state.reserved), (0, 0));
    }
}

#[test]
fn a_signal_while_it_waits_leaves_the_transition() {
    let ran = load(empty(&[Pending(1), Signal(2)]), &[]);
    ran.fails(130, &["enabling good goes on", "lpatch reverse good"]);
    assert_eq!(ran.state.loaded, ["good"]);
    assert_eq!(ran.state.calls, ALL);
}

#[test]
fn a_busy_core_names_the_other_patch() {
    let other = PatchInfo {
        id: 9,
        name: name_field("fix-2").expect("it is one"),
        ..PatchInfo::default()
    };
    for (reason, words) in [
        (Reason::InTransition, "under way, of the patch fix-2"),
        (Reason::FuncConflict, "of another set, fix-2"),
        (Reason::Stacked, "a newer patch, fix-2"),
    ] {
        let state = State {
            others: vec![(other, Vec::new())],
            ..State::refusing("enable", Refusal::new(reason).value(9))
        };
        let ran = load(state, &[]);
        ran.fails(3, &[words, "the patch was unloaded again"]);
    }
}
