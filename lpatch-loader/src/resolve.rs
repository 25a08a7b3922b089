// SPDX-License-Identifier: GPL-2.0

//! Names to addresses: which kernel symbol each undefined symbol is, and which function each old name is.
//!
//! A name that several symbols have is never guessed, not even in favour of the exported one: a static
//! function of the same name may be what the author read.

use crate::dormant::{self, Waiting};
use crate::funcs;
use crate::kallsyms::{Found, Kallsyms, Length};
use crate::kmod::KmodError;
use crate::limits::PREIMAGE_MAX;
use crate::meta::{Meta, SymEntry, Sympos, VMLINUX};
use crate::near;
use crate::notes::Preimage;
use crate::object::Object;
use crate::problem::Problems;
use crate::relocate::{Fields, Target as FieldTarget};
use crate::target::Target;
use std::cell::Cell;
use std::collections::HashMap;
use thiserror::Error;

/// Candidates that a message lists.
const LISTED: usize = 8;

/// Names that are not there for which similar ones are searched for.
const SEARCHES_MAX: usize = 20;

/// Why a name has no address, or a function cannot be replaced.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ResolveError {
    /// Its module is not there.
    #[error("{name}: module {objname} is not loaded; load it first (modprobe {objname})")]
    NotLoaded {
        /// The symbol.
        name: String,
        /// The module.
        objname: String,
    },
    /// Nobody has it.
    #[error("{name}: no such symbol in {place}{near}")]
    Missing {
        /// The symbol.
        name: String,
        /// Where it was looked for.
        place: String,
        /// Similar names, as the rest of the sentence.
        near: String,
    },
    /// Several have it.
    #[error("{name} is ambiguous: {candidates}; {next}")]
    Ambiguous {
        /// The symbol.
        name: String,
        /// What there is.
        candidates: String,
        /// How to choose.
        next: String,
    },
    /// Fewer symbols of this name.
    #[error("{name}: sympos is {sympos}, but {objname} has only {count} of that name; count them in /proc/kallsyms")]
    Sympos {
        /// The symbol.
        name: String,
        /// Its object.
        objname: String,
        /// What was asked for.
        sympos: u32,
        /// What there is.
        count: u32,
    },
    /// Two different entries in `.lpatch.syms`.
    #[error(
        "{0}: two LPATCH_SYM lines say different things; a name has one meaning in a patch object"
    )]
    Contradiction(String),
    /// Data.
    #[error("{name} in {objname} is not a function (its type in kallsyms is {letter}); only functions can be replaced")]
    NotFunction {
        /// The symbol.
        name: String,
        /// Its object.
        objname: String,
        /// Its type.
        letter: char,
    },
    /// A function of the core.
    #[error("{0} is part of lpatch_core; a patch may call what lpatch_core exports, but replaces functions of the kernel and of other modules only")]
    Ours(String),
    /// Rust.
    #[error("{0} is a Rust function; the kernel's Rust code has no fentry sites, so it cannot be replaced: patch a C function that calls it")]
    Rust(String),
    /// __init.
    #[error("{0} is an __init function; its memory was freed after boot, so there is nothing to replace")]
    Init(String),
    /// No fentry site.
    #[error("{name} in {objname} has no fentry site: it is notrace, noinstr or in a directory that is built without ftrace; patch its callers instead")]
    NoFentry {
        /// The function.
        name: String,
        /// Its object.
        objname: String,
    },
    /// Other bytes.
    #[error("{name} in {objname} is not the function that the patch was made for: its bytes have CRC-32 {found:#010x}, the seal says {sealed:#010x}; is the kernel another build, or is the function patched or probed already?")]
    Preimage {
        /// The function.
        name: String,
        /// Its object.
        objname: String,
        /// Of the kernel's bytes.
        found: u32,
        /// In the seal.
        sealed: u32,
    },
    /// Another length.
    #[error("{name} in {objname} has {found} bytes, the seal records {sealed}; build and seal the patch for this kernel")]
    PreimageLength {
        /// The function.
        name: String,
        /// Its object.
        objname: String,
        /// Of the kernel's function.
        found: u64,
        /// In the seal.
        sealed: u32,
    },
    /// More than [`PREIMAGE_MAX`].
    #[error("{name} in {objname} has a pre-image of {sealed} bytes, more than the limit of {PREIMAGE_MAX}; replace the callers of {name} instead")]
    LongPreimage {
        /// The function.
        name: String,
        /// Its object.
        objname: String,
        /// In the seal.
        sealed: u32,
    },
    /// By the file of its module.
    #[error("module {objname}: {error}")]
    File {
        /// The module.
        objname: String,
        /// What is wrong.
        error: KmodError,
    },
    /// A cold part that the core could not check.
    #[error("{part} belongs to {name} by another name than the kernel prints for it, so that its range cannot be verified; replace the callers of {name} instead")]
    ColdName {
        /// The function.
        name: String,
        /// The part.
        part: String,
    },
    /// A module's name that no module has.
    #[error("{name}: module {objname} can never be loaded: the kernel writes names of modules with _, not with - (see lsmod)")]
    Dash {
        /// The function.
        name: String,
        /// The module.
        objname: String,
    },
    /// Two names of one function.
    #[error("{first} and {second} are the same function of {objname}; replace it once")]
    Same {
        /// One name.
        first: String,
        /// The other name.
        second: String,
        /// Their object.
        objname: String,
    },
}

