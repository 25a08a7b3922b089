// SPDX-License-Identifier: GPL-2.0

//! Room for a patch, before there is one.

use crate::{
    arena::memory::{Run, Runs},
    model::verify::{Area, Reservation},
    uapi,
};

/// Room in the arena for one patch, with the lengths that were asked for.
pub(crate) struct Reserved {
    pub(crate) runs: Runs,
    pub(crate) request: uapi::Reserve,
}

impl Reserved {
    /// Addresses and lengths, as the image is verified against them.
    pub(super) fn reservation(&self) -> Reservation {
        let area = |run: &Run, len: u32| Area {
            addr: run.addr as u64,
            len: len.into(),
        };
        let (runs, request) = (&self.runs, &self.request);
        Reservation {
            text: area(&runs.text, request.text_len),
            rodata: area(&runs.rodata, request.rodata_len),
            data: area(&runs.data, request.data_len),
            orcs: request.orcs.into(),
            exs: request.exs.into(),
            bugs: request.bugs.into(),
        }
    }
}
