// SPDX-License-Identifier: GPL-2.0

//! The kernel's tables of static calls, each a direct call or jump that it may turn to another function as it runs, and of static keys'
//! branches, each a jump that it may switch on and off, which leaves a nop.
//!
//! A jump of a static call goes where its key says at the time. What stands there when it is read says nothing about later, so code that
//! has one jumps to anywhere. That of a static key goes to one place, which the table says.

/// Length of an entry, `struct static_call_site`: two fields of 32 bits, each relative to itself, the site and its key.
pub const SITE_LEN: usize = 8;
/// The same of `struct jump_entry`: where the branch is and where it leads, as above, and the key, of 64 bits.
pub const BRANCH_LEN: usize = 16;
/// The two fields of 32 bits and that of 64.
const BRANCH: u64 = 4 * FIELD;
/// Length of a field.
const FIELD: u64 = 4;
/// Bit of the key of a site that is a jump, `STATIC_CALL_SITE_TAIL`.
const TAIL: u64 = 1;

/// Calls `each` for each site in `table`, which is at `base`: its address, and whether it is a jump. Who is called for part of a table gives
/// whole entries.
pub fn each_site(table: &[u8], base: u64, mut each: impl FnMut(u64, bool)) {
    let mut at = base;
    for entry in table.chunks_exact(SITE_LEN) {
        let (site, rest) = entry.split_first_chunk().unwrap_or((&[0; 4], &[]));
        let (key, _) = rest.split_first_chunk().unwrap_or((&[0; 4], &[]));
        let there =
            |at: u64, field: [u8; 4]| at.wrapping_add_signed(i32::from_le_bytes(field).into());
        let tail = there(at.wrapping_add(FIELD), *key) & TAIL != 0;
        each(there(at, *site), tail);
        at = at.wrapping_add(FIELD).wrapping_add(FIELD);
    }
}

/// A branch of a static key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Branch {
    /// Where it is.
    pub at: u64,
    /// Where it leads.
    pub to: u64,
}

/// Calls `each` for each branch in `table`, which is at `base`. Who is called for part of a table gives whole entries.
pub fn each_branch(table: &[u8], base: u64, mut each: impl FnMut(Branch)) {
    let mut at = base;
    for entry in table.chunks_exact(BRANCH_LEN) {
        let (code, rest) = entry.split_first_chunk().unwrap_or((&[0; 4], &[]));
        let (target, _) = rest.split_first_chunk().unwrap_or((&[0; 4], &[]));
        let there =
            |at: u64, field: [u8; 4]| at.wrapping_add_signed(i32::from_le_bytes(field).into());
        each(Branch {
            at: there(at, *code),
            to: there(at.wrapping_add(FIELD), *target),
        });
        at = at.wrapping_add(BRANCH);
    }
}

/// Where those of `branches`, which are sorted, lead that are in the code from `start` on that is `len` long, and leave it. One to its
/// beginning enters it again.
pub fn leaving(branches: &[Branch], start: u64, len: u64) -> impl Iterator<Item = u64> + '_ {
    let first = branches.partition_point(|branch| branch.at < start);
    let from_here = branches.get(first..).unwrap_or_default().iter();
    from_here
        .take_while(move |branch| branch.at.wrapping_sub(start) < len)
        .map(|branch| branch.to)
        .filter(move |to| *to == start || to.wrapping_sub(start) >= len)
}

