// SPDX-License-Identifier: GPL-2.0

//! Patches for modules that are not loaded: what the image says, and what it becomes when the module comes.

mod common;

use common::*;
use lpatch_loader::dormant::Waiting;
use lpatch_loader::image::{self, CRC};
use lpatch_loader::link::{link, Linked};
use lpatch_loader::problem::Problem;
use lpatch_loader::relocate::Bases;
use lpatch_loader::target::Target;
use lpatch_model::arrive::{self, Found};
use lpatch_model::image::Image;
use lpatch_model::verify::{verify, Reservation};

/// The image for a kernel, and the room that it is for.
fn built(file: &[u8], target: &Target) -> (Vec<u8>, Reservation) {
    let linked = link(file, target).unwrap_or_else(|problems| panic!("{problems}"));
    let room = room(&linked);
    let bases = Bases {
        text: room.text.addr,
        rodata: room.rodata.addr,
        data: room.data.addr,
    };
    let built = image::build(&linked, &bases, &[]).expect("it is in range");
    (built.bytes, room)
}

/// The core's kernel while the module is not there.
fn core_without(module: &str) -> lpatch_model::testing::FakeKernel {
    let mut kernel = kernel();
    kernel.symbols.retain(|s| s.objname() != module);
    kernel
}

fn refused(file: &[u8], target: &Target, words: &[&str]) {
    let problems = link(file, target).expect_err("it is refused");
    let list: Vec<String> = problems.iter().map(Problem::to_string).collect();
    let [message] = list.as_slice() else {
        panic!("not one problem with {words:?}: {list:#?}");
    };
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

fn waiting<'l>(linked: &'l Linked<'_>) -> Vec<(&'l str, usize)> {
    let list = linked.resolved.waiting.iter();
    list.map(|Waiting { objname, functions }| (objname.as_str(), *functions))
        .collect()
}

#[test]
fn the_core_accepts_a_patch_for_a_module_that_is_not_loaded() {
    let file = object(&[]);
    let target = target_without("tinyfs");
    let linked = link(&file, &target).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(waiting(&linked), [("tinyfs", 1)]);
    assert!(linked.resolved.preimages_checked);
    let (bytes, room) = built(&file, &target);
    let image = Image::parse(&bytes, CRC).expect("it is well-formed");
    verify(&image, &room, &core_without("tinyfs")).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    let func = image.funcs.get(0).expect("it is there");
    assert_eq!(image.string(func.name), Ok(&b"fs_read"[..]));
    assert_eq!((func.old_addr, func.old_len, func.pre_len), (0, 0, 16));
    assert_eq!(image.colds.get(0).map(|cold| cold.func), Some(1));
}

/// A branch that depends on a static key of the module.
const KEYED: &str = r#"
	.text
	func	keyed
	orc
1:	.byte	0x0f, 0x1f, 0x44, 0, 0
	nop
2:	return
	end	keyed
	.section __jump_table, "aw", @progbits
	.long	1b - ., 2b - .
	.quad	fs_data - .
	.section .lpatch.strings
fs_data_name: .asciz "fs_data"
	.section .lpatch.syms
	.quad	tinyfs, fs_data_name, 0
"#;

/// What the core makes of the fields when the module comes is what the loader writes while it is there.
#[test]
fn arrival_completes_the_image() {
    completes(&object(&[]), 1);
    completes(&object_with(KEYED), 2);
}

/// Of these, so many fields depend on the module.
fn completes(file: &[u8], fields: usize) {
    let (bytes, room) = built(file, &target_without("tinyfs"));
    let (expected, same) = built(file, &target());
    assert_eq!(room, same);
    let image = Image::parse(&bytes, CRC).expect("it is well-formed");
    let expected = Image::parse(&expected, CRC).expect("it is well-formed");
    assert_ne!(image.text, expected.text);

    let kernel = kernel();
    let read = kernel.find("fs_read");
    let found = Found {
        addr: read.addr,
        len: read.size,
    };
    assert_eq!(arrive::func(&image, 0, found, &kernel), Ok(()));
    let addr_of = |i: usize| {
        let symbol = image.symbols.get(i)?;
        let name = image.string(symbol.name).ok()?;
        let name = std::str::from_utf8(name).ok()?;
        (symbol.addr == 0).then(|| kernel.find(name).addr)
    };
    let mut sections = [image.text, image.rodata, image.data].map(<[u8]>::to_vec);
    let mut put = 0;
    arrive::fields(&image, &room, addr_of, |section, offset, field| {
        let at = usize::try_from(offset).expect("it is small");
        sections[usize::from(section)][at..at + field.len()].copy_from_slice(field);
        put += 1;
    })
    .expect("it is in range");
    assert_eq!(put, fields);
    let expected = [expected.text, expected.rodata, expected.data];
    assert_eq!(sections.each_ref().map(Vec::as_slice), expected);
}

