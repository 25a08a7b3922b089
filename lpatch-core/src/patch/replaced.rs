// SPDX-License-Identifier: GPL-2.0

//! The functions that a patch replaces.

use crate::{
    model::{sort, transition::stack::Span},
    uapi,
};
use kernel::prelude::*;

/// The functions that a patch replaces: those of [`uapi::Image`], with their strings.
pub(crate) struct Replaced {
    pub(crate) strings: KVVec<u8>,
    pub(crate) funcs: KVVec<uapi::Func>,
    pub(crate) colds: KVVec<uapi::Cold>,
}

/// Sorts cold parts by function.
pub(super) fn sort_colds(colds: &mut [uapi::Cold]) {
    sort::sort_by_key(colds, |cold| cold.func);
}

/// The parts of a function among cold parts, which are sorted.
pub(super) fn spans_of(colds: &[uapi::Cold], func: usize) -> impl Iterator<Item = Span> + '_ {
    let first = colds.partition_point(|cold| (cold.func as usize) < func);
    let own = move |cold: &&uapi::Cold| cold.func as usize == func;
    colds[first..].iter().take_while(own).map(|cold| Span {
        start: cold.addr,
        end: cold.addr + u64::from(cold.len),
    })
}