/// A symbol of the kernel that the patch refers to, under the name that `sprint_symbol()` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSymbol {
    /// The first of its names.
    pub name: String,
    /// "vmlinux" or a module.
    pub objname: String,
    /// Its address; 0: its module is not loaded.
    pub addr: u64,
    /// Its position among symbols of that name, 0 if unique.
    pub sympos: u32,
}

/// What is known of the bytes of a function to replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreimageState {
    /// They are those that the seal records.
    Matches,
    /// They are not, or are fewer.
    Differs,
    /// They were not compared; why.
    Unknown(&'static str),
}

/// A function to replace, found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldFunc {
    /// Index in `.lpatch.funcs`.
    pub entry: usize,
    /// The first of its names.
    pub name: String,
    /// "vmlinux" or a module.
    pub objname: String,
    /// Its position among symbols of that name, 0 if unique.
    pub sympos: u32,
    /// Its address; 0: its module is not loaded.
    pub addr: u64,
    /// Bytes; 0 without an address.
    pub len: Length,
    /// Its split-off and specialized parts.
    pub parts: Vec<String>,
}

/// Unlikely code that the compiler moved out of a function to replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColdPart {
    /// Index in `funcs` of the function, or of one of several that have its name.
    pub func: usize,
    /// Its name.
    pub name: String,
    /// Its address.
    pub addr: u64,
    /// Bytes.
    pub len: Length,
}

/// What all names mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Those without an address by name, then by address, as the image has them.
    pub funcs: Vec<OldFunc>,
    /// By address, as the image has them.
    pub colds: Vec<ColdPart>,
    /// Without repetition.
    pub symbols: Vec<KernelSymbol>,
    /// For each symbol of the object that fields refer to and that was found, its index in `symbols`.
    pub of: Vec<Option<usize>>,
    /// Whether the kernel's bytes could be read and were compared, of all functions that are there.
    pub preimages_checked: bool,
    /// For each entry of `.lpatch.funcs`, what became of the comparison.
    pub preimages: Vec<PreimageState>,
    /// The modules that are not loaded, by name.
    pub waiting: Vec<Waiting>,
}

impl Resolved {
    fn means(&mut self, symbol: usize, index: usize) {
        if let Some(slot) = self.of.get_mut(symbol) {
            *slot = Some(index);
        }
    }

    /// What an undefined symbol of the object is.
    pub fn symbol(&self, symbol: usize) -> Option<&KernelSymbol> {
        self.symbols.get((*self.of.get(symbol)?)?)
    }

    /// The address of an undefined symbol, if it is there.
    pub fn address(&self, symbol: usize) -> Option<u64> {
        let addr = self.symbol(symbol)?.addr;
        (addr != 0).then_some(addr)
    }
}

fn list(found: &[Found<'_>], kallsyms: &Kallsyms) -> String {
    let mut lines: Vec<String> = found
        .iter()
        .take(LISTED)
        .map(|f| {
            let position = kallsyms.sympos(f).max(1);
            format!(
                "{} sympos {position} ({} {:#x})",
                f.objname, f.letter, f.addr
            )
        })
        .collect();
    if found.len() > LISTED {
        lines.push(format!("and {} more", found.len() - LISTED));
    }
    lines.join(", ")
}

/// How to say which symbol is meant.
pub(crate) enum Advice {
    Func,
    Sym,
}

pub(crate) struct Resolver<'r> {
    kallsyms: &'r Kallsyms,
    searches: Cell<usize>,
}

impl<'r> Resolver<'r> {
    pub(crate) fn new(kallsyms: &'r Kallsyms) -> Self {
        Self {
            kallsyms,
            searches: Cell::new(SEARCHES_MAX),
        }
    }

    fn missing(&self, name: &str, place: &str) -> ResolveError {
        // Similar names are searched for in the whole kernel: not for each of very many.
        let left = self.searches.get();
        self.searches.set(left.saturating_sub(1));
        let near = match left {
            0 => Vec::new(),
            _ => near::near(self.kallsyms, name),
        };
        ResolveError::Missing {
            name: name.into(),
            place: place.into(),
            near: if near.is_empty() {
                "; check its spelling in /proc/kallsyms (an inlined function has no symbol)".into()
            } else {
                format!("; is one of these meant: {}?", near.join(", "))
            },
        }
    }

