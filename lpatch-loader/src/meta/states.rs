// SPDX-License-Identifier: GPL-2.0

//! `.lpatch.states`: changes of the system's state that the patch makes or can deal with.
//!
//! An entry is {u64 id, u32 version, u32 zero}.

use super::{MetaError, Table};
use crate::problem::Problems;
use lpatch_model::uapi::{State, Wire};

/// Bytes of an entry, which is that of the image.
pub(super) const LEN: usize = State::SIZE;

pub(super) fn read(table: &Table<'_, '_>, index: usize) -> Result<State, MetaError> {
    let bytes = table.section.data.get(index * LEN..).unwrap_or_default();
    match State::read(bytes) {
        Some(state) if state.reserved == 0 => Ok(state),
        _ => Err(table.bad(index, "its last word is not zero")),
    }
}

/// Sorts as the image has them, and finds two of one id.
pub(super) fn sort(list: &mut [State], problems: &mut Problems) {
    list.sort_by_key(|state| (state.id, state.version));
    for pair in list.windows(2) {
        if let [first, second] = pair {
            if first.id == second.id {
                problems.push(MetaError::StateTwice { id: first.id });
            }
        }
    }
}
