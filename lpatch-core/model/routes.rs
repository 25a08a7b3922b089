// SPDX-License-Identifier: GPL-2.0

//! Where calls of patched functions go, before and after a transition.
//!
//! Enabled patches lie in a stack; of those that change a function, the highest is in force. A transition goes
//! from one stack to another: enabling adds a patch on top, disabling takes one out, replacing does both. So
//! all of them come down to two answers for each function.

use super::callee::PAD;
use super::transition::stack::{Proof, Span};
use super::transition::Side;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// The fentry site.
    pub ip: u64,
    /// For tasks that live in *from*; 0: nowhere else, the original function.
    pub from: u64,
    /// For tasks that live in *to*; 0: the original function.
    pub to: u64,
    /// What the entry of the function proves of a task that lives in *from*, and of one that lives in *to*; see [`prove`].
    pub proofs: [Proof; 2],
}

impl Route {
    /// Whether the transition changes it.
    #[inline]
    pub fn changes(&self) -> bool {
        self.from != self.to
    }

    /// Where calls of a side go.
    #[inline]
    pub fn of(&self, side: Side) -> u64 {
        match side {
            Side::From => self.from,
            Side::To => self.to,
        }
    }

    /// What its entry proves of a task that lives on a side.
    #[inline]
    pub fn proof(&self, side: Side) -> Proof {
        let [from, to] = self.proofs;
        match side {
            Side::From => from,
            Side::To => to,
        }
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
            return Some(Route {
                ip,
                from,
                to,
                ..Route::default()
            });
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

/// Where a version of a function goes on by jumps, in place of returning: all functions that come to run so.
#[derive(Clone, Copy, Debug)]
pub struct Exits<'a> {
    /// They, not sorted; functions that those jump to among them.
    pub funcs: &'a [Span],
    /// Which of them jumps to which other one, by index.
    pub jumps: &'a [(u32, u32)],
    /// They are all, as far as code can say.
    pub known: bool,
}

/// Marks the routes that matter for who leaves a side: those that change, and those that the versions of such ones come to by jumps. The
/// latter run on behalf of the former.
pub fn matter<'a>(routes: &[Route], marks: &mut [bool], exits: impl Fn(usize) -> Exits<'a>) {
    for (mark, route) in marks.iter_mut().zip(routes) {
        *mark = route.changes();
    }
    let mut more = true;
    while core::mem::take(&mut more) {
        for i in 0..routes.len() {
            if marks.get(i) != Some(&true) {
                continue;
            }
            for func in exits(i).funcs {
                for at in sites(routes, func) {
                    if let Some(mark) = marks.get_mut(at) {
                        more |= !*mark;
                        *mark = true;
                    }
                }
            }
        }
    }
}

/// Finds out for a side what the entry of each function proves, from where the version of each route goes on by jumps (`exits`, by
/// index). Those count that `matter`. `reached` is memory, as long as `routes`.
///
/// - *Always*: no function of the side comes there by a jump, so it does not matter who called.
/// - *By a call*: one may, but not after a call of this very function: what that goes on to is no function with a route.
/// - *Never*: else; and for all, if it is not known where one of the functions goes on.
///
/// That is about the function itself. Who called it may be one that the side has jumped to: see [`leads_back`].
pub fn prove<'a>(
    routes: &mut [Route],
    side: Side,
    matter: &[bool],
    reached: &mut [bool],
    exits: impl Fn(usize) -> Exits<'a>,
) {
    reached.fill(false);
    let mut all_known = true;
    for i in 0..routes.len() {
        if matter.get(i) != Some(&true) {
            continue;
        }
        let Exits { funcs, known, .. } = exits(i);
        all_known &= known;
        let mut leads_back = false;
        for func in funcs {
            for at in sites(routes, func) {
                leads_back = true;
                if let Some(reached) = reached.get_mut(at) {
                    *reached = true;
                }
            }
        }
        if let Some(route) = routes.get_mut(i) {
            *route.proof_mut(side) = match known && !leads_back {
                true => Proof::ByCall,
                false => Proof::Never,
            };
        }
    }
    for (route, reached) in routes.iter_mut().zip(reached.iter()) {
        if !all_known {
            *route.proof_mut(side) = Proof::Never;
        } else if !reached {
            *route.proof_mut(side) = Proof::Always;
        }
    }
}

/// Marks those of the functions that one version comes to by jumps which come to a function with a route themselves. `marks` is as long as
/// these functions. Who was called there may have come there again, by a jump of a function of the side.
pub fn leads_back(routes: &[Route], exits: Exits<'_>, marks: &mut [bool]) {
    for (mark, func) in marks.iter_mut().zip(exits.funcs) {
        *mark = sites(routes, func).next().is_some();
    }
    let mut more = true;
    while core::mem::take(&mut more) {
        for &(from, to) in exits.jumps {
            let at = |i: u32| usize::try_from(i).unwrap_or(usize::MAX);
            let leads = marks.get(at(to)) == Some(&true);
            if let Some(mark) = marks.get_mut(at(from)).filter(|mark| leads && !**mark) {
                *mark = true;
                more = true;
            }
        }
    }
}