    fn ambiguous(&self, name: &str, found: &[Found<'_>], advice: &Advice) -> ResolveError {
        ResolveError::Ambiguous {
            name: name.into(),
            candidates: list(found, self.kallsyms),
            next: match advice {
                Advice::Func => {
                    format!("say which with LPATCH_FUNC_POS(object, {name}, sympos, new_function)")
                }
                Advice::Sym => format!("say which with LPATCH_SYM(object, {name}, sympos)"),
            },
        }
    }

    /// The symbol of a name in a named object.
    pub(crate) fn in_object(
        &self,
        objname: &str,
        name: &'r str,
        sympos: Sympos,
        advice: &Advice,
    ) -> Result<Found<'r>, ResolveError> {
        if !self.kallsyms.has_object(objname) {
            return Err(ResolveError::NotLoaded {
                name: name.into(),
                objname: objname.into(),
            });
        }
        let found: Vec<_> = self
            .kallsyms
            .by_name(name)
            .filter(|f| f.objname == objname)
            .collect();
        match (found.as_slice(), sympos) {
            ([], _) => Err(self.missing(name, objname)),
            ([one], None) => Ok(*one),
            (many, None) => Err(self.ambiguous(name, many, advice)),
            (many, Some(position)) => {
                let at = usize::try_from(position)
                    .ok()
                    .and_then(|p| p.checked_sub(1));
                at.and_then(|at| many.get(at).copied())
                    .ok_or_else(|| ResolveError::Sympos {
                        name: name.into(),
                        objname: objname.into(),
                        sympos: position,
                        count: u32::try_from(many.len()).unwrap_or(u32::MAX),
                    })
            }
        }
    }

    /// The symbol of a name of which the object says no more: vmlinux first, then the modules.
    fn anywhere(&self, name: &'r str) -> Result<Found<'r>, ResolveError> {
        let all: Vec<_> = self.kallsyms.by_name(name).collect();
        let in_vmlinux = all.iter().filter(|f| f.objname == VMLINUX).count();
        let candidates = if in_vmlinux > 0 {
            all.get(..in_vmlinux).unwrap_or_default()
        } else {
            all.as_slice()
        };
        match candidates {
            [] => Err(self.missing(name, "vmlinux and the loaded modules")),
            [one] => Ok(*one),
            many => Err(self.ambiguous(name, many, &Advice::Sym)),
        }
    }
}

/// The entries of `.lpatch.syms` by name.
fn hints<'d>(meta: &Meta<'d>, problems: &mut Problems) -> HashMap<&'d str, SymEntry<'d>> {
    let mut hints = HashMap::new();
    for entry in &meta.syms {
        if hints
            .insert(entry.name, *entry)
            .is_some_and(|old| old != *entry)
        {
            problems.push(ResolveError::Contradiction(entry.name.into()));
        }
    }
    hints
}

/// Finds the symbols that fields refer to.
fn symbols(
    object: &Object<'_>,
    meta: &Meta<'_>,
    fields: &Fields,
    kallsyms: &Kallsyms,
    resolved: &mut Resolved,
    problems: &mut Problems,
) {
    let resolver = Resolver::new(kallsyms);
    let hints = hints(meta, problems);
    // In the order of the object, each once.
    let mut is_used = vec![false; object.elf.symbols().len()];
    for field in &fields.list {
        if let FieldTarget::Kernel(index) = field.target {
            if let Some(used) = is_used.get_mut(index) {
                *used = true;
            }
        }
    }
    let used = object.elf.symbols().iter().zip(is_used).enumerate();
    let used = used.filter(|(_, (_, is_used))| *is_used);
    resolved.of = vec![None; object.elf.symbols().len()];
    let waits = dormant::Waits::new(meta, kallsyms);
    let mut known: HashMap<usize, usize> = HashMap::new();
    for (index, (symbol, _)) in used {
        if problems.is_full() {
            break;
        }
        let hint = hints.get(symbol.name);
        if let Some(hint) = hint.filter(|hint| waits.on(hint.objname)) {
            resolved.means(index, resolved.symbols.len());
            resolved.symbols.push(dormant::symbol(hint));
            continue;
        }
        let found = match hint {
            Some(hint) => resolver.in_object(hint.objname, hint.name, hint.sympos, &Advice::Sym),
            None => resolver.anywhere(symbol.name),
        };
        match found {
            Err(error) => problems.push(error),
            Ok(found) => {
                let first = kallsyms.canonical(&found);
                let at = *known.entry(first.index).or_insert_with(|| {
                    resolved.symbols.push(KernelSymbol {
                        name: first.name.into(),
                        objname: first.objname.into(),
                        addr: first.addr,
                        sympos: kallsyms.sympos(&first),
                    });
                    resolved.symbols.len() - 1
                });
                resolved.means(index, at);
            }
        }
    }
}

/// Resolves everything, collecting what is wrong. Without pre-images, none are compared.
pub fn resolve(
    object: &Object<'_>,
    meta: &Meta<'_>,
    fields: &Fields,
    target: &Target,
    preimages: Option<&[&Preimage]>,
    problems: &mut Problems,
) -> Resolved {
    let mut resolved = Resolved::default();
    symbols(
        object,
        meta,
        fields,
        &target.kallsyms,
        &mut resolved,
        problems,
    );
    funcs::funcs(meta, target, preimages, &mut resolved, problems);
    resolved.waiting = dormant::waiting(meta, &target.kallsyms);
    resolved
}
