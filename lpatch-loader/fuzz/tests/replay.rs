// SPDX-License-Identifier: GPL-2.0

//! The committed corpus and every input that once failed, without an engine.

use lpatch_fuzz::{meter, target, FuzzTarget, TARGETS};
use std::fs;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};

/// Bytes that the corpus may take in the repository.
const CORPUS_MAX: u64 = 1 << 20;

fn root(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind)
}

/// The inputs of a target, sorted by name; none if there is no such directory.
fn inputs(kind: &str, target: &FuzzTarget) -> Vec<PathBuf> {
    let Ok(dir) = fs::read_dir(root(kind).join(target.name)) else {
        return Vec::new();
    };
    let mut list: Vec<PathBuf> = dir
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    list.sort();
    list
}

/// Runs all inputs of a kind and names those that fail.
fn replay(kind: &str) -> usize {
    let mut failed = Vec::new();
    let mut count = 0;
    for target in TARGETS {
        for path in inputs(kind, target) {
            let input = fs::read(&path).expect("it can be read");
            if catch_unwind(AssertUnwindSafe(|| target.check(&input))).is_err() {
                failed.push(path);
            }
            count += 1;
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    count
}

// One test, because memory is counted for the whole process.
#[test]
fn inputs_stay_within_the_limits() {
    // The meter itself sees too much.
    let much = catch_unwind(|| meter::measured(0, || drop(vec![1_u8; 8 << 20])));
    assert!(much.is_err());
    let corpus = replay("corpus");
    let regressions = replay("regressions");
    println!("{corpus} inputs of the corpus, {regressions} that once failed");
    assert!(corpus > 1000, "the corpus is gone");
}

#[test]
fn the_corpus_is_small() {
    let mut bytes = 0;
    for target in TARGETS {
        let list = inputs("corpus", target);
        assert!(!list.is_empty(), "{} has no corpus", target.name);
        for path in list.iter().chain(&inputs("regressions", target)) {
            let len = fs::metadata(path).expect("it is there").len();
            assert!(
                len <= u64::try_from(meter::INPUT_MAX).expect("it is small"),
                "{path:?}"
            );
            bytes += len;
        }
    }
    assert!(bytes <= CORPUS_MAX, "{bytes} bytes");
}

/// An input in a directory that no target reads is not replayed.
#[test]
fn every_directory_is_that_of_a_target() {
    for kind in ["corpus", "regressions"] {
        for entry in fs::read_dir(root(kind)).expect("it is there") {
            let name = entry.expect("it can be listed").file_name();
            let name = name.to_string_lossy();
            assert!(
                target(&name).is_some() || name == "README.md",
                "{kind}/{name}"
            );
        }
    }
}
