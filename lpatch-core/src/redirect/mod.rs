// SPDX-License-Identifier: GPL-2.0

//! Bringing calls of functions to the handler, through one `ftrace_ops` for many of them.
//!
//! The book says where a call goes from there. A function that is not in the book goes on as if nothing were.

use crate::{ffi, model::refusal::Refusal, running::modules::OwnModule, uapi::Reason};
use core::{mem::ManuallyDrop, ptr::NonNull};
use kernel::{error::to_result, prelude::*, sync::Arc};

pub(crate) mod book;
pub(crate) mod bounds;
pub(crate) mod motion;

/// An `ftrace_ops`.
///
/// # Invariants
///
/// It was made by `lp_redirect_new()`, and is not registered with ftrace when it is dropped.
struct Ops(NonNull<ffi::lp_redirect>);

// SAFETY: The C struct is heap memory without ties to a thread.
unsafe impl Send for Ops {}
// SAFETY: ftrace, which alone looks into it, has locks of its own.
unsafe impl Sync for Ops {}

impl Drop for Ops {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is not registered; it is not used afterwards.
        unsafe { ffi::lp_redirect_free(self.0.as_ptr()) };
    }
}

/// A set of fentry sites, not redirected.
///
/// # Invariants
///
/// The filter of `ops` holds exactly `ips`, and it is not registered with ftrace.
struct Ready {
    ops: Arc<Ops>,
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

/// Sites that a redirection is to let go of; the redirection keeps others.
pub(crate) struct LettingGo {
    ops: Arc<Ops>,
    /// Sorted.
    sites: KVVec<usize>,
    result: Result,
}

/// Whether there is an fentry site that ftrace knows. It takes no lock of ftrace's that somebody else could hold.
pub(crate) fn is_site(ip: u64) -> Result<bool> {
    // SAFETY: No requirements; we may sleep.
    match to_result(unsafe { ffi::lp_ftrace_knows(ip as usize) }) {
        Ok(()) => Ok(true),
        Err(EINVAL) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether ftrace has switched itself off: nothing can be given back to it any more. Takes no lock of ftrace's either.
pub(crate) fn is_dead() -> bool {
    // SAFETY: No requirements; we may sleep.
    unsafe { ffi::lp_ftrace_is_dead() != 0 }
}

impl Ready {
    /// These sites, or the errno for which ftrace does not take them (`EINVAL`: one is not an fentry site).
    fn new(mut ips: KVVec<usize>) -> Result<Self> {
        // SAFETY: No requirements.
        let ops = NonNull::new(unsafe { ffi::lp_redirect_new() }).ok_or(ENOMEM)?;
        // INVARIANT: It is registered by `activate()` only.
        let ops = Arc::new(Ops(ops), GFP_KERNEL)?;
        let (sites, len) = (ips.as_mut_ptr(), ips.len() as u32);
        // SAFETY: The array holds that many addresses.
        to_result(unsafe { ffi::lp_redirect_filter(ops.0.as_ptr(), sites, len) })?;
        // INVARIANT: Not registered, and the filter is set.
        Ok(Self { ops, ips })
    }

    /// Brings the calls of all of these sites, which are sorted, to the handler in one step. On failure nothing has changed, or ftrace has
    /// died (`ENODEV`).
    fn activate(self) -> Result<Active> {
        let own = OwnModule::get().ok_or(EAGAIN)?;
        // SAFETY: By the type invariant it is not registered.
        match to_result(unsafe { ffi::lp_redirect_on(self.ops.0.as_ptr()) }) {
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

    /// The sites that are not kept, for it to let go of, if there are any and some are kept.
    pub(crate) fn letting_go(&self, kept: impl Fn(u64) -> bool) -> Result<Option<LettingGo>> {
        let ips = &self.ready.ips;
        let mut sites = KVVec::new();
        for ip in ips.iter().filter(|ip| !kept(**ip as u64)) {
            sites.push(*ip, GFP_KERNEL)?;
        }
        if sites.is_empty() || sites.len() == ips.len() {
            return Ok(None);
        }
        Ok(Some(LettingGo {
            ops: self.ready.ops.clone(),
            sites,
            result: Err(EAGAIN),
        }))
    }

    /// Takes over what has come of letting go, if it is of this redirection.
    pub(crate) fn let_go(&mut self, part: &LettingGo) {
        let is_of_this = Arc::ptr_eq(&self.ready.ops, &part.ops);
        if is_of_this && part.result.is_ok() {
            // INVARIANT: Both have lost the same.
            let gone = |ip: &usize| part.sites.binary_search(ip).is_ok();
            self.ready.ips.retain(|ip| !gone(ip));
        }
    }
}

impl LettingGo {
    pub(crate) fn sites(&self) -> &[usize] {
        &self.sites
    }

    /// Asks ftrace. The redirection loses nothing else meanwhile, because without any site its filter would mean all functions.
    ///
    /// `gone`: the sites are about to be freed. Then a dead ftrace lets go of them as well, since it does not look into filters when a
    /// module comes.
    pub(crate) fn ask(&mut self, gone: bool) {
        let (ops, sites) = (self.ops.0.as_ptr(), self.sites.as_mut_ptr());
        // SAFETY: The array holds that many addresses.
        let error = unsafe { ffi::lp_redirect_remove(ops, sites, self.sites.len() as u32) };
        self.result = match to_result(error) {
            Err(ENODEV) if gone => Ok(()),
            result => result,
        };
    }

    /// Whether all sites stay, for want of memory. The handler sends their calls on. A dead ftrace keeps them.
    pub(crate) fn is_to_be_tried_again(&self) -> bool {
        self.result.is_err_and(|error| error != ENODEV)
    }
}

/// Waits for an RCU-tasks grace period, in ftrace and with its locks held. So this is done only with the registry unlocked, and only when
/// such a grace period was over a moment ago.
impl Drop for Active {
    fn drop(&mut self) {
        // When it returns 0, no handler of it runs any more.
        // SAFETY: By the type invariant it is registered.
        let error = unsafe { ffi::lp_redirect_off(self.ready.ops.0.as_ptr()) };
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

/// The function of ours that nobody calls and nobody else can own.
pub(crate) fn probe_site() -> usize {
    // SAFETY: No requirements.
    unsafe { ffi::lp_probe_site() }
}

/// Brings these sites, which are sorted, to the handler. What ftrace has taken is in `taken`, on failure too. Giving it back takes an
/// RCU-tasks grace period, for which the driver has to wait.
///
/// ftrace takes all sites of a registration or none. So if one of them has another owner (EBUSY), half of them are tried, then half of the
/// half that it is in, and so on. The sites that ftrace has taken are in no book, so their calls go on as before, and they are given back
/// like all that nobody needs.
pub(crate) fn bring(
    sites: &[usize],
    has_probe: bool,
    taken: &mut KVec<Active>,
) -> Result<(), Refusal> {
    let mut take = |ips: &[usize]| -> Result<bool, Refusal> {
        taken.reserve(1, GFP_KERNEL)?;
        match Active::new(ips) {
            Ok(active) => {
                if taken.push_within_capacity(active).is_err() {
                    unreachable!("room was reserved");
                }
                Ok(true)
            }
            Err(EBUSY) => Ok(false),
            Err(error) => Err(match error.into() {
                Refusal {
                    reason: Reason::Kernel,
                    value,
                    ..
                } => Refusal::new(Reason::Ftrace).value(value),
                refusal => refusal,
            }),
        }
    };
    if take(sites)? {
        return Ok(());
    }
    // The site of our own may have been asked for before, and ftrace has not given it back yet.
    let mut any = has_probe;
    let mut ips = sites;
    while ips.len() > 1 {
        let (front, back) = ips.split_at(ips.len() / 2);
        if take(front)? {
            any = true;
            ips = back;
        } else {
            ips = front;
        }
    }
    // It says EBUSY as well when it is off, and then for all of them.
    if !any && !take(&[probe_site()])? {
        return Err(Reason::FtraceOff.into());
    }
    let ip = ips.first().map_or(0, |ip| *ip as u64);
    Err(Refusal::new(Reason::FuncOwned).value(ip))
}
