// SPDX-License-Identifier: GPL-2.0

//! Where two texts differ.

use core::ops::Range;

/// The runs of bytes in which `found` differs from `loaded`, in order, none longer than `longest`. What one of them has
/// behind the end of the other is not looked at.
pub fn differences<'a>(
    loaded: &'a [u8],
    found: &'a [u8],
    longest: usize,
) -> impl Iterator<Item = Range<usize>> + 'a {
    let differ = |(a, b): &(&u8, &u8)| a != b;
    let mut at: usize = 0;
    core::iter::from_fn(move || {
        let mut rest = loaded.iter().zip(found).skip(at);
        let start = at.saturating_add(rest.position(|pair| differ(&pair))?);
        let run = loaded.iter().zip(found).skip(start).take(longest);
        at = start.saturating_add(run.take_while(differ).count());
        // Without room for one there is none.
        (at > start).then_some(start..at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn runs(loaded: &[u8], found: &[u8], longest: usize) -> Vec<Range<usize>> {
        differences(loaded, found, longest).collect()
    }

    #[test]
    fn runs_are_split() {
        assert_eq!(runs(&[], &[], 16), [0..0; 0]);
        assert_eq!(runs(&[1, 2, 3], &[1, 2, 3], 16), [0..0; 0]);
        assert_eq!(runs(&[1, 2, 3], &[0, 2, 0], 16), [0..1, 2..3]);
        assert_eq!(runs(&[1; 7], &[2; 7], 3), [0..3, 3..6, 6..7]);
        assert_eq!(runs(&[1; 7], &[2; 7], 0), [0..0; 0]);
        assert_eq!(runs(&[1; 7], &[2, 1, 2], 3), [0..1, 2..3]);
    }

    proptest! {
        #[test]
        fn every_byte_is_told_once(
            pairs in prop::collection::vec((0u8..3, 0u8..3), 0..64),
            longest in 1usize..20,
        ) {
            let (loaded, found): (Vec<u8>, Vec<u8>) = pairs.into_iter().unzip();
            let mut told = vec![0; loaded.len()];
            for run in runs(&loaded, &found, longest) {
                prop_assert!(run.len() <= longest);
                told[run].iter_mut().for_each(|count| *count += 1);
            }
            for ((a, b), count) in loaded.iter().zip(&found).zip(told) {
                prop_assert_eq!(count, u8::from(a != b));
            }
        }
    }
}
