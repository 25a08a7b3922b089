// SPDX-License-Identifier: GPL-2.0

//! Which function a return address belongs to the call of.
//!
//! A function that ends by a jump to another one (a sibling call) has no frame any more when that one begins: its caller's
//! return address is all that is left on the stack. The call in front of that address says who was called. If that is a function
//! that has no frame, it has jumped on, and what it jumped to still acts for it.

/// Bytes in front of a return address that are looked at: a direct call.
pub const CALL_LEN: usize = 5;

/// Length of the call at a fentry site, which returns behind it.
pub const SITE_LEN: u64 = 5;

const CALL: u8 = 0xe8;
/// `call *%reg` is as short as the tail of a displacement: `ff d0` to `ff d7`.
const INDIRECT: u8 = 0xff;
const BY_REGISTER: core::ops::RangeInclusive<u8> = 0xd0..=0xd7;
/// Length of `endbr64`, or of what the kernel has made of it, which is in front of the fentry site of some functions.
pub const PAD: u64 = 4;

/// What was called by the instruction in front of `ret`, if that is a direct call beyond doubt; `before`: the bytes there.
///
/// An indirect call can be one of many functions, a place that is being changed shows nothing, and neither proves anything.
pub fn direct(before: [u8; CALL_LEN], ret: u64) -> Option<u64> {
    let [opcode, displacement @ ..] = before;
    let [_, _, last_but_one, last] = displacement;
    let may_be_indirect = last_but_one == INDIRECT && BY_REGISTER.contains(&last);
    if opcode != CALL || may_be_indirect {
        return None;
    }
    let displacement = i64::from(i32::from_le_bytes(displacement));
    Some(ret.wrapping_add_signed(displacement))
}

/// Whether an address is where the function begins that has its fentry site at `site`.
pub fn begins(addr: u64, site: u64) -> bool {
    addr == site || addr.wrapping_add(PAD) == site
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn kinds_of_calls() {
        // call -16
        assert_eq!(direct([0xe8, 0xf0, 0xff, 0xff, 0xff], 0x1000), Some(0xff0));
        assert_eq!(direct([0xe8, 0x10, 0, 0, 0], 0x1000), Some(0x1010));
        // call *%rax, *%r8, *8(%rax), *sym(%rip); a jump; an int3 that is there for a moment
        let others = [
            [0x90, 0x90, 0x90, 0xff, 0xd0],
            [0x90, 0x90, 0x41, 0xff, 0xd0],
            [0x90, 0x90, 0xff, 0x50, 0x08],
            [0x15, 0x00, 0x10, 0x00, 0x00],
            [0xe9, 0x10, 0x00, 0x00, 0x00],
            [0xcc, 0x10, 0x00, 0x00, 0x00],
        ];
        for bytes in others {
            assert_eq!(direct(bytes, 0x1000), None, "{bytes:02x?}");
        }
        // What could be the end of something else in front of an indirect call.
        for last in 0xd0..=0xd7 {
            assert_eq!(direct([0xe8, 0x10, 0x00, 0xff, last], 0x1000), None);
        }
        assert!(direct([0xe8, 0x10, 0x00, 0xff, 0xd8], 0x1000).is_some());
    }

    #[test]
    fn with_and_without_a_landing_pad() {
        assert!(begins(0x1000, 0x1000) && begins(0x1000, 0x1004));
        for site in [0xfff, 0x1001, 0x1003, 0x1005, 0x1008] {
            assert!(!begins(0x1000, site));
        }
    }

    proptest! {
        #[test]
        fn any_call(ret: u64, displacement: i32) {
            let [a, b, c, d] = displacement.to_le_bytes();
            let target = direct([0xe8, a, b, c, d], ret);
            let expected = i128::from(ret) + i128::from(displacement);
            if c != 0xff || !(0xd0..=0xd7).contains(&d) {
                let target = i128::from(target.expect("it is a call"));
                prop_assert_eq!((target - expected).rem_euclid(1 << 64), 0);
            } else {
                prop_assert_eq!(target, None);
            }
        }
    }
}
