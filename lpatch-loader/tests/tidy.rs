// SPDX-License-Identifier: GPL-2.0

//! Rules of the source: what may be where.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &Path, list: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("the crate's source is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            sources(&path, list);
        } else if path.extension().is_some_and(|e| e == "rs") {
            list.push(path);
        }
    }
}

/// The files under src with a line, comments apart, that has one of the words.
fn files_with(words: &[&str]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut list = Vec::new();
    sources(&root, &mut list);
    let mut found: Vec<String> = list
        .iter()
        .filter(|path| {
            let text = fs::read_to_string(path).expect("it is UTF-8");
            let code = text.lines().filter(|l| !l.trim_start().starts_with("//"));
            let mut code = code.map(|l| l.replace("unsafe_op_in_unsafe_fn", ""));
            code.any(|line| words.iter().any(|word| line.contains(word)))
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
    let mut list = Vec::new();
    for dir in ["src", "tests"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut list);
    }
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
    let main = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs");
    let text = fs::read_to_string(main).expect("it is there");
    assert!(text.lines().count() < 100);
}
