// SPDX-License-Identifier: GPL-2.0

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

/// The kernel's text, and the sites in it.
const TEXT: u64 = 0xffff_ffff_8100_0000;

fn site(i: u64) -> u64 {
    TEXT + 0x10 * i + 4
}

/// A route of the site, whose calls all go to one place, or one of two.
fn route(ip: u64, changes: bool) -> Route {
    let to = 0xffff_ffff_c000_0000 + (ip & 0xff_ffff);
    let from = if changes { 0 } else { to };
    Route {
        ip,
        from,
        to,
        ..Route::default()
    }
}

fn slots(routes: usize) -> Vec<Slot> {
    vec![Slot { ip: 1, to: 1 }; room(routes).expect("it is small")]
}

/// How many slots a search for this site reads.
fn probes(index: &Index<'_>, ip: u64) -> usize {
    let first = first(index.multiplier, ip);
    let ends = |i: &usize| {
        let slot = index.slots[(first + i) & mask(index.slots)];
        slot.ip == 0 || address(slot.ip) == ip
    };
    let end = (0..index.slots.len()).find(ends);
    end.map_or(usize::MAX, |i| i + 1)
}

/// Functions as a linker lays them out, every `step`-th of them: their lengths differ, and small ones are many.
fn functions(count: usize, step: usize) -> Vec<Route> {
    let mut state = 1_u64;
    let mut ip = site(0);
    let mut next = || {
        state = state.wrapping_mul(0x5deece66d).wrapping_add(11);
        let long = state >> 33;
        ip += 0x10 * (1 + long % 16 + if long % 5 == 0 { long % 97 } else { 0 });
        ip
    };
    let all: Vec<u64> = (0..count * step).map(|_| next()).collect();
    all.iter()
        .step_by(step)
        .map(|ip| route(*ip, false))
        .collect()
}

proptest! {
    #[test]
    fn agrees_with_the_naive_model(sites in prop::collection::btree_map(0..400_u64, any::<bool>(), 0..200)) {
        let routes: Vec<Route> = sites.iter().map(|(i, changes)| route(site(*i), *changes)).collect();
        let mut slots = slots(routes.len());
        let index = fill(&mut slots, &routes).expect("they are kernel addresses");
        let numbers: BTreeMap<u64, usize> = routes.iter().map(|route| route.ip).zip(1..).collect();
        for i in 0..420 {
            let found = index.find(site(i));
            match numbers.get(&site(i)) {
                None => prop_assert_eq!(found, NOWHERE),
                Some(number) if routes[number - 1].changes() => {
                    prop_assert_eq!(usize::try_from(found), Ok(*number));
                }
                Some(number) => {
                    prop_assert!(found < 0);
                    prop_assert_eq!(address(found), routes[number - 1].to);
                }
            }
        }
        // The lower half alone is not the site.
        prop_assert_eq!(index.find(site(0) & 0xffff_ffff), NOWHERE);
    }

    #[test]
    fn any_multiplier_is_right(count in 0..100_u64, multiplier: u64) {
        let routes: Vec<Route> = (0..count).map(|i| route(site(i), false)).collect();
        // 0 sends all to the same slot, which is the worst that there is.
        for multiplier in [multiplier, 0] {
            let mut slots = slots(routes.len());
            let longest = slots.len();
            prop_assert_eq!(place(&mut slots, &routes, multiplier, longest), Ok(true));
            let index = Index { slots: &slots, multiplier };
            for route in &routes {
                prop_assert_eq!(address(index.find(route.ip)), route.to);
            }
            prop_assert_eq!(index.find(site(count)), NOWHERE);
        }
    }
}

/// What the handler does must not grow with the number of functions.
#[test]
fn searches_are_short() {
    for count in [1, 2, 3, 10, 100, 1000, 2048, 4096, 20_000] {
        for step in [1, 3, 50] {
            let routes = functions(count, step);
            let mut slots = slots(count);
            let index = fill(&mut slots, &routes).expect("they are kernel addresses");
            let all: Vec<usize> = (routes.iter())
                .map(|route| probes(&index, route.ip))
                .collect();
            let longest = all.iter().max().expect("there is one");
            assert!(
                *longest <= TRIES / TRIES_PER_PROBE,
                "{count} by {step}: {longest}"
            );
            assert!(index.slots.contains(&Slot::default()), "{count} by {step}");
            let sum: usize = all.iter().sum();
            assert!(sum * 4 <= count * 5, "{count} by {step}: {sum}");
            // Of sites that are in no route, too.
            let other = |route: &Route| probes(&index, route.ip + 0x10);
            let longest = routes.iter().map(other).max().expect("there is one");
            assert!(longest <= 32, "{count} by {step}, not there: {longest}");
        }
    }
}

#[test]
fn what_cannot_be() {
    assert_eq!(room(usize::MAX), None);
    assert_eq!((room(0), room(2), room(3)), (Some(8), Some(8), Some(16)));
    let low = Route {
        ip: 0x1000,
        from: 0,
        to: TEXT,
        ..Route::default()
    };
    assert_eq!(fill(&mut slots(1), &[low]).err(), Some(Impossible));
    let to_low = Route {
        ip: TEXT,
        from: 0x1000,
        to: 0x1000,
        ..Route::default()
    };
    assert_eq!(fill(&mut slots(1), &[to_low]).err(), Some(Impossible));
    let good = route(TEXT, true);
    assert_eq!(fill(&mut slots(3), &[good]).err(), Some(Impossible));
    assert!(fill(&mut slots(1), &[good]).is_ok());
}

#[test]
fn of_nothing() {
    let mut slots = slots(0);
    let index = fill(&mut slots, &[]).expect("there is room");
    assert_eq!(index.find(site(0)), NOWHERE);
}
