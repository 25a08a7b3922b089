// SPDX-License-Identifier: GPL-2.0

//! What stands for a task.

use core::num::NonZeroUsize;

/// The address of a task: not 0, and a multiple of 4, so that tables have two bits of their own beside it.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Task(NonZeroUsize);

impl Task {
    /// The task at this address, or `None` if no task can be there.
    #[inline]
    pub fn new(addr: usize) -> Option<Self> {
        NonZeroUsize::new(addr)
            .filter(|addr| addr.get() & 3 == 0)
            .map(Self)
    }

    /// Its address.
    #[inline]
    pub fn addr(self) -> usize {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_null_and_aligned() {
        assert_eq!(Task::new(0), None);
        assert_eq!(Task::new(0x1001), None);
        assert_eq!(Task::new(0x1002), None);
        assert_eq!(Task::new(0x1000).map(Task::addr), Some(0x1000));
    }
}
