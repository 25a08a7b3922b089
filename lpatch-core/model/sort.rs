// SPDX-License-Identifier: GPL-2.0

//! Sorting. Not that of `core`: where overflow checks are on, its code can call a panic.

use core::cell::Cell;

/// Sorts by key, in place, with time for n log n comparisons and no more memory (heapsort). Equal ones may change
/// places.
pub fn sort_by_key<T: Copy, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    let cells = Cell::from_mut(items).as_slice_of_cells();
    for root in (0..cells.len() / 2).rev() {
        sink(cells, root, cells.len(), &key);
    }
    for end in (1..cells.len()).rev() {
        if let (Some(first), Some(last)) = (cells.first(), cells.get(end)) {
            let largest = first.get();
            first.set(last.get());
            last.set(largest);
        }
        sink(cells, 0, end, &key);
    }
}

/// Makes the heap below `root` one again, in which only the root may be too small.
fn sink<T: Copy, K: Ord>(cells: &[Cell<T>], root: usize, end: usize, key: &impl Fn(&T) -> K) {
    let mut at = root;
    loop {
        let left = at.saturating_mul(2).saturating_add(1);
        let right = left.saturating_add(1);
        let (Some(parent), Some(mut child)) =
            (cells.get(at), cells.get(left).filter(|_| left < end))
        else {
            return;
        };
        let mut next = left;
        if let Some(other) = cells.get(right).filter(|_| right < end) {
            if key(&child.get()) < key(&other.get()) {
                child = other;
                next = right;
            }
        }
        let (above, below) = (parent.get(), child.get());
        if key(&above) >= key(&below) {
            return;
        }
        parent.set(below);
        child.set(above);
        at = next;
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn sorts(mut items in prop::collection::vec((0..50_u8, any::<u8>()), 0..200)) {
            let mut expected = items.clone();
            sort_by_key(&mut items, |item| item.0);
            prop_assert!(items.windows(2).all(|pair| pair[0].0 <= pair[1].0));
            let all = |items: &mut Vec<_>| items.sort_unstable();
            all(&mut items);
            all(&mut expected);
            prop_assert_eq!(items, expected);
        }
    }
}
