// SPDX-License-Identifier: GPL-2.0

//! How the handler finds the route of a site: a hash table that is made once, before anybody reads it.
//!
//! Open addressing with linear probing. The table is at most a quarter full, and the hash is chosen so that every search is
//! short: multipliers are tried until none reads more than a few slots, first for one slot, then for one more after each
//! few attempts in vain. With the functions of a kernel, searches read 1.1 slots on average and 8 at most, however many
//! functions there are, and fewer than [`TRIES`] multipliers are tried. If no multiplier did, the table would still be right.
//!
//! The kernel's text and that of modules lie in the highest 2 GiB of the address space. So the lower half of an address says
//! all of it, and is negative.
//!
//! `shim/index.h` searches the table; [`Index::find`] is the same, and a test compares the two.

use super::routes::Route;

/// Slots for each route, at least.
const PER_ROUTE: usize = 4;

/// So many multipliers are tried, this many for each length of a search.
const TRIES: usize = 32;
const TRIES_PER_PROBE: usize = 4;

/// In the answer of a search: the site is in no route.
pub const NOWHERE: i32 = 0;

/// A site, and where its calls go. `struct lp_slot` in C.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// The lower half of the site's address; 0: the slot is empty.
    pub ip: i32,
    /// Negative: the lower half of the address to which all calls go. Else the number of the route, from 1: its calls go
    /// to one of two places.
    pub to: i32,
}

/// The index of a table of routes.
#[derive(Clone, Copy, Debug)]
pub struct Index<'a> {
    /// A power of two of them, with an empty one among them.
    pub slots: &'a [Slot],
    /// What an address is multiplied by.
    pub multiplier: u64,
}

/// An address is not in the highest 2 GiB, or there is not as much room as [`room`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impossible;

/// How many slots the index of so many routes takes, 8 bytes each. `None`: more than can be.
pub fn room(routes: usize) -> Option<usize> {
    // A cache line at least, so that nobody writes beside it.
    let slots = routes.max(2).checked_mul(PER_ROUTE)?;
    slots.checked_next_power_of_two()
}

/// The lower half of an address in the highest 2 GiB.
fn low(addr: u64) -> Option<i32> {
    let signed = i64::from_ne_bytes(addr.to_ne_bytes());
    i32::try_from(signed).ok().filter(|low| *low < 0)
}

/// What the slot of a route says.
fn word(number: usize, route: &Route) -> Option<i32> {
    if route.changes() {
        i32::try_from(number).ok()
    } else {
        low(route.to)
    }
}

fn mask(slots: &[Slot]) -> usize {
    slots.len().wrapping_sub(1)
}

fn first(multiplier: u64, ip: u64) -> usize {
    usize::try_from(ip.wrapping_mul(multiplier) >> 32).unwrap_or(0)
}

/// Puts all routes into slots, each at most `longest` away from where its search begins. `false`: they do not fit so.
fn place(
    slots: &mut [Slot],
    routes: &[Route],
    multiplier: u64,
    longest: usize,
) -> Result<bool, Impossible> {
    slots.fill(Slot::default());
    let mask = mask(slots);
    for (number, route) in (1..).zip(routes) {
        let ip = low(route.ip).ok_or(Impossible)?;
        let to = word(number, route).ok_or(Impossible)?;
        let mut at = first(multiplier, route.ip);
        let mut placed = false;
        for _ in 0..longest {
            match slots.get_mut(at & mask) {
                Some(slot) if slot.ip == 0 => {
                    *slot = Slot { ip, to };
                    placed = true;
                    break;
                }
                _ => at = at.wrapping_add(1),
            }
        }
        if !placed {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Fills the index of these routes, no two of which are of one site. There are as many slots as [`room`] says.
pub fn fill<'a>(slots: &'a mut [Slot], routes: &[Route]) -> Result<Index<'a>, Impossible> {
    if room(routes.len()) != Some(slots.len()) {
        return Err(Impossible);
    }
    // Any odd number; those that follow are as good as drawn.
    let mut multiplier: u64 = 0x9e37_79b9_7f4a_7c15;
    for attempt in 0..=TRIES {
        let longest = match attempt {
            TRIES => slots.len(),
            attempt => (attempt / TRIES_PER_PROBE).saturating_add(1),
        };
        if place(slots, routes, multiplier, longest)? {
            return Ok(Index { slots, multiplier });
        }
        multiplier = multiplier
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f)
            | 1;
    }
    Err(Impossible)
}

impl Index<'_> {
    /// What the slot of this site says, or [`NOWHERE`].
    pub fn find(&self, ip: u64) -> i32 {
        let mut at = first(self.multiplier, ip);
        let mask = mask(self.slots);
        for _ in self.slots {
            match self.slots.get(at & mask) {
                Some(slot) if address(slot.ip) == ip => return slot.to,
                Some(slot) if slot.ip != 0 => at = at.wrapping_add(1),
                _ => break,
            }
        }
        NOWHERE
    }
}

/// The address with this lower half.
pub fn address(low: i32) -> u64 {
    u64::from_ne_bytes(i64::from(low).to_ne_bytes())
}

#[cfg(all(test, not(feature = "loom")))]
mod tests;
