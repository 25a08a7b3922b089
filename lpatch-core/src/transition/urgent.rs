// SPDX-License-Identifier: GPL-2.0

//! Work that has to be done at once, whatever else the machine computes: see `shim/threads.c`.

use crate::ffi;
use core::ffi::c_void;
use kernel::{error::to_result, prelude::*};

/// The thread that does it.
pub(crate) struct Urgent;

impl Urgent {
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: Once; stopped when the value is dropped.
        to_result(unsafe { ffi::lp_urgent_start() })?;
        Ok(Self)
    }
}

impl Drop for Urgent {
    fn drop(&mut self) {
        // SAFETY: It was started. Who could ask it for something is gone: the device and the patch modules.
        unsafe { ffi::lp_urgent_stop() };
    }
}

/// What is asked of the thread, and its answer.
struct Errand<F, R> {
    run: Option<F>,
    result: Option<R>,
}

extern "C" fn run<F: FnOnce() -> R, R>(what: *mut c_void) {
    // SAFETY: It is the errand of the caller of `urgently`, who waits and does not touch it meanwhile.
    let errand = unsafe { &mut *what.cast::<Errand<F, R>>() };
    errand.result = errand.run.take().map(|run| run());
}

/// Runs `f` in the thread and waits for it. Others wait meanwhile, so it must not sleep for long.
pub(crate) fn urgently<F: FnOnce() -> R + Send, R: Send>(f: F) -> R {
    let mut errand = Errand {
        run: Some(f),
        result: None,
    };
    // SAFETY: The thread exists as long as the device. `run` gets what it expects, and is over when this returns.
    unsafe { ffi::lp_urgently(Some(run::<F, R>), (&raw mut errand).cast()) };
    match errand.result {
        Some(result) => result,
        None => unreachable!("it ran once"),
    }
}
