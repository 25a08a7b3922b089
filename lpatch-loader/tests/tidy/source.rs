// SPDX-License-Identifier: GPL-2.0

//! Reading source.

use std::fs;
use std::path::{Path, PathBuf};

/// All Rust files in a folder and below it.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut list = Vec::new();
    for entry in fs::read_dir(dir).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            list.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            list.push(path);
        }
    }
    list.sort();
    list
}

/// The text of a file, without lines that are comments.
pub(crate) fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("it is UTF-8");
    let code = text.lines().filter(|l| !l.trim_start().starts_with("//"));
    code.flat_map(|line| [line, "\n"]).collect()
}
