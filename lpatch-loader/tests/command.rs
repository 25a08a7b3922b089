// SPDX-License-Identifier: GPL-2.0

//! The command as a person or a script meets it: exit codes, messages, JSON, generated documents.

mod common;

use common::*;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};

fn lpatch(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lpatch"));
    command.args(args).output().expect("it was built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it is UTF-8")
}

fn file(name: &str, contents: &[u8]) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, contents).expect("the target directory is writable");
    path.display().to_string()
}

/// Runs with --json: the exit code and the one object.
fn json(args: &[&str]) -> (Option<i32>, Value) {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    let output = lpatch(&args);
    let stdout = text(&output.stdout);
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    assert_eq!(text(&output.stderr), "");
    let value = serde_json::from_str(&stdout).expect("it is JSON");
    (output.status.code(), value)
}

#[test]
fn verify_against_another_kernel() {
    let object = file("verify.lpo", &object(&[]));
    let symbols = file("verify.kallsyms", kallsyms_text().as_bytes());
    let args = |release: &'static str, id: &'static str| {
        [
            "verify",
            &object,
            "--kallsyms",
            &symbols,
            "--release",
            release,
            "--build-id",
            id,
        ]
        .map(str::to_owned)
    };
    let run = |args: [String; 8]| lpatch(&args.each_ref().map(String::as_str));

    let good = run(args(RELEASE, "01020304"));
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    let stdout = text(&good.stdout);
    for word in [
        "good is good for 7.2.12-test",
        "cmdline_proc_show.cold",
        "fs_read",
        "COLD PART",
        "set: main, cumulative",
        "pre-patch",
        "STATE",
        "not compared",
    ] {
        assert!(stdout.contains(word), "{word} is not in {stdout}");
    }
    let (code, value) = json(&args(RELEASE, "01020304").each_ref().map(String::as_str));
    assert_eq!(code, Some(0));
    assert_eq!(value["functions"][0]["name"], "cmdline_proc_show");
    assert_eq!(value["functions"][0]["len"], 512);
    assert_eq!(value["colds"][0]["function"], "cmdline_proc_show");
    assert_eq!(value["colds"][0]["len"], 64);
    assert_eq!(value["cumulative"], true);
    assert_eq!(value["callbacks"][0]["kind"], "post-unpatch");
    assert_eq!(value["callbacks"][0]["objname"], "tinyfs");
    assert_eq!(value["states"][1]["version"], 2);
    assert!(value["steps"].as_array().is_some_and(|s| s.len() == 2));

    let other = run(args(RELEASE, "01020305"));
    assert_eq!(other.status.code(), Some(2));
    assert!(text(&other.stderr).contains("build 01020305"));
    let hex = run(args(RELEASE, "0102030"));
    assert_eq!(hex.status.code(), Some(2));
    assert!(text(&hex.stderr).contains("not hex"));
    // A kernel is all three, or the running one.
    let part = lpatch(&["verify", &object, "--kallsyms", &symbols]);
    assert_eq!(part.status.code(), Some(2));
}

#[test]
fn verify_without_the_module() {
    let object = file("dormant.lpo", &object(&[]));
    let symbols = kallsyms_without("tinyfs");
    let symbols = file("dormant.kallsyms", symbols.as_bytes());
    let args = [
        "verify",
        &object,
        "--kallsyms",
        &symbols,
        "--release",
        RELEASE,
        "--build-id",
        "01020304",
    ];
    let good = lpatch(&args);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    let stdout = text(&good.stdout);
    for word in [
        "1 function waits for module tinyfs",
        "its module is not loaded  -",
        "good is good for",
    ] {
        assert!(stdout.contains(word), "{word} is not in {stdout}");
    }
    let (code, value) = json(&args);
    assert_eq!(code, Some(0));
    let [waits, show] = [&value["functions"][0], &value["functions"][1]];
    assert_eq!(
        (&waits["name"], &waits["addr"]),
        (&"fs_read".into(), &Value::Null)
    );
    assert_eq!(waits["len"], Value::Null);
    assert_eq!(show["len"], 512);
    assert_eq!(value["colds"][0]["function"], "cmdline_proc_show");
    assert_eq!(value["waiting"][0]["objname"], "tinyfs");

    let (code, value) = json(&["info", &object]);
    assert_eq!((code, &value["modules"][0]), (Some(0), &"tinyfs".into()));
    let stdout = text(&lpatch(&["info", &object]).stdout);
    assert!(
        stdout.contains("tinyfs (may be loaded after the patch)"),
        "{stdout}"
    );
}

#[test]
fn hidden_addresses_are_explained() {
    let object = file("hidden.lpo", &object(&[]));
    let zero: String = kallsyms_text()
        .lines()
        .map(|line| format!("0000000000000000{}\n", &line[16..]))
        .collect();
    let symbols = file("hidden.kallsyms", zero.as_bytes());
    let (code, value) = json(&[
        "verify",
        &object,
        "--kallsyms",
        &symbols,
        "--release",
        "x",
        "--build-id",
        "00",
    ]);
    assert_eq!(code, Some(3));
    let message = value["error"]["message"].as_str().expect("it is a string");
    assert!(
        message.contains("kptr_restrict") && message.contains("root"),
        "{message}"
    );
}

