// SPDX-License-Identifier: GPL-2.0

//! Static keys: the stubs of branches are run, instruction by instruction, with the key on and off.

#![expect(
    clippy::as_conversions,
    reason = "offsets in a text of a few hundred bytes"
)]

mod common;

use common::*;
use lpatch_loader::image::{self, CRC};
use lpatch_loader::link::{link, Linked};
use lpatch_loader::problem::Problem;
use lpatch_loader::relocate::Bases;
use lpatch_model::image::Image;
use lpatch_model::uapi::Orc;
use lpatch_model::verify::verify;

/// Branches of each kind. Bit 0 of what is added to a key says that the branch is taken while it is off.
const BRANCHES: &str = r#"
	.macro branch target, key
	.pushsection __jump_table, "aw", @progbits
	.p2align 3
	.long	1b - ., \target - .
	.quad	\key - .
	.popsection
	.endm
	.text
	func	keyed
	orc
1:	.byte	0x0f, 0x1f, 0x44, 0, 0
	branch	5f, own_key+16
	push	%rbx
	orc	16
1:	.byte	0x0f, 0x1f, 0x44, 0, 0
	branch	5f, own_key+1
	.skip	40, 0x90
1:	.byte	0xe9
	.long	5f - 2f
2:	branch	5f, jiffies+8+1
1:	.byte	0xe9
	.long	keyed.cold - 2f
2:	branch	keyed.cold, fs_data+2
5:	pop	%rbx
	orc	8
	return
	end	keyed
	.section .text.unlikely, "ax", @progbits
	func	keyed.cold
	orc	16
	pop	%rbx
	orc
	return
	end	keyed.cold
	.data
	.type own_key, @object
own_key: .zero 32
	.size own_key, 32
	.section .lpatch.strings
fs_data_name: .asciz "fs_data"
	.section .lpatch.syms
	.quad	tinyfs, fs_data_name, 0
"#;

/// Links, builds, and gives the image to `look` after the core's verification accepted it.
fn accepted(file: &[u8], look: impl FnOnce(&Image<'_>, &Linked<'_>, &Bases)) {
    let linked = link(file, &target()).unwrap_or_else(|problems| panic!("{problems}"));
    let room = room(&linked);
    let bases = Bases {
        text: room.text.addr,
        rodata: room.rodata.addr,
        data: room.data.addr,
    };
    let built = image::build(&linked, &bases, &[]).expect("it is in range");
    let image = Image::parse(&built.bytes, CRC).expect("it is well-formed");
    verify(&image, &room, &kernel()).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    look(&image, &linked, &bases);
}

fn orc_at(image: &Image<'_>, offset: usize) -> Orc {
    let found = image
        .orcs
        .iter()
        .filter(|orc| orc.offset as usize <= offset);
    found.last().expect("the first is at 0")
}

/// Where a branch goes: the text offset, and the address of the key that was read.
fn run(image: &Image<'_>, bases: &Bases, site: usize, key: u32) -> (usize, u64) {
    let text = image.text;
    let disp = |at: usize| i32::from_le_bytes(text[at..at + 4].try_into().expect("four bytes"));
    let jump = |next: usize, by: i64| usize::try_from(next as i64 + by).expect("in the text");
    assert_eq!(text[site], 0xe9, "a branch is a jump to its stub");
    let frame = orc_at(image, site);
    let mut ip = jump(site + 5, disp(site + 1).into());
    let stub = ip;
    assert_eq!(stub % 32, 0);
    // What rcx was, the word on the stack, and the key's address.
    let (mut rcx, mut pushed, mut read) = (None, None, 0);
    const WAS: u32 = 0x5a5a_5a5a;
    for _ in 0..8 {
        let orc = orc_at(image, ip);
        let depth = if pushed.is_some() { 8 } else { 0 };
        assert_eq!(orc.sp_offset, frame.sp_offset + depth, "at {}", ip - stub);
        assert_eq!((orc.bp_offset, orc.bits), (frame.bp_offset, frame.bits));
        match text[ip] {
            0x51 => {
                pushed = Some(rcx.unwrap_or(WAS));
                ip += 1;
            }
            0x59 => {
                rcx = pushed.take();
                assert!(rcx.is_some(), "what was pushed comes back");
                ip += 1;
            }
            0x8b => {
                assert_eq!(text[ip + 1], 0x0d);
                read = (bases.text + ip as u64 + 6).wrapping_add_signed(disp(ip + 2).into());
                rcx = Some(key);
                ip += 6;
            }
            0xe3 => {
                let by = i64::from(text[ip + 1] as i8);
                let taken = rcx.expect("it was read") == 0;
                ip = jump(ip + 2, if taken { by } else { 0 });
            }
            0xe9 => {
                assert_eq!((rcx, pushed), (Some(WAS), None));
                return (jump(ip + 5, disp(ip + 1).into()), read);
            }
            other => panic!("{other:#x} at {}", ip - stub),
        }
    }
    panic!("the stub does not end")
}

