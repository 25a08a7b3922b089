// SPDX-License-Identifier: GPL-2.0

//! `list` and `status`.

use super::common::script::{blocker, Look, State};
use super::{run, says};
use lpatch_loader::device::name_field;
use lpatch_model::uapi::*;
use Look::*;

fn patch(name: &str, state: u32, flags: u32) -> (PatchInfo, Vec<FuncInfo>) {
    let info = PatchInfo {
        name: name_field(name).expect("it is one"),
        set: name_field("net").expect("it is one"),
        id: 4,
        order: 2,
        funcs: 3,
        state,
        flags,
        ..PatchInfo::default()
    };
    (info, Vec::new())
}

fn patches() -> State {
    State {
        others: vec![
            patch("one", STATE_ENABLING, PATCH_REPLACE),
            patch("two", STATE_DISABLING, PATCH_PINNED | PATCH_MODULE),
        ],
        ..State::default()
    }
}

#[test]
fn a_list_tells_states_and_sets() {
    let ran = run(patches(), &["list"]);
    let lines: Vec<Vec<&str>> = ran
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0][3..6], ["STATE", "FUNCS", "SET"]);
    assert_eq!(lines[1][..6], ["4", "one", "-", "enabling", "3", "net"]);
    assert_eq!(lines[2][..6], ["4", "two", "-", "disabling", "3", "net"]);
    let json = run(patches(), &["list", "--json"]).json();
    let [one, two] = [&json["patches"][0], &json["patches"][1]];
    assert_eq!((&one["set"], &one["order"]), (&"net".into(), &2.into()));
    assert_eq!(
        (&one["cumulative"], &one["pinned"]),
        (&true.into(), &false.into())
    );
    assert_eq!(
        (&two["state"], &two["pinned"]),
        (&"disabling".into(), &true.into())
    );
    assert_eq!(two["from_module"], true);
}

#[test]
fn the_status_of_a_patch() {
    let ran = run(patches(), &["status", "one"]);
    ran.succeeds(&["order  2; the highest", "flags  cumulative (replaces"]);
    let ran = run(patches(), &["status", "two"]);
    ran.succeeds(&["pinned (by force", "registered by a kernel module"]);
}

#[test]
fn the_status_of_functions_that_wait() {
    let func = |objname: &str, old_addr: u64, old_len: u32, path: u32, path_errno: u32| {
        let mut func = FuncInfo {
            path,
            path_errno,
            old_addr,
            old_len,
            new_addr: 0x2000,
            new_len: 7,
            ..FuncInfo::default()
        };
        func.name[..4].copy_from_slice(b"read");
        func.objname[..objname.len()].copy_from_slice(objname.as_bytes());
        func
    };
    let state = || {
        let (info, _) = patch("one", STATE_ENABLED, 0);
        let funcs = vec![
            func("tinyfs", 0, 0, PATH_NONE, 0),
            func("otherfs", 0x1000, 64, PATH_JUMP, 0),
            func("thirdfs", 0x1100, 64, PATH_HANDLER, 16),
            func("lastfs", 0x1200, 64, PATH_HANDLER, 0),
        ];
        State {
            others: vec![(info, funcs)],
            ..State::default()
        }
    };
    let ran = run(state(), &["status", "one"]);
    ran.succeeds(&["read      tinyfs   waits for its module  -    0x2000  7"]);
    ran.succeeds(&["read      otherfs  0x1000                64   0x2000  7"]);
    ran.succeeds(&["0x2000  7    by a jump\n"]);
    ran.succeeds(&["through the handler (another owner, such as a BPF program"]);
    ran.succeeds(&["through the handler (a jump soon)"]);
    // One is not in force.
    ran.succeeds(&["jumps  1 of 3 functions by a jump\n"]);
    run(state(), &["status"]).succeeds(&["jumps        1 of 3 functions by a jump\n"]);
    // A probe in an old function, put there whenever.
    let probed = || State {
        kprobes: Some(
            "0000000000001010  k  read+0x10    [OPTIMIZED]\n0000000000001050  k  write+0x10\n",
        ),
        ..state()
    };
    run(probed(), &["status", "one"]).succeeds(&[
        "\n\nwarning: the kprobe at read+0x10 (0x1010) is not hit while the patch is enabled",
    ]);
    let json = run(probed(), &["status", "one", "--json"]).json();
    assert_eq!(json["silent_probes"].as_array().map(Vec::len), Some(1));
    let json = run(state(), &["status", "--json"]).json();
    assert_eq!(
        (&json["in_force"], &json["by_jump"]),
        (&3.into(), &1.into())
    );
    let json = run(state(), &["status", "one", "--json"]).json();
    assert_eq!(
        (&json["in_force"], &json["by_jump"]),
        (&3.into(), &1.into())
    );
    let paths: Vec<_> = (0..4)
        .map(|i| json["function_list"][i]["path"].as_str())
        .collect();
    let words = ["none", "jump", "handler", "handler"];
    assert_eq!(paths, words.map(Some));
    assert_eq!(json["function_list"][2]["path_errno"], 16);
    let [waits, is_there] = [&json["function_list"][0], &json["function_list"][1]];
    assert_eq!(
        (&waits["waiting"], &waits["old_addr"]),
        (&true.into(), &0.into())
    );
    assert_eq!(is_there["waiting"], false);
}

