// SPDX-License-Identifier: GPL-2.0

//! Whether a patch can deal with the changes of the system's state that other patches have made.
//!
//! The rule is upstream livepatch's (klp_is_patch_compatible() in kernel/livepatch/state.c): a version covers all
//! lower ones; a cumulative patch takes the others' place and so has to know each state, another patch may leave
//! states alone.

use crate::uapi::State;

/// Whether a patch with the states `new` can follow an enabled patch of its set with the states `old`; the error is
/// the id of the first state that it cannot deal with. Both are sorted by id, as images have them.
///
/// For several enabled patches, ask for each.
pub fn compatible(new: &[State], replace: bool, old: &[State]) -> Result<(), u64> {
    let mut rest = new;
    for state in old {
        // Both are sorted, so what is passed over here is not asked for again.
        while let Some((first, behind)) = rest.split_first() {
            if first.id >= state.id {
                break;
            }
            rest = behind;
        }
        let found = rest.first().filter(|first| first.id == state.id);
        let covered = found.map_or(!replace, |found| found.version >= state.version);
        if !covered {
            return Err(state.id);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    fn states(list: &[(u64, u32)]) -> Vec<State> {
        let state = |&(id, version)| State {
            id,
            version,
            reserved: 0,
        };
        list.iter().map(state).collect()
    }

    #[test]
    fn as_upstream_has_it() {
        let old = states(&[(1, 1), (5, 2)]);
        for (new, cumulative, other) in [
            (&[][..], Err(1), Ok(())),
            (&[(1, 1)], Err(5), Ok(())),
            (&[(5, 2)], Err(1), Ok(())),
            (&[(1, 1), (5, 2)], Ok(()), Ok(())),
            (&[(0, 0), (1, 7), (3, 0), (5, 3), (9, 0)], Ok(()), Ok(())),
            (&[(1, 0), (5, 2)], Err(1), Err(1)),
            (&[(1, 1), (5, 1)], Err(5), Err(5)),
            (&[(5, 1)], Err(1), Err(5)),
        ] {
            let new = states(new);
            assert_eq!(compatible(&new, true, &old), cumulative, "{new:?}");
            assert_eq!(compatible(&new, false, &old), other, "{new:?}");
            assert_eq!(compatible(&new, true, &[]), Ok(()));
        }
    }

    fn some() -> impl Strategy<Value = BTreeMap<u64, u32>> {
        prop::collection::btree_map(0..8_u64, 0..4_u32, 0..8)
    }

    proptest! {
        #[test]
        fn each_state_decides_for_itself(new in some(), old in some(), replace: bool) {
            let list = |map: &BTreeMap<u64, u32>| -> Vec<(u64, u32)> {
                map.iter().map(|(&id, &version)| (id, version)).collect()
            };
            let bad = old.iter().find(|(id, version)| match new.get(id) {
                Some(own) => own < version,
                None => replace,
            });
            prop_assert_eq!(
                compatible(&states(&list(&new)), replace, &states(&list(&old))),
                bad.map_or(Ok(()), |(&id, _)| Err(id))
            );
        }
    }
}
