// SPDX-License-Identifier: GPL-2.0

//! Where calls of a patch's functions are redirected.

use crate::{
    model::{fentry, refusal::Refusal},
    redirect,
    running::code,
    uapi::{self, Reason},
};
use kernel::prelude::*;

/// A function's fentry site, and what it is replaced by.
#[derive(Clone, Copy)]
pub(crate) struct Site {
    /// 0: its module is not loaded.
    pub(crate) ip: u64,
    pub(crate) new: u64,
    /// Whether calls may be redirected. While the module of the function is being loaded, they may not until everything has been asked
    /// about it.
    pub(crate) ready: bool,
}

impl Site {
    /// Whether there is something whose calls can be redirected.
    pub(crate) fn is_there(&self) -> bool {
        self.ip != 0 && self.ready
    }
}

/// The fentry sites of these functions, in that order, and their replacements in the text at `base`.
pub(super) fn sites(funcs: &[uapi::Func], base: u64) -> Result<KVVec<Site>, Refusal> {
    let mut sites = KVVec::with_capacity(funcs.len(), GFP_KERNEL)?;
    for (i, func) in funcs.iter().enumerate() {
        let site = match func.old_addr {
            0 => Site {
                ip: 0,
                new: base + u64::from(func.new_off),
                ready: true,
            },
            _ => site(func, base)?.ok_or_else(|| Refusal::at(Reason::FuncFentry, i))?,
        };
        sites.push(site, GFP_KERNEL)?;
    }
    Ok(sites)
}

/// Where calls of a function are redirected, if it has a place for that which ftrace knows.
pub(super) fn site(func: &uapi::Func, base: u64) -> Result<Option<Site>, Refusal> {
    let mut start = [0; 16];
    if !code::read(func.old_addr, &mut start) {
        return Ok(None);
    }
    let Some(fentry) = fentry::site(&start) else {
        return Ok(None);
    };
    let ip = func.old_addr + u64::from(fentry.offset);
    Ok(redirect::is_site(ip)?.then(|| Site {
        ip,
        new: base + u64::from(func.new_off),
        ready: true,
    }))
}
