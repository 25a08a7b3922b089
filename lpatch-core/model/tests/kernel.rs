// SPDX-License-Identifier: GPL-2.0

//! Compiled as in the kernel, no function of the model or of the ABI mirror can reach a panic.
//!
//! Overflow checks are on, as in a kernel with CONFIG_RUST_OVERFLOW_CHECKS. What the optimizer
//! proves impossible is gone from the object; what is left could happen.

use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `root` with the kernel's code generation and returns the object.
fn compile(root: &Path, name: &str) -> Vec<u8> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let object = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.o"));
    let output = Command::new(&rustc)
        .args(["--edition=2021", "--crate-type=lib", "--crate-name"])
        .args([name, "--emit=obj", "-Dunsafe_code"])
        // What the kernel's Makefile asks for, as errors.
        .args(["-Dwarnings", "-Drust_2018_idioms", "-Dunreachable_pub"])
        .args(["-Copt-level=2", "-Coverflow-checks=on", "-Cpanic=abort"])
        .args(["-Ccodegen-units=1", "-Cdebug-assertions=off"])
        // Also what is small enough to be inlined into other crates only.
        .args(["-Clink-dead-code", "-o"])
        .arg(&object)
        .arg(root)
        .output()
        .unwrap_or_else(|error| panic!("`{rustc}` does not run: {error}"));
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");
    fs::read(&object).expect("it was just written")
}

/// Which symbols each function refers to. Each function has a section of its own.
fn references(object: &[u8]) -> BTreeMap<String, BTreeSet<String>> {
    let file = object::File::parse(object).expect("rustc writes valid objects");
    let functions: HashMap<_, _> = (file.symbols())
        .filter(|symbol| symbol.kind() == object::SymbolKind::Text)
        .filter_map(|symbol| Some((symbol.section_index()?, symbol.name().ok()?.to_string())))
        .collect();
    let mut references = BTreeMap::new();
    for section in file.sections() {
        let Some(function) = functions.get(&section.index()) else {
            continue;
        };
        let names = section.relocations().filter_map(|(_, relocation)| {
            let RelocationTarget::Symbol(index) = relocation.target() else {
                return None;
            };
            let symbol = file.symbol_by_index(index).ok()?;
            // A local function can be referred to by its section, and one of several that are the
            // same by another name. What is left inside of the object is data.
            match symbol.section_index() {
                Some(section) => functions.get(&section).cloned(),
                None => Some(symbol.name().ok()?.into()),
            }
        });
        references.insert(function.clone(), names.collect());
    }
    references
}

/// Whether a symbol that is not in the object is known not to panic: what the compiler makes of
/// copies and comparisons, and `core::fmt` behind `derive(Debug)`. All else in `core` that is not
/// generic is there to panic.
fn harmless(symbol: &str) -> bool {
    let fmt = symbol.contains("3fmt");
    fmt || matches!(symbol, "memcpy" | "memset" | "memcmp" | "memmove" | "bcmp")
}

/// How many functions crate `name` has, and those that can reach a panic, with what they reach.
///
/// The functions of `core` that the compiler put into the object count when they are called.
fn panics(object: &[u8], name: &str) -> (usize, Vec<String>) {
    let references = references(object);
    // As the first part of a path, and in the name of a type that implements a trait.
    let ours = [format!("_ZN{}{name}", name.len()), format!("{name}..")];
    let roots = references
        .keys()
        .filter(|function| ours.iter().any(|ours| function.contains(ours)));
    let mut found = Vec::new();
    let mut count = 0;
    for root in roots {
        count += 1;
        let mut seen = BTreeSet::from([root]);
        let mut todo = vec![root];
        while let Some(function) = todo.pop() {
            match references.get(function) {
                Some(next) => todo.extend(next.iter().filter(|next| seen.insert(next))),
                None if harmless(function) => {}
                None => found.push(format!("{root} -> {function}")),
            }
        }
    }
    (count, found)
}

#[test]
fn nothing_panics() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernel/root.rs");
    let (count, found) = panics(&compile(&root, "kernelroot"), "kernelroot");
    assert!(found.is_empty(), "{found:#?}");
    assert!(count > 100, "only {count} functions were looked at");
}

#[test]
fn a_panic_would_be_seen() {
    let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("panics.rs");
    let code = "#![no_std]
        pub fn index(a: &[u8], i: usize) -> u8 { a[i] }
        pub fn add(a: u8, b: u8) -> u8 { a + b }
        pub fn unwrap(a: Option<u8>) -> u8 { a.unwrap() }
        pub fn slice(a: &[u8], i: usize) -> &[u8] { &a[i..] }
        pub fn through(a: &[u8], i: usize) -> u8 { index(a, i) | 1 }
        pub fn fine(a: &[u8], i: usize) -> Option<&u8> { a.get(i) }";
    fs::write(&root, code).expect("the target directory is writable");
    let (count, found) = panics(&compile(&root, "panicroot"), "panicroot");
    let seen = |name: &str| found.iter().any(|line| line.contains(name));
    for name in ["index", "add", "unwrap", "slice", "through"] {
        assert!(seen(&format!("{}{name}", name.len())), "{name}: {found:#?}");
    }
    assert!(!seen("4fine"), "{found:#?}");
    assert_eq!(count, 6);
}
