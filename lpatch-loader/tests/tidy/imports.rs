// SPDX-License-Identifier: GPL-2.0

//! Which file of a crate imports which: read from its paths.
//!
//! A path that begins with `crate`, `self`, `super` or the name of a child module leads to the file of the longest module that it
//! names. `mod` itself is no import: a folder that lists its files needs none of them. Neither are methods, which no path names.

use crate::source::{code, files};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The module path of a file: `a/b.rs` and `a/b/mod.rs` are `["a", "b"]`, the root is empty.
pub(crate) type Module = Vec<String>;

/// What the files of a crate import.
pub(crate) struct Imports {
    /// The files, by their modules.
    files: BTreeMap<Module, String>,
    /// For each, those that it imports.
    edges: BTreeMap<String, BTreeSet<String>>,
}

impl Imports {
    /// Of the crate whose root is this file in the folder `src`. Paths to modules of the names in `outside` lead out of it.
    pub(crate) fn read(src: &Path, root: &str, outside: &[&str]) -> Self {
        let mut all = Self {
            files: BTreeMap::new(),
            edges: BTreeMap::new(),
        };
        for path in files(src) {
            let name = path.strip_prefix(src).expect("it is in there");
            let name = name.to_str().expect("it is UTF-8").to_owned();
            all.files.insert(module(&name, root), name);
        }
        for (own, name) in &all.files {
            let code = code(&src.join(name));
            let paths = paths(&code, own, |path| all.files.contains_key(path));
            let inside = |path: &&Module| {
                !path
                    .first()
                    .is_some_and(|first| outside.contains(&&**first))
            };
            let imported = paths.iter().filter(inside).map(|path| all.file_of(path));
            let imported = imported.filter(|other| other != name).collect();
            all.edges.insert(name.clone(), imported);
        }
        all
    }

    /// The file that a path leads to.
    fn file_of(&self, path: &[String]) -> String {
        let mut prefixes = (0..=path.len()).rev().map(|len| &path[..len]);
        let found = prefixes.find_map(|prefix| self.files.get(prefix));
        found.expect("the root is one").clone()
    }

    /// The files, and what each of them imports.
    pub(crate) fn edges(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.edges.iter();
        all.flat_map(|(file, imported)| imported.iter().map(|other| (&**file, &**other)))
    }

    /// The names of all files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.values().map(String::as_str)
    }

    /// A circle of files that import each other, if there is one.
    pub(crate) fn circle(&self) -> Option<Vec<String>> {
        // What imports nothing that is left is in no circle.
        let mut left = self.edges.clone();
        loop {
            let ends: Vec<String> = (left.iter())
                .filter(|(_, imported)| imported.iter().all(|other| !left.contains_key(other)))
                .map(|(file, _)| file.clone())
                .collect();
            if ends.is_empty() {
                break;
            }
            for file in ends {
                left.remove(&file);
            }
        }
        // Of the others each imports one, so a way along them comes back.
        let mut way = vec![left.keys().next()?.clone()];
        loop {
            let last = &left[&way[way.len() - 1]];
            let next = last.iter().find(|other| left.contains_key(*other))?.clone();
            if let Some(at) = way.iter().position(|file| *file == next) {
                way.drain(..at);
                way.push(next);
                return Some(way);
            }
            way.push(next);
        }
    }
}

fn module(name: &str, root: &str) -> Module {
    if name == root {
        return Vec::new();
    }
    let name = name.trim_end_matches(".rs").trim_end_matches("/mod");
    name.split('/').map(str::to_owned).collect()
}

/// Words, `::`, and all other characters but spaces.
fn tokens(code: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let len = match first {
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ if rest.starts_with("::") => 2,
            c => c.len_utf8(),
        };
        let (token, behind) = rest.split_at(len);
        all.push(token);
        rest = behind.trim_start();
    }
    all
}

/// The paths in the code of a module, from the root of the crate.
fn paths(code: &str, own: &[String], is_module: impl Fn(&[String]) -> bool) -> Vec<Module> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    // Modules inside of the file, with the number of braces that are open around each.
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut open = 0_usize;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match (*token, tokens.get(at + 1).copied()) {
            ("{", _) => open += 1,
            ("}", _) => {
                open = open.saturating_sub(1);
                if inline.last().is_some_and(|(_, at)| *at == open) {
                    inline.pop();
                }
            }
            ("mod", Some(name)) if tokens.get(at + 2) == Some(&"{") => {
                inline.push((name.to_owned(), open));
            }
            (first, Some("::")) if at == 0 || tokens[at - 1] != "::" => {
                let mut here = own.to_vec();
                here.extend(inline.iter().map(|(name, _)| name.clone()));
                let mut child = here.clone();
                child.push(first.to_owned());
                let base = match first {
                    "crate" => Some(Vec::new()),
                    "self" => Some(here),
                    "super" => {
                        here.pop();
                        Some(here)
                    }
                    _ => is_module(&child).then_some(child),
                };
                if let Some(base) = base {
                    at = tree(&tokens, at + 2, base, &mut found);
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads what follows `base::`, which may be a list in braces. Returns where it ends.
fn tree(tokens: &[&str], mut at: usize, mut base: Module, found: &mut Vec<Module>) -> usize {
    loop {
        match tokens.get(at).copied() {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| *token != "}") {
                    at = tree(tokens, at, base.clone(), found);
                    at += usize::from(tokens.get(at) == Some(&","));
                }
                return at + 1;
            }
            Some("super") => {
                base.pop();
            }
            Some("self") => {}
            Some(name) => base.push(name.to_owned()),
            None => {}
        }
        at += 1;
        if tokens.get(at) != Some(&"::") {
            found.push(base);
            // `as NAME`
            return at + if tokens.get(at) == Some(&"as") { 2 } else { 0 };
        }
        at += 1;
    }
}

#[test]
fn paths_are_found_wherever_they_are() {
    let modules = ["a", "a::b", "a::c"];
    let is_module = |path: &[String]| modules.contains(&&*path.join("::"));
    let found = |code: &str| {
        let own = ["a".to_owned()];
        let all = paths(code, &own, is_module);
        all.iter().map(|path| path.join("::")).collect::<Vec<_>>()
    };
    assert_eq!(
        found("use crate::{x, y::{self, Z as W}, super_::*};"),
        ["x", "y", "y::Z", "super_::*"]
    );
    assert_eq!(found("use super::{super::q, r};"), ["q", "r"]);
    assert_eq!(
        found("fn f() { b::g(); d::g(); self::c::g() }"),
        ["a::b::g", "a::c::g"]
    );
    assert_eq!(
        found("mod t { fn f() { super::g() } } fn h() { super::i() }"),
        ["a::g", "i"]
    );
    assert_eq!(found("let x: crate::x::Y<crate::z::W>;"), ["x::Y", "z::W"]);
}
