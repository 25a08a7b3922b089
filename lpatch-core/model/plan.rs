// SPDX-License-Identifier: GPL-2.0

//! How much of the arena a reservation takes.

use super::num::{index, wide};
use super::refusal::{ensure, Refusal};
use crate::uapi::{self, Ex, Orc, Reason, Reserve, Wire};
use core::mem::offset_of;

/// Bytes of a page of the arena.
pub const PAGE_SIZE: usize = 4096;
/// ORC entries that come with a page of text: one for 16 bytes of code. In stock modules there is
/// one for about 30 bytes.
pub const ORC_PER_PAGE: usize = 256;
/// Exception table entries that come with a page of text.
pub const EX_PER_PAGE: usize = 16;

/// What a reservation takes of each resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Pages of text, at least one. The last byte of the last page is never code.
    pub text_pages: usize,
    /// Pages of rodata.
    pub rodata_pages: usize,
    /// Pages of data.
    pub data_pages: usize,
    /// Slots of the bug table.
    pub bugs: usize,
}

impl Plan {
    /// Sizes a reservation. Whether the arena has the room is another question.
    pub fn new(request: &Reserve) -> Result<Self, Refusal> {
        ensure(request.text_len > 0, || Reason::Empty.into())?;
        // What an image of the largest size could not fill, no load would use.
        limit(request.text_len, 1, offset_of!(Reserve, text_len))?;
        limit(request.rodata_len, 1, offset_of!(Reserve, rodata_len))?;
        limit(request.orcs, Orc::SIZE, offset_of!(Reserve, orcs))?;
        limit(request.exs, Ex::SIZE, offset_of!(Reserve, exs))?;
        limit(request.bugs, uapi::Bug::SIZE, offset_of!(Reserve, bugs))?;

        // The byte behind the code keeps the last byte of the run free: slots of the exception
        // table that are not in use name it.
        let code = index(request.text_len)
            .saturating_add(1)
            .div_ceil(PAGE_SIZE);
        let orcs = index(request.orcs).div_ceil(ORC_PER_PAGE);
        let exs = index(request.exs).div_ceil(EX_PER_PAGE);
        Ok(Self {
            text_pages: code.max(orcs).max(exs),
            rodata_pages: index(request.rodata_len).div_ceil(PAGE_SIZE),
            data_pages: index(request.data_len).div_ceil(PAGE_SIZE),
            bugs: index(request.bugs),
        })
    }
}

fn limit(count: u32, entry: usize, field: usize) -> Result<(), Refusal> {
    let limit = index(uapi::IMAGE_MAX).checked_div(entry).unwrap_or(0);
    ensure(index(count) <= limit, || {
        Refusal::at(Reason::TooBig, field).value(wide(limit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(text_len: u32) -> Reserve {
        Reserve {
            text_len,
            ..Reserve::default()
        }
    }

    fn text_pages(request: &Reserve) -> usize {
        Plan::new(request)
            .expect("it is within the limits")
            .text_pages
    }

    #[test]
    fn text_has_a_spare_byte_and_slots_for_its_entries() {
        assert_eq!(text_pages(&request(1)), 1);
        assert_eq!(text_pages(&request(4095)), 1);
        assert_eq!(text_pages(&request(4096)), 2);
        assert_eq!(
            text_pages(&Reserve {
                orcs: 256,
                ..request(1)
            }),
            1
        );
        assert_eq!(
            text_pages(&Reserve {
                orcs: 257,
                ..request(1)
            }),
            2
        );
        assert_eq!(
            text_pages(&Reserve {
                exs: 16,
                ..request(1)
            }),
            1
        );
        assert_eq!(
            text_pages(&Reserve {
                exs: 33,
                ..request(4096)
            }),
            3
        );
    }

    #[test]
    fn the_rest_is_rounded_up() {
        let request = Reserve {
            rodata_len: 4096,
            data_len: 4097,
            bugs: 3,
            ..request(1)
        };
        let plan = Plan {
            text_pages: 1,
            rodata_pages: 1,
            data_pages: 2,
            bugs: 3,
        };
        assert_eq!(Plan::new(&request), Ok(plan));
    }

    #[test]
    fn limits() {
        assert_eq!(Plan::new(&request(0)), Err(Reason::Empty.into()));
        let limit = uapi::IMAGE_MAX;
        assert!(Plan::new(&request(limit)).is_ok());
        let too_big = |field, limit| Err(Refusal::at(Reason::TooBig, field).value(limit));
        let field = offset_of!(Reserve, text_len);
        assert_eq!(Plan::new(&request(limit + 1)), too_big(field, limit.into()));
        let orcs = Reserve {
            orcs: limit / 12 + 1,
            ..request(1)
        };
        let field = offset_of!(Reserve, orcs);
        assert_eq!(Plan::new(&orcs), too_big(field, (limit / 12).into()));
    }

    proptest! {
        #[test]
        fn never_too_small(
            text_len in any::<u32>(), rodata_len in any::<u32>(), data_len in any::<u32>(),
            orcs in any::<u32>(), exs in any::<u32>(), bugs in any::<u32>(),
        ) {
            let request = Reserve {
                text_len: text_len >> (bugs % 32), orcs: orcs >> 8, exs: exs >> 8,
                rodata_len, data_len, bugs,
                ..Reserve::default()
            };
            if let Ok(plan) = Plan::new(&request) {
                prop_assert!(plan.text_pages * PAGE_SIZE > index(request.text_len));
                prop_assert!(plan.text_pages * ORC_PER_PAGE >= index(request.orcs));
                prop_assert!(plan.text_pages * EX_PER_PAGE >= index(request.exs));
                prop_assert!(plan.rodata_pages * PAGE_SIZE >= index(request.rodata_len));
                prop_assert!(plan.data_pages * PAGE_SIZE >= index(request.data_len));
            }
        }
    }
}
