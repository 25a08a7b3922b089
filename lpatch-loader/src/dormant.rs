// SPDX-License-Identifier: GPL-2.0

//! Functions and symbols of modules that are not loaded: the core finds and checks them when their modules come.
//!
//! Only a module that the patch is about, by a function or a callback, is waited for. Any other has to be there,
//! since the patch would run without what it refers to.

use crate::kallsyms::{Kallsyms, Length};
use crate::meta::{FuncEntry, Meta, SymEntry, CORE, VMLINUX};
use crate::problem::Problems;
use crate::resolve::{KernelSymbol, OldFunc, ResolveError};
use std::collections::{BTreeMap, BTreeSet};

/// A module that is not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its name.
    pub objname: String,
    /// How many functions of it are replaced; 0: the patch only has callbacks for it.
    pub functions: usize,
}

/// The names of modules that functions or callbacks of the patch are about, for each of these.
fn about<'m>(meta: &'m Meta<'_>) -> impl Iterator<Item = (&'m str, usize)> {
    let funcs = meta.funcs.iter().map(|func| (func.objname, 1));
    let callbacks = meta.callbacks.iter().map(|callback| (callback.objname, 0));
    let all = funcs.chain(callbacks);
    // The core is there, or else nobody waits.
    all.filter(|(name, _)| *name != VMLINUX && *name != CORE)
}

/// The modules that the patch is about, loaded or not, by name.
pub fn modules<'m>(meta: &'m Meta<'_>) -> Vec<&'m str> {
    let mut names: Vec<&str> = about(meta).map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The modules that the patch waits for, to be asked for often.
pub(crate) struct Waits<'m>(BTreeSet<&'m str>);

impl<'m> Waits<'m> {
    pub(crate) fn new(meta: &'m Meta<'_>, kallsyms: &Kallsyms) -> Self {
        let names = modules(meta).into_iter();
        Self(names.filter(|name| !kallsyms.has_object(name)).collect())
    }

    /// Whether it waits for this one.
    pub(crate) fn on(&self, objname: &str) -> bool {
        self.0.contains(objname)
    }
}

/// All that it waits for, by name.
pub(crate) fn waiting(meta: &Meta<'_>, kallsyms: &Kallsyms) -> Vec<Waiting> {
    let mut all: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, functions) in about(meta) {
        *all.entry(name).or_default() += functions;
    }
    let waits = Waits::new(meta, kallsyms);
    all.into_iter()
        .filter(|(name, _)| waits.on(name))
        .map(|(name, functions)| Waiting {
            objname: name.into(),
            functions,
        })
        .collect()
}

/// A symbol that is not there yet.
pub(crate) fn symbol(hint: &SymEntry<'_>) -> KernelSymbol {
    KernelSymbol {
        name: hint.name.into(),
        objname: hint.objname.into(),
        addr: 0,
        sympos: hint.sympos.unwrap_or(0),
    }
}

/// A function that is not there yet, checked as far as its name tells.
fn func(index: usize, entry: &FuncEntry<'_>) -> Result<OldFunc, ResolveError> {
    if entry.old_name.starts_with("_R") {
        return Err(ResolveError::Rust(entry.old_name.into()));
    }
    // It would wait for ever.
    if entry.objname.contains('-') {
        return Err(ResolveError::Dash {
            name: entry.old_name.into(),
            objname: entry.objname.into(),
        });
    }
    Ok(OldFunc {
        entry: index,
        name: entry.old_name.into(),
        objname: entry.objname.into(),
        sympos: entry.sympos.unwrap_or(0),
        addr: 0,
        len: Length::Exact(0),
        parts: Vec::new(),
    })
}

/// The functions that are not there yet, in the order of the image.
pub(crate) fn funcs(meta: &Meta<'_>, kallsyms: &Kallsyms, problems: &mut Problems) -> Vec<OldFunc> {
    let mut list: Vec<OldFunc> = Vec::new();
    let waits = Waits::new(meta, kallsyms);
    for (index, entry) in meta.funcs.iter().enumerate() {
        if waits.on(entry.objname) {
            match func(index, entry) {
                Ok(func) => list.push(func),
                Err(error) => problems.push(error),
            }
        }
    }
    fn key(func: &OldFunc) -> (&str, &str, u32) {
        (&func.objname, &func.name, func.sympos)
    }
    list.sort_by(|a, b| key(a).cmp(&key(b)));
    for pair in list.windows(2) {
        if let [a, b] = pair {
            let same_name = (&a.objname, &a.name) == (&b.objname, &b.name);
            // A name that is unique has no second position.
            if same_name && (a.sympos == 0 || a.sympos == b.sympos) {
                problems.push(ResolveError::Same {
                    first: a.name.clone(),
                    second: b.name.clone(),
                    objname: a.objname.clone(),
                });
            }
        }
    }
    list
}
