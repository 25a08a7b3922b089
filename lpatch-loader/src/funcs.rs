// SPDX-License-Identifier: GPL-2.0

//! The functions to replace: found by name, and checked as far as the loader can see. The core checks again.

use crate::dormant;
use crate::kallsyms::{Found, Kallsyms, Length};
use crate::kprobes;
use crate::limits::PREIMAGE_MAX;
use crate::meta::{FuncEntry, Meta, CORE, VMLINUX};
use crate::notes::Preimage;
use crate::problem::Problems;
use crate::resolve::{Advice, ColdPart, OldFunc, PreimageState, ResolveError, Resolved, Resolver};
use crate::target::Target;
use lpatch_model::{cold, fentry};

/// Why bytes were not compared.
const UNREADABLE: &str = "its bytes cannot be read";
const PROBED: &str = "a kprobe has changed its bytes; the core compares those of before";
const UNSEALED: &str = "the object is not sealed";
const NOT_FOUND: &str = "the function was not found";
const WAITS: &str = "its module is not loaded";

/// How often bytes that differ, and the list of probes, are read.
const LOOKS: usize = 3;

/// Why a found symbol cannot be replaced, as far as its name and address tell.
fn check_kind(found: &Found<'_>, kallsyms: &Kallsyms) -> Result<(), ResolveError> {
    let name = || found.name.to_owned();
    let address_of = |name| {
        let mut all = kallsyms.by_name(name);
        all.find(|f| f.objname == VMLINUX).map(|f| f.addr)
    };
    if found.objname == CORE {
        return Err(ResolveError::Ours(name()));
    }
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

/// Whether kprobes may have changed a function. They do not make it another one, but only the kernel knows what was there. They come
/// and go: one that went since its byte was read is none that has changed it, but then the byte is right again.
fn is_probed(target: &Target, addr: u64, preimage: &Preimage) -> bool {
    let Some(kprobes) = &target.kprobes else {
        return false;
    };
    let code = addr..addr.saturating_add(preimage.len.into());
    (0..LOOKS).any(|_| match kprobes.list() {
        Some(list) => {
            kprobes::any_in(&list, &code)
                || preimage_crc(target, addr, preimage) == Some(preimage.crc)
        }
        None => {
            // An int3, or the jump of one that is optimized.
            let bytes = preimage_bytes(target, addr, preimage).unwrap_or_default();
            bytes.contains(&0xcc) || bytes.contains(&0xe9)
        }
    })
}

/// CRC-32 of a function's bytes with the masked ranges zero, or `None` if they cannot be read.
fn preimage_crc(target: &Target, addr: u64, preimage: &Preimage) -> Option<u32> {
    Some(crc32fast::hash(&preimage_bytes(target, addr, preimage)?))
}

/// These bytes.
fn preimage_bytes(target: &Target, addr: u64, preimage: &Preimage) -> Option<Vec<u8>> {
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
    Some(bytes)
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
        Some(list) if list.has(first.name) == Some(false) => Err(no_fentry()),
        _ => Ok(()),
    }
}

fn check_preimage(
    target: &Target,
    found: &Found<'_>,
    len: Length,
    preimage: &Preimage,
) -> (PreimageState, Result<(), ResolveError>) {
    let too_long = match len {
        Length::Exact(len) => u64::from(preimage.len) > len,
        // Whole pages may follow.
        Length::AtLeast(_) => false,
    };
    if preimage.len > PREIMAGE_MAX {
        let error = ResolveError::LongPreimage {
            name: found.name.into(),
            objname: found.objname.into(),
            sealed: preimage.len,
        };
        return (PreimageState::Differs, Err(error));
    }
    if too_long {
        let (Length::Exact(bytes) | Length::AtLeast(bytes)) = len;
        let error = ResolveError::PreimageLength {
            name: found.name.into(),
            objname: found.objname.into(),
            found: bytes,
            sealed: preimage.len,
        };
        return (PreimageState::Differs, Err(error));
    }
    match preimage_crc(target, found.addr, preimage) {
        Some(crc) if crc == preimage.crc => (PreimageState::Matches, Ok(())),
        Some(_) if is_probed(target, found.addr, preimage) => {
            (PreimageState::Unknown(PROBED), Ok(()))
        }
        Some(crc) => {
            let error = ResolveError::Preimage {
                name: found.name.into(),
                objname: found.objname.into(),
                found: crc,
                sealed: preimage.crc,
            };
            (PreimageState::Differs, Err(error))
        }
        None => (PreimageState::Unknown(UNREADABLE), Ok(())),
    }
}