/// What the assembler left in a field is not an address.
#[test]
fn fields_that_wait_hold_zeros() {
    let more = ".data\n.reloc ., R_X86_64_64, mod_helper\n.quad 0x1122334455667788\n";
    let (bytes, room) = built(&object_with(more), &target_without("tinyfs"));
    let image = Image::parse(&bytes, CRC).expect("it is well-formed");
    let found = verify(&image, &room, &core_without("tinyfs"));
    assert_eq!(found, Ok(()));
    let junk = 0x1122_3344_5566_7788_u64.to_le_bytes();
    assert!(!image.data.windows(8).any(|bytes| bytes == junk));
}

#[test]
fn functions_are_sorted_by_name() {
    let more = "
.section .lpatch.strings
b: .asciz \"b_read\"
a: .asciz \"a_read\"
goner: .asciz \"gonefs\"
.section .lpatch.funcs
.quad one, tinyfs, b, 2
.quad helper, tinyfs, b, 1
.quad before, goner, a, 0
.section .note.lpatch.seal
note 4
.long 2, 9, 0, 0
done
note 4
.long 3, 9, 0, 0
done
note 4
.long 4, 9, 0, 0
done
";
    let file = object_with(more);
    let target = target_without("tinyfs");
    let linked = link(&file, &target).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(waiting(&linked), [("gonefs", 1), ("tinyfs", 3)]);
    let (bytes, room) = built(&file, &target);
    let image = Image::parse(&bytes, CRC).expect("it is well-formed");
    verify(&image, &room, &core_without("tinyfs")).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    let names: Vec<_> = image
        .funcs
        .iter()
        .map(|func| {
            let name = image.string(func.name).expect("it is one");
            (std::str::from_utf8(name).expect("it is text"), func.sympos)
        })
        .collect();
    let expected = [
        ("a_read", 0),
        ("b_read", 1),
        ("b_read", 2),
        ("fs_read", 0),
        ("cmdline_proc_show", 0),
    ];
    assert_eq!(names, expected);

    // One of a unique name, and a first one.
    let twice = object_with(&more.replace("tinyfs, b, 2", "tinyfs, b, 0"));
    refused(&twice, &target, &["b_read", "the same function of tinyfs"]);
}

#[test]
fn callbacks_wait_too() {
    // No function is about the module, but its callback and a symbol are.
    let crc = format!("{:#x}", crc32fast::hash(&code(MODULE + 0x1_0000, 16)));
    let file = object(&[
        ("new_read, tinyfs, old_read", "new_read, lastfs, old_read"),
        ("\"fs_read\"", "\"fs_end\""),
        ("@read_crc@", &crc),
        (
            "@more@",
            ".section .lpatch.strings\nlastfs: .asciz \"lastfs\"\n",
        ),
    ]);
    let target = target_without("tinyfs");
    let linked = link(&file, &target).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(waiting(&linked), [("tinyfs", 0)]);
    let symbols = &linked.resolved.symbols;
    let helper = symbols.iter().find(|s| s.name == "mod_helper");
    assert_eq!(helper.map(|s| s.addr), Some(0));
}

#[test]
fn modules_that_nothing_waits_for_have_to_be_there() {
    // Neither a function nor a callback is about the module of this symbol.
    let file = object_with(
        "
.section .lpatch.strings
goner: .asciz \"gonefs\"
far_name: .asciz \"far_helper\"
.text
call far_helper
.section .lpatch.syms
.quad goner, far_name, 0
",
    );
    let target = target_without("tinyfs");
    refused(&file, &target, &["far_helper: module gonefs is not loaded"]);
}

#[test]
fn what_can_never_come_is_refused() {
    let target = target_without("tinyfs");
    for (name, object_name, words) in [
        ("_RNvCs1_6kernel4rust", "tinyfs", "is a Rust function"),
        ("fs_read", "tiny-fs", "can never be loaded"),
    ] {
        let file = object(&[
            ("\"fs_read\"", &format!("\"{name}\"")),
            ("\"tinyfs\"", &format!("\"{object_name}\"")),
        ]);
        refused(&file, &target, &[words]);
    }
}

#[test]
fn pre_images_of_nothing_are_not_called_checked() {
    let file = object(&[("new_show, 0, old_show", "new_show, tinyfs, old_show")]);
    let target = target_without("tinyfs");
    let linked = link(&file, &target).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(waiting(&linked), [("tinyfs", 2)]);
    assert!(!linked.resolved.preimages_checked);
}
