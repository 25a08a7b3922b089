// SPDX-License-Identifier: GPL-2.0

//! What the core asks ftrace with the registry unlocked, and what becomes of it.

use crate::{registry, running::time::wait_a_moment, transition::asking_ftrace::Unfinished};
use core::ops::{Deref, DerefMut};

/// A request to ftrace. When this is dropped, its result is taken over under the registry's lock, unless that was done before. So it is
/// dropped with the registry unlocked, or after its result was taken over.
pub(super) struct Unlocked<T: Unfinished>(T);

impl<T: Unfinished> Unlocked<T> {
    pub(super) fn new(asked: T) -> Self {
        Self(asked)
    }
}

impl<T: Unfinished> Deref for Unlocked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Unfinished> DerefMut for Unlocked<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Unfinished> Drop for Unlocked<T> {
    fn drop(&mut self) {
        if !self.0.is_open() {
            return;
        }
        // The registry is there: its end waits for who has an open file, for who hears of modules, and for the driver.
        while registry::with(|registry| Ok(self.0.finish(registry.engine())?)).is_err() {
            wait_a_moment();
        }
    }
}
