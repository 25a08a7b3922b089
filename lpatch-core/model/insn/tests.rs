// SPDX-License-Identifier: GPL-2.0

//! Each form of operand, each kind of immediate.

use super::*;
use proptest::prelude::*;
use std::vec::Vec;

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |byte| u8::from_str_radix(byte, 16).expect("it is hexadecimal");
    hex.split_ascii_whitespace().map(byte).collect()
}

/// The instruction with something behind it that would make it longer if it could.
fn insn(hex: &str) -> Option<Insn> {
    let mut code = bytes(hex);
    code.extend([0x90, 0x48, 0x05, 0x24, 0x66, 0x0f, 0x1f, 0x44]);
    decode(&code)
}

#[test]
fn lengths() {
    for hex in [
        // No operand, prefixes, short forms.
        "90",
        "f3 90",
        "c3",
        "cc",
        "0f 0b",
        "0f a2",
        "0f 01 cb",
        "0f 01 ca",
        "0f ae e8",
        "0f 31",
        "0f 01 f9",
        "0f 78 c1",
        "0f 05",
        "f3 a4",
        "f3 48 ab",
        "41 57",
        "0f c8",
        "49 0f c9",
        "f0 0f b1 0f",
        "f3 0f 1e fa",
        "9c",
        "fa",
        "66 66 2e 0f 1f 84 00 00 00 00 00",
        // ModRM: register, memory with and without displacement, SIB with and without base.
        "48 89 e5",
        "48 8b 07",
        "48 8b 47 08",
        "48 8b 87 00 01 00 00",
        "48 8b 04 24",
        "48 8b 44 24 08",
        "48 8b 84 24 00 01 00 00",
        "48 8b 04 c5 00 00 00 81",
        "65 48 8b 04 25 28 00 00 00",
        "48 8b 05 11 22 33 44",
        "4d 8b 65 00",
        "42 8b 04 2d 00 00 00 81",
        // Immediates.
        "04 01",
        "05 01 02 03 04",
        "66 05 01 02",
        "48 05 01 02 03 04",
        "83 c0 01",
        "81 c1 01 02 03 04",
        "66 81 c1 01 02",
        "48 81 ec 01 02 03 04",
        "66 48 81 ec 01 02 03 04",
        "48 c7 c7 01 02 03 04",
        "66 c7 00 01 02",
        "c6 00 01",
        "b0 01",
        "b8 01 02 03 04",
        "66 b8 01 02",
        "48 b8 01 02 03 04 05 06 07 08",
        "48 a1 01 02 03 04 05 06 07 08",
        "67 a1 01 02 03 04",
        "c2 08 00",
        "c8 10 00 00",
        "6a 01",
        "68 01 02 03 04",
        "66 68 01 02",
        "69 c1 01 02 03 04",
        "6b c1 01",
        "f6 c1 01",
        "f6 d1",
        "f7 c1 01 02 03 04",
        "66 f7 c1 01 02",
        "48 f7 c1 01 02 03 04",
        "f7 d9",
        "f7 05 01 02 03 04 05 06 07 08",
        "c1 e0 04",
        "d1 e0",
        "d3 e0",
        "0f ba e0 04",
        "0f a4 c2 04",
        "0f c2 c1 00",
        "cd 80",
        "e4 60",
        // Branches.
        "eb 01",
        "74 01",
        "e9 01 02 03 04",
        "e8 01 02 03 04",
        "66 e8 01 02 03 04",
        "2e e8 01 02 03 04",
        "0f 85 01 02 03 04",
        "e2 01",
        "ff d0",
        "2e 2e 2e ff d0",
        "41 ff e3",
        "ff 15 01 02 03 04",
        // The maps behind 0f 38 and 0f 3a; VEX and EVEX.
        "66 0f 38 f6 c1",
        "f2 0f 38 f1 c1",
        "66 0f 3a 0f c1 08",
        "0f 22 d8",
        "c5 f8 77",
        "c5 fd 70 c1 44",
        "c5 fd 6f 05 01 02 03 04",
        "c4 e2 7d 58 05 01 02 03 04",
        "c4 e2 f8 f2 c1",
        "c4 e3 7d 19 c1 01",
        "c4 e3 fd 00 c1 4e",
        "62 f1 fd 48 6f 47 01",
        "62 f2 7d 48 59 05 01 02 03 04",
        "62 f3 fd 48 43 c1 4e",
        "62 f5 7c 48 58 c1",
    ] {
        let len = bytes(hex).len();
        assert_eq!(insn(hex).map(|insn| insn.len), Some(len), "{hex}");
        for cut in 0..len {
            assert_eq!(decode(&bytes(hex)[..cut]), None, "{cut} bytes of {hex}");
        }
    }
}

