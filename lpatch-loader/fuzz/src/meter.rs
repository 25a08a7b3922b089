// SPDX-License-Identifier: GPL-2.0

//! Memory and time that an input takes, with their limits.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// An input of this length may take [`MEMORY_MAX`]; longer ones are not tried.
pub const INPUT_MAX: usize = 1 << 20;
/// Bytes that an input may take at any time.
pub const MEMORY_MAX: usize = 64 << 20;
/// Time that an input may take; much more than any does, on a machine that is busy.
pub const TIME_MAX: Duration = Duration::from_secs(20);

/// Counts what is allocated, on top of the system's allocator.
#[derive(Debug)]
pub struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn add(bytes: usize) {
    let now = NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `ptr` came from `System` with this layout, as `alloc` hands them through.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size);
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `ptr` came from `System` with this layout, as `alloc` hands them through; the size is the caller's.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

/// Bytes that an input of this length may take at most: what has a fixed size, what grows with the input, and an image,
/// in which a section header can make a page. With [`INPUT_MAX`] bytes that is [`MEMORY_MAX`].
fn memory_max(input: usize) -> usize {
    let image = (64 * input).min(32 << 20);
    ((4 << 20) + 28 * input + image).min(MEMORY_MAX)
}

/// Runs something on an input of `input` bytes, and panics if it takes more than it may.
///
/// Memory is counted for the whole process: one at a time.
pub fn measured(input: usize, run: impl FnOnce()) {
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let start = Instant::now();
    run();
    let took = start.elapsed();
    let memory = MOST.load(Ordering::Relaxed).saturating_sub(before);
    let max = memory_max(input);
    assert!(
        memory <= max,
        "{input} bytes took {memory} of memory, more than {max}"
    );
    assert!(took <= TIME_MAX, "{input} bytes took {took:?}");
}
