// SPDX-License-Identifier: GPL-2.0

//! Where calls of a patch's functions are redirected.

use crate::{
    facts,
    model::{fentry, refusal::Refusal},
    redirect::Ready,
    uapi::{self, Reason},
};
use kernel::prelude::*;

/// A function's fentry site, and what it is replaced by.
#[derive(Clone, Copy)]
pub(crate) struct Site {
    /// 0: its module is not loaded.
    pub(crate) ip: u64,
    pub(crate) new: u64,
    /// Whether calls may be redirected: not yet while its module is coming and not all that is asked about it has been answered.
    pub(crate) ready: bool,
}

impl Site {
    /// Whether there is something whose calls can be redirected.
    pub(crate) fn is_there(&self) -> bool {
        self.ip != 0 && self.ready
    }
}

/// The fentry sites of these functions, in that order, and their replacements in the text at `base`. All of them are
/// known to ftrace.
pub(super) fn sites(funcs: &[uapi::Func], base: u64) -> Result<KVVec<Site>, Refusal> {
    let mut sites = KVVec::with_capacity(funcs.len(), GFP_KERNEL)?;
    let mut ips = KVVec::with_capacity(funcs.len(), GFP_KERNEL)?;
    for (i, func) in funcs.iter().enumerate() {
        if func.old_addr == 0 {
            let new = base + u64::from(func.new_off);
            let none = Site {
                ip: 0,
                new,
                ready: true,
            };
            sites.push(none, GFP_KERNEL)?;
            continue;
        }
        let site = site(func, base).ok_or_else(|| Refusal::at(Reason::FuncFentry, i))?;
        ips.push(site.ip as usize, GFP_KERNEL)?;
        sites.push(site, GFP_KERNEL)?;
    }
    if ips.is_empty() {
        return Ok(sites);
    }
    match Ready::new(ips) {
        Ok(_) => Ok(sites),
        // ftrace knows no site at one of the addresses. Find out which.
        Err(error) if error == EINVAL => {
            for (i, site) in sites.iter().enumerate().filter(|(_, site)| site.ip != 0) {
                let mut one = KVVec::new();
                one.push(site.ip as usize, GFP_KERNEL)?;
                if Ready::new(one).is_err_and(|error| error == EINVAL) {
                    return Err(Refusal::at(Reason::FuncFentry, i));
                }
            }
            Err(Refusal::new(Reason::FuncFentry))
        }
        Err(error) => Err(error.into()),
    }
}

/// Where the call of a function is redirected, if it has a place for that.
pub(super) fn site(func: &uapi::Func, base: u64) -> Option<Site> {
    let mut start = [0; 16];
    if !facts::read(func.old_addr, &mut start) {
        return None;
    }
    let fentry = fentry::site(&start)?;
    Some(Site {
        ip: func.old_addr + u64::from(fentry.offset),
        new: base + u64::from(func.new_off),
        ready: true,
    })
}
