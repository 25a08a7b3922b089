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
    assert!(text(&part.stderr).contains("--build-id"));
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

/// Everything that is wrong with an object and with the kernel that it is verified for, and what is right all the same.
#[test]
fn verify_tells_all_problems_and_describes() {
    let more = "
        .section __param, \"a\"
        .long 1
        .text
        call nowhere_to_be_found
        call another_one
        .reloc 2, R_X86_64_GOTPCREL, counter
    ";
    let bad = file("all.lpo", &object_with(more));
    let symbols = file("all.kallsyms", kallsyms_text().as_bytes());
    let args = [
        "verify",
        &bad,
        "--kallsyms",
        &symbols,
        "--release",
        RELEASE,
        "--build-id",
        "0a",
    ];
    let output = lpatch(&args);
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    for word in [
        "5 problems",
        "this is build 0a",
        "section __param is refused: ",
        "unknown relocation kind 9",
        "nowhere_to_be_found: no such symbol",
        "another_one: no such symbol",
    ] {
        assert!(stderr.contains(word), "{word} is not in {stderr}");
    }
    let stdout = text(&output.stdout);
    for words in [
        &[
            "cmdline_proc_show",
            "vmlinux",
            "new_show",
            "unknown: its bytes cannot be read",
        ][..],
        &["seq_printf", "vmlinux", "0xffffffff81000100"],
        &["nowhere_to_be_found", "-", "not found"],
        &["__param", "4", "refused: "],
        &[".text", "loaded as text, at text+0x0"],
        &["kind 9, refused", "1"],
        &["zeros", "5000"],
        &["unwind entries (ORC)"],
        &["WARN and BUG entries", "2"],
        &["exception table entries", "1"],
    ] {
        let has = |line: &str| words.iter().all(|word| line.contains(word));
        assert!(stdout.lines().any(has), "{words:?} is not in {stdout}");
    }
    let (code, value) = json(&args);
    assert_eq!(code, Some(2));
    assert_eq!(value["good"], false);
    assert_eq!(value["error"]["problems"].as_array().map(Vec::len), Some(5));
    assert_eq!(value["tables"]["bugs"], 2);
    let has = |list: &str, key: &str, value_of: Value| {
        let list = value[list].as_array().expect("it is a list");
        list.iter().any(|one| one[key] == value_of)
    };
    assert!(has("symbol_list", "state", "missing".into()));
    assert!(has("symbol_list", "addr", 0xffff_ffff_8100_0100_u64.into()));
    assert!(has("sections", "fate", "refused".into()));
    assert!(has("sections", "fate", "dropped".into()));
    assert!(has("relocation_kinds", "name", Value::Null));
    assert!(has("variables", "name", "zeros".into()));
    assert!(has("functions", "preimage", "unknown".into()));
}

