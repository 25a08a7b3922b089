// SPDX-License-Identifier: GPL-2.0

//! Names to addresses: which kernel symbol each undefined symbol is, and which function each old name is.
//!
//! A name that several symbols have is never guessed, not even in favour of the exported one: a static
//! function of the same name may be what the author read.

use crate::elf::Symbol;
use crate::kallsyms::{Found, Kallsyms, Length};
use crate::meta::{FuncEntry, Meta, SymEntry, Sympos, VMLINUX};
use crate::notes::Preimage;
use crate::object::Object;
use crate::problem::Problems;
use crate::relocate::{Fields, Target as FieldTarget};
use crate::target::Target;
use lpatch_model::fentry;
use std::collections::{BTreeMap, HashMap};
use thiserror::Error;

/// Candidates that a message lists.
const LISTED: usize = 8;
/// Longest function whose bytes are read.
const FUNCTION_MAX: u32 = 1 << 20;

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
    /// Its address.
    pub addr: u64,
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
    /// Its address.
    pub addr: u64,
    /// Bytes.
    pub len: Length,
    /// Its split-off and specialized parts.
    pub parts: Vec<String>,
}

/// What all names mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// By address, as the image has them.
    pub funcs: Vec<OldFunc>,
    /// Without repetition.
    pub symbols: Vec<KernelSymbol>,
    /// Index of an undefined symbol of the object to index in `symbols`.
    pub of: HashMap<usize, usize>,
    /// Whether the kernel's bytes could be read and were compared.
    pub preimages_checked: bool,
}