fn func<'k>(
    entry: &FuncEntry<'k>,
    resolver: &Resolver<'k>,
    kallsyms: &'k Kallsyms,
) -> Result<Found<'k>, ResolveError> {
    let found = resolver.in_object(entry.objname, entry.old_name, entry.sympos, &Advice::Func)?;
    check_kind(&found, kallsyms)?;
    Ok(found)
}

/// Finds the split-off and specialized copies of each function, by its own name, and its `.cold` parts, by all of its names. If several
/// functions of an object have one name, a cold part may belong to each of them, and is listed once. `resolved` has the functions that come
/// before.
fn parts<'k>(
    funcs: &[Found<'k>],
    kallsyms: &'k Kallsyms,
    resolved: &mut Resolved,
    problems: &mut Problems,
) -> Vec<Vec<Found<'k>>> {
    let aliases = funcs.iter().map(|func| kallsyms.aliases(func)).enumerate();
    let (indices, names): (Vec<usize>, Vec<Found<'_>>) = aliases
        .flat_map(|(index, aliases)| aliases.into_iter().map(move |alias| (index, alias)))
        .unzip();
    let before = resolved.funcs.len();
    let colds = &mut resolved.colds;
    let mut own = vec![Vec::new(); funcs.len()];
    let variants = kallsyms.variants(&names);
    for ((func, name), parts) in indices.into_iter().zip(&names).zip(variants) {
        let is_cold =
            |part: &&Found<'_>| cold::is_part_of(part.name.as_bytes(), name.name.as_bytes());
        for part in parts.iter().filter(is_cold) {
            let first = kallsyms.canonical(part);
            let function = kallsyms.canonical(name);
            if !cold::is_part_of(first.name.as_bytes(), function.name.as_bytes()) {
                problems.push(ResolveError::ColdName {
                    name: function.name.into(),
                    part: part.name.into(),
                });
            }
            colds.push(ColdPart {
                func: before + func,
                name: first.name.into(),
                addr: first.addr,
                // The core refuses what has no length.
                len: kallsyms.length(&first).unwrap_or(Length::Exact(0)),
            });
        }
        if funcs.get(func).is_some_and(|func| func.index == name.index) {
            if let Some(own) = own.get_mut(func) {
                *own = parts;
            }
        }
    }
    colds.sort_by_key(|part| part.addr);
    colds.dedup_by_key(|part| part.addr);
    own
}

/// Finds and checks all functions, collecting what is wrong.
pub(crate) fn funcs(
    meta: &Meta<'_>,
    target: &Target,
    preimages: Option<&[&Preimage]>,
    resolved: &mut Resolved,
    problems: &mut Problems,
) {
    let kallsyms = &target.kallsyms;
    resolved.funcs = dormant::funcs(meta, kallsyms, problems);
    let there = meta.funcs.iter().enumerate();
    let waits = dormant::Waits::new(meta, kallsyms);
    let there = there.filter(|(_, entry)| !waits.on(entry.objname));
    let resolver = Resolver::new(kallsyms);
    resolved.preimages = (meta.funcs.iter())
        .map(|entry| match waits.on(entry.objname) {
            true => PreimageState::Unknown(WAITS),
            false => PreimageState::Unknown(NOT_FOUND),
        })
        .collect();
    let mut list = Vec::new();
    for (index, entry) in there {
        if problems.is_full() {
            break;
        }
        let found = match func(entry, &resolver, kallsyms) {
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
        let fentry = check_bytes(target, &found, &first);
        let (state, bytes) = match preimages.and_then(|p| p.get(index)) {
            Some(preimage) => check_preimage(target, &found, len, preimage),
            None => (PreimageState::Unknown(UNSEALED), Ok(())),
        };
        // A function that cannot be replaced whatever its bytes are is told once.
        if let Err(error) = fentry.and(bytes) {
            problems.push(error);
        }
        if let Some(slot) = resolved.preimages.get_mut(index) {
            *slot = state;
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
    let parts = parts(&founds, kallsyms, resolved, problems);
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
    let states = &resolved.preimages;
    let mut there = resolved
        .funcs
        .iter()
        .filter(|func| func.addr != 0)
        .peekable();
    resolved.preimages_checked = there.peek().is_some()
        && there.all(|func| !matches!(states.get(func.entry), Some(PreimageState::Unknown(_))));
}