#[test]
fn nops() {
    for hex in [
        "90",
        "66 90",
        "48 90",
        "0f 1f 00",
        "0f 1f 40 00",
        "0f 1f 44 00 00",
        "66 0f 1f 44 00 00",
        "66 66 2e 0f 1f 84 00 00 00 00 00",
        "eb 00",
        "e9 00 00 00 00",
        "48 89 ff",
        "4d 89 c0",
        "48 8d 76 00",
        "48 8d b6 00 00 00 00",
        "48 8d 74 26 00",
        "3e 48 8d 74 26 00",
    ] {
        let found = insn(hex).expect("it is known");
        assert!(found.nop, "{hex}");
        assert_eq!(found.len, bytes(hex).len(), "{hex}");
    }
    for hex in [
        // pause; xchg with r8; a hint; another number behind 0f 1f; endbr64.
        "f3 90",
        "41 90",
        "0f 18 00",
        "0f 1f 08",
        "44 0f 1f 00",
        "f3 0f 1e fa",
        "eb 01",
        "e9 01 00 00 00",
        "e8 00 00 00 00",
        "74 00",
        // 32 bits wide, which clears the upper half; other registers; memory.
        "89 ff",
        "66 89 ff",
        "48 89 fe",
        "49 89 ff",
        "48 89 3f",
        "48 8b ff",
        "8d 76 00",
        "48 8d 36",
        "48 8d 76 01",
        "48 8d 7e 00",
        "48 8d 74 66 00",
        "48 8d 74 06 00",
        "4a 8d 74 26 00",
        "65 48 8d 76 00",
        "48 8d 35 00 00 00 00",
        // An opcode that means another thing behind VEX.
        "c5 fd 90 c1",
        "c5 f8 1f c0",
        "c4 e1 f9 90 c1",
    ] {
        assert_eq!(insn(hex).map(|insn| insn.nop), Some(false), "{hex}");
    }
}

#[test]
fn relative_fields() {
    for (hex, at, size, value) in [
        ("e8 01 02 03 04", 1, 4, 0x0403_0201),
        ("e9 ff ff ff ff", 1, 4, -1),
        ("2e e8 01 02 03 04", 2, 4, 0x0403_0201),
        ("0f 85 01 00 00 80", 2, 4, i32::MIN + 1),
        ("eb fe", 1, 1, -2),
        ("75 7f", 1, 1, 127),
        ("e3 80", 1, 1, -128),
        ("48 8b 05 01 00 00 00", 3, 4, 1),
        ("c6 05 02 00 00 00 ff", 2, 4, 2),
        ("81 05 03 00 00 00 01 02 03 04", 2, 4, 3),
        ("ff 15 04 00 00 00", 2, 4, 4),
        ("c4 e3 7d 0f 05 05 00 00 00 08", 5, 4, 5),
        ("62 f2 7d 48 59 05 06 00 00 00", 6, 4, 6),
    ] {
        let relative = Relative { at, value, size };
        assert_eq!(
            insn(hex).map(|insn| insn.relative),
            Some(Some(relative)),
            "{hex}"
        );
    }
    for hex in [
        "48 8b 47 08",
        "48 8b 04 25 00 00 00 81",
        "48 8b 04 c5 00 00 00 81",
        "83 c0 05",
        "c5 fd 70 c1 44",
        "ff d0",
    ] {
        assert_eq!(insn(hex).map(|insn| insn.relative), Some(None), "{hex}");
    }
    assert_eq!(insn("e9 01 02 03 04").map(|insn| insn.jmp32), Some(true));
    assert_eq!(insn("eb 01").map(|insn| insn.jmp32), Some(false));
    assert_eq!(
        insn("2e e9 01 02 03 04").map(|insn| insn.jmp32),
        Some(false)
    );
}

#[test]
fn what_is_not_known() {
    for hex in [
        "06",
        "0e",
        "27",
        "60",
        "82 00",
        "9a",
        "ce",
        "d4",
        "d5",
        "ea",
        "0f 04",
        "0f 0a",
        "0f 24",
        "0f 39",
        "0f 20 00",
        // XOP, map 4 of EVEX, map 0 of VEX, a prefix behind REX.
        "8f e8 78 c0 c1",
        "62 f4 7c 48 58 c1",
        "c4 e0 7d 58 c1",
        "48 66 90",
        // 16 bytes.
        "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90",
        // xbegin.
        "c7 f8 00 00 01 00",
        // Of SSE4a, with two immediates.
        "66 0f 78 c1 02 03",
        "f2 0f 78 c1 02 03",
        "26 66 2e 0f 78 c5 5f 78",
    ] {
        assert_eq!(insn(hex), None, "{hex}");
    }
}

proptest! {
    #[test]
    fn any_bytes(code in prop::collection::vec(any::<u8>(), 0..24)) {
        if let Some(found) = decode(&code) {
            prop_assert!((1..=MAX).contains(&found.len));
            prop_assert!(found.len <= code.len());
            // What is behind it does not count, what is in it does.
            prop_assert_eq!(decode(&code[..found.len]), Some(found));
            prop_assert_eq!(decode(&code[..found.len - 1]), None);
            if let Some(field) = found.relative {
                prop_assert!(field.at > 0 && field.at + field.size <= found.len);
            }
        }
    }
}