impl Resolved {
    /// The address of an undefined symbol.
    pub fn address(&self, symbol: usize) -> Option<u64> {
        Some(self.symbols.get(*self.of.get(&symbol)?)?.addr)
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
enum Advice {
    Func,
    Sym,
}

struct Resolver<'r> {
    kallsyms: &'r Kallsyms,
}

impl<'r> Resolver<'r> {
    fn missing(&self, name: &str, place: &str) -> ResolveError {
        let near = self.kallsyms.near(name);
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
    fn in_object(
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
    let resolver = Resolver { kallsyms };
    let hints = hints(meta, problems);
    // In the order of the object, each once.
    let used: BTreeMap<usize, &Symbol<'_>> = fields
        .list
        .iter()
        .filter_map(|field| match field.target {
            FieldTarget::Kernel(index) => Some((index, object.elf.symbols().get(index)?)),
            FieldTarget::Patch(_) => None,
        })
        .collect();
    let mut known: HashMap<(u64, String), usize> = HashMap::new();
    for (index, symbol) in used {
        let found = match hints.get(symbol.name) {
            Some(hint) => resolver.in_object(hint.objname, hint.name, hint.sympos, &Advice::Sym),
            None => resolver.anywhere(symbol.name),
        };
        match found {
            Err(error) => problems.push(error),
            Ok(found) => {
                let first = kallsyms.canonical(&found);
                let key = (first.addr, first.objname.to_owned());
                let at = *known.entry(key).or_insert_with(|| {
                    resolved.symbols.push(KernelSymbol {
                        name: first.name.into(),
                        objname: first.objname.into(),
                        addr: first.addr,
                    });
                    resolved.symbols.len() - 1
                });
                resolved.of.insert(index, at);
            }
        }
    }
}

/// Why a found symbol cannot be replaced, as far as its name and address tell.
fn check_kind(found: &Found<'_>, kallsyms: &Kallsyms) -> Result<(), ResolveError> {
    let name = || found.name.to_owned();
    let address_of = |name| {
        let mut all = kallsyms.by_name(name);
        all.find(|f| f.objname == VMLINUX).map(|f| f.addr)
    };
    if found.name.starts_with("_R") {
        return Err(ResolveError::Rust(name()));
    }
    if !matches!(found.letter, 't' | 'T' | 'w' | 'W') {
        return Err(ResolveError::NotFunction {
            name: name(),
            objname: found.objname.into(),
            letter: found.letter,
        });
    }
    match (address_of("_sinittext"), address_of("_einittext")) {
        (Some(start), Some(end)) if (start..end).contains(&found.addr) => {
            Err(ResolveError::Init(name()))
        }
        _ => Ok(()),
    }
}

/// CRC-32 of a function's bytes with the masked ranges zero, or `None` if they cannot be read.
fn preimage_crc(target: &Target, addr: u64, preimage: &Preimage) -> Option<u32> {
    let memory = target.memory.as_ref()?;
    let mut bytes = vec![0; usize::try_from(preimage.len).ok()?];
    if !memory.read(addr, &mut bytes) {
        return None;
    }
    for mask in &preimage.masks {
        let start = usize::try_from(mask.offset).ok()?;
        let end = start.checked_add(usize::try_from(mask.len).ok()?)?;
        bytes.get_mut(start..end)?.fill(0);
    }
    Some(crc32fast::hash(&bytes))
}

/// What the function's bytes in memory, or ftrace's list, say about it.
fn check_bytes(target: &Target, found: &Found<'_>, first: &Found<'_>) -> Result<(), ResolveError> {
    let no_fentry = || ResolveError::NoFentry {
        name: found.name.into(),
        objname: found.objname.into(),
    };
    let mut start = [0; 16];
    if let Some(memory) = &target.memory {
        if memory.read(found.addr, &mut start) && fentry::site(&start).is_none() {
            return Err(no_fentry());
        }
    }
    match &target.traceable {
        Some(list) if !list.has(first.name) => Err(no_fentry()),
        _ => Ok(()),
    }
}

fn check_preimage(
    target: &Target,
    found: &Found<'_>,
    len: Length,
    preimage: &Preimage,
    checked: &mut bool,
) -> Result<(), ResolveError> {
    let too_long = match len {
        Length::Exact(len) => u64::from(preimage.len) > len,
        // Whole pages may follow.
        Length::AtLeast(_) => false,
    };
    if too_long || preimage.len > FUNCTION_MAX {
        let (Length::Exact(bytes) | Length::AtLeast(bytes)) = len;
        return Err(ResolveError::PreimageLength {
            name: found.name.into(),
            objname: found.objname.into(),
            found: bytes,
            sealed: preimage.len,
        });
    }
    match preimage_crc(target, found.addr, preimage) {
        Some(crc) if crc == preimage.crc => Ok(()),
        Some(crc) => Err(ResolveError::Preimage {
            name: found.name.into(),
            objname: found.objname.into(),
            found: crc,
            sealed: preimage.crc,
        }),
        None => {
            *checked = false;
            Ok(())
        }
    }
}

fn func<'k>(entry: &FuncEntry<'k>, kallsyms: &'k Kallsyms) -> Result<Found<'k>, ResolveError> {
    let resolver = Resolver { kallsyms };
    let found = resolver.in_object(entry.objname, entry.old_name, entry.sympos, &Advice::Func)?;
    check_kind(&found, kallsyms)?;
    Ok(found)
}

fn funcs(
    meta: &Meta<'_>,
    target: &Target,
    preimages: Option<&[&Preimage]>,
    resolved: &mut Resolved,
    problems: &mut Problems,
) {
    let kallsyms = &target.kallsyms;
    let mut checked = preimages.is_some() && target.memory.is_some();
    let mut list = Vec::new();
    for (index, entry) in meta.funcs.iter().enumerate() {
        let found = match func(entry, kallsyms) {
            Ok(found) => found,
            Err(error) => {
                problems.push(error);
                continue;
            }
        };
        let first = kallsyms.canonical(&found);
        let Some(len) = kallsyms.length(&found) else {
            problems.push(ResolveError::NotFunction {
                name: found.name.into(),
                objname: found.objname.into(),
                letter: found.letter,
            });
            continue;
        };
        if let Err(error) = check_bytes(target, &found, &first) {
            problems.push(error);
        } else if let Some(preimage) = preimages.and_then(|p| p.get(index)) {
            let result = check_preimage(target, &found, len, preimage, &mut checked);
            if let Err(error) = result {
                problems.push(error);
            }
        }
        list.push((index, found, first, len));
    }
    list.sort_by_key(|(_, found, ..)| found.addr);
    for pair in list.windows(2) {
        if let [(_, a, ..), (_, b, ..)] = pair {
            if a.addr == b.addr {
                problems.push(ResolveError::Same {
                    first: a.name.into(),
                    second: b.name.into(),
                    objname: a.objname.into(),
                });
            }
        }
    }
    let founds: Vec<Found<'_>> = list.iter().map(|(_, found, ..)| *found).collect();
    let parts = kallsyms.variants(&founds);
    for ((entry, found, first, len), parts) in list.into_iter().zip(parts) {
        resolved.funcs.push(OldFunc {
            entry,
            name: first.name.into(),
            objname: first.objname.into(),
            sympos: kallsyms.sympos(&first),
            addr: found.addr,
            len,
            parts: parts.iter().map(|p| p.name.to_owned()).collect(),
        });
    }
    resolved.preimages_checked = checked;
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
    funcs(meta, target, preimages, &mut resolved, problems);
    resolved
}
