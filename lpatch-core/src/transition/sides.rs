// SPDX-License-Identifier: GPL-2.0

//! From two stacks of patches to the tables of a transition: routes, and the spans of both sides.

use crate::{
    model::{
        refusal::Refusal,
        routes::{self, Exits, Link, Route},
        sort,
        transition::{
            stack::{merge, Landing, Span},
            Side,
        },
    },
    patch::{sites::Site, Patch},
    promote::doors::Doors,
    running::calls::FENTRY_CALL,
};
use kernel::prelude::*;

/// A link, and which patch's which function it is.
#[derive(Clone, Copy)]
struct Entry {
    link: Link,
    patch: usize,
    func: usize,
}

/// The links of all patches that are in one of two stacks.
pub(crate) struct Links<'a> {
    patches: &'a [Patch],
    before: &'a [u64],
    after: &'a [u64],
    entries: KVVec<Entry>,
}

/// The place of a patch in a stack of ids, from 1; 0 if it is not in there.
fn rank(stack: &[u64], id: u64) -> u32 {
    let at = stack.iter().position(|other| *other == id);
    at.map_or(0, |at| at as u32 + 1)
}

impl<'a> Links<'a> {
    /// `before` and `after`: the ids of the patches, the lowest first.
    pub(crate) fn new(
        patches: &'a [Patch],
        before: &'a [u64],
        after: &'a [u64],
    ) -> Result<Self, Refusal> {
        let mut entries = KVVec::new();
        for (at, patch) in patches.iter().enumerate() {
            let (before, after) = (rank(before, patch.id()), rank(after, patch.id()));
            if before == 0 && after == 0 {
                continue;
            }
            let there = |(_, site): &(usize, &Site)| site.is_there();
            for (func, site) in patch.sites().iter().enumerate().filter(there) {
                let link = Link {
                    ip: site.ip,
                    new: site.new,
                    before,
                    after,
                };
                let entry = Entry {
                    link,
                    patch: at,
                    func,
                };
                entries.push(entry, GFP_KERNEL)?;
            }
        }
        sort::sort_by_key(&mut entries, |entry: &Entry| entry.link.ip);
        Ok(Self {
            patches,
            before,
            after,
            entries,
        })
    }

    /// Where the calls of all functions go.
    pub(crate) fn routes(&self) -> Result<KVVec<Route>, Refusal> {
        let mut links = KVVec::with_capacity(self.entries.len(), GFP_KERNEL)?;
        for entry in self.entries.iter() {
            links.push(entry.link, GFP_KERNEL)?;
        }
        let mut all = KVVec::with_capacity(links.len(), GFP_KERNEL)?;
        for route in routes::routes(&links) {
            all.push(route, GFP_KERNEL)?;
        }
        Ok(all)
    }

    /// Finds out what the entries of the functions prove when these routes are in force. Returns what the functions of each side reach by
    /// jumps: *from*, *to*.
    pub(crate) fn prove(&self, routes: &mut [Route]) -> Result<[KVVec<Landing>; 2], Refusal> {
        let mut landings = [KVVec::new(), KVVec::new()];
        let mut of = KVVec::with_capacity(routes.len(), GFP_KERNEL)?;
        let mut reached = KVVec::from_elem(false, routes.len(), GFP_KERNEL)?;
        let mut matter = KVVec::from_elem(false, routes.len(), GFP_KERNEL)?;
        for (side, landings) in [Side::From, Side::To].into_iter().zip(&mut landings) {
            of.clear();
            for route in routes.iter() {
                of.push(self.exits(route.ip, route.of(side)), GFP_KERNEL)?;
            }
            routes::matter(routes, &mut matter, |i| of[i]);
            routes::prove(routes, side, &matter, &mut reached, |i| of[i]);
            for (i, exits) in of.iter().enumerate().filter(|(i, _)| matter[*i]) {
                self.land(routes, *exits, landings)?;
                self.land_in(routes, i, *exits, side, landings)?;
            }
            sort::sort_by_key(landings, |landing: &Landing| landing.span.start);
            let kept = merge(landings);
            landings.truncate(kept);
        }
        Ok(landings)
    }

    /// Adds the functions that a version reaches by jumps. If one of them changes too, what counts is mostly in the spans of the side.
    #[inline(never)]
    fn land(
        &self,
        routes: &[Route],
        exits: Exits<'_>,
        landings: &mut KVVec<Landing>,
    ) -> Result<(), Refusal> {
        let mut back = KVVec::from_elem(false, exits.funcs.len(), GFP_KERNEL)?;
        routes::leads_back(routes, exits, &mut back);
        for (func, back) in exits.funcs.iter().zip(back.iter()) {
            let landing = Landing {
                span: *func,
                start: func.start,
                by_call: !back,
                several: false,
            };
            landings.push(landing, GFP_KERNEL)?;
        }
        Ok(())
    }

