// SPDX-License-Identifier: GPL-2.0

//! SIGINT and SIGTERM, once there is something to say when they come.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;

/// From now on the first of these signals is only noted, and ends a system call that waits; the second one ends
/// the process. Gives a question for the one that came.
pub(crate) fn catch() -> io::Result<Box<dyn Fn() -> Option<i32>>> {
    let came = Arc::new(AtomicUsize::new(0));
    let again = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let value = usize::try_from(signal).unwrap_or(0);
        // In this order: actions run in the order of their registration.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&again))?;
        flag::register(signal, Arc::clone(&again))?;
        flag::register_usize(signal, Arc::clone(&came), value)?;
    }
    Ok(Box::new(move || {
        let signal = i32::try_from(came.load(Ordering::SeqCst)).unwrap_or(0);
        (signal != 0).then_some(signal)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_is_noted() {
        let came = catch().expect("signals can be caught");
        assert_eq!(came(), None);
        // A second one would end the tests.
        signal_hook::low_level::raise(SIGTERM).expect("it is caught");
        assert_eq!(came(), Some(SIGTERM));
    }
}
