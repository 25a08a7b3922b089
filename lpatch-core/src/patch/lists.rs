// SPDX-License-Identifier: GPL-2.0

//! Lists that can fail for want of memory.

use crate::model::{refusal::Refusal, sort};
use kernel::prelude::*;

/// A copy of bytes.
pub(super) fn copy(bytes: &[u8]) -> Result<KVVec<u8>, Refusal> {
    let mut copy = KVVec::with_capacity(bytes.len(), GFP_KERNEL)?;
    copy.extend_from_slice(bytes, GFP_KERNEL)?;
    Ok(copy)
}

/// Items whose number is known.
pub(super) fn collect<T>(items: impl Iterator<Item = T>, len: usize) -> Result<KVVec<T>, Refusal> {
    let mut all = KVVec::with_capacity(len, GFP_KERNEL)?;
    for item in items {
        all.push(item, GFP_KERNEL)?;
    }
    Ok(all)
}

/// If two of these places are the same, the index of the second one.
pub(crate) fn twice<K: Copy + Ord>(
    places: impl Iterator<Item = (K, usize)>,
    len: usize,
) -> Result<Option<usize>, Refusal> {
    let mut all = collect(places, len)?;
    sort::sort_by_key(&mut all, |place| *place);
    let mut pairs = all.windows(2);
    Ok(pairs
        .find(|pair| pair[0].0 == pair[1].0)
        .map(|pair| pair[1].1))
}
