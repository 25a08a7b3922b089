// SPDX-License-Identifier: GPL-2.0

//! The command, with files, as `selftests/bench` calls it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROWS: &str = "section calls linear Calls\npromoted instructions <=3,1:20 promoted\n";

/// A directory of its own for each test.
fn dir(test: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("it can be made");
    fs::write(dir.join("rows"), ROWS).expect("it can be written");
    dir
}

fn report(dir: &Path, log: &[u8], more: &[&str]) -> Output {
    fs::write(dir.join("log"), log).expect("it can be written");
    Command::new(env!("CARGO_BIN_EXE_lpatch-report"))
        .current_dir(dir)
        .args(["--rows", "rows", "--kernel", "7.2.12", "--commit", "abc"])
        .args(["--json", "json"])
        .args(more)
        .output()
        .expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn goals_decide_the_exit_status() {
    let dir = dir("goals");
    let with = |log: &str| report(&dir, log.as_bytes(), &["calls=log"]);
    let good = with("row promoted lpatch 3\r\nrow promoted upstream 86\r\n");
    assert_eq!(good.status.code(), Some(0));
    assert!(said(&good).contains("1:29"));
    let missed = with("row promoted lpatch 4\nrow promoted upstream 86\n");
    assert_eq!(missed.status.code(), Some(1));
    assert!(said(&missed).contains("missed        at most 3"));
    let nothing = with("");
    assert_eq!(nothing.status.code(), Some(1));
    assert!(said(&nothing).contains("not measured"));
    let json = fs::read_to_string(dir.join("json")).expect("it was written");
    assert!(json.contains("\"upstream\":null"));
}

#[test]
fn a_missed_percentile_is_named() {
    let dir = dir("percentile");
    let rows = "section calls log Calls\nidle ms,spread 1:10@p90,1:1@min idle\n";
    fs::write(dir.join("rows"), rows).expect("it can be written");
    let log = "row idle upstream 37\n".repeat(10) + &"row idle lpatch 20\n".repeat(10);
    let output = report(&dir, log.as_bytes(), &["calls=log"]);
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(said.contains("missed        1:10, 90th percentile "));
    assert!(said.contains("holds         1:1, minimum "));
}

#[test]
fn a_part_can_have_several_logs() {
    let dir = dir("logs");
    fs::write(dir.join("second"), "row promoted lpatch 1\n").expect("it can be written");
    let log = b"row promoted lpatch 3\nrow promoted upstream 86\n";
    let output = report(&dir, log, &["calls=log", "calls=second"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(said(&output).contains("2 (2)"));
    assert!(said(&output).ends_with("with a spread: promoted (1)\n"));
}

#[test]
fn a_machine_that_was_not_quiet_is_told() {
    let dir = dir("slower");
    let log = b"row promoted lpatch 3\nrow promoted upstream 86\n";
    let with = |slower: &str| report(&dir, log, &["--slower", slower, "calls=log"]);
    let busy = with("2.75");
    assert_eq!(busy.status.code(), Some(0));
    assert!(said(&busy).ends_with(
        "The machine was up to 2.8 times slower than a quiet one of the reference kind: figures of time are doubtful.\n"
    ));
    assert!(!said(&with("1.50")).contains("doubtful"));
}

#[test]
fn what_was_left_out_comes_last_and_decides_the_exit_status() {
    let dir = dir("left");
    let log = b"row promoted lpatch 3\nrow promoted upstream 86\n";
    let options = [
        "--left-out",
        "many",
        "--left-out",
        "load-2",
        "--slower",
        "2",
        "calls=log",
    ];
    let output = report(&dir, log, &options);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("goals of what was measured"));
    let last = said(&output).lines().last().unwrap_or_default().to_owned();
    assert!(
        last.starts_with("left out: many, load-2, ") && last.contains("P='many load'"),
        "{last}"
    );
}

#[test]
fn bytes_that_are_no_text_are_survived() {
    let dir = dir("bytes");
    let log = b"\xff\xfe\x00row\nrow promoted lpatch 3\n\x80\nrow promoted upstream 86\nrow \xff lpatch 1\n";
    let output = report(&dir, log, &["calls=log"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(said(&output).contains("cannot be read"));
}

#[test]
fn documents_are_written_only_when_asked_and_only_where_marked() {
    let dir = dir("documents");
    let document =
        "head\n<!-- bench: begin, written by make bench-docs -->\n<!-- bench: end -->\ntail\n";
    fs::write(dir.join("doc.md"), document).expect("it can be written");
    let log = b"row promoted lpatch 3\nrow promoted upstream 86\n";
    report(&dir, log, &["calls=log"]);
    assert!(!dir.join("plot.svg").exists());
    let options = ["--markdown", "doc.md", "--svg", "plot.svg", "calls=log"];
    assert_eq!(report(&dir, log, &options).status.code(), Some(0));
    let new = fs::read_to_string(dir.join("doc.md")).expect("it is there");
    assert!(new.starts_with("head\n") && new.ends_with("tail\n"));
    assert!(new.contains("| promoted | instructions | 86 (1) | 3 (1) | 1:29 |"));
    let svg = fs::read_to_string(dir.join("plot.svg")).expect("it is there");
    assert!(svg.starts_with("<svg "));
    // Without the comments nothing is touched.
    fs::write(dir.join("doc.md"), "mine").expect("it can be written");
    assert_eq!(report(&dir, log, &options).status.code(), Some(2));
    let left = fs::read_to_string(dir.join("doc.md")).expect("it is there");
    assert_eq!(left, "mine");
}

#[test]
fn what_it_is_not_told_right_is_no_result() {
    let dir = dir("wrong");
    let cases: [&[&str]; 6] = [
        &["--slower", "x"],
        &["other=log"],
        &["--what", "x"],
        &["--rows"],
        &["calls=nowhere"],
        &["--rows", "log", "calls=log"],
    ];
    for more in cases {
        let output = report(&dir, b"row promoted lpatch 3\n", more);
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("lpatch-report: "));
    }
}

/// The table that `make bench` uses is right, and each of its parts is a script.
#[test]
fn the_table_of_rows_is_right() {
    let selftests = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(selftests.join("bench.rows")).expect("it is there");
    let plan = lpatch_report::plan::Plan::parse(&text).expect("it is right");
    assert!(plan.rows().count() > 10);
    for section in &plan.sections {
        for part in &section.parts {
            let script = selftests.join(format!("bench.d/{part}.sh"));
            assert!(script.exists(), "{}", script.display());
        }
        assert!(!section.rows.is_empty(), "{}", section.title);
    }
}
