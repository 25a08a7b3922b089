// SPDX-License-Identifier: GPL-2.0

//! `load`, with what it leaves behind, and `load --dry-run`.

use super::common::script::{blocker, Look, State};
use super::common::{object, MODULE, TEXT};
use super::{run, Ran};
use lpatch_loader::device::name_field;
use lpatch_model::refusal::Refusal;
use lpatch_model::uapi::{
    FuncInfo, PatchInfo, Range, Reason, LOAD_NO_PROMOTE, LOAD_REFUSE_MODULES,
};
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
    assert_eq!(ran.state.load_flags, 0);
    let ran = load(empty(&[]), &["--no-enable", "--no-promote"]);
    ran.succeeds(&["good loaded in "]);
    assert_eq!(ran.state.load_flags, LOAD_NO_PROMOTE);
    let ran = load(empty(&[]), &["--no-enable", "--refuse-modules"]);
    assert_eq!(ran.state.load_flags, LOAD_REFUSE_MODULES);
}

/// The kernel takes longer to print that than for all the rest; the core asks about the functions that matter.
#[test]
fn load_does_not_read_what_ftrace_can_attach_to() {
    assert!(!load(empty(&[End]), &[]).state.list_asked);
    assert!(!load(empty(&[]), &["--no-enable"]).state.list_asked);
    assert!(load(empty(&[]), &["--dry-run"]).state.list_asked);
    assert!(run(empty(&[]), &["verify", &file()]).state.list_asked);
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

#[test]
fn what_else_holds_the_function_is_told() {
    let held = |enabled_functions| State {
        enabled_functions,
        ..State::refusing("enable", Refusal::new(Reason::FuncOwned))
    };
    let list = "cmdline_proc_show (1) R I\ttramp: 0x1 (klp_ftrace_handler+0x0/0x9) ->x\n";
    let ran = load(held(list), &[]);
    ran.fails(
        3,
        &["cmdline_proc_show of vmlinux is held by upstream livepatch; "],
    );
    let ran = load(held(list), &["--json"]);
    let error = &ran.json()["error"];
    assert_eq!(error["held_by"], "upstream livepatch");
    assert_eq!(error["other_patch"], serde_json::Value::Null);
    let ran = load(held(""), &[]);
    ran.fails(
        3,
        &["is held by upstream livepatch or another IPMODIFY user"],
    );
}

fn range(start: u64, len: u64) -> Range {
    Range {
        start,
        end: start + len,
    }
}

#[test]
fn a_dry_run_changes_nothing() {
    let ran = load(State::default(), &["--dry-run"]);
    ran.succeeds(&["good could be loaded, and no task would block it now"]);
    assert_eq!(ran.state.calls, ["reserve"]);
    assert_eq!((ran.state.reserved, ran.state.loaded.len()), (0, 0));
    // With the part of the function that lies elsewhere.
    assert_eq!(
        ran.state.ranges,
        [
            range(TEXT + 0x1000, 0x200),
            range(TEXT + 0x1340, 0x40),
            range(MODULE, 0x40)
        ]
    );
}

#[test]
fn a_dry_run_names_who_would_block() {
    let state = || State {
        blockers: vec![blocker(77, "cat", b'D')],
        ..State::default()
    };
    let ran = load(state(), &["--dry-run"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    super::says(
        &ran.out,
        &[
            "good could be loaded; 1 task would block it now; nothing was loaded",
            "pid 77 (cat), D",
            "      schedule+0x27/0xd0",
        ],
    );
    let ran = load(state(), &["--dry-run", "--json"]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.json()["dry_run"], true);
    assert_eq!(ran.json()["blocker_count"], 1);
    assert_eq!(ran.json()["blockers"][0]["pid"], 77);
}

/// Of a function that is patched already, it is the newest version that tasks would have to leave.
#[test]
fn a_dry_run_asks_about_the_code_in_force() {
    let patch = |name: &str, order: u32, text_addr: u64, old_addr: u64| {
        let info = PatchInfo {
            name: name_field(name).expect("it is one"),
            order,
            text_addr,
            text_len: 0x100,
            ..PatchInfo::default()
        };
        let func = FuncInfo {
            old_addr,
            ..FuncInfo::default()
        };
        (info, vec![func])
    };
    let state = State {
        others: vec![
            patch("second", 2, 0x2000, TEXT + 0x1000),
            patch("first", 1, 0x1000, TEXT + 0x1000),
            patch("off", 0, 0x3000, MODULE),
        ],
        ..State::default()
    };
    let ran = load(state, &["--dry-run"]);
    assert_eq!(
        ran.state.ranges,
        [range(0x2000, 0x100), range(MODULE, 0x40)]
    );
}

#[test]
fn a_dry_run_fails_as_a_load_would() {
    let refused = State::refusing("reserve", Refusal::new(Reason::ArenaText));
    load(refused, &["--dry-run"]).fails(3, &["no room for the patch's text"]);
    let loaded = PatchInfo {
        name: name_field("good").expect("it is one"),
        ..PatchInfo::default()
    };
    let state = State {
        others: vec![(loaded, Vec::new())],
        ..State::default()
    };
    load(state, &["--dry-run"]).fails(3, &["good is loaded already"]);
}

fn gone() -> State {
    State {
        gone: "tinyfs",
        ..State::default()
    }
}

#[test]
fn a_load_tells_which_modules_it_waits_for() {
    let ran = load(gone(), &[]);
    ran.succeeds(&["good enabled in ", "\n1 function waits for module tinyfs\n"]);
    assert_eq!(ran.state.calls, ALL);
    let json = load(gone(), &["--json"]).json();
    assert_eq!(json["waiting"][0]["objname"], "tinyfs");
    assert_eq!(json["waiting"][0]["functions"], 1);
    let json = load(State::default(), &["--json"]).json();
    assert_eq!(json["waiting"].as_array().map(Vec::len), Some(0));
}

/// One in each of the old functions and in a cold part, at an entry, and elsewhere.
const PROBES: &str = "\
ffffffff81001011  k  cmdline_proc_show+0x11    [OPTIMIZED]
ffffffff81001004  k  cmdline_proc_show+0x4    [FTRACE]
ffffffff81001344  k  cmdline_proc_show.cold+0x4  [DISABLED]
ffffffff81000104  k  seq_printf+0x4
";

#[test]
fn probes_that_go_silent_are_named() {
    let probed = || State {
        kprobes: Some(PROBES),
        ..State::default()
    };
    let ran = load(probed(), &[]);
    ran.succeeds(&[
        "good enabled in ",
        "\nwarning: the kprobe at cmdline_proc_show+0x11 (0xffffffff81001011) is not hit while the patch is enabled",
        "\nwarning: the kprobe at cmdline_proc_show.cold+0x4 (0xffffffff81001344) is not hit",
    ]);
    assert_eq!(ran.out.matches("warning").count(), 2);
    let json = load(probed(), &["--json"]).json();
    assert_eq!(json["silent_probes"][0]["place"], "cmdline_proc_show+0x11");
    assert_eq!(json["silent_probes"][1]["addr"], 0xffff_ffff_8100_1344_u64);
    // While it is not enabled they are hit.
    let ran = load(probed(), &["--no-enable"]);
    assert!(!ran.out.contains("warning"), "{}", ran.out);
    let json = load(State::default(), &["--json"]).json();
    assert_eq!(json["silent_probes"].as_array().map(Vec::len), Some(0));
}

/// Nobody can be in a function that is not there, nor does another patch's take its place.
#[test]
fn a_dry_run_does_not_ask_about_modules_that_are_not_loaded() {
    let info = PatchInfo {
        name: name_field("other").expect("it is one"),
        order: 1,
        text_addr: 0x2000,
        text_len: 0x100,
        ..PatchInfo::default()
    };
    let state = State {
        others: vec![(info, vec![FuncInfo::default()])],
        ..gone()
    };
    let ran = load(state, &["--dry-run"]);
    ran.succeeds(&[
        "1 function waits for module tinyfs",
        "no task would block it",
    ]);
    let show = [range(TEXT + 0x1000, 0x200), range(TEXT + 0x1340, 0x40)];
    assert_eq!(ran.state.ranges, show);
    let json = load(gone(), &["--dry-run", "--json"]).json();
    assert_eq!(json["waiting"][0]["objname"], "tinyfs");
}
