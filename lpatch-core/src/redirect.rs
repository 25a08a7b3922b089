// SPDX-License-Identifier: GPL-2.0

//! Bringing calls of functions to the handler, through one `ftrace_ops` for many of them.
//!
//! Where a call goes from there is in the book; a function that is not in it goes on as if nothing were.

use crate::{ffi, model::refusal::Refusal, modules::OwnModule, uapi::Reason};
use core::{mem::ManuallyDrop, ptr::NonNull};
use kernel::{error::to_result, prelude::*};

/// A set of fentry sites, not redirected.
///
/// # Invariants
///
/// `ops` was made by `lp_redirect_new()`, its filter holds exactly `ips`, and it is not registered with ftrace.
pub(crate) struct Ready {
    ops: NonNull<ffi::lp_redirect>,
    ips: KVVec<usize>,
}

/// A set of fentry sites whose calls come to the handler.
///
/// # Invariants
///
/// As of [`Ready`], but it is registered with ftrace. There is at least one site, and they are sorted. As long as the sites lead
/// into the module, the module stays.
pub(crate) struct Active {
    ready: ManuallyDrop<Ready>,
    own: ManuallyDrop<OwnModule>,
}

// SAFETY: The C struct is heap memory without ties to a thread.
unsafe impl Send for Ready {}

/// Whether ftrace has switched itself off: nothing can be given back to it any more.
pub(crate) fn is_dead() -> bool {
    // SAFETY: No requirements; we may sleep.
    unsafe { ffi::lp_ftrace_is_dead() != 0 }
}

impl Ready {
    /// These sites, or the errno for which ftrace does not take them (`EINVAL`: one is not an fentry site).
    pub(crate) fn new(mut ips: KVVec<usize>) -> Result<Self> {
        // SAFETY: No requirements.
        let ops = NonNull::new(unsafe { ffi::lp_redirect_new() }).ok_or(ENOMEM)?;
        let (sites, len) = (ips.as_mut_ptr(), ips.len() as u32);
        // INVARIANT: Not registered; the filter is set below, or the value dropped.
        let ready = Self { ops, ips };
        // SAFETY: The array holds that many addresses.
        to_result(unsafe { ffi::lp_redirect_filter(ops.as_ptr(), sites, len) })?;
        Ok(ready)
    }

    /// Has calls of all of them, which are sorted, come to the handler, in one step. On failure nothing has changed, or ftrace
    /// has died (`ENODEV`).
    pub(crate) fn activate(self) -> Result<Active> {
        let own = OwnModule::ours().ok_or(EAGAIN)?;
        // SAFETY: By the type invariant it is not registered.
        match to_result(unsafe { ffi::lp_redirect_on(self.ops.as_ptr()) }) {
            // INVARIANT: It is registered now.
            Ok(()) => Ok(Active {
                ready: ManuallyDrop::new(self),
                own: ManuallyDrop::new(own),
            }),
            Err(ENODEV) => {
                // It lived when the filter was set. What has died in the middle may have left sites that lead to us.
                pr_err!("ftrace has died while it took a redirection\n");
                core::mem::forget(self);
                own.keep();
                Err(ENODEV)
            }
            Err(error) => {
                // It was in ftrace's list for a moment, and somebody may be looking at it there.
                // SAFETY: No requirements; we may sleep.
                unsafe { ffi::lp_synchronize() };
                Err(error)
            }
        }
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is not registered; it is not used afterwards.
        unsafe { ffi::lp_redirect_free(self.ops.as_ptr()) };
    }
}

impl Active {
    /// Of these sites, sorted.
    pub(crate) fn new(ips: &[usize]) -> Result<Self> {
        let mut copy = KVVec::with_capacity(ips.len(), GFP_KERNEL)?;
        copy.extend_from_slice(ips, GFP_KERNEL)?;
        Ready::new(copy)?.activate()
    }

    /// Whether this site is one of them.
    pub(crate) fn has(&self, ip: u64) -> bool {
        self.ready.ips.binary_search(&(ip as usize)).is_ok()
    }

