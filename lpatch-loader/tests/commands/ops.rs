// SPDX-License-Identifier: GPL-2.0

//! `enable`, `disable`, `reverse`, `force`, `unload`.

use super::common::script::{blocker, Look, State};
use super::{run, run_on_terminal, says};
use lpatch_loader::device::name_field;
use lpatch_model::refusal::Refusal;
use lpatch_model::uapi::{FuncInfo, PatchInfo, Reason, PATCH_HOLDS, STATE_ENABLED};
use Look::*;

/// SIGINT, SIGTERM.
const INT: i32 = 2;
const TERM: i32 = 15;

#[test]
fn a_transition_that_ends_at_once() {
    for args in [&["enable", "good"][..], &["enable", "good", "--no-wait"]] {
        let ran = run(State::script(&[End]), args);
        ran.succeeds(&["good enabled in "]);
        assert_eq!(ran.out.lines().count(), 1);
        assert_eq!(ran.state.enabled, ["good"]);
        assert_eq!(ran.state.limits.timeout_ms, 60_000);
        let ran = run_on_terminal(State::script(&[End]), args);
        ran.succeeds(&["good enabled"]);
    }
    let ran = run(State::enabled(&[End]), &["disable", "good"]);
    ran.succeeds(&["good disabled in "]);
    assert_eq!(ran.state.enabled, [""; 0]);
}

#[test]
fn probes_that_go_silent_are_named() {
    let func = FuncInfo {
        old_addr: 0xffff_ffff_8100_1000,
        old_len: 0x200,
        ..FuncInfo::default()
    };
    let good = PatchInfo {
        name: name_field("good").expect("it is one"),
        ..PatchInfo::default()
    };
    let probed = |state: State| State {
        others: vec![(good, vec![func, FuncInfo::default()])],
        kprobes: Some("ffffffff81001011  k  cmdline_proc_show+0x11\nffffffff81001200  k  next+0x0"),
        ..state
    };
    let ran = run(probed(State::script(&[End])), &["enable", "good"]);
    ran.succeeds(&[
        "\nwarning: the kprobe at cmdline_proc_show+0x11 (0xffffffff81001011) is not hit",
    ]);
    assert_eq!(ran.out.matches("warning").count(), 1);
    let ran = run(probed(State::enabled(&[End])), &["disable", "good"]);
    assert!(!ran.out.contains("warning"), "{}", ran.out);
}

#[test]
fn a_transition_that_takes_some_looks() {
    let script = [Pending(3), Pending(3), Pending(2), Pending(1), End];
    let ran = run(State::script(&script), &["enable", "good"]);
    assert_eq!(ran.code, 0);
    says(&ran.out, &["good enabled"]);
    let lines: Vec<&str> = ran.err.lines().collect();
    assert_eq!(
        lines,
        [
            "enabling good: 3 tasks left, 1.0 s, interrupts in 14.0 s",
            "enabling good: 2 tasks left, 2.0 s, interrupts in 13.0 s"
        ]
    );
    let ran = run_on_terminal(State::script(&script), &["enable", "good"]);
    assert!(
        ran.err
            .contains("\r\x1b[Kenabling good: 2 tasks left, 0.3 s, interrupts in 14."),
        "{:?}",
        ran.err
    );
    assert!(ran.err.ends_with("\r\x1b[K"), "{:?}", ran.err);
}