/// Whether one of `sites`, which are sorted, is in the code from `start` on that is `len` long.
pub fn any_in(sites: &[u64], start: u64, len: u64) -> bool {
    let first = sites.partition_point(|site| *site < start);
    (sites.get(first)).is_some_and(|site| site.wrapping_sub(start) < len)
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const BASE: u64 = 0xffff_ffff_82a3_9b30;
    const TEXT: u64 = 0xffff_ffff_8100_0000;
    const KEY: u64 = 0xffff_ffff_82c0_1000;

    /// A table as the kernel has it, of sites with their keys and flags.
    fn table(sites: &[(u64, u64)]) -> Vec<u8> {
        let mut table = Vec::new();
        let mut at = BASE;
        for &(site, key) in sites {
            for to in [site, key] {
                let distance = i64::try_from(i128::from(to) - i128::from(at)).expect("it is near");
                let distance = i32::try_from(distance).expect("it is near");
                table.extend_from_slice(&distance.to_le_bytes());
                at += FIELD;
            }
        }
        table
    }

    fn tails(table: &[u8], base: u64) -> Vec<u64> {
        let mut all = Vec::new();
        each_site(table, base, |site, tail| {
            if tail {
                all.push(site);
            }
        });
        all
    }

    #[test]
    fn kinds_of_sites() {
        // A call, a jump, and both in code of the initialization.
        let sites = [(1, 0), (2, 1), (3, 2), (4, 3)];
        let sites = sites.map(|(n, flags)| (TEXT + n * 0x101, KEY + flags));
        let table = table(&sites);
        assert_eq!(tails(&table, BASE), [TEXT + 0x202, TEXT + 0x404]);
        // A table can be read in pieces, of whole entries.
        assert_eq!(tails(&table[8..16], BASE + 8), [TEXT + 0x202]);
        assert_eq!(tails(&table[..15], BASE), []);
        assert_eq!(tails(&[], BASE), []);
    }

    #[test]
    fn what_is_in_a_function() {
        let sites = [TEXT + 0x10, TEXT + 0x40, TEXT + 0x80];
        let any = |start: u64, len: u64| any_in(&sites, TEXT + start, len);
        assert!(any(0x10, 1) && any(0x00, 0x11) && any(0x11, 0x30) && any(0x80, u64::MAX));
        assert!(!any(0x00, 0x10) && !any(0x11, 0x2f) && !any(0x10, 0) && !any(0x81, u64::MAX));
        assert!(!any_in(&[], TEXT, u64::MAX));
    }

    #[test]
    fn branches_that_leave_their_function() {
        let branches = [(0x10, 0x20), (0x18, 0x900), (0x40, 0x10), (0x48, 0x80)];
        let mut table = Vec::new();
        let mut at = BASE;
        for (code, to) in branches {
            for (field, offset) in [(at, code), (at + 4, to)] {
                let distance = i128::from(TEXT + offset) - i128::from(field);
                let distance = i32::try_from(distance).expect("it is near");
                table.extend_from_slice(&distance.to_le_bytes());
            }
            // Its key, which is of no matter.
            table.extend_from_slice(&[0x5a; 8]);
            at += 16;
        }
        let mut all = Vec::new();
        each_branch(&table, BASE, |branch| all.push(branch));
        let expected = branches.map(|(at, to)| (TEXT + at, TEXT + to));
        assert_eq!(all, expected.map(|(at, to)| Branch { at, to }));
        let from = |start: u64, len: u64| -> Vec<u64> {
            leaving(&all, TEXT + start, len)
                .map(|to| to - TEXT)
                .collect()
        };
        assert_eq!(from(0x00, 0x10), []);
        assert_eq!(from(0x10, 0x30), [0x900]);
        // The end of the function does not belong to it.
        assert_eq!(from(0x40, 0x40), [0x10, 0x80]);
        assert_eq!(from(0x40, 0x41), [0x10]);
        assert_eq!(from(0x20, u64::MAX), []);
        // Its beginning.
        assert_eq!(from(0x10, 0x38), [0x900, 0x10]);
    }

    proptest! {
        #[test]
        fn any_table(sites in prop::collection::vec((0..0x1000_0000_u64, 0..0x10_0000_u64, 0..4_u64), 0..30)) {
            let sites: Vec<_> = sites.iter().map(|&(site, key, flags)| (TEXT + site, KEY + key * 8 + flags)).collect();
            let expected: Vec<_> = sites.iter().filter(|(_, key)| key & 1 != 0).map(|(site, _)| *site).collect();
            prop_assert_eq!(tails(&table(&sites), BASE), expected);
        }

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..80), base: u64) {
            prop_assert!(tails(&bytes, base).len() <= bytes.len() / SITE_LEN);
            let mut branches = 0;
            each_branch(&bytes, base, |_| branches += 1);
            prop_assert_eq!(branches, bytes.len() / BRANCH_LEN);
        }

        #[test]
        fn any_range(mut sites in prop::collection::vec(any::<u64>(), 0..20), start: u64, len: u64) {
            sites.sort_unstable();
            let expected = sites.iter().any(|site| site.checked_sub(start).is_some_and(|offset| offset < len));
            prop_assert_eq!(any_in(&sites, start, len), expected);
        }
    }
}
