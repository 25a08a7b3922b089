// SPDX-License-Identifier: GPL-2.0

//! Bringing calls of functions to the handler, through one `ftrace_ops` for many of them.
//!
//! Where a call goes from there is in the book; a function that is not in it goes on as if nothing were.

use crate::{ffi, model::refusal::Refusal, uapi::Reason};
use core::ptr::NonNull;
use kernel::{error::to_result, prelude::*};

/// A set of fentry sites, not redirected.
///
/// # Invariants
///
/// `ops` was made by `lp_redirect_new()`, its filter holds exactly `ips`, and it is not registered with ftrace.
pub(crate) struct Ready {
    ops: NonNull<ffi::lp_redirect>,
    /// Whether `ops` is never freed.
    leaked: bool,
    ips: KVVec<usize>,
}

/// A set of fentry sites whose calls come to the handler.
///
/// # Invariants
///
/// As of [`Ready`], but it is registered with ftrace. There is at least one site, and they are sorted.
pub(crate) struct Active(Ready);

// SAFETY: The C struct is heap memory without ties to a thread.
unsafe impl Send for Ready {}

impl Ready {
    /// These sites, or the errno for which ftrace does not take them (`EINVAL`: one is not an fentry site).
    pub(crate) fn new(mut ips: KVVec<usize>) -> Result<Self> {
        // SAFETY: No requirements.
        let ops = NonNull::new(unsafe { ffi::lp_redirect_new() }).ok_or(ENOMEM)?;
        let (sites, len) = (ips.as_mut_ptr(), ips.len() as u32);
        // INVARIANT: Not registered; the filter is set below, or the value dropped.
        let ready = Self {
            ops,
            leaked: false,
            ips,
        };
        // SAFETY: The array holds that many addresses.
        to_result(unsafe { ffi::lp_redirect_filter(ops.as_ptr(), sites, len) })?;
        Ok(ready)
    }

    /// Has calls of all of them, which are sorted, come to the handler, in one step. On failure nothing has changed.
    pub(crate) fn activate(self) -> Result<Active, (Error, Self)> {
        // SAFETY: By the type invariant it is not registered.
        match to_result(unsafe { ffi::lp_redirect_on(self.ops.as_ptr()) }) {
            // INVARIANT: It is registered now.
            Ok(()) => Ok(Active(self)),
            Err(error) => Err((error, self)),
        }
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if !self.leaked {
            // SAFETY: By the type invariant it is not registered; it is not used afterwards.
            unsafe { ffi::lp_redirect_free(self.ops.as_ptr()) };
        }
    }
}

impl Active {
    /// Whether this site is one of them.
    pub(crate) fn has(&self, ip: u64) -> bool {
        self.0.ips.binary_search(&(ip as usize)).is_ok()
    }

    /// Whether a site that is kept is one of them.
    pub(crate) fn has_any(&self, kept: impl Fn(u64) -> bool) -> bool {
        self.0.ips.iter().any(|ip| kept(*ip as u64))
    }

    /// Lets go of the sites that are not kept; some are. Without memory for that all stay, which is a loss of time only.
    pub(crate) fn keep(&mut self, kept: impl Fn(u64) -> bool) -> Result {
        let ips = &mut self.0.ips;
        let mut gone = KVVec::new();
        for ip in ips.iter().filter(|ip| !kept(**ip as u64)) {
            gone.push(*ip, GFP_KERNEL)?;
        }
        if gone.is_empty() {
            return Ok(());
        }
        let (sites, len) = (gone.as_mut_ptr(), gone.len() as u32);
        // SAFETY: The array holds that many addresses.
        to_result(unsafe { ffi::lp_redirect_remove(self.0.ops.as_ptr(), sites, len) })?;
        // INVARIANT: Both have lost the same.
        ips.retain(|ip| kept(*ip as u64));
        Ok(())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        // When it returns 0, no handler of it runs any more.
        // SAFETY: By the type invariant it is registered.
        let error = unsafe { ffi::lp_redirect_off(self.0.ops.as_ptr()) };
        if error != 0 {
            // What is registered must not be freed. The handler finds nothing in the book.
            pr_err!("ftrace keeps a redirection (errno {error}); its memory is leaked\n");
            self.0.leaked = true;
        }
    }
}

/// Why ftrace did not take a redirection: which of its sites has another owner (`value`: the site), that ftrace is
/// off, or that there is no memory.
pub(crate) fn explain(error: Error, ips: &[u64]) -> Refusal {
    let other = Refusal::new(Reason::Ftrace).value(error.to_errno().unsigned_abs().into());
    if error == ENOMEM {
        return Reason::Nomem.into();
    }
    if error != EBUSY {
        return other;
    }
    // ftrace says EBUSY for both. Try the sites one at a time; where all are busy, ftrace is off.
    let alone = |ip: u64| {
        let mut one = KVVec::new();
        one.push(ip as usize, GFP_KERNEL)?;
        Ready::new(one)?
            .activate()
            .map(drop)
            .map_err(|(error, _)| error)
    };
    let first = ips.iter().find(|ip| alone(**ip) == Err(EBUSY));
    match first {
        // SAFETY: No requirements.
        Some(_) if unsafe { ffi::lp_ftrace_off() } != 0 => Reason::FtraceOff.into(),
        Some(ip) => Refusal::new(Reason::FuncOwned).value(*ip),
        None => other,
    }
}
