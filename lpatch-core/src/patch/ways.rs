// SPDX-License-Identifier: GPL-2.0

//! Where the functions that a patch replaces are entered, and where they and the patch go on by jumps.

use crate::{
    model::{refusal::Refusal, routes},
    patch::{
        exits::{Exits, Finder},
        home::Home,
        replaced::{sort_colds, spans_of, Replaced},
        sites::{sites, Site},
    },
    uapi,
};
use kernel::prelude::*;

/// Nothing is known.
pub(super) const UNKNOWN: routes::Exits<'static> = routes::Exits {
    funcs: &[],
    jumps: &[],
    known: false,
};

/// Where the functions that a patch replaces, in their order, and its own text go on by jumps.
#[derive(Default)]
pub(super) struct AllExits {
    pub(super) funcs: KVVec<Exits>,
    pub(super) text: Exits,
}

impl AllExits {
    /// Finds those of the functions that are there; `text` finds those of the patch's text.
    pub(super) fn find(
        funcs: &[uapi::Func],
        sites: &[Site],
        colds: &[uapi::Cold],
        text: impl FnOnce(&mut Finder) -> Result<Exits, Refusal>,
    ) -> Result<Self, Refusal> {
        let mut finder = Finder::default();
        let mut all = KVVec::with_capacity(funcs.len(), GFP_KERNEL)?;
        for (i, (func, site)) in funcs.iter().zip(sites).enumerate() {
            let exits = match func.old_addr {
                0 => Exits::default(),
                addr => {
                    let colds = spans_of(colds, i);
                    finder.of_function(addr, func.old_len.into(), site.ip, colds)?
                }
            };
            all.push(exits, GFP_KERNEL)?;
        }
        Ok(Self {
            funcs: all,
            text: text(&mut finder)?,
        })
    }
}

/// Where the functions of a patch module are entered, and where they and the module go on by jumps. Finding that takes a lot of stack, so
/// it is done before there is a patch on it.
pub(crate) struct Ways {
    pub(super) sites: KVVec<Site>,
    pub(super) exits: AllExits,
}

impl Ways {
    #[inline(never)]
    pub(crate) fn of_module(home: &Home, replaced: &mut Replaced) -> Result<Self, Refusal> {
        let sites = sites(&replaced.funcs, home.text.start as u64)?;
        sort_colds(&mut replaced.colds);
        let text = |finder: &mut Finder| finder.of_memory(home.text.clone());
        let exits = AllExits::find(&replaced.funcs, &sites, &replaced.colds, text)?;
        Ok(Self { sites, exits })
    }
}
