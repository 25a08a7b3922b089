// SPDX-License-Identifier: GPL-2.0

//! Where calls of patched functions go, before and after a transition.
//!
//! Enabled patches lie in a stack; of those that change a function, the highest is in force. A transition goes
//! from one stack to another: enabling adds a patch on top, disabling takes one out, replacing does both. So
//! all of them come down to two answers for each function.

use super::transition::stack::Span;

/// One patch's change of one function, as the stacks before and after a transition see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The fentry site of the function.
    pub ip: u64,
    /// The replacement.
    pub new: u64,
    /// The patch's place in the stack before, from 1; 0 if it is not in there.
    pub before: u32,
    /// Its place in the stack after; 0 if it is not in there.
    pub after: u32,
}

/// Where a call that came in at a site goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The fentry site.
    pub ip: u64,
    /// For tasks that live in *from*; 0: nowhere else, the original function.
    pub from: u64,
    /// For tasks that live in *to*; 0: the original function.
    pub to: u64,
}

impl Route {
    /// Whether the transition changes it.
    #[inline]
    pub fn changes(&self) -> bool {
        self.from != self.to
    }
}

/// The routes of all functions that are in one of the stacks, sorted by site. `links` are sorted by site.
pub fn routes(links: &[Link]) -> impl Iterator<Item = Route> + '_ {
    let mut rest = links;
    core::iter::from_fn(move || loop {
        let (first, tail) = rest.split_first()?;
        let (mut before, mut after) = (first, first);
        rest = tail;
        while let Some((link, tail)) = rest.split_first().filter(|(link, _)| link.ip == first.ip) {
            if link.before > before.before {
                before = link;
            }
            if link.after > after.after {
                after = link;
            }
            rest = tail;
        }
        let from = if before.before > 0 { before.new } else { 0 };
        let to = if after.after > 0 { after.new } else { 0 };
        if from != 0 || to != 0 {
            let ip = first.ip;
            return Some(Route { ip, from, to });
        }
    })
}

/// The route of a site in a table that is sorted by site, without two of one site.
///
/// For the ftrace handler, so in NMI context too: it takes no lock, cannot fail in any other way than not to
/// find, and reads one entry for each halving. Not `binary_search_by_key()`: where overflow checks are on, its
/// code can call a panic.
#[inline]
pub fn find(routes: &[Route], ip: u64) -> Option<&Route> {
    let mut rest = routes;
    loop {
        let (below, from) = rest.split_at_checked(rest.len() / 2)?;
        let (route, above) = from.split_first()?;
        match ip.cmp(&route.ip) {
            core::cmp::Ordering::Less => rest = below,
            core::cmp::Ordering::Equal => return Some(route),
            core::cmp::Ordering::Greater => rest = above,
        }
    }
}

/// Makes sorted spans disjoint, by joining those that touch or overlap, and returns how many are left. Empty ones
/// go.
pub fn join(spans: &mut [Span]) -> usize {
    let mut kept: usize = 0;
    for i in 0..spans.len() {
        let Some(&span) = spans.get(i) else { break };
        if span.start >= span.end {
            continue;
        }
        let last = kept.checked_sub(1).and_then(|last| spans.get_mut(last));
        match last {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => {
                if let Some(slot) = spans.get_mut(kept) {
                    *slot = span;
                }
                kept = kept.saturating_add(1);
            }
        }
    }
    kept
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn link() -> impl Strategy<Value = (u64, u64, bool, bool)> {
        (0..12_u64, 1..1000_u64, any::<bool>(), any::<bool>())
    }

    proptest! {
        /// Each site's answers are those of the highest patch of each stack.
        #[test]
        fn the_highest_patch_is_in_force(links in prop::collection::vec(link(), 0..40)) {
            let mut links: Vec<Link> = (1..).zip(&links)
                .map(|(rank, &(ip, new, before, after))| Link {
                    ip,
                    new,
                    before: if before { rank } else { 0 },
                    after: if after { rank } else { 0 },
                })
                .collect();
            let unsorted = links.clone();
            links.sort_by_key(|link| link.ip);
            let all: Vec<Route> = routes(&links).collect();
            prop_assert!(all.windows(2).all(|pair| pair[0].ip < pair[1].ip));
            for ip in 0..13 {
                let top = |rank: fn(&Link) -> u32| {
                    let here = unsorted.iter().filter(|link| link.ip == ip && rank(link) > 0);
                    here.max_by_key(|link| rank(link)).map_or(0, |link| link.new)
                };
                let (from, to) = (top(|link| link.before), top(|link| link.after));
                match find(&all, ip) {
                    Some(route) => prop_assert_eq!((route.from, route.to), (from, to)),
                    None => prop_assert_eq!((from, to), (0, 0)),
                }
            }
        }

        /// The same addresses are covered, and a stack check can search the result.
        #[test]
        fn joined_spans_cover_the_same(
            spans in prop::collection::vec((0..60_u64, 0..9_u64), 0..30),
        ) {
            let mut spans: Vec<Span> = (spans.iter())
                .map(|&(start, len)| Span { start, end: start + len })
                .collect();
            spans.sort_by_key(|span| span.start);
            let before = spans.clone();
            let kept = join(&mut spans);
            spans.truncate(kept);
            prop_assert!(spans.windows(2).all(|pair| pair[0].end < pair[1].start));
            let covers = |spans: &[Span], addr| spans.iter().any(|s| (s.start..s.end).contains(&addr));
            for addr in 0..80 {
                prop_assert_eq!(covers(&before, addr), covers(&spans, addr));
            }
        }
    }
}
