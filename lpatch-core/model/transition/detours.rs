// SPDX-License-Identifier: GPL-2.0

//! Ways by jumps that lead past a side.
//!
//! A task is in a function that one of the side jumps to, and the call in front of the next return address is of a third function,
//! which has jumped there as well. If all code is known that leads from that one to where the task is, and none of it is of the side, then
//! the task has come on nobody's behalf. To find that out, code has to be read, which a look at a stack cannot do. So it leaves the
//! question here; who drives the transition reads the code, and the next look finds the answer.

use super::atomic::{AtomicUsize, Ordering};

/// So many questions are remembered. Who asks more of them stays where it is.
pub const MOST: usize = 32;

/// A question: has a task, that the call in front of `ret` has brought to `landing` by jumps, come past the side?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    at: usize,
    turn: usize,
    /// Where it returns to. What is called in front of it is for who answers to find out.
    pub ret: u64,
    /// The beginning of the function that the task is in.
    pub landing: u64,
}

/// The questions of the tables of one transition, and the answers.
///
/// Looks ask, in any context and on all CPUs. One at a time answers, or forgets answers.
#[derive(Debug)]
pub struct Detours {
    /// Both addresses of each question, or 0. What is not 0 is not changed any more.
    pairs: [AtomicUsize; MOST],
    /// A bit for each question that the answer is yes to; one for each that it is no to.
    passed: AtomicUsize,
    failed: AtomicUsize,
    /// How often answers were forgotten.
    turn: AtomicUsize,
}

const _: () = assert!(MOST <= 64 && usize::BITS == 64);

impl Default for Detours {
    fn default() -> Self {
        Self {
            pairs: core::array::from_fn(|_| AtomicUsize::new(0)),
            passed: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            turn: AtomicUsize::new(0),
        }
    }
}

/// The low half of an address of kernel text, which is all in the last 2 GiB; of another address `None`.
fn low(addr: u64) -> Option<u64> {
    let low = addr & u64::from(u32::MAX);
    (high(low) == addr).then_some(low)
}

/// The address again.
fn high(low: u64) -> u64 {
    const SIGN: u64 = 1 << 31;
    (low ^ SIGN).wrapping_sub(SIGN)
}

fn pair(ret: u64, landing: u64) -> Option<usize> {
    let pair = low(ret)? << 32 | low(landing)?;
    usize::try_from(pair).ok().filter(|pair| *pair != 0)
}

impl Detours {
    /// Whether it is known that who returns there and is in this function has come past the side. If nobody has asked, this does.
    ///
    /// A function of its own, so that looks that need none of it have a smaller frame.
    #[inline(never)]
    pub fn passes(&self, ret: u64, landing: u64) -> bool {
        let Some(wanted) = pair(ret, landing) else {
            return false;
        };
        for (at, slot) in self.pairs.iter().enumerate() {
            // Relaxed: the word is all there is to a question.
            let mut found = slot.load(Ordering::Relaxed);
            if found == 0 {
                let put = slot.compare_exchange(0, wanted, Ordering::Relaxed, Ordering::Relaxed);
                match put {
                    Ok(_) => return false,
                    Err(other) => found = other,
                }
            }
            if found == wanted {
                // Acquire pairs with Release in `answer()`: what the answer was found from had been looked at then. Who runs code of a
                // module that has come since has that after `forget()`, by way of the kernel's own locks.
                return self.passed.load(Ordering::Acquire) & bit(at) != 0;
            }
        }
        false
    }

    /// A question that nobody has answered.
    pub fn next(&self) -> Option<Asked> {
        // Relaxed: only the caller, or who had its lock before, writes these.
        let turn = self.turn.load(Ordering::Relaxed);
        let done = self.passed.load(Ordering::Relaxed) | self.failed.load(Ordering::Relaxed);
        self.pairs.iter().enumerate().find_map(|(at, slot)| {
            // Relaxed: as in `passes()`.
            let pair = u64::try_from(slot.load(Ordering::Relaxed)).ok()?;
            let open = pair != 0 && done & bit(at) == 0;
            open.then(|| Asked {
                at,
                turn,
                ret: high(pair >> 32),
                landing: high(pair & u64::from(u32::MAX)),
            })
        })
    }

