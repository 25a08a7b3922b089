// SPDX-License-Identifier: GPL-2.0

//! The negative result of every check.

use super::num::wide;
use crate::uapi::{Hdr, Reason};

/// Why a request is refused, as the reply carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub reason: Reason,
    /// Where: an index or an offset, see [`Reason`].
    pub at: u64,
    /// More, see [`Reason`].
    pub value: u64,
}

impl Refusal {
    /// A refusal that points nowhere.
    pub const fn new(reason: Reason) -> Self {
        Self {
            reason,
            at: 0,
            value: 0,
        }
    }

    /// A refusal that points at an entry of a table or at an offset.
    pub fn at(reason: Reason, at: usize) -> Self {
        Self {
            at: wide(at),
            ..Self::new(reason)
        }
    }

    /// The same refusal with a value.
    pub const fn value(self, value: u64) -> Self {
        Self { value, ..self }
    }

    /// Writes the refusal into the head of a reply.
    pub fn reply(&self, hdr: &mut Hdr) {
        hdr.reason = self.reason.code();
        hdr.at = self.at;
        hdr.value = self.value;
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

/// `Ok` if the claim holds, else the refusal.
///
/// The refusal is made only when it is needed; checks read as one line each.
pub fn ensure(claim: bool, refusal: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
    if claim {
        Ok(())
    } else {
        Err(refusal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_keeps_the_size() {
        let mut hdr = Hdr {
            size: 24,
            ..Hdr::default()
        };
        Refusal::at(Reason::Orc, 7).value(9).reply(&mut hdr);
        let expected = Hdr {
            size: 24,
            reason: 80,
            at: 7,
            value: 9,
        };
        assert_eq!(hdr, expected);
    }
}
