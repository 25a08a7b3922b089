// SPDX-License-Identifier: GPL-2.0

//! The symbols of the patch itself, which stack traces, perf and /proc/kallsyms show.

use crate::elf::Home;
use crate::keys::{self, Branch};
use crate::layout::{Layout, Place, Region};
use crate::object::Object;
use crate::problem::Problems;
use crate::tables::TableError;
use lpatch_model::uapi;
use object::elf;
use std::borrow::Cow;

/// Behind the name of a function: the stubs of its static branches.
const STUBS: &str = ".static_keys";

/// A symbol of the patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchSymbol<'d> {
    /// Its name.
    pub name: Cow<'d, str>,
    /// Where it is.
    pub place: Place,
    /// Bytes.
    pub size: u32,
    /// As in nm.
    pub letter: u8,
}

/// The stubs of each function, under its name.
fn stubs<'d>(list: &[PatchSymbol<'_>], branches: &[Branch]) -> Vec<PatchSymbol<'d>> {
    let function_at = |offset: u32| {
        let behind = list.partition_point(|s| {
            s.place
                <= Place {
                    region: Region::Text,
                    offset,
                }
        });
        let function = behind.checked_sub(1).and_then(|at| list.get(at))?;
        let within = offset.checked_sub(function.place.offset)?;
        (within < function.size).then_some(&*function.name)
    };
    let runs = keys::runs(branches, function_at).into_iter();
    runs.map(|(function, offset, size)| {
        let name = format!("{function}{STUBS}");
        PatchSymbol {
            name: match name.len() < uapi::SYM_LEN {
                true => name.into(),
                false => STUBS.into(),
            },
            place: Place {
                region: Region::Text,
                offset,
            },
            size,
            letter: b't',
        }
    })
    .collect()
}

/// The functions and objects of the patch, by place.
pub(crate) fn symbols<'d>(
    object: &Object<'d>,
    layout: &Layout,
    branches: &[Branch],
    problems: &mut Problems,
) -> Vec<PatchSymbol<'d>> {
    let mut list = Vec::new();
    for symbol in object.elf.symbols() {
        let Home::Section(index) = symbol.home else {
            continue;
        };
        if !matches!(symbol.kind, elf::STT_FUNC | elf::STT_OBJECT) || symbol.name.is_empty() {
            continue;
        }
        let section = object.elf.sections().get(index);
        let Some(place) = section.and_then(|s| layout.place(s, symbol.value)) else {
            continue;
        };
        if symbol.name.len() >= uapi::SYM_LEN {
            let start = symbol.name.chars().take(60).collect();
            problems.push(TableError::LongName(start));
            continue;
        }
        let letter = match (place.region, place.offset >= layout.data_init_len) {
            (Region::Text, _) => b't',
            (Region::Rodata, _) => b'r',
            (Region::Data, false) => b'd',
            (Region::Data, true) => b'b',
        };
        let local = symbol.binding == elf::STB_LOCAL;
        // A size that leaves its section is cut: it is for display only.
        let room = section.map_or(0, |s| s.size.saturating_sub(symbol.value));
        list.push(PatchSymbol {
            name: symbol.name.into(),
            place,
            size: u32::try_from(symbol.size.min(room)).unwrap_or(0),
            letter: if local {
                letter
            } else {
                letter.to_ascii_uppercase()
            },
        });
    }
    list.sort_by_key(|s| s.place);
    // Behind all text, and so between text and the rest.
    let stubs = stubs(&list, branches);
    let at = list.partition_point(|s| s.place.region == Region::Text);
    list.splice(at..at, stubs);
    list
}
