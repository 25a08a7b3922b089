// SPDX-License-Identifier: GPL-2.0

//! The transition that is under way in a book.

use crate::{
    ffi,
    model::transition::{atomic::AtomicUsize, Task, Transition},
};
use core::sync::atomic::Ordering;
use kernel::{bindings, prelude::*};

/// A transition with what belongs to it for as long as anybody may look at it.
pub(crate) struct Motion {
    pub(crate) transition: Transition<KVVec<AtomicUsize>>,
    /// Kernel threads that were woken so that they can move, as far as there is room.
    woken: [AtomicUsize; 32],
    /// How many tasks have ended since the driver last looked for such tasks, and at how many it is to be kicked.
    ended: AtomicUsize,
    many: usize,
    /// When all tasks were in the set, in nanoseconds since the kernel was booted. Until then, a time later than any other.
    filled: AtomicUsize,
}

/// Room for so many tasks, and for those that are born meanwhile.
pub(crate) fn with_room(tasks: usize) -> usize {
    tasks.saturating_add(tasks / 4).saturating_add(256)
}

impl Motion {
    /// A transition that has not begun, with room for at least so many tasks.
    pub(crate) fn new(tasks: usize) -> Result<Self> {
        // Four slots for each task keep searches short; the rest is for births.
        let slots = with_room(tasks)
            .saturating_mul(4)
            .checked_next_power_of_two()
            .ok_or(ENOMEM)?;
        let mut set = KVVec::with_capacity(slots, GFP_KERNEL)?;
        for _ in 0..slots {
            set.push(AtomicUsize::new(0), GFP_KERNEL)?;
        }
        Ok(Self {
            transition: Transition::new(set).ok_or(EINVAL)?,
            woken: [const { AtomicUsize::new(0) }; 32],
            ended: AtomicUsize::new(0),
            many: slots / 16,
            filled: AtomicUsize::new(usize::MAX),
        })
    }

    /// Notes that all tasks that were born until now are in the set, except for those that were dying and in no list.
    pub(crate) fn is_filled(&self) {
        // SAFETY: No requirements.
        let now = unsafe { bindings::ktime_get() };
        // Relaxed: the transition goes live next, which releases it to all who ask.
        self.filled.store(now as usize, Ordering::Relaxed);
    }

    /// Whether the current task was born since.
    ///
    /// # Safety
    ///
    /// It is the current task, and no idle one.
    pub(crate) unsafe fn is_older_than(&self, task: Task) -> bool {
        let task = task.addr() as *const bindings::task_struct;
        // SAFETY: The current task has a struct. It is one word, which is written before the task runs, and by itself, in execve().
        let born = unsafe { (&raw const (*task).start_time).read_volatile() };
        // Relaxed: whoever asks has seen that it is live.
        born > self.filled.load(Ordering::Relaxed) as u64
    }

    /// Counts a task that ends. `true`: it begins to matter that ended tasks are in the set, because until they are out, no other task can
    /// have their slots.
    pub(crate) fn one_more_ends(&self) -> bool {
        // Relaxed: a hint. One of those who count sees each number.
        self.ended.fetch_add(1, Ordering::Relaxed).wrapping_add(1) == self.many
    }

    /// Begins to count anew.
    pub(crate) fn none_ended(&self) {
        self.ended.store(0, Ordering::Relaxed);
    }

    fn woken_slot(&self, task: Task) -> &AtomicUsize {
        // Task structs are some KiB apart.
        &self.woken[(task.addr() >> 9) % self.woken.len()]
    }

    /// Remembers that a task was woken. A collision makes the count of one cause a little wrong.
    pub(crate) fn set_woken(&self, task: Task) {
        self.woken_slot(task).store(task.addr(), Ordering::Relaxed);
    }

    /// It was not, after all.
    pub(crate) fn clear_woken(&self, task: Task) {
        self.woken_slot(task).store(0, Ordering::Relaxed);
    }

    /// Whether a task was woken.
    pub(crate) fn was_woken(&self, task: Task) -> bool {
        self.woken_slot(task).load(Ordering::Relaxed) == task.addr()
    }
}

impl Drop for Motion {
    fn drop(&mut self) {
        // SAFETY: The set owned a reference to each of its members.
        let give_back = |task: Task| unsafe { ffi::lp_task_put(task.addr()) };
        // It was completed, forced or aborted; if it never began, there are no members.
        let _ = self.transition.finish(give_back);
    }
}
