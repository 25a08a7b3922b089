// SPDX-License-Identifier: GPL-2.0

//! The table that the ftrace handler searches: where a call came in, where it goes on.
//!
//! The handler runs in NMI context too. The search takes no lock, cannot fail in any other way than
//! not to find, and reads one entry for each halving.

use core::cmp::Ordering;

/// A redirected function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The address that ftrace reports: that of the fentry site.
    pub ip: u64,
    /// The address to go on at.
    pub to: u64,
}

/// The entry with this index is not above the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSorted(pub usize);

/// Whether [`lookup`] can search a table: it is sorted, and no address comes twice.
pub fn check(sites: &[Site]) -> Result<(), NotSorted> {
    let behind = sites.iter().enumerate().skip(1);
    match sites.iter().zip(behind).find(|(a, (_, b))| a.ip >= b.ip) {
        Some((_, (i, _))) => Err(NotSorted(i)),
        None => Ok(()),
    }
}

/// Where a call that came in at `ip` goes on, if the function is in the checked table.
///
/// Not `binary_search_by_key()`: where overflow checks are on, its code can call a panic.
#[inline]
pub fn lookup(sites: &[Site], ip: u64) -> Option<u64> {
    let mut rest = sites;
    loop {
        let (below, from) = rest.split_at_checked(rest.len() / 2)?;
        let (site, above) = from.split_first()?;
        match ip.cmp(&site.ip) {
            Ordering::Less => rest = below,
            Ordering::Equal => return Some(site.to),
            Ordering::Greater => rest = above,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn unsorted_tables_and_duplicates() {
        let table =
            |ips: &[u64]| -> Vec<Site> { ips.iter().map(|&ip| Site { ip, to: 1 }).collect() };
        assert_eq!(check(&table(&[])), Ok(()));
        assert_eq!(check(&table(&[3, 5, 9])), Ok(()));
        assert_eq!(check(&table(&[3, 5, 5])), Err(NotSorted(2)));
        assert_eq!(check(&table(&[5, 3, 9])), Err(NotSorted(1)));
    }

    proptest! {
        #[test]
        fn finds_what_is_there(
            wanted in prop::collection::btree_map(0..500_u64, any::<u64>(), 0..100),
        ) {
            let sites: Vec<Site> = wanted.iter().map(|(&ip, &to)| Site { ip, to }).collect();
            prop_assert_eq!(check(&sites), Ok(()));
            for ip in (0..501).chain([u64::MAX]) {
                prop_assert_eq!(lookup(&sites, ip), wanted.get(&ip).copied());
            }
        }
    }
}