    /// Answers a question; but not if answers were forgotten since.
    pub fn answer(&self, asked: &Asked, passes: bool) {
        // Relaxed: as in `next()`.
        if asked.turn != self.turn.load(Ordering::Relaxed) {
            return;
        }
        let answers = if passes { &self.passed } else { &self.failed };
        answers.fetch_or(bit(asked.at), Ordering::Release);
    }

    /// A no may have been for what somebody was changing just then, or was tracing. Those questions are answered again.
    pub fn doubt(&self) {
        // Relaxed: as in `next()`.
        self.failed.store(0, Ordering::Relaxed);
    }

    /// Code has come that may be where other code was. The questions are answered anew.
    pub fn forget(&self) {
        // Relaxed: as in `next()`. The new code is not run before the caller has given back the locks that keep it from that.
        self.passed.store(0, Ordering::Relaxed);
        self.failed.store(0, Ordering::Relaxed);
        self.turn.fetch_add(1, Ordering::Relaxed);
    }
}

/// The bit of a question.
fn bit(at: usize) -> usize {
    let bit = u32::try_from(at)
        .ok()
        .and_then(|at| 1_usize.checked_shl(at));
    bit.unwrap_or(0)
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;

    const RET: u64 = 0xffff_ffff_8123_4560;
    const LANDING: u64 = 0xffff_ffff_c000_0010;

    #[test]
    fn asked_once_and_answered() {
        let detours = Detours::default();
        assert_eq!(detours.next(), None);
        assert!(!detours.passes(RET, LANDING));
        assert!(!detours.passes(RET, LANDING));
        let asked = detours.next().expect("it was asked");
        assert_eq!((asked.ret, asked.landing), (RET, LANDING));
        detours.answer(&asked, true);
        assert_eq!(detours.next(), None);
        assert!(detours.passes(RET, LANDING));
        // Of others nothing is known.
        assert!(!detours.passes(LANDING, RET));
        assert!(!detours.passes(RET, LANDING + 16));
        let asked = detours.next().expect("they were asked");
        assert_eq!((asked.ret, asked.landing), (LANDING, RET));
        detours.answer(&asked, false);
        assert!(!detours.passes(LANDING, RET));
        let asked = detours.next().expect("the third one");
        assert_eq!((asked.ret, asked.landing), (RET, LANDING + 16));
    }

    #[test]
    fn answers_that_are_too_old() {
        let detours = Detours::default();
        assert!(!detours.passes(RET, LANDING));
        let asked = detours.next().expect("it was asked");
        detours.forget();
        detours.answer(&asked, true);
        assert!(!detours.passes(RET, LANDING));
        let asked = detours.next().expect("it is to be answered again");
        detours.answer(&asked, true);
        assert!(detours.passes(RET, LANDING));
        detours.forget();
        assert!(!detours.passes(RET, LANDING));
        assert!(detours.next().is_some());
    }

    #[test]
    fn a_no_does_not_last() {
        let detours = Detours::default();
        assert!(!detours.passes(RET, LANDING) && !detours.passes(LANDING, RET));
        for passes in [false, true] {
            let asked = detours.next().expect("there are two");
            detours.answer(&asked, passes);
        }
        assert_eq!(detours.next(), None);
        detours.doubt();
        let asked = detours.next().expect("the answer was no");
        assert_eq!((asked.ret, asked.landing), (RET, LANDING));
        assert!(detours.passes(LANDING, RET));
        detours.answer(&asked, true);
        assert!(detours.passes(RET, LANDING));
        detours.doubt();
        assert_eq!(detours.next(), None);
    }

    #[test]
    fn no_room() {
        let detours = Detours::default();
        let rets = || (0..).step_by(16).map(|at| RET + at);
        for ret in rets().take(MOST) {
            assert!(!detours.passes(ret, LANDING));
        }
        let last = rets().nth(MOST).expect("there are more");
        assert!(!detours.passes(last, LANDING));
        while let Some(asked) = detours.next() {
            detours.answer(&asked, true);
        }
        assert!(rets().take(MOST).all(|ret| detours.passes(ret, LANDING)));
        assert!(!detours.passes(last, LANDING));
    }

    #[test]
    fn addresses_of_something_else() {
        let detours = Detours::default();
        for (ret, landing) in [(0, 0), (RET, 0xffff_8880_1234_5678), (1 << 32, LANDING)] {
            assert!(!detours.passes(ret, landing));
        }
        assert_eq!(detours.next(), None);
    }
}
