// SPDX-License-Identifier: GPL-2.0

//! Sending calls of functions elsewhere, through one `ftrace_ops` for a whole patch.
//!
//! A redirection is `Ready` (its sites are known to be fentry sites) or `Active` (calls are redirected);
//! only the conversion between the two touches running code.

use crate::{
    ffi,
    model::{
        refusal::Refusal,
        sites::{self, Site},
    },
    uapi::Reason,
};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{error::to_result, prelude::*};

/// Calls are not redirected.
pub(crate) enum Ready {}
/// Calls are redirected.
pub(crate) enum Active {}

/// Whether a redirection is in force.
pub(crate) trait Phase {
    const ACTIVE: bool;
}

impl Phase for Ready {
    const ACTIVE: bool = false;
}

impl Phase for Active {
    const ACTIVE: bool = true;
}

/// A redirection of a set of functions.
///
/// # Invariants
///
/// `ops` was made by `lp_redirect_new()` for `table` and its filter holds exactly the sites of the table. It
/// is registered with ftrace if and only if `P` is [`Active`].
pub(crate) struct Redirect<P: Phase> {
    ops: NonNull<ffi::lp_redirect>,
    table: KBox<Table>,
    _phase: PhantomData<P>,
}

struct Table {
    sites: KVVec<Site>,
}

// SAFETY: The C struct is heap memory without ties to a thread.
unsafe impl<P: Phase> Send for Redirect<P> {}

/// The ftrace handler's question; see `redirect.c` for the context that it runs in.
///
/// # Safety
///
/// `table` is the one that its `lp_redirect` was made with.
#[no_mangle]
unsafe extern "C" fn lpatch_redirect(table: *const kernel::ffi::c_void, ip: usize) -> usize {
    // SAFETY: By the invariant of `Redirect` the table is alive while the handler can run, and nobody
    // changes it: the vector is only read.
    let table = unsafe { &*table.cast::<Table>() };
    sites::lookup(&table.sites, ip as u64).map_or(0, |to| to as usize)
}

impl Redirect<Ready> {
    /// A redirection of these sites, or the errno for which ftrace does not take them (`EINVAL`: one is
    /// not an fentry site; `EEXIST`: they are not
    /// sorted, or one comes twice).
    pub(crate) fn new(sites: KVVec<Site>) -> Result<Self> {
        sites::check(&sites).map_err(|_| EEXIST)?;
        let mut ips = KVVec::with_capacity(sites.len(), GFP_KERNEL)?;
        for site in sites.iter() {
            ips.push(site.ip as usize, GFP_KERNEL)?;
        }
        let table = KBox::new(Table { sites }, GFP_KERNEL)?;
        // SAFETY: The table lives in its box as long as the redirection.
        let ops = unsafe { ffi::lp_redirect_new((&raw const *table).cast()) };
        let ops = NonNull::new(ops).ok_or(ENOMEM)?;
        // INVARIANT: Not registered yet; the filter is set below, or the value dropped.
        let redirect = Self {
            ops,
            table,
            _phase: PhantomData,
        };
        // SAFETY: The array holds that many addresses.
        to_result(unsafe {
            ffi::lp_redirect_filter(ops.as_ptr(), ips.as_mut_ptr(), ips.len() as u32)
        })?;
        Ok(redirect)
    }

    /// Redirects all functions in one step. On failure nothing has changed.
    pub(crate) fn activate(self) -> Result<Redirect<Active>, (Error, Self)> {
        // SAFETY: By the type invariant it is not registered.
        match to_result(unsafe { ffi::lp_redirect_on(self.ops.as_ptr()) }) {
            Ok(()) => Ok(self.into_phase()),
            Err(error) => Err((error, self)),
        }
    }
}

impl Redirect<Active> {
    /// Ends the redirection. When it returns, no handler of it runs any more.
    pub(crate) fn deactivate(self) -> Result<Redirect<Ready>, (Error, Self)> {
        // SAFETY: By the type invariant it is registered.
        match to_result(unsafe { ffi::lp_redirect_off(self.ops.as_ptr()) }) {
            Ok(()) => Ok(self.into_phase()),
            Err(error) => Err((error, self)),
        }
    }
}

impl<P: Phase> Redirect<P> {
    /// The same redirection after it was registered or unregistered, as the new phase says.
    fn into_phase<New: Phase>(self) -> Redirect<New> {
        let this = core::mem::ManuallyDrop::new(self);
        let ops = this.ops;
        // SAFETY: `this` is not dropped and its table not used again, so the box moves.
        let table = unsafe { core::ptr::read(&this.table) };
        Redirect {
            ops,
            table,
            _phase: PhantomData,
        }
    }

    /// The sites, sorted by address.
    pub(crate) fn sites(&self) -> &[Site] {
        &self.table.sites
    }
}

impl<P: Phase> Drop for Redirect<P> {
    fn drop(&mut self) {
        if P::ACTIVE {
            // Patches deactivate before they drop. If this is reached all the same, then the table goes only
            // after ftrace has let go of it; if ftrace refuses, the C half leaks, and so must the table.
            // SAFETY: By the type invariant it is registered.
            if unsafe { ffi::lp_redirect_off(self.ops.as_ptr()) } != 0 {
                pr_err!("ftrace keeps a redirection; its memory is leaked\n");
                self.table.leak();
                return;
            }
        }
        // SAFETY: It is not registered (any more), and not used afterwards.
        unsafe { ffi::lp_redirect_free(self.ops.as_ptr()) };
    }
}

impl Table {
    /// Gives up ownership of the sites, so that a handler that cannot be stopped finds them for ever.
    fn leak(&mut self) {
        core::mem::forget(core::mem::take(&mut self.sites));
    }
}

/// Why ftrace did not take a redirection: which of its sites has another owner, or that ftrace is off.
pub(crate) fn explain(error: Error, sites: &[Site]) -> Refusal {
    let other = Refusal::new(Reason::Ftrace).value(error.to_errno().unsigned_abs().into());
    if error != EBUSY {
        return other;
    }
    // ftrace says EBUSY for both. Try the sites one at a time; where all are busy, ftrace is off.
    let alone = |site: &Site| {
        let mut one = KVVec::new();
        one.push(*site, GFP_KERNEL)?;
        let active = Redirect::new(one)?.activate().map_err(|(error, _)| error)?;
        active.deactivate().map_err(|(error, _)| error).map(drop)
    };
    let busy = |site: &Site| alone(site) == Err(EBUSY);
    let first = sites.iter().position(busy);
    match first {
        // SAFETY: No requirements.
        Some(_) if unsafe { ffi::lp_ftrace_off() } != 0 => Reason::FtraceOff.into(),
        Some(i) => Refusal::at(Reason::FuncOwned, i),
        None => other,
    }
}
