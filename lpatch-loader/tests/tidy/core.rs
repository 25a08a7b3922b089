// SPDX-License-Identifier: GPL-2.0

//! Rules of the core: files build on each other, and so do folders.

use crate::imports::Imports;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of the core, the lowest first: each may import those before it. In front of all are the files that are in no
/// folder, behind all the root.
const FOLDERS: [&str; 8] = [
    "running",
    "arena",
    "redirect",
    "promote",
    "patch",
    "transition",
    "registry",
    "ioctl",
];
const ROOT: &str = "lpatch.rs";
/// Crates of their own, which know nothing of the core.
const CRATES: [&str; 2] = ["model", "uapi"];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../lpatch-core/src")
}

fn imports() -> Imports {
    let imports = Imports::read(&src(), ROOT, &CRATES);
    assert!(
        imports.edges().count() > 200,
        "the files have not been read"
    );
    imports
}

fn folder(file: &str) -> Option<&str> {
    file.split_once('/').map(|(folder, _)| folder)
}

/// How far up a file is.
fn height(file: &str) -> usize {
    match folder(file) {
        Some(folder) => {
            let at = FOLDERS.iter().position(|other| *other == folder);
            1 + at.unwrap_or_else(|| panic!("{folder}/ is not in the order of folders"))
        }
        None if file == ROOT => FOLDERS.len() + 1,
        None => 0,
    }
}

#[test]
fn no_file_of_the_core_imports_itself_by_way_of_others() {
    if let Some(circle) = imports().circle() {
        panic!("a circle of imports: {}", circle.join(" > "));
    }
}

#[test]
fn folders_of_the_core_import_downwards_only() {
    let imports = imports();
    let upwards: Vec<_> = (imports.edges())
        .filter(|(file, imported)| height(imported) > height(file))
        .map(|(file, imported)| format!("{file} imports {imported}"))
        .collect();
    assert!(upwards.is_empty(), "upwards: {upwards:#?}");
}

#[test]
fn each_folder_of_the_core_has_a_place_in_the_order() {
    let imports = imports();
    let found: BTreeSet<&str> = imports.files().filter_map(folder).collect();
    assert_eq!(found, BTreeSet::from(FOLDERS));
}

#[test]
fn the_root_of_the_core_describes_the_folders_from_the_top_down() {
    let text = fs::read_to_string(src().join(ROOT)).expect("it is there");
    let lists = text.lines().filter_map(|line| line.strip_prefix("//! - `"));
    let described: Vec<&str> = lists.filter_map(|line| line.split('`').next()).collect();
    let mut order = FOLDERS;
    order.reverse();
    assert_eq!(described, order);
}
