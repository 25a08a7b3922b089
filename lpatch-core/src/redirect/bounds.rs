// SPDX-License-Identifier: GPL-2.0

//! What a look compares a stack with.

use crate::model::transition::{
    detours::Detours,
    evidence::Evidence,
    stack::{Landing, Proof, Ranges, StackCheck},
};

/// Where a task that leaves a side must not be, what functions of the side reach by jumps, and which ways there lead past the side.
#[derive(Clone, Copy)]
pub(crate) struct Bounds<'a> {
    pub(crate) ranges: Ranges<'a>,
    pub(crate) landings: &'a [Landing],
    pub(crate) detours: Option<&'a Detours>,
}

impl<'a> Bounds<'a> {
    /// Begins a look at a stack.
    pub(crate) fn check<'e>(self, evidence: &'e impl Evidence) -> StackCheck<'e, 'a> {
        self.with(StackCheck::new(evidence, self.ranges, self.landings))
    }

    /// The same at the entry of the function with this fentry site.
    pub(crate) fn check_entry<'e>(
        self,
        evidence: &'e impl Evidence,
        site: u64,
        proof: Proof,
    ) -> StackCheck<'e, 'a> {
        let (ranges, landings) = (self.ranges, self.landings);
        self.with(StackCheck::at_entry(
            evidence, ranges, site, proof, landings,
        ))
    }

    fn with<'e>(self, check: StackCheck<'e, 'a>) -> StackCheck<'e, 'a> {
        match self.detours {
            Some(detours) => check.with(detours),
            None => check,
        }
    }
}
