// SPDX-License-Identifier: GPL-2.0

//! The arrangement of the kernel module: the ABI mirror and the model as modules of one `no_std`
//! crate.
//!
//! Code that is generic exists only where it is used, so this file uses it.
#![no_std]

#[path = "../../../uapi/mod.rs"]
pub mod uapi;

#[path = "../../mod.rs"]
pub mod model;

use model::callee;
use model::finalize::{self, Facts, Records};
use model::image::{Image, Table};
use model::index::{self, Slot};
use model::refusal::Refusal;
use model::request::Request;
use model::routes::{Link, Route};
use model::slots::Run;
use model::transition::atomic::AtomicUsize;
use model::transition::evidence::{Asleep, Current, Ended, Evidence, Unborn};
use model::transition::stack::{Blocked, Ranges, Span, StackCheck};
use model::transition::{Answer, Cause, Reference, Refused, Shift, Side, Task, Transition};
use model::verify::{Kernel, Reservation, Symbol};
use model::{arrive, extable, orc, routes, sort, states, verify};
use uapi::Wire;

/// A kernel that the compiler knows nothing about.
pub struct Opaque(pub fn(u64, &mut [u8]) -> bool);

impl Kernel for Opaque {
    fn symbol(&self, addr: u64, with: &mut dyn FnMut(Symbol<'_>)) -> bool {
        let mut name = [0; 32];
        let found = self.0(addr, &mut name);
        with(Symbol {
            name: &name,
            offset: addr,
            size: addr,
            module: found.then_some(&name),
        });
        found
    }

    fn read_text(&self, addr: u64, out: &mut [u8]) -> bool {
        self.0(addr, out)
    }

    fn release(&self) -> &[u8] {
        b"7.2"
    }

    fn orc_hash(&self) -> [u8; uapi::ORC_HASH_LEN] {
        [0; uapi::ORC_HASH_LEN]
    }

    fn return_thunk(&self) -> u64 {
        0
    }

    fn indirect_thunks(&self) -> u64 {
        self.0(1, &mut []).into()
    }

    fn bug_func(&self) -> u64 {
        self.0(2, &mut []).into()
    }

    fn has_ibt(&self) -> bool {
        self.0(0, &mut [])
    }

    fn is_ours(&self, addr: u64) -> bool {
        self.0(addr, &mut [])
    }

    fn exports(&self, name: &[u8], addr: u64) -> bool {
        self.0(addr, &mut [0; 1]) && !name.is_empty()
    }
}

pub fn verification(image: &Image<'_>, room: &Reservation, kernel: &Opaque) -> Result<(), Refusal> {
    verify::verify(image, room, kernel)
}

pub fn arrival(
    image: &Image<'_>,
    room: &Reservation,
    kernel: &Opaque,
    addr_of: fn(usize) -> Option<u64>,
    put: &mut dyn FnMut(u8, u32, &[u8]),
) -> Result<(), Refusal> {
    let (addr, len) = (addr_of(0).unwrap_or(0), addr_of(1).unwrap_or(0));
    let place = arrive::Found { addr, len };
    arrive::func(image, image.funcs.len(), place, kernel)?;
    arrive::func(image, 0, place, kernel)?;
    arrive::fields(image, room, addr_of, put)
}

pub fn finish_text(
    text: &mut [u8],
    base: u64,
    image: &Image<'_>,
    facts: &Facts,
    word: &dyn Fn(u64) -> Option<u64>,
) -> Result<(), Refusal> {
    finalize::finalize(text, base, &Records::from(image), facts, word)
}

pub fn state_check(new: &[uapi::State], replace: bool, old: &[uapi::State]) -> Result<(), u64> {
    states::compatible(new, replace, old)
}

pub fn orc_slots(run: Run, table: Table<'_, uapi::Orc>, store: &mut dyn FnMut(orc::Slot)) {
    orc::fill(run, table)
        .into_iter()
        .flatten()
        .for_each(&mut *store);
    orc::clear(run).for_each(store);
}

pub fn ex_slots(run: Run, table: Table<'_, uapi::Ex>, store: &mut dyn FnMut(extable::Slot)) {
    extable::fill(run, table)
        .into_iter()
        .flatten()
        .for_each(&mut *store);
    extable::clear(run).for_each(store);
}

macro_rules! requests {
    ($($name:ident $ty:ident)*) => {$(
        pub fn $name(request: &mut [u8], reply: uapi::Hdr) -> Option<Result<(), Refusal>> {
            let mut value = uapi::$ty::read(request)?;
            let result = value.check();
            value.hdr = reply;
            value.write(request)?;
            Some(result)
        }
    )*};
}
requests! { query Query reserve Reserve load Load op Op list List status Status
    transition_of Transition blockers Blockers }

/// As the module keeps it: behind a pointer.
pub type Slots = &'static [AtomicUsize];

pub fn transition(slots: Slots) -> Option<Transition<Slots>> {
    Transition::new(slots)
}

pub fn handler(transition: &Transition<Slots>, current: Task) -> (Side, Answer, Option<Answer>) {
    let at_once = transition.answer_at_once(current);
    (transition.side(current), transition.answer(current), at_once)
}

pub fn search(slots: &mut [Slot], routes: &[Route], ip: u64) -> Option<u64> {
    let index = index::fill(slots, routes).ok()?;
    index::room(routes.len())?;
    Some(index::address(index.find(ip)))
}

pub fn drive(transition: &Transition<Slots>, tasks: &[Task]) -> Result<(), Refused> {
    transition.begin()?;
    for task in tasks {
        let (Reference::Taken | Reference::Yours) = transition.fill(*task)?;
    }
    if transition.go_live().is_err() {
        return transition.abort();
    }
    transition.complete()?;
    transition.reverse()?;
    let mut survey = transition.survey()?;
    for task in tasks {
        survey.look(*task);
    }
    survey.complete()?;
    transition.force(transition.in_from())
}

pub fn finish(
    transition: &mut Transition<Slots>,
    give_back: &mut dyn FnMut(Task),
) -> Result<(), Refused> {
    transition.members().for_each(&mut *give_back);
    transition.finish(give_back)
}

fn attempt(
    transition: &Transition<Slots>,
    evidence: &impl Evidence,
    ranges: Ranges<'_>,
    frames: &[u64],
) -> Result<(Shift, bool), Blocked> {
    let mut check = StackCheck::new(evidence, ranges, &[]);
    for addr in frames {
        let before = addr.to_le_bytes();
        let called = || callee::direct(*before.first_chunk()?, *addr);
        check.frame(*addr, called);
    }
    let clean = check.finish(transition.pending(evidence.task()).is_some())?;
    let shift = transition.shift(clean, Cause::Woken);
    Ok((shift, transition.ripe()))
}

pub fn triggers(
    transition: &Transition<Slots>,
    task: Task,
    ranges: Ranges<'_>,
    frames: &[u64],
) -> [Result<(Shift, bool), Blocked>; 2] {
    let current = Current::trust(task, &());
    let asleep = Asleep::trust(task, &());
    [
        attempt(transition, &current, ranges, frames),
        attempt(transition, &asleep, ranges, frames),
    ]
}

pub fn hooks(transition: &Transition<Slots>, task: Task) -> (Reference, bool) {
    let reference = transition.birth(&Unborn::trust(task, &()));
    (reference, transition.exit(&Ended::trust(task)))
}

pub fn counters(transition: &Transition<Slots>) -> [u64; Cause::ALL.len()] {
    transition.counters().read()
}

pub fn route(links: &[Link], routes: &[Route], ip: u64) -> Option<Route> {
    let found = routes::routes(links).find(|route| route.ip == ip && route.changes());
    found.or(routes::find(routes, ip).copied())
}

pub fn join(spans: &mut [Span]) -> usize {
    sort::sort_by_key(spans, |span| span.start);
    routes::join(spans)
}
