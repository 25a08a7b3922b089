// SPDX-License-Identifier: GPL-2.0

//! `.lpatch.callbacks`: functions of the patch that the core calls when an object changes.
//!
//! An entry is {u64 function, u64 objname, u64 kind}; the first two are relocations, objname as in `.lpatch.funcs`.

use super::{MetaError, Table};
use crate::problem::Problems;
use lpatch_model::uapi;

/// Bytes of an entry.
pub(super) const LEN: usize = 24;

/// A callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackEntry<'d> {
    /// "vmlinux" or the name of a module.
    pub objname: &'d str,
    /// LPATCH_CALLBACK_*.
    pub kind: u32,
    /// Index of the section that has the function.
    pub section: usize,
    /// Offset of the function in it.
    pub offset: u64,
    /// Name of the function.
    pub function: &'d str,
}

/// The name of a kind, as users know it, if there is such a kind.
pub fn kind_name(kind: u32) -> Option<&'static str> {
    match kind {
        uapi::CALLBACK_PRE_PATCH => Some("pre-patch"),
        uapi::CALLBACK_POST_PATCH => Some("post-patch"),
        uapi::CALLBACK_PRE_UNPATCH => Some("pre-unpatch"),
        uapi::CALLBACK_POST_UNPATCH => Some("post-unpatch"),
        _ => None,
    }
}

impl CallbackEntry<'_> {
    /// The name of its kind.
    pub fn kind_name(&self) -> &'static str {
        kind_name(self.kind).unwrap_or("unknown")
    }
}

pub(super) fn read<'d>(
    table: &Table<'_, 'd>,
    index: usize,
) -> Result<CallbackEntry<'d>, MetaError> {
    let (section, offset, symbol) = table.function(
        index,
        0,
        [
            "it has no function",
            "its function is not in a text section",
            "its function has no symbol with a size",
        ],
    )?;
    let kind = table
        .number(index, 16)
        .and_then(|kind| u32::try_from(kind).ok());
    let kind = kind.filter(|kind| kind_name(*kind).is_some());
    Ok(CallbackEntry {
        objname: table.objname(index, 8)?,
        kind: kind.ok_or_else(|| table.bad(index, "its kind is unknown"))?,
        section,
        offset,
        function: symbol.name,
    })
}

/// Sorts as the image has them, and finds two of a kind for one object.
pub(super) fn sort(list: &mut [CallbackEntry<'_>], problems: &mut Problems) {
    list.sort_by_key(|entry| (entry.objname, entry.kind));
    for pair in list.windows(2) {
        if let [first, second] = pair {
            if (first.objname, first.kind) == (second.objname, second.kind) {
                problems.push(MetaError::CallbackTwice {
                    kind: first.kind_name(),
                    objname: first.objname.into(),
                    first: first.function.into(),
                    second: second.function.into(),
                });
            }
        }
    }
}