#[test]
fn each_branch_goes_where_its_key_says() {
    accepted(&object_with(BRANCHES), |image, linked, bases| {
        let of = |name: &str| {
            let found = linked.tables.symbols.iter().find(|s| s.name == name);
            found
                .unwrap_or_else(|| panic!("{name} is there"))
                .place
                .offset as usize
        };
        let (keyed, cold) = (of("keyed"), of("keyed.cold"));
        let end = keyed + 5 + 1 + 5 + 40 + 5 + 5;
        let own = bases.data + of("own_key") as u64;
        for (at, target, inverted, address) in [
            (0, end, false, own + 16),
            (6, end, true, own),
            (51, end, true, TEXT + 0x10_0008),
            (56, cold, false, MODULE + 0x3000),
        ] {
            let site = keyed + at;
            for key in [0, 1, 2, u32::MAX] {
                let taken = (key != 0) != inverted;
                let expected = if taken { target } else { site + 5 };
                let found = run(image, bases, site, key);
                assert_eq!(found, (expected, address), "at {at}, key {key}");
            }
        }
    });
}

#[test]
fn stubs_have_the_names_of_their_functions() {
    accepted(&object_with(BRANCHES), |image, linked, _| {
        let symbols = &linked.tables.symbols;
        let stubs: Vec<_> = symbols
            .iter()
            .filter(|s| s.name.ends_with("keys"))
            .collect();
        let [stubs] = stubs.as_slice() else {
            panic!("{stubs:?}");
        };
        assert_eq!(
            (&*stubs.name, stubs.size, stubs.letter),
            ("keyed.static_keys", 128, b't')
        );
        assert_eq!(stubs.place.offset, linked.layout.stubs);
        assert_eq!(linked.layout.text_len, linked.layout.stubs + 128);
        assert!(symbols.is_sorted_by_key(|s| s.place));
        // Behind the last instruction is nothing that could be run by mistake.
        assert_eq!(image.text.last(), Some(&0xcc));
    });
}

/// The one problem of an object with this code and this table.
#[track_caller]
fn refused(code: &str, table: &str, words: &[&str]) {
    let more = format!(
        ".text\nfunc keyed\norc\n{code}\nreturn\nend keyed\n.section __jump_table, \"aw\", @progbits\n{table}\n"
    );
    let file = object_with(&more);
    let list: Vec<String> = match link(&file, &target()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(Problem::to_string).collect(),
    };
    let [message] = list.as_slice() else {
        panic!("not one problem with {words:?}: {list:#?}");
    };
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

#[test]
fn strange_branches_are_refused_by_name() {
    const NOP: &str = "1: .byte 0x0f, 0x1f, 0x44, 0, 0\n2: nop";
    const TABLE: &str = ".long 1b - ., 2b - .\n.quad jiffies - .";
    refused(
        "1: .byte 0xeb, 0\n2: .skip 8, 0x90",
        TABLE,
        &["(in keyed)", "five bytes", "build-patch"],
    );
    refused(
        "1: .byte 0x66, 0x90\n2: .skip 8, 0x90",
        TABLE,
        &["five bytes"],
    );
    refused(
        "1: .byte 0xe9\n.long 1\n2: .skip 8, 0x90",
        TABLE,
        &["(in keyed)", "elsewhere than its table says"],
    );
    refused(
        "1: .byte 0xe9\n.long new_show.cold - 2f\n2: .skip 8, 0x90",
        TABLE,
        &["does not lead to its target"],
    );
    refused(
        "1: .byte 0x0f, 0x1f, 0x44, 0, 0\n.reloc 1b + 1, R_X86_64_PC32, jiffies - 4\n2: nop",
        TABLE,
        &["does not lead to its target"],
    );
    refused(
        NOP,
        ".long 1b - ., 2b - .\n.quad jiffies - .\n.long 1b - ., 2b - .\n.quad jiffies - .",
        &["two static branches in one place"],
    );
    refused(
        NOP,
        ".long 1b - ., 2b - .\n.quad jiffies",
        &["__jump_table", "0x8", "name a static key"],
    );
    refused(NOP, ".long 1b - ., 2b - .\n.quad 0", &["name a static key"]);
    refused(
        NOP,
        ".long 1b - ., counter - .\n.quad jiffies - .",
        &["point to code"],
    );
    refused(
        NOP,
        ".long 1b - ., 2b - .\n.quad jiffies - .\n.long 0",
        &["not a multiple of 16"],
    );
    refused(
        &format!(".byte 0x90\norc 0 0x0209\n{NOP}"),
        TABLE,
        &["(in keyed)", "stack is switched"],
    );
}

/// A frame that is found from another register is the same while something is on the stack.
#[test]
fn frames_of_other_registers_stay() {
    let more = BRANCHES.replacen("orc\n", "orc 24 0x0204\n", 1);
    let more = more.replacen("\torc\t16\n", "", 1);
    let file = object_with(&more);
    let linked = link(&file, &target()).unwrap_or_else(|problems| panic!("{problems}"));
    let stubs = linked
        .tables
        .orcs
        .iter()
        .filter(|orc| orc.offset >= linked.layout.stubs);
    let stubs: Vec<_> = stubs
        .take(5)
        .map(|orc| (orc.offset - linked.layout.stubs, orc.sp_offset))
        .collect();
    assert_eq!(stubs, [(0, 24), (1, 24), (10, 24), (15, 24), (16, 24)]);
}