#[test]
fn the_status_of_functions_that_a_patch_is_left_out_of() {
    let mut func = FuncInfo {
        path: PATH_LEFT_OUT,
        path_errno: Reason::FuncPreimage.code(),
        new_addr: 0x2000,
        new_len: 7,
        ..FuncInfo::default()
    };
    func.name[..4].copy_from_slice(b"read");
    func.objname[..6].copy_from_slice(b"tinyfs");
    let state = || {
        let (info, _) = patch("one", STATE_ENABLED, PATCH_LEFT_OUT);
        State {
            others: vec![(info, vec![func])],
            ..State::default()
        }
    };
    let ran = run(state(), &["status", "one"]);
    ran.succeeds(&[
        "flags  left out of a module that it does not fit\n",
        "jumps  -\n",
        "read      tinyfs  left out  -    0x2000  7    to the old function (the module has another function than the patch was made for; see",
    ]);
    run(state(), &["status"]).succeeds(&["left out     one, of a module;"]);
    assert_eq!(
        run(state(), &["status", "--json"]).json()["left_out"][0],
        "one"
    );
    let ran = run(patches(), &["status"]);
    assert!(!ran.out.contains("left out"), "{}", ran.out);
    let json = run(state(), &["status", "one", "--json"]).json();
    let one = &json["function_list"][0];
    assert_eq!(
        (&one["path"], &one["left_out"]),
        (&"left_out".into(), &102.into())
    );
    assert_eq!(
        (&one["waiting"], &json["left_out"]),
        (&false.into(), &true.into())
    );
}

fn after(looks: &[Look], args: &[&str]) -> State {
    let mut state = run(State::script(looks), args).state;
    state.clock_ns += 1_200_000_000;
    state
}

const BEGIN: [&str; 5] = ["enable", "good", "--no-wait", "--timeout", "10"];

#[test]
fn the_status_of_a_transition_under_way() {
    let ran = run(after(&[Pending(3)], &BEGIN), &["status"]);
    ran.succeeds(&[
        "transitions  task by task",
        "transition   enabling good: 3 tasks left, 1.2 s, interrupts in 13.8 s, reverses by itself in 8.8 s",
        "359 tasks moved: 359 asleep",
    ]);
    let json = run(after(&[Pending(3)], &BEGIN), &["status", "--json"]).json();
    let transition = &json["transition"];
    assert_eq!(transition["patch"], "good");
    assert_eq!(
        (&transition["phase"], &transition["kind"]),
        (&"live".into(), &"enable".into())
    );
    assert_eq!(
        (&transition["pending"], &transition["id"]),
        (&3.into(), &1.into())
    );
    assert_eq!(transition["elapsed_ms"], 1200.0);
    let ran = run(
        after(&[Pending(3), Late(1)], &BEGIN),
        &["reverse", "good", "--no-wait"],
    );
    let ran = run(ran.state, &["status"]);
    says(
        &ran.out,
        &["reversing good: 3 tasks left, 1.2 s, interrupts in 13.8 s\n"],
    );
}

#[test]
fn callbacks_are_named_where_they_are_waited_for() {
    let busy = || State {
        others: vec![
            patch("one", STATE_ENABLING, PATCH_IN_CALLBACK),
            patch("two", STATE_LOADED, PATCH_STUCK),
        ],
        ..State::default()
    };
    run(busy(), &["status", "one"]).succeeds(&["flags  busy (a callback"]);
    run(busy(), &["status", "two"]).succeeds(&["flags  stuck (a task has died"]);
    run(busy(), &["list"]).succeeds(&["loaded, stuck"]);
    let json = run(busy(), &["list", "--json"]).json();
    let [one, two] = [&json["patches"][0], &json["patches"][1]];
    assert_eq!(
        (&one["in_callback"], &one["stuck"]),
        (&true.into(), &false.into())
    );
    assert_eq!(
        (&two["in_callback"], &two["stuck"]),
        (&false.into(), &true.into())
    );

    let mut state = after(&[Pending(0)], &BEGIN);
    state.now.ended_ns = state.now.started_ns + 1_000_000;
    run(state, &["status"]).succeeds(&[
        "enabling good: all tasks have moved after 1.0 ms, a callback of the patch is running",
    ]);
    let mut state = after(&[End], &["enable", "good", "--json"]);
    state.now.flags |= TRANSITION_DIED;
    run(state, &["status"]).succeeds(&["a task died in a callback of the patch"]);
}

