// SPDX-License-Identifier: GPL-2.0

//! Jumps that the kernel may redirect, or switch on, as it runs: static calls at the end of a function, and static keys.

use crate::{
    ffi,
    model::{
        refusal::Refusal,
        sort,
        statics::{self, Branch},
    },
    running::code,
};
use kernel::prelude::*;

/// What has been read of the kernel's tables.
#[derive(Default)]
pub(super) struct Statics {
    /// Where such jumps are, sorted.
    tails: KVVec<u64>,
    /// And calls.
    calls: KVVec<u64>,
    /// Static keys' branches, sorted.
    branches: KVVec<Branch>,
    /// The tables that were read.
    tables: KVVec<u64>,
}

impl Statics {
    /// Whether there may be such a jump of a static call in the code at `addr` that is `len` long. The code is of the kernel, or of a module that cannot
    /// go away.
    pub(super) fn may_turn(&mut self, addr: u64, len: u64) -> Result<bool, Refusal> {
        Ok(!self.know_calls(addr)? || statics::any_in(&self.tails, addr, len))
    }

    /// Whether the call at this address may be one. The code is as above.
    pub(super) fn may_turn_call(&mut self, addr: u64) -> Result<bool, Refusal> {
        Ok(!self.know_calls(addr)? || statics::any_in(&self.calls, addr, 1))
    }

    /// Where static keys lead from this code out of it; `None`: nobody knows. The code is as above.
    pub(super) fn branches(
        &mut self,
        addr: u64,
        len: u64,
    ) -> Result<Option<impl Iterator<Item = u64> + '_>, Refusal> {
        let known = self.know_branches(addr)?;
        Ok(known.then(|| statics::leaving(&self.branches, addr, len)))
    }

    /// Reads the table of static calls of the code at an address; `false` if that cannot be.
    fn know_calls(&mut self, addr: u64) -> Result<bool, Refusal> {
        let Some(found) = tables_of(addr) else {
            return Ok(false);
        };
        let (table, count) = (found.calls as u64, found.call_count as usize);
        let (tails, calls) = (&mut self.tails, &mut self.calls);
        once(&mut self.tables, table, count * statics::SITE_LEN, |copy| {
            let mut result = Ok(());
            statics::each_site(copy, table, |site, tail| {
                let list = if tail { &mut *tails } else { &mut *calls };
                if result.is_ok() {
                    result = list.push(site, GFP_KERNEL);
                }
            });
            result?;
            sort::sort_by_key(tails, |site| *site);
            sort::sort_by_key(calls, |site| *site);
            Ok(())
        })
    }

    /// The same for static keys.
    fn know_branches(&mut self, addr: u64) -> Result<bool, Refusal> {
        let Some(found) = tables_of(addr) else {
            return Ok(false);
        };
        let (table, count) = (found.branches as u64, found.branch_count as usize);
        let branches = &mut self.branches;
        once(
            &mut self.tables,
            table,
            count * statics::BRANCH_LEN,
            |copy| {
                let mut result = Ok(());
                statics::each_branch(copy, table, |branch| {
                    if result.is_ok() {
                        result = branches.push(branch, GFP_KERNEL);
                    }
                });
                result?;
                sort::sort_by_key(branches, |branch| *branch);
                Ok(())
            },
        )
    }
}

fn tables_of(addr: u64) -> Option<ffi::lp_statics> {
    let mut found = ffi::lp_statics::default();
    // SAFETY: The pointer is valid for writes.
    let err = unsafe { ffi::lp_statics_of(addr as usize, &raw mut found) };
    (err == 0).then_some(found)
}

/// Takes in the table at this address, unless that was done before; `false` if the table is not there.
#[inline(never)]
fn once(
    tables: &mut KVVec<u64>,
    table: u64,
    len: usize,
    take_in: impl FnOnce(&[u8]) -> Result<(), Refusal>,
) -> Result<bool, Refusal> {
    if len == 0 || tables.contains(&table) {
        return Ok(true);
    }
    let mut copy = KVVec::from_elem(0u8, len, GFP_KERNEL)?;
    if !code::read(table, &mut copy) {
        return Ok(false);
    }
    take_in(&copy)?;
    tables.push(table, GFP_KERNEL)?;
    Ok(true)
}