/// The routes of the function that begins where this code does.
pub fn sites(routes: &[Route], func: &Span) -> impl Iterator<Item = usize> {
    let site = |pad: u64| position(routes, func.start.wrapping_add(pad));
    [site(0), site(PAD)].into_iter().flatten()
}

impl Route {
    fn proof_mut(&mut self, side: Side) -> &mut Proof {
        let [from, to] = &mut self.proofs;
        match side {
            Side::From => from,
            Side::To => to,
        }
    }
}

fn position(routes: &[Route], ip: u64) -> Option<usize> {
    routes.binary_search_by(|route| route.ip.cmp(&ip)).ok()
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

        /// Whoever jumps, from wherever: what is always proved is reached by nobody, and what a call proves does not come back.
        #[test]
        fn proofs_hold_on_every_way(
            jumps in prop::collection::vec((0..8_usize, 0..12_u64), 0..14),
            unknown in prop::collection::vec(any::<bool>(), 8),
            pads in prop::collection::vec(any::<bool>(), 12),
        ) {
            // Functions 0 to 7 have routes, 8 to 11 do not, and end by no jump.
            let begin = |i: u64| 0x1000 + i * 0x100;
            let span = |start: u64| Span { start, end: start + 0x80 };
            let funcs: Vec<Vec<Span>> = (0..8)
                .map(|i| jumps.iter().filter(|jump| jump.0 == i).map(|jump| span(begin(jump.1))).collect())
                .collect();
            let known = |i: usize| !unknown[i] || jumps.len() % 3 != 0;
            let mut routes: Vec<Route> = (0..8)
                .map(|i| Route {
                    ip: begin(i) + if pads[usize::try_from(i).expect("it is small")] { 4 } else { 0 },
                    from: 1,
                    ..Route::default()
                })
                .collect();
            let exits = |i: usize| Exits { funcs: &funcs[i], jumps: &[], known: known(i) };
            let mut marks = [false; 8];
            matter(&routes, &mut marks, exits);
            prop_assert_eq!(marks, [true; 8]);
            prove(&mut routes, Side::From, &marks, &mut [true; 8], exits);
            let all_known = (0..8).all(known);
            for (i, route) in routes.iter().enumerate() {
                let start = begin(u64::try_from(i).expect("it is small"));
                let reached = funcs.iter().any(|funcs| funcs.contains(&span(start)));
                let leads_back = funcs[i].iter().any(|func| func.start < begin(8));
                let expected = match () {
                    () if !all_known => Proof::Never,
                    () if !reached => Proof::Always,
                    () if !leads_back => Proof::ByCall,
                    () => Proof::Never,
                };
                prop_assert_eq!(route.proof(Side::From), expected);
                prop_assert_eq!(route.proof(Side::To), Proof::Never);
            }
            for i in 0..12 {
                prop_assert_eq!(sites(&routes, &span(begin(i))).next().is_none(), i >= 8);
            }
        }

        /// What matters is what changes and what that comes to; what leads back is what comes to a function with a route.
        #[test]
        fn only_what_can_be_come_to_counts(
            jumps in prop::collection::vec((0..6_u32, 0..6_u32), 0..12),
            changes in prop::collection::vec(any::<bool>(), 3),
        ) {
            // Functions 0 to 2 have routes, 3 to 5 do not.
            let begin = |i: u32| 0x1000 + u64::from(i) * 0x100;
            let span = |i: u32| Span { start: begin(i), end: begin(i) + 0x80 };
            let mut comes_to = [[false; 6]; 6];
            for &(from, to) in &jumps {
                comes_to[usize::try_from(from).expect("small")][usize::try_from(to).expect("small")] = true;
            }
            for over in 0..6 {
                for from in 0..6 {
                    for to in 0..6 {
                        comes_to[from][to] |= comes_to[from][over] && comes_to[over][to];
                    }
                }
            }
            let routes: Vec<Route> = (0..3)
                .map(|i| Route { ip: begin(i), from: 1, to: if changes[usize::try_from(i).expect("small")] { 2 } else { 1 }, ..Route::default() })
                .collect();
            let funcs: Vec<Vec<Span>> = (0..3).map(|i| (0..6).filter(|&to| comes_to[i][usize::try_from(to).expect("small")]).map(span).collect()).collect();
            let exits = |i: usize| Exits { funcs: &funcs[i], jumps: &[], known: true };
            let mut marks = [false; 3];
            matter(&routes, &mut marks, exits);
            for (i, mark) in marks.iter().enumerate() {
                let come_to = (0..3).any(|from| changes[from] && comes_to[from][i]);
                prop_assert_eq!(*mark, changes[i] || come_to);
            }
            let all: Vec<Span> = (0..6).map(span).collect();
            let mut marks = [false; 6];
            leads_back(&routes, Exits { funcs: &all, jumps: &jumps, known: true }, &mut marks);
            for (i, mark) in marks.iter().enumerate() {
                prop_assert_eq!(*mark, i < 3 || (0..3).any(|to| comes_to[i][to]));
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