#[test]
fn the_status_of_the_last_transition() {
    for (looks, words) in [
        (&[End][..], "enable of good, complete after 0.0 ms"),
        (
            &[Late(1), End],
            "enable of good, reversed because its time was over, after 1.0 s",
        ),
        (&[Turned, End], "enable of good, reversed after"),
        (
            &[Pending(1), Forced],
            "enable of good, ended by force after",
        ),
    ] {
        let state = after(looks, &["enable", "good", "--json"]);
        let ran = run(state, &["status"]);
        ran.succeeds(&["last transition  ", words]);
    }
    let ran = run(State::default(), &["status"]);
    assert!(!ran.out.contains("last"), "{}", ran.out);
    let json = run(State::default(), &["status", "--json"]).json();
    assert!(json["transition"].is_null());
}

#[test]
fn blockers_are_a_table_and_stacks() {
    let idle = Blocker {
        flags: TASK_IDLE,
        cpu: 3,
        state: b'R',
        why: WHY_UNRELIABLE,
        ..Blocker::default()
    };
    let state = || State {
        blockers: vec![blocker(77, "cat", b'D'), idle],
        ..after(&[Pending(2)], &BEGIN)
    };
    let ran = run(state(), &["status", "--blockers"]);
    ran.succeeds(&[
        "enabling good: 2 tasks left",
        "PID  NAME  STATE  CPU  WHERE\n77   cat   D      1    in cmdline_proc_show+0x1c/0x200\n",
        "0          R      3    its stack cannot be told",
        "stack of pid 77 (cat):\n    schedule+0x27/0xd0\n    cmdline_proc_show+0x1c/0x200\n",
    ]);
    let json = run(state(), &["status", "--blockers", "--json"]).json();
    assert_eq!(json["under_way"], true);
    assert_eq!(
        (&json["blocker_count"], &json["at_deadline"]),
        (&2.into(), &serde_json::json!([]))
    );
    let [first, second] = [&json["blockers"][0], &json["blockers"][1]];
    assert_eq!(
        (&first["why"], &first["task_state"]),
        (&"function".into(), &"D".into())
    );
    assert_eq!(
        (&second["why"], &second["idle"]),
        (&"unreliable".into(), &true.into())
    );
}

/// The registry is busy with the patch, and no task moves yet.
#[test]
fn a_transition_that_is_about_to_begin_is_named() {
    let state = |state, flags| State {
        others: vec![patch("one", state, flags)],
        ..State::default()
    };
    let ran = run(state(STATE_ENABLING, 0), &["status", "--blockers"]);
    ran.succeeds(&["no transition is under way yet: one is about to be enabled; ftrace"]);
    let callback = state(STATE_DISABLING, PATCH_IN_CALLBACK);
    let ran = run(callback, &["status", "--blockers"]);
    ran.succeeds(&["yet: one is about to be disabled; a callback of it is running"]);
    let json = run(
        state(STATE_ENABLING, 0),
        &["status", "--blockers", "--json"],
    )
    .json();
    assert_eq!(
        (&json["under_way"], &json["about_to_begin"]),
        (&false.into(), &"one".into())
    );
}

#[test]
fn without_a_transition_nobody_blocks() {
    for state in [State::default(), after(&[End], &BEGIN)] {
        let ran = run(state, &["status", "--blockers"]);
        ran.succeeds(&["no transition is under way"]);
        assert_eq!(ran.out.lines().count(), 1);
    }
    let json = run(State::default(), &["status", "--blockers", "--json"]).json();
    assert_eq!(
        (&json["under_way"], &json["blocker_count"]),
        (&false.into(), &0.into())
    );
    assert_eq!(json["about_to_begin"], serde_json::Value::Null);
    // Who did not wait learns afterwards why it was reversed.
    let state = State {
        blockers: vec![blocker(77, "cat", b'D')],
        ..after(&[Late(1), End], &["enable", "good", "--json"])
    };
    let ran = run(state, &["status", "--blockers"]);
    ran.succeeds(&[
        "no transition is under way; the last one",
        "1 task was pending",
        "77   cat",
    ]);
}
