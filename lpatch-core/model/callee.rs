// SPDX-License-Identifier: GPL-2.0

//! Which function a return address belongs to the call of.
//!
//! A function that ends by a jump to another one (a sibling call) has no frame any more when that one begins: its caller's
//! return address is all that is left on the stack. The call in front of that address says who was called. If that is a function
//! that has no frame, it has jumped on, and what it jumped to still acts for it.

/// Bytes in front of a return address that are looked at: the longest indirect call of which the end looks like a direct one.
pub const CALL_LEN: usize = 7;

/// Length of the call at a fentry site, which returns behind it.
pub const SITE_LEN: u64 = 5;

const CALL: u8 = 0xe8;
/// Of a kprobe, or of who changes code, in the place of any first byte.
const INT3: u8 = 0xcc;
/// With the operand's middle bits 2.
const INDIRECT: u8 = 0xff;
/// The operand is in memory, at a scaled index and a displacement of four bytes.
const SCALED_FAR: u8 = 0x94;
/// Length of `endbr64`, or of what the kernel has made of it, which is in front of the fentry site of some functions.
pub const PAD: u64 = 4;

/// What the bytes in front of a return address look like: a direct call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it calls.
    pub target: u64,
    /// It is one beyond doubt. If not, it may be an indirect call with such bytes in front, or the end of something longer.
    pub certain: bool,
}

impl Call {
    /// The target, where it is to prove something. For what it could be as well, everybody takes the target itself.
    pub fn proved(self) -> Option<u64> {
        self.certain.then_some(self.target)
    }
}

/// What was called by the instruction in front of `ret`, if that may be a direct call; `before`: the bytes there.
///
/// An indirect call can be one of many functions, and a place that is being changed may be anything: neither proves anything.
pub fn direct(before: [u8; CALL_LEN], ret: u64) -> Option<Call> {
    let [first, second, opcode, displacement @ ..] = before;
    if opcode != CALL && opcode != INT3 {
        return None;
    }
    // Of that one the opcode would be the scaled index.
    let longer = [first, second] == [INDIRECT, SCALED_FAR];
    let certain = opcode == CALL && !longer && !ends_indirect(displacement);
    let displacement = i64::from(i32::from_le_bytes(displacement));
    let target = ret.wrapping_add_signed(displacement);
    Some(Call { target, certain })
}

/// Whether these bytes may end with an indirect call that is shorter than a direct one.
fn ends_indirect(bytes: [u8; 4]) -> bool {
    let [a, b, c, d] = bytes;
    let calls = |opcode: u8, operand: u8| opcode == INDIRECT && operand & 0o070 == 0o020;
    let mode = |operand: u8| operand >> 6;
    // A scaled index is one byte more, and so is a short displacement.
    let scaled = |operand: u8| operand & 7 == 4;
    let two = calls(c, d) && (mode(d) == 3 || mode(d) == 0 && !scaled(d));
    let three = calls(b, c) && (mode(c) == 1 && !scaled(c) || mode(c) == 0 && scaled(c));
    let four = calls(a, b) && mode(b) == 1 && scaled(b);
    two || three || four
}

/// What stands in front of a function where calls are counted (`retbleed=stuff`), and is called in its place: the beginning of
/// `sarq $5, %gs:...`. No function begins so.
pub const COUNT: [u8; 3] = [0x65, 0x48, 0xc1];

/// Whether an address is where the function begins that has its fentry site at `site`.
pub fn begins(addr: u64, site: u64) -> bool {
    addr == site || addr.wrapping_add(PAD) == site
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn short(before: [u8; 5]) -> Option<Call> {
        let [a, b, c, d, e] = before;
        direct([0x90, 0xff, a, b, c, d, e], 0x1000)
    }

    fn certain(before: [u8; 5]) -> Option<u64> {
        short(before).and_then(Call::proved)
    }

    #[test]
    fn kinds_of_calls() {
        // call -16
        assert_eq!(certain([0xe8, 0xf0, 0xff, 0xff, 0xff]), Some(0xff0));
        assert_eq!(certain([0xe8, 0x10, 0, 0, 0]), Some(0x1010));
        // call *%rax, *%r8, *8(%rax), *sym(%rip); a jump
        let others = [
            [0x90, 0x90, 0x90, 0xff, 0xd0],
            [0x90, 0x90, 0x41, 0xff, 0xd0],
            [0x90, 0x90, 0xff, 0x50, 0x08],
            [0x15, 0x00, 0x10, 0x00, 0x00],
            [0xe9, 0x10, 0x00, 0x00, 0x00],
        ];
        for bytes in others {
            assert_eq!(short(bytes), None, "{bytes:02x?}");
        }
    }

    /// It may call the function or not: whoever asks for a proof has none, and whoever looks for functions finds it.
    #[test]
    fn what_may_be_the_end_of_an_indirect_call() {
        let doubtful = [
            // *%rax, *%rdi, *(%rax), *(%rdi)
            [0x10, 0x00, 0xff, 0xd0],
            [0x10, 0x00, 0xff, 0xd7],
            [0x10, 0x00, 0xff, 0x10],
            [0x10, 0x00, 0xff, 0x17],
            // *(%rax,%rcx,8), *8(%rax), *8(%rdi)
            [0x10, 0xff, 0x14, 0xc8],
            [0x10, 0xff, 0x50, 0x08],
            [0x10, 0xff, 0x57, 0x08],
            // *8(%rsp)
            [0xff, 0x54, 0x24, 0x08],
        ];
        for [a, b, c, d] in doubtful {
            let call = short([0xe8, a, b, c, d]).expect("it may be one");
            let displacement = i32::from_le_bytes([a, b, c, d]);
            assert_eq!(
                call.target,
                0x1000_u64.wrapping_add_signed(displacement.into())
            );
            assert_eq!(call.proved(), None, "{a:02x} {b:02x} {c:02x} {d:02x}");
        }
        let sure = [
            [0x10, 0x00, 0xff, 0xd8],
            [0x10, 0x00, 0xff, 0xcf],
            [0x10, 0x00, 0xff, 0x14],
            [0x10, 0xff, 0x54, 0x08],
            [0x10, 0xff, 0x48, 0x08],
            [0xff, 0x50, 0x24, 0x08],
        ];
        for [a, b, c, d] in sure {
            let call = short([0xe8, a, b, c, d]);
            assert!(call.is_some_and(|call| call.certain));
        }
        // A kprobe at the call, or at something else.
        let probed = short([0xcc, 0x10, 0, 0, 0]).expect("it may be one");
        assert_eq!((probed.target, probed.proved()), (0x1010, None));
        // *8(%rax,%rbp,8), with four bytes for the 8.
        let far = direct([0xff, 0x94, 0xe8, 0x08, 0, 0, 0], 0x1000);
        assert!(far.is_some_and(|call| !call.certain));
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
            let call = direct([0x90, 0x90, 0xe8, a, b, c, d], ret).expect("it is one");
            let expected = i128::from(ret) + i128::from(displacement);
            prop_assert_eq!((i128::from(call.target) - expected).rem_euclid(1 << 64), 0);
            if ![a, b, c].contains(&0xff) {
                prop_assert!(call.certain);
            }
        }
    }
}