/// A vmlinux with the code at its addresses, a symbol table if `symbols`, or all but the notes stripped.
fn vmlinux(name: &str, what: &[&str]) -> String {
    let crc_kept = |addr: u64, len: usize| -> String {
        let bytes = code(addr, len);
        bytes
            .iter()
            .map(|byte| format!("{byte},"))
            .collect::<String>()
            + "0x90"
    };
    let source = format!(
        ".globl _text, cmdline_proc_show
        .text
        _text: .fill 0x1000, 1, 0x90
        cmdline_proc_show: .byte {}
        .section .rodata, \"a\"
        .asciz \"Linux version %s (%s)\"
        .asciz \"Linux version {RELEASE} (somebody@somewhere)\"
        .section .notes, \"a\", @note
        .long 4, 4, 3
        .asciz \"GNU\"
        .byte 1, 2, 3, 4\n",
        crc_kept(TEXT + 0x1000, 32)
    );
    let object = file(&format!("{name}.o"), &assemble(&source));
    let linked = file(name, &[]);
    let run = |command: &mut Command| {
        let output = command.output().expect("binutils are on the host");
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    // A kernel may run elsewhere than where it was linked.
    run(Command::new("ld").args([
        "-Ttext=0xffffffff82000000",
        "-e",
        "0",
        "--build-id=none",
        "-o",
        &linked,
        &object,
    ]));
    run(Command::new("objcopy").args(what).arg(&linked));
    linked
}

#[test]
fn verify_against_a_vmlinux() {
    let good = file("offline.lpo", &object(&[]));
    let symbols = file("offline.kallsyms", kallsyms_text().as_bytes());
    // With its code: what is there is compared, also when it ran at another address.
    let whole = vmlinux("offline.vmlinux", &["-S"]);
    let (code, value) = json(&["verify", &good, "--vmlinux", &whole, "--kallsyms", &symbols]);
    assert_eq!(code, Some(0), "{value}");
    assert_eq!(value["release"], RELEASE);
    let state = |value: &Value, name: &str| -> String {
        let list = value["functions"].as_array().expect("it is a list");
        let one = list
            .iter()
            .find(|one| one["name"] == name)
            .expect("it is there");
        one["preimage"].as_str().expect("it is a word").into()
    };
    assert_eq!(state(&value, "cmdline_proc_show"), "matches");
    assert_eq!(state(&value, "fs_read"), "unknown");

    // Only its build-id is left.
    let bare = vmlinux("bare.vmlinux", &["--only-section=.notes"]);
    let (code, value) = json(&["verify", &good, "--vmlinux", &bare, "--kallsyms", &symbols]);
    assert_eq!(code, Some(0), "{value}");
    assert_eq!(state(&value, "cmdline_proc_show"), "unknown");
    let without = lpatch(&["verify", &good, "--vmlinux", &bare]);
    assert_eq!(without.status.code(), Some(2));
    assert!(text(&without.stderr).contains("no symbol table; give --kallsyms"));

    // Other bytes than those that were sealed.
    let other = object(&[("@show_crc@", "0x12345678")]);
    let other = file("other.lpo", &other);
    let (code, value) = json(&["info", &other, "--vmlinux", &whole, "--kallsyms", &symbols]);
    assert_eq!(code, Some(2));
    assert_eq!(state(&value, "cmdline_proc_show"), "differs");
    let message = value["error"]["message"].as_str().expect("it is a string");
    assert!(
        message.contains("cmdline_proc_show") && message.contains("CRC-32"),
        "{message}"
    );

    // Its own symbols, of a developer's build. The modules of the patch are not in there.
    let symtab = vmlinux("symtab.vmlinux", &["--add-section=.unused=/dev/null"]);
    let (code, value) = json(&["info", &good, "--vmlinux", &symtab]);
    assert_eq!(code, Some(2), "seq_printf is not in it");
    assert_eq!(state(&value, "cmdline_proc_show"), "matches");
}

/// What objdump shows of a linked patch: its functions by name, and whom they call.
#[test]
fn link_writes_what_objdump_can_show() {
    let good = file("linked.lpo", &object(&[]));
    let symbols = file("linked.kallsyms", kallsyms_text().as_bytes());
    let elf = file("linked.elf", &[]);
    let args = [
        "link",
        &good,
        "--base",
        "0xffffffffc0800000",
        "-o",
        &elf,
        "--kallsyms",
        &symbols,
        "--release",
        RELEASE,
        "--build-id",
        "01020304",
    ];
    let (code, value) = json(&args);
    assert_eq!(code, Some(0), "{value}");
    assert_eq!(value["text_addr"], 0xffff_ffff_c080_0000_u64);
    let objdump = |args: &[&str]| {
        let output = Command::new("objdump").args(args).arg(&elf).output();
        let output = output.expect("binutils are on the host");
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{}",
            text(&output.stderr)
        );
        text(&output.stdout)
    };
    let shown = objdump(&["-d"]);
    for word in [
        "ffffffffc0800000 <new_show>:",
        "<new_show.cold>:",
        "<helper>",
        "<seq_printf>",
        "<mod_helper>",
        "<__x86_return_thunk>",
    ] {
        assert!(shown.contains(word), "{word} is not in {shown}");
    }
    let listed = objdump(&["-t"]);
    let line = |name: &str| {
        let mut lines = listed.lines();
        let found = lines.find(|line| line.ends_with(&format!(" {name}")));
        found
            .unwrap_or_else(|| panic!("{name} is not in {listed}"))
            .to_owned()
    };
    assert!(
        line("new_show").contains("g     F .text"),
        "{}",
        line("new_show")
    );
    assert!(line("zeros").contains("O .bss") && line("zeros").contains("1388"));
    assert!(line("seq_printf").contains("*ABS*"));
    // Everything is where it says: readelf has nothing to complain about.
    let read = Command::new("readelf")
        .args(["-aW", &elf])
        .output()
        .expect("it is there");
    assert_eq!(text(&read.stderr), "");
    // A base is a page, and is needed.
    for wrong in [&["link", &good][..], &["link", &good, "--base", "0x1001"]] {
        assert_eq!(lpatch(wrong).status.code(), Some(2));
    }
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
    for time in ["0", "-1", "x", "0.0001", "4294967.295"] {
        let time = format!("--interrupt-after={time}");
        let output = lpatch(&["reverse", "good", &time]);
        assert_eq!(output.status.code(), Some(2), "{time}");
        assert!(text(&output.stderr).contains("seconds"), "{time}");
    }
    // Options that contradict each other.
    for args in [
        &["load", "x.lpo", "--no-enable", "--keep"][..],
        &["load", "x.lpo", "--dry-run", "--timeout", "3"],
        &["load", "x.lpo", "--no-enable", "--no-interrupt"],
        &["load", "x.lpo", "--dry-run", "--interrupt-after", "3"],
        &["enable", "good", "--no-interrupt", "--interrupt-after", "3"],
        &[
            "reverse",
            "good",
            "--no-interrupt",
            "--interrupt-after",
            "3",
        ],
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
        "load", "enable", "disable", "reverse", "force", "unload", "list", "status", "diff-mem",
        "link", "info", "verify",
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