    /// Whether a site that is kept is one of them.
    pub(crate) fn has_any(&self, kept: impl Fn(u64) -> bool) -> bool {
        self.ready.ips.iter().any(|ip| kept(*ip as u64))
    }

    /// The first and the last one.
    pub(crate) fn bounds(&self) -> (u64, u64) {
        let at = |ip: Option<&usize>| ip.map_or(0, |ip| *ip as u64);
        (at(self.ready.ips.first()), at(self.ready.ips.last()))
    }

    /// Lets go of the sites that are not kept; some are. Without memory for that all stay, which is a loss of time only.
    pub(crate) fn keep(&mut self, kept: impl Fn(u64) -> bool) -> Result {
        let ips = &mut self.ready.ips;
        let mut gone = KVVec::new();
        for ip in ips.iter().filter(|ip| !kept(**ip as u64)) {
            gone.push(*ip, GFP_KERNEL)?;
        }
        if gone.is_empty() {
            return Ok(());
        }
        let ops = self.ready.ops.as_ptr();
        let (sites, len) = (gone.as_mut_ptr(), gone.len() as u32);
        // SAFETY: The array holds that many addresses.
        to_result(unsafe { ffi::lp_redirect_remove(ops, sites, len) })?;
        // INVARIANT: Both have lost the same.
        self.ready.ips.retain(|ip| kept(*ip as u64));
        Ok(())
    }
}

/// Waits for a grace period of RCU tasks, in ftrace and with its locks held. So nobody does it with the registry locked, and only when such a
/// grace period was over a moment ago.
impl Drop for Active {
    fn drop(&mut self) {
        // When it returns 0, no handler of it runs any more.
        // SAFETY: By the type invariant it is registered.
        let error = unsafe { ffi::lp_redirect_off(self.ready.ops.as_ptr()) };
        if error != 0 {
            // The sites still lead to the handler, which finds nothing in the book; so ops and module stay.
            pr_err!("ftrace keeps a redirection (errno {error}); lpatch_core stays loaded\n");
            return;
        }
        // SAFETY: It is not used any more, and not registered any more.
        unsafe { ManuallyDrop::drop(&mut self.ready) };
        // SAFETY: It is not used any more.
        unsafe { ManuallyDrop::drop(&mut self.own) };
    }
}

/// Which of these sites, which ftrace did not take together (EBUSY), has another owner (`value`: the site), or that ftrace is off.
///
/// ftrace takes all of a registration or nothing of it. So half of them are tried, and the half of the half that it is in. What it takes
/// comes to `groups`: to take it back at once would be a wait for RCU tasks each time, with the registry locked. In no book, their calls go
/// on as before, and they are given back as all that nobody needs.
pub(crate) fn owned(mut ips: &[usize], groups: &mut KVec<Active>) -> Result<Refusal, Refusal> {
    // SAFETY: No requirements.
    let probe = unsafe { ffi::lp_probe_site() };
    // It has been asked before, and ftrace has not given it back yet.
    let mut taken = groups_have(groups, probe as u64);
    let mut take = |ips: &[usize]| -> Result<bool, Refusal> {
        groups.reserve(1, GFP_KERNEL)?;
        match Active::new(ips) {
            Ok(active) => {
                if groups.push_within_capacity(active).is_err() {
                    unreachable!("room was reserved");
                }
                Ok(true)
            }
            Err(EBUSY) => Ok(false),
            Err(error) => Err(error.into()),
        }
    };
    while ips.len() > 1 {
        let (front, back) = ips.split_at(ips.len() / 2);
        if take(front)? {
            taken = true;
            ips = back;
        } else {
            ips = front;
        }
    }
    // It says EBUSY as well when it is off, and then for all of them.
    if !taken && !take(&[probe as usize])? {
        return Ok(Reason::FtraceOff.into());
    }
    let ip = ips.first().map_or(0, |ip| *ip as u64);
    Ok(Refusal::new(Reason::FuncOwned).value(ip))
}

fn groups_have(groups: &[Active], ip: u64) -> bool {
    groups.iter().any(|group| group.has(ip))
}