#[test]
fn all_problems_in_one_object() {
    let more = ".section .parainstructions, \"a\"\n.long 1\n.section .init.text, \"ax\"\nnop\n";
    let bad = file("bad.lpo", &object_with(more));
    let output = lpatch(&["info", &bad]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("2 problems") && stderr.lines().count() == 3,
        "{stderr}"
    );
    let (code, value) = json(&["info", &bad]);
    assert_eq!(code, Some(2));
    let problems = value["error"]["problems"].as_array().expect("it is a list");
    assert_eq!(problems.len(), 2);
    assert_eq!(problems[0]["step"], "object");
}

#[test]
fn info_describes_sealed_and_unsealed_objects() {
    let sealed = file("info.lpo", &object(&[]));
    let (code, value) = json(&["info", &sealed]);
    assert_eq!(code, Some(0));
    assert_eq!(value["name"], "good");
    assert_eq!(value["fixes"][0], "CVE-2026-0001");
    assert_eq!(value["sealed"], true);
    assert_eq!(value["build_id"], "01020304");
    assert_eq!(value["functions"][0]["objname"], "tinyfs");

    let source = source(&[]);
    let (unsealed, _) = source
        .split_once("\t.section .note.lpatch.seal")
        .expect("it is last");
    let unsealed = file("unsealed.o", &assemble(unsealed));
    let output = lpatch(&["info", &unsealed]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("lpatch seal"));
}

#[test]
fn files_that_cannot_be_read() {
    for (path, word) in [
        ("/nonexistent/x.lpo", "No such file"),
        ("/", "not a regular file"),
    ] {
        let (code, value) = json(&["info", path]);
        assert_eq!(code, Some(2));
        let message = value["error"]["message"].as_str().expect("it is a string");
        assert!(
            message.contains(word) && message.contains(path),
            "{message}"
        );
    }
}

#[test]
fn without_the_core() {
    if std::path::Path::new(lpatch_loader::device::PATH).exists() {
        // The machine of a developer who uses it.
        return;
    }
    let object = file("core.lpo", &object(&[]));
    for args in [
        vec!["load", object.as_str()],
        vec!["enable", "good"],
        vec!["disable", "good"],
        vec!["unload", "good"],
        vec!["list"],
        vec!["status"],
        vec!["status", "good"],
        vec!["status", "--blockers"],
        vec!["reverse", "good"],
        vec!["force", "good", "--yes"],
        vec!["load", object.as_str(), "--dry-run"],
    ] {
        let (code, value) = json(&args);
        assert_eq!(code, Some(3), "{args:?}");
        let message = value["error"]["message"].as_str().expect("it is a string");
        assert!(message.contains("modprobe lpatch_core"), "{message}");
        assert_eq!(value["error"]["kind"], "refused");
    }
}

#[test]
fn wrong_arguments() {
    for args in [&["nonsense"][..], &["load"], &["enable"], &["info"], &[]] {
        let output = lpatch(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty());
        let (code, value) = json(args);
        assert_eq!(code, Some(2));
        assert_eq!(value["error"]["kind"], "input");
    }
}

#[test]
fn names_and_timeouts_are_checked_first() {
    for args in [
        ["enable", "no/body"],
        ["unload", ""],
        ["status", "a b"],
        ["reverse", "\u{e4}"],
    ] {
        let output = lpatch(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains("A-Z a-z 0-9"), "{args:?}");
    }
    for time in ["-1", "x", "nan", "inf", "0.0001", "5000000"] {
        let time = format!("--timeout={time}");
        let output = lpatch(&["enable", "good", &time]);
        assert_eq!(output.status.code(), Some(2), "{time}");
        assert!(text(&output.stderr).contains("seconds"), "{time}");
    }
    // Options that contradict each other.
    for args in [
        &["load", "x.lpo", "--no-enable", "--keep"][..],
        &["load", "x.lpo", "--dry-run", "--timeout", "3"],
        &["status", "good", "--blockers"],
    ] {
        assert_eq!(lpatch(args).status.code(), Some(2), "{args:?}");
    }
}

/// The explanation needs no core.
#[test]
fn force_is_explained_anywhere() {
    let output = lpatch(&["force", "good"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--yes"));
}

#[test]
fn help_and_version() {
    let help = lpatch(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let help = text(&help.stdout);
    for word in [
        "Exit codes:",
        "70",
        "130",
        "--json",
        "verify",
        "unload",
        "reverse",
    ] {
        assert!(help.contains(word), "{word} is not in {help}");
    }
    assert!(!help.contains("completions") && !help.contains("immediate"));
    let load = text(&lpatch(&["load", "--help"]).stdout);
    assert!(
        [
            "--no-enable",
            "--timeout",
            "--no-wait",
            "--keep",
            "--dry-run"
        ]
        .iter()
        .all(|option| load.contains(option)),
        "{load}"
    );
    assert_eq!(lpatch(&["--version"]).status.code(), Some(0));
}

#[test]
fn the_man_page_covers_every_command() {
    let man = text(&lpatch(&["man"]).stdout);
    for word in [
        ".TH",
        "EXIT STATUS",
        "JSON OUTPUT",
        "deadline_passed",
        "\\-\\-no\\-enable",
        "\\-\\-json",
        "\\-\\-build\\-id",
    ] {
        assert!(man.contains(word), "{word} is not in {man}");
    }
    for command in [
        "load", "enable", "disable", "reverse", "force", "unload", "list", "status", "info",
        "verify",
    ] {
        assert!(
            man.contains(&format!(".SS {command}\n")),
            "{command} is missing"
        );
    }
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = lpatch(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(text(&output.stdout).contains("no-enable"), "{shell}");
    }
}
