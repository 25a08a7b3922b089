// SPDX-License-Identifier: GPL-2.0

//! Between refusals, which replies carry, and errnos, which system calls return.

use crate::{model::refusal::Refusal, uapi::Reason};
use kernel::{alloc::AllocError, bindings, prelude::*};

impl From<AllocError> for Refusal {
    fn from(_: AllocError) -> Self {
        Self::new(Reason::Nomem)
    }
}

impl From<Error> for Refusal {
    /// Of a call into the kernel. Who knows better what an errno means there says so itself.
    fn from(error: Error) -> Self {
        match error {
            ENOMEM => Reason::Nomem.into(),
            EFAULT => Reason::Fault.into(),
            // Of all that we call, only ftrace says that, in each of its functions, when it has switched itself off.
            ENODEV => Reason::FtraceDead.into(),
            other => Self::new(Reason::Kernel).value(other.to_errno().unsigned_abs().into()),
        }
    }
}

impl Refusal {
    /// What who asked is told, where the reason has no place.
    pub(crate) fn errno(&self) -> Error {
        let refused = i32::try_from(self.value).ok().filter(|value| *value != 0);
        match (self.reason, refused) {
            // `from_errno()` makes EINVAL of what is none.
            (Reason::Callback | Reason::Kernel, Some(value)) => Error::from_errno(-value),
            (reason, _) => errno(reason),
        }
    }
}

/// What the system call returns for a refusal.
pub(crate) fn errno(reason: Reason) -> Error {
    match reason {
        Reason::Fault => EFAULT,
        Reason::Nomem => ENOMEM,
        Reason::Perm | Reason::Lockdown => EPERM,
        Reason::TooBig => E2BIG,
        Reason::NotReady => EAGAIN,
        Reason::NoSuchPatch => ENOENT,
        Reason::Exists => EEXIST,
        Reason::Enabled
        | Reason::Busy
        | Reason::ReservedTwice
        | Reason::FuncConflict
        | Reason::FuncOwned
        | Reason::FtraceOff
        | Reason::InTransition
        | Reason::Stacked
        | Reason::Grace
        | Reason::FuncProbed
        | Reason::InCallback
        | Reason::Stuck
        | Reason::Pinned => EBUSY,
        Reason::FtraceDead => ENODEV,
        Reason::Interrupted => EINTR,
        Reason::Late => EAGAIN,
        Reason::ArenaText | Reason::ArenaRodata | Reason::ArenaData | Reason::ArenaBugs => ENOSPC,
        Reason::Mitigation | Reason::CallDepth => Error::from_errno(-(bindings::EOPNOTSUPP as i32)),
        _ => EINVAL,
    }
}
