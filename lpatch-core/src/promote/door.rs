// SPDX-License-Identifier: GPL-2.0

//! One door, and what the driver does about it with the registry unlocked.

use crate::{arena::memory::Run, ffi, running::modules::OwnModule};
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU8, AtomicUsize, Ordering},
};
use kernel::{error::to_result, prelude::*};

/// A door, and the site that has it.
///
/// # Invariants
///
/// `run` is one unit of the pool of doors. `ops` was made by `lp_door_new()`, and is attached to this door, for `ip`, if the
/// value is in the list of all doors. As long as the site leads to the door, the module stays.
pub(crate) struct Door {
    pub(super) ip: u64,
    pub(super) run: Run,
    pub(super) ops: NonNull<ffi::lp_door>,
    /// Where its jump goes; 0: it has not been turned to anywhere.
    pub(super) to: u64,
    pub(super) _own: OwnModule,
}

// SAFETY: The C struct is heap memory without ties to a thread.
unsafe impl Send for Door {}

impl Door {
    fn index(&self) -> usize {
        self.run.first
    }

    pub(super) fn shut(&self) -> &AtomicU8 {
        // SAFETY: The array has that many bytes, and they are only used as atomics, or by doors.S.
        unsafe { AtomicU8::from_ptr((&raw mut ffi::lp_door_shut).cast::<u8>().add(self.index())) }
    }

    pub(super) fn is_open(&self) -> bool {
        self.shut().load(Ordering::Relaxed) == 0
    }

    /// Says of which site calls come to this door: sets its entry of [`ffi::lp_door_sites`].
    pub(super) fn set_site(&self, ip: u64) {
        let sites = (&raw mut ffi::lp_door_sites).cast::<usize>();
        // SAFETY: The array has that many words, and they are only used as atomics, or by doors.S.
        let site = unsafe { AtomicUsize::from_ptr(sites.add(self.index())) };
        site.store(ip as usize, Ordering::Relaxed);
    }
}

/// What the driver does about doors next, with the registry unlocked.
pub(crate) enum Work {
    Attach(Door),
    Detach(Door),
}

/// What came of [`Work`].
pub(crate) enum Done {
    Attached(Door),
    Refused(Door, Error),
    Detached(Door),
    /// ftrace is out of order; the site still goes to the door.
    Stuck(Door),
}

impl Work {
    pub(crate) fn run(self) -> Done {
        match self {
            Self::Attach(door) => {
                // Before the first one: what ftrace makes of it.
                // SAFETY: We are the driver, with the registry unlocked.
                if let Err(error) = to_result(unsafe { ffi::lp_try_jump() }) {
                    return Done::Refused(door, error);
                }
                // Here, since ftrace takes a lock for it that others hold for long.
                // SAFETY: It was made by `lp_door_new()` and is not attached.
                let filter = unsafe { ffi::lp_door_filter(door.ops.as_ptr(), door.ip as usize) };
                if let Err(error) = to_result(filter) {
                    return Done::Refused(door, error);
                }
                // SAFETY: It was made by `lp_door_new()`, has its site, and is not attached.
                match to_result(unsafe {
                    ffi::lp_door_attach(door.ops.as_ptr(), door.index() as u32)
                }) {
                    Ok(()) => Done::Attached(door),
                    // It lived when the filter was set. What has died in the middle may have left a site that leads to it.
                    Err(ENODEV) => Done::Stuck(door),
                    Err(error) => {
                        // It may have been in ftrace's list for a moment, and somebody may be looking at it there.
                        // SAFETY: No requirements; we may sleep.
                        unsafe { ffi::lp_synchronize() };
                        Done::Refused(door, error)
                    }
                }
            }
            Self::Detach(door) => detach(door),
        }
    }
}

/// Detaches a door. This waits for RCU-tasks grace periods, in ftrace and with its locks held. So it is done only with the registry
/// unlocked, and only when such a grace period was over a moment ago.
fn detach(door: Door) -> Done {
    // SAFETY: It is attached to this door.
    let error = unsafe { ffi::lp_door_detach(door.ops.as_ptr(), door.index() as u32) };
    if error == 0 {
        Done::Detached(door)
    } else {
        pr_err!("ftrace keeps a direct call (errno {error}); lpatch_core stays loaded\n");
        Done::Stuck(door)
    }
}

/// The site of our own at which the core tried what ftrace makes of a door. It is given back when this is dropped, which waits as
/// [`detach`] does, with the same rules.
pub(crate) struct Trial(());

impl Trial {
    /// The address of the site, if ftrace has it. Only for the driver.
    pub(crate) fn site() -> Option<u64> {
        // SAFETY: We are the driver.
        let site = unsafe { ffi::lp_trial_site() } as u64;
        (site != 0).then_some(site)
    }

    /// Only for the driver, and once after each time that there is a site.
    pub(crate) fn take() -> Self {
        Self(())
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // SAFETY: We are the driver, with the registry unlocked, and ftrace has the site.
        unsafe { ffi::lp_trial_return() };
    }
}
