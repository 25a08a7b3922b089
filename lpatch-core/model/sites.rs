// SPDX-License-Identifier: GPL-2.0

//! The table that the ftrace handler searches: where a call came in, where it goes on.
//!
//! The handler runs in NMI context too. The search takes no lock, cannot fail in any other way than
//! not to find, and reads one entry for each halving.

/// A redirected function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The address that ftrace reports: that of the fentry site.
    pub ip: u64,
    /// The address to go on at.
    pub to: u64,
}

/// Two entries are for this address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate(pub u64);

/// Sorts a table in place, so that [`lookup`] finds its entries.
///
/// On failure the entries are a permutation of what they were.
///
/// A heapsort of our own, because the one of `core` has a path that panics.
pub fn sort(sites: &mut [Site]) -> Result<(), Duplicate> {
    for root in (0..sites.len() / 2).rev() {
        sift_down(sites, root);
    }
    for end in (1..sites.len()).rev() {
        swap(sites, 0, end);
        if let Some(heap) = sites.get_mut(..end) {
            sift_down(heap, 0);
        }
    }
    let behind = sites.iter().skip(1);
    match sites.iter().zip(behind).find(|(a, b)| a.ip == b.ip) {
        Some((site, _)) => Err(Duplicate(site.ip)),
        None => Ok(()),
    }
}

/// Makes a heap, of which only `root` may be below one of its children, a heap.
fn sift_down(heap: &mut [Site], mut root: usize) {
    loop {
        // No entry is less than any.
        let key = |i: usize| heap.get(i).map(|site| site.ip);
        let left = root.saturating_mul(2).saturating_add(1);
        let right = left.saturating_add(1);
        let child = if key(right) > key(left) { right } else { left };
        if key(child) <= key(root) {
            return;
        }
        swap(heap, root, child);
        root = child;
    }
}

fn swap(sites: &mut [Site], a: usize, b: usize) {
    if let (Some(&at_a), Some(&at_b)) = (sites.get(a), sites.get(b)) {
        for (i, site) in [(a, at_b), (b, at_a)] {
            if let Some(place) = sites.get_mut(i) {
                *place = site;
            }
        }
    }
}

/// Where a call that came in at `ip` goes on, if the function is in the sorted table.
#[inline]
pub fn lookup(sites: &[Site], ip: u64) -> Option<u64> {
    let found = sites.binary_search_by_key(&ip, |site| site.ip).ok()?;
    sites.get(found).map(|site| site.to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    #[test]
    fn duplicates() {
        let site = |ip| Site { ip, to: 1 };
        let build = |mut sites: Vec<Site>| sort(&mut sites);
        assert_eq!(
            build(std::vec![site(5), site(3), site(5)]),
            Err(Duplicate(5))
        );
        assert_eq!(build(std::vec![]), Ok(()));
    }

    proptest! {
        #[test]
        fn finds_what_is_there(
            wanted in prop::collection::hash_map(0..500_u64, any::<u64>(), 0..100),
        ) {
            // A HashMap is unsorted.
            let mut sites: Vec<Site> = wanted.iter().map(|(&ip, &to)| Site { ip, to }).collect();
            let wanted: BTreeMap<u64, u64> = wanted.into_iter().collect();
            prop_assert_eq!(sort(&mut sites), Ok(()));
            for ip in (0..501).chain([u64::MAX]) {
                prop_assert_eq!(lookup(&sites, ip), wanted.get(&ip).copied());
            }
            prop_assert_eq!(sites.len(), wanted.len());
            prop_assert!(sites.windows(2).all(|pair| pair[0].ip < pair[1].ip));
        }
    }
}