#[test]
fn progress_is_no_part_of_json() {
    let script = [Pending(3), Pending(3), Pending(2), End];
    let ran = run(State::script(&script), &["enable", "good", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let json = ran.json();
    assert_eq!(json["name"], "good");
    assert_eq!(json["state"], "enabled");
    assert_eq!(json["transition"]["phase"], "done");
    assert_eq!(json["transition"]["moved"]["asleep"], 359);
    let ran = run_on_terminal(State::script(&script), &["enable", "good", "--json"]);
    assert_eq!(ran.json()["state"], "enabled");
    assert!(!ran.err.is_empty());
}

#[test]
fn timeouts_go_to_the_core() {
    for (text, ms) in [("0", 0), ("0.25", 250), ("7200", 7_200_000)] {
        let args = ["enable", "good", "--timeout", text];
        assert_eq!(
            run(State::script(&[End]), &args).state.limits.timeout_ms,
            ms
        );
    }
}

#[test]
fn when_to_interrupt_goes_to_the_core() {
    let never = u32::MAX;
    let cases: [(&[&str], u32); 4] = [
        (&[], 0),
        (&["--interrupt-after", "0.2"], 200),
        (&["--interrupt-after", "3600"], 3_600_000),
        (&["--no-interrupt"], never),
    ];
    for (options, ms) in cases {
        for verb in ["enable", "disable"] {
            let state = if verb == "enable" {
                State::script(&[End])
            } else {
                State::enabled(&[End])
            };
            let ran = run(state, &[&[verb, "good"], options].concat());
            assert_eq!((ran.code, ran.state.limits.interrupt_ms), (0, ms));
        }
        let ran = run(under_way(&[End]), &[&["reverse", "good"], options].concat());
        assert_eq!((ran.code, ran.state.limits.interrupt_ms), (0, ms));
    }
}

#[test]
fn a_result_says_who_was_interrupted() {
    let mut state = State::script(&[Pending(2), End]);
    state.interrupted = 2;
    let ran = run(state, &["enable", "good"]);
    ran.succeeds(&["good enabled in ", "; 2 tasks interrupted"]);
    let mut state = State::script(&[Pending(2), End]);
    state.interrupted = 1;
    let ran = run(state, &["enable", "good", "--json"]);
    assert_eq!(ran.json()["transition"]["interrupted"], 1);
}

#[test]
fn a_deadline_before_the_interruption_is_told() {
    let script = [Pending(2), Late(1), End];
    let hint = "nobody was interrupted";
    let cases: [(&[&str], bool); 6] = [
        (&["--timeout", "2"], true),
        (&["--timeout", "15"], true),
        (&["--timeout", "16"], false),
        (&["--timeout", "2", "--interrupt-after", "1"], false),
        (&["--timeout", "2", "--interrupt-after", "2"], true),
        (&["--timeout", "20", "--no-interrupt"], true),
    ];
    for (options, told) in cases {
        let ran = run(
            late(&script, false),
            &[&["enable", "good"], options].concat(),
        );
        assert_eq!(ran.code, 1);
        assert_eq!(ran.err.contains(hint), told, "{options:?}: {}", ran.err);
    }
    // Nobody who could hear it.
    let mut state = late(&script, false);
    state.blockers.truncate(1);
    let ran = run(state, &["enable", "good", "--timeout", "2"]);
    assert!(!ran.err.contains(hint), "{}", ran.err);
}

#[test]
fn nobody_waits_who_does_not_want_to() {
    let args = ["enable", "good", "--no-wait"];
    let ran = run(State::script(&[Pending(3)]), &args);
    ran.succeeds(&[
        "enabling good: 3 tasks left",
        "lpatch status",
        "lpatch reverse good",
    ]);
    let args = ["disable", "good", "--no-wait", "--json"];
    let ran = run(State::enabled(&[Pending(3)]), &args);
    assert_eq!(ran.json()["state"], "disabling");
    assert_eq!(ran.json()["transition"]["pending"], 3);
}

fn late(looks: &[Look], enabled: bool) -> State {
    let state = if enabled {
        State::enabled(looks)
    } else {
        State::script(looks)
    };
    State {
        blockers: vec![blocker(77, "cat", b'D'), blocker(78, "bad\x1b[2J", b'S')],
        ..state
    }
}

#[test]
fn a_deadline_names_who_was_pending() {
    let script = [Pending(2), Pending(2), Late(1), End];
    let args = ["enable", "good", "--timeout", "2"];
    let ran = run(late(&script, false), &args);
    ran.fails(
        1,
        &[
            "reversing good: 1 task left",
            "lpatch: enabling good was not complete after 2.0 s and was reversed; it is disabled as before\n\
             2 tasks were pending when the time was over:\n  \
             pid 77 (cat), D (asleep, deaf to signals), in cmdline_proc_show+0x1c/0x200\n      \
             schedule+0x27/0xd0\n      cmdline_proc_show+0x1c/0x200\n      seq_read_iter+0x11c/0x4b0\n  \
             pid 78 (bad?[2J), S (asleep), in",
            "next: end these tasks",
            "--timeout SECONDS",
        ],
    );
    assert_eq!(ran.out, "");
    assert_eq!(ran.state.calls, ["enable"]);

    let args = ["disable", "good", "--json"];
    let json = run(late(&[Late(0), End], true), &args).json();
    let error = &json["error"];
    assert_eq!(error["kind"], "incomplete");
    assert_eq!(error["exit_code"], 1);
    assert_eq!(
        (&error["name"], &error["state"]),
        (&"good".into(), &"enabled".into())
    );
    assert_eq!(error["transition"]["deadline_passed"], true);
    assert_eq!(error["transition"]["phase"], "reversed");
    assert_eq!(error["blocker_count"], 2);
    assert_eq!(error["blockers"][0]["pid"], 77);
    assert_eq!(error["blockers"][0]["stack"][0], "schedule+0x27/0xd0");
}

#[test]
fn many_that_were_pending_are_counted() {
    let mut state = State::script(&[Late(0), End]);
    state.blockers = (1..=50).map(|pid| blocker(pid, "task", b'S')).collect();
    let ran = run(state, &["enable", "good"]);
    ran.fails(
        1,
        &["50 tasks were pending", "pid 20 (task)", "and 30 more"],
    );
    assert!(!ran.err.contains("pid 21 "), "{}", ran.err);
}

#[test]
fn blockers_that_cannot_be_had_do_not_hide_the_timeout() {
    let mut state = late(&[Late(0), End], false);
    state.refuse = vec![("blockers", Refusal::new(Reason::Nomem))];
    let ran = run(state, &["enable", "good"]);
    ran.fails(1, &["and was reversed", "not known: ", "out of memory"]);
}

#[test]
fn somebody_turns_it_around() {
    let script = [Pending(2), Turned, End];
    let ran = run(State::script(&script), &["enable", "good"]);
    ran.fails(
        1,
        &["turned around by somebody", "it is disabled as before"],
    );
    assert!(!ran.err.contains("pending when"), "{}", ran.err);
    let ran = run(State::enabled(&script), &["disable", "good"]);
    ran.fails(1, &["disabling good was turned", "it is enabled as before"]);
    // Back, and forth again: in the end it is as it was asked for.
    let script = [Pending(2), Late(2), Turned, End];
    let ran = run(State::script(&script), &["enable", "good"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn somebody_forces_it() {
    let ran = run(
        State::script(&[Pending(2), Forced]),
        &["enable", "good", "--json"],
    );
    assert_eq!(ran.code, 0);
    assert_eq!(ran.json()["transition"]["phase"], "forced");
    let ran = run(State::script(&[Pending(2), Forced]), &["enable", "good"]);
    ran.succeeds(&["ended by force", "good is enabled now"]);
}

#[test]
fn somebody_begins_another_one() {
    let ran = run(State::script(&[Pending(2), Other]), &["enable", "good"]);
    ran.fails(1, &["another transition", "good is loaded now"]);
    // Before our first look.
    let ran = run(State::script(&[Other]), &["enable", "good"]);
    ran.fails(1, &["another transition", "good is loaded now"]);
    // It is as it was asked for, whoever did it.
    let ran = run(under_way(&[Other, End]), &["reverse", "good"]);
    ran.succeeds(&["another transition", "good is loaded now"]);
}

#[test]
fn a_signal_ends_the_wait_and_nothing_else() {
    for (signal, code) in [(INT, 130), (TERM, 143)] {
        let script = [Pending(3), Pending(2), Signal(signal)];
        let ran = run(State::script(&script), &["enable", "good"]);
        ran.fails(
            code,
            &[
                "interrupted, but enabling good goes on (for at most 58.0 s",
                "2 tasks left",
                "`lpatch reverse good` turns it around",
                "lpatch status --blockers",
            ],
        );
        assert_eq!(ran.state.calls, ["enable"]);
    }
    let script = [Pending(3), Signal(INT)];
    let ran = run(State::script(&script), &["enable", "good", "--json"]);
    let error = &ran.json()["error"];
    assert_eq!(
        (&error["kind"], &error["exit_code"]),
        (&"interrupted".into(), &130.into())
    );
    assert_eq!(error["state"], "enabling");
    assert_eq!(error["transition"]["pending"], 3);
    // On the way back the same request has the other meaning.
    let script = [Pending(3), Late(2), Signal(INT)];
    let ran = run(State::script(&script), &["enable", "good"]);
    ran.fails(
        130,
        &["reversing good goes on: 2 tasks", "turns it forward"],
    );
}

#[test]
fn other_signals_do_not_end_the_wait() {
    let script = [Pending(3), Wake, Pending(2), Wake, End];
    let ran = run(State::script(&script), &["enable", "good"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_signal_before_the_request_leaves_nothing() {
    let mut state = State::script(&[End]);
    state.signal = Some(INT);
    let ran = run(state, &["enable", "good"]);
    ran.fails(130, &["before anything began", "good is as it was"]);
    assert_eq!(ran.state.calls, [""; 0]);
    // While the core tidies up after the last transition, be it one of this patch.
    let mut state = run(State::script(&[End]), &["disable", "good"]).state;
    state.calls.clear();
    state.signal_at = Some(("enable", INT));
    state.refuse = vec![("enable", Refusal::new(Reason::Interrupted))];
    let ran = run(state, &["enable", "good"]);
    ran.fails(130, &["good is as it was"]);
    assert_eq!(ran.state.calls, ["enable"]);
}

/// A state with a transition of `good` under way.
fn under_way(looks: &[Look]) -> State {
    let script: Vec<Look> = [Pending(3)].iter().chain(looks).copied().collect();
    run(State::script(&script), &["enable", "good", "--no-wait"]).state
}

#[test]
fn reverse_waits_for_the_way_back() {
    let ran = run(under_way(&[Pending(1), End]), &["reverse", "good"]);
    assert_eq!(
        ran.err,
        "reversing good: 1 task left, 1.0 s, interrupts in 14.0 s\n"
    );
    says(&ran.out, &["good disabled again in "]);
    assert_eq!(ran.state.enabled, [""; 0]);
    let args = ["reverse", "good", "--no-wait", "--json"];
    let ran = run(under_way(&[]), &args);
    assert_eq!(ran.json()["state"], "disabling");
    assert_eq!(ran.json()["transition"]["phase"], "reversing");
    // Turned a second time it goes forward.
    let ran = run(ran.state, &["reverse", "good", "--no-wait"]);
    ran.succeeds(&["enabling good: 3 tasks left"]);
    // Somebody turns it while we wait.
    let ran = run(under_way(&[Turned, End]), &["reverse", "good"]);
    ran.fails(1, &["the way back of good", "it is enabled as before"]);
}

#[test]
fn reverse_without_a_transition() {
    let ran = run(State::script(&[]), &["reverse", "good"]);
    ran.fails(3, &["not in transition", "lpatch status"]);
}

#[test]
fn what_else_holds_a_function_of_a_loaded_patch_is_told() {
    let mut func = FuncInfo::default();
    func.name[..4].copy_from_slice(b"show");
    func.objname[..7].copy_from_slice(b"vmlinux");
    let info = PatchInfo {
        name: name_field("good").expect("it is one"),
        ..PatchInfo::default()
    };
    let state = State {
        refuse: vec![("enable", Refusal::at(Reason::FuncOwned, 1))],
        others: vec![(info, vec![FuncInfo::default(), func])],
        enabled_functions: "show (1) R I\ttramp: 0x1 (kprobe_ftrace_handler+0x0/0x9) ->x\n",
        ..State::script(&[])
    };
    let ran = run(state, &["enable", "good"]);
    ran.fails(
        3,
        &["show of vmlinux is held by a kprobe with a post_handler; "],
    );
}

#[test]
fn a_busy_core_names_the_other_patch() {
    let other = PatchInfo {
        id: 9,
        name: name_field("fix-2").expect("it is one"),
        state: STATE_ENABLED,
        ..PatchInfo::default()
    };
    let busy = || State {
        refuse: vec![("enable", Refusal::new(Reason::InTransition).value(9))],
        others: vec![(other, Vec::new())],
        ..State::script(&[])
    };
    let ran = run(busy(), &["enable", "good"]);
    ran.fails(3, &["another transition is under way, of the patch fix-2;"]);
    let ran = run(busy(), &["enable", "good", "--json"]);
    let error = &ran.json()["error"];
    assert_eq!(error["other_patch"], "fix-2");
    assert_eq!(error["reason_name"], "InTransition");
    // It may be gone before its name is asked for.
    let gone = State {
        others: Vec::new(),
        ..busy()
    };
    run(gone, &["enable", "good"]).fails(3, &["of the patch with id 9;"]);
}

#[test]
fn force_wants_to_be_meant() {
    let ran = run(under_way(&[]), &["force", "good"]);
    ran.fails(
        2,
        &[
            "nothing was done",
            "still in functions",
            "tainted",
            "never be unloaded",
            "lpatch force --yes good",
        ],
    );
    assert_eq!(ran.state.calls, ["enable"]);
    let ran = run(under_way(&[]), &["force", "good", "--yes"]);
    ran.succeeds(&["good is enabled by force: 3 tasks may go on", "tainted"]);
    let ran = run(under_way(&[]), &["force", "good", "--yes", "--json"]);
    assert_eq!(ran.json()["state"], "enabled");
    assert_eq!(ran.json()["transition"]["moved"]["forced"], 3);
}

#[test]
fn unload_waits_while_the_kernel_tidies_up() {
    let mut state = State::script(&[]);
    state.settling = 2;
    let ran = run(state, &["unload", "good"]);
    ran.succeeds(&["good unloaded"]);
    assert_eq!(ran.state.calls, ["unload", "unload", "unload"]);
    // But not for a transition.
    let ran = run(under_way(&[]), &["unload", "good"]);
    ran.fails(3, &["another transition is under way"]);
}

#[test]
fn unload_waits_for_memory_only_if_modules_are_held() {
    for (flags, left) in [(PATCH_HOLDS, 0), (0, 3)] {
        let mut state = State::script(&[]);
        state.lingering = 3;
        let info = PatchInfo {
            name: name_field("good").expect("it is short"),
            flags,
            ..PatchInfo::default()
        };
        state.others = vec![(info, Vec::new())];
        let ran = run(state, &["unload", "good", "--json"]);
        assert_eq!(ran.json()["holds_modules"], false);
        assert_eq!(ran.state.lingering, left);
    }
}

#[test]
fn a_core_that_moves_all_at_once() {
    let mut state = State::script(&[]);
    state.features = 0;
    state.refuse = vec![("transition", Refusal::new(Reason::NotReady))];
    let ran = run(state, &["enable", "good"]);
    ran.succeeds(&["good enabled (all tasks at once)"]);
    assert_eq!(ran.state.limits.timeout_ms, 0);
}