    /// Adds the text of the version that a route leads to, if the transition does not change the route: a function of the side has jumped
    /// there.
    fn land_in(
        &self,
        routes: &[Route],
        i: usize,
        exits: Exits<'_>,
        side: Side,
        landings: &mut KVVec<Landing>,
    ) -> Result<(), Refusal> {
        let route = routes[i];
        let version = route.of(side);
        if route.changes() || version == 0 {
            return Ok(());
        }
        let is_it = |entry: &&Entry| entry.link.ip == route.ip && entry.link.new == version;
        if let Some(entry) = self.entries.iter().find(is_it) {
            let text = self.patches[entry.patch].text();
            let comes_to_a_route = |func: &Span| routes::sites(routes, func).next().is_some();
            let landing = Landing {
                span: Span {
                    start: text.start as u64,
                    end: text.end as u64,
                },
                start: route.ip,
                by_call: !exits.funcs.iter().any(comes_to_a_route),
                several: true,
            };
            landings.push(landing, GFP_KERNEL)?;
        }
        Ok(())
    }

    /// Where a version of the function with this site goes on by jumps.
    fn exits(&self, ip: u64, version: u64) -> Exits<'a> {
        let first = self.entries.partition_point(|entry| entry.link.ip < ip);
        let links = self.entries[first..].iter();
        let mut versions = links.take_while(|entry| entry.link.ip == ip);
        let of = versions.find(|entry| version == 0 || entry.link.new == version);
        match of.map(|entry| (entry.func, &self.patches[entry.patch])) {
            Some((func, patch)) if version == 0 => patch.exits(func),
            Some((_, patch)) => patch.text_exits(),
            None => Exits {
                funcs: &[],
                jumps: &[],
                known: false,
            },
        }
    }

    /// Where a task that leaves a side must not be, when these routes are in force:
    ///
    /// - an original function, with its cold parts, if the other side has another version
    /// - all text of a patch that has a function which the other side does not have, and of a patch that is on that side only, since what
    ///   such a function has jumped to is part of it
    /// - the beginning of a function, up to the address behind its fentry call. There a task is on its way to the handler, perhaps by a
    ///   jump from a function of the side, or between the handler's answer and the function.
    /// - the door of the site, where a task may be that has found the door open
    pub(crate) fn spans(
        &self,
        routes: &[Route],
        doors: &Doors,
        side: Side,
    ) -> Result<KVVec<Span>, Refusal> {
        let mut spans = KVVec::new();
        let mut push = |start: u64, end: u64| spans.push(Span { start, end }, GFP_KERNEL);
        // Once is enough where neighbors are of one patch.
        let mut last_text = 0..0;
        for route in routes.iter().filter(|route| route.changes()) {
            if let Some(door) = doors.span(route.ip) {
                push(door.start, door.end)?;
            }
            let version = route.of(side);
            let first = self
                .entries
                .partition_point(|entry| entry.link.ip < route.ip);
            let links = self.entries[first..].iter();
            for entry in links.take_while(|entry| entry.link.ip == route.ip) {
                let patch = &self.patches[entry.patch];
                let Some(func) = patch.funcs().get(entry.func) else {
                    continue;
                };
                push(func.old_addr, route.ip + FENTRY_CALL + 1)?;
                if version == 0 {
                    push(func.old_addr, func.old_addr + u64::from(func.old_len))?;
                    for cold in patch.colds(entry.func) {
                        push(cold.start, cold.end)?;
                    }
                    break;
                }
                if entry.link.new == version {
                    let text = patch.text();
                    if text != last_text {
                        push(text.start as u64, text.end as u64)?;
                        last_text = text;
                    }
                    break;
                }
            }
        }
        for patch in self.patches {
            let (before, after) = (
                rank(self.before, patch.id()) > 0,
                rank(self.after, patch.id()) > 0,
            );
            let only_here = match side {
                Side::From => before && !after,
                Side::To => after && !before,
            };
            if only_here {
                let text = patch.text();
                push(text.start as u64, text.end as u64)?;
            }
        }
        sort::sort_by_key(&mut spans, |span: &Span| span.start);
        let kept = routes::join(&mut spans);
        spans.truncate(kept);
        Ok(spans)
    }

    /// The sites of the routes for which `wanted` holds.
    pub(crate) fn ips(
        routes: &[Route],
        wanted: impl Fn(u64) -> bool,
    ) -> Result<KVVec<usize>, Refusal> {
        let mut ips = KVVec::new();
        for route in routes.iter().filter(|route| wanted(route.ip)) {
            ips.push(route.ip as usize, GFP_KERNEL)?;
        }
        Ok(ips)
    }
}
