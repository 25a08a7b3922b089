// SPDX-License-Identifier: GPL-2.0

//! Counts, in tests of this library, what the steps look at: a step that looks at everything for each of many is found by
//! that, and by a clock only on a good day.

#[cfg(test)]
thread_local! {
    static VISITS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// One line of kallsyms, symbol or relocation was looked at.
#[inline]
pub(crate) fn visit() {
    #[cfg(test)]
    VISITS.with(|visits| visits.set(visits.get() + 1));
}

/// How many there were in this thread since it was last asked.
#[cfg(test)]
pub(crate) fn taken() -> u64 {
    VISITS.with(|visits| visits.replace(0))
}
