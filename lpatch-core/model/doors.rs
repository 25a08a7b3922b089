// SPDX-License-Identifier: GPL-2.0

//! Doors: code through which calls of a patched function go by one jump, or ask.

use super::finalize::displacement;

/// Where the displacement of a door's jump is in it: behind `cmpb $0, imm32(%rip)`, a short `jne`, and the opcode.
pub const OPERAND: usize = 10;
/// Behind its jump.
const END: u64 = 14;

/// The displacement with which the jump of the door at `door` goes to `to`, if that is near enough.
pub fn jump(door: u64, to: u64) -> Option<[u8; 4]> {
    displacement(door.checked_add(END)?, to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ends_of_its_reach() {
        let door = 0xffff_ffff_c000_0000;
        let end = door + 14;
        assert_eq!(jump(door, end), Some([0; 4]));
        assert_eq!(jump(door, end - 14), Some([0xf2, 0xff, 0xff, 0xff]));
        assert_eq!(
            jump(door, end + 0x3fff_fff1),
            Some([0xf1, 0xff, 0xff, 0x3f])
        );
        assert_eq!(jump(door, end - 0x8000_0000), Some([0, 0, 0, 0x80]));
        assert_eq!(jump(door, end - 0x8000_0001), None);
        assert_eq!(
            jump(0x1000, 0x1000 + 14 + 0x7fff_ffff),
            Some([0xff, 0xff, 0xff, 0x7f])
        );
        assert_eq!(jump(0x1000, 0x1000 + 14 + 0x8000_0000), None);
        assert_eq!(jump(u64::MAX, 0), None);
    }

    proptest! {
        #[test]
        fn it_arrives(door in 0xffff_ffff_8000_0000..0xffff_ffff_f000_0000_u64, to in 0xffff_ffff_8000_0000..0xffff_ffff_f000_0000_u64) {
            let bytes = jump(door, to).expect("both are in the kernel's last 2 GiB");
            let distance = i64::from(i32::from_le_bytes(bytes));
            prop_assert_eq!(door.wrapping_add(14).wrapping_add_signed(distance), to);
        }
    }
}
