// SPDX-License-Identifier: GPL-2.0

//! Rules of the loader: which file may do what.

use crate::source::{code, files};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The files under src with a line, comments apart, that has one of the words.
fn files_with(words: &[&str]) -> Vec<String> {
    let root = root();
    let mut found: Vec<String> = files(&root)
        .iter()
        .filter(|path| {
            let code = code(path).replace("unsafe_op_in_unsafe_fn", "");
            code.lines()
                .any(|line| words.iter().any(|word| line.contains(word)))
        })
        .map(|path| {
            let name = path.strip_prefix(&root).expect("it is under src");
            name.display().to_string()
        })
        .collect();
    found.sort();
    found
}

#[test]
fn unsafe_code_is_in_two_files() {
    assert_eq!(files_with(&["unsafe"]), ["chardev.rs", "file.rs"]);
}

#[test]
fn ioctl_is_in_one_file() {
    assert_eq!(files_with(&["ioctl"]), ["chardev.rs"]);
    assert_eq!(files_with(&["Mmap::map"]), ["file.rs"]);
}

#[test]
fn numbers_are_not_cast() {
    let casts = [
        " as u8",
        " as u16",
        " as u32",
        " as u64",
        " as usize",
        " as i32",
        " as i64",
    ];
    assert_eq!(files_with(&casts), [""; 0]);
}

#[test]
fn anyhow_is_in_main_only() {
    assert_eq!(files_with(&["anyhow"]), ["main.rs"]);
}

#[test]
fn every_file_says_its_license_first() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list: Vec<PathBuf> = ["src", "tests"]
        .iter()
        .flat_map(|dir| files(&base.join(dir)))
        .collect();
    assert!(list.len() > 20);
    for path in list {
        let text = fs::read_to_string(&path).expect("it is UTF-8");
        let path = path.display();
        assert!(
            text.starts_with("// SPDX-License-Identifier: GPL-2.0\n"),
            "{path}"
        );
    }
}

#[test]
fn main_is_short() {
    let text = fs::read_to_string(root().join("main.rs")).expect("it is there");
    assert!(text.lines().count() < 100);
}
