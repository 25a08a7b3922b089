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

use model::image::{Image, Table};
use model::refusal::Refusal;
use model::request::Request;
use model::slots::Run;
use model::verify::{Kernel, Reservation, Symbol};
use model::{extable, orc, verify};
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

    fn is_ours(&self, addr: u64) -> bool {
        self.0(addr, &mut [])
    }
}

pub fn verification(image: &Image<'_>, room: &Reservation, kernel: &Opaque) -> Result<(), Refusal> {
    verify::verify(image, room, kernel)
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
requests! { query Query reserve Reserve load Load op Op list List status Status }
