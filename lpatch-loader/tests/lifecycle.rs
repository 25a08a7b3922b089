// SPDX-License-Identifier: GPL-2.0

//! Sets, cold parts, callbacks and states: what the image says of them, and what is refused.

mod common;

use common::*;
use lpatch_loader::image::{self, CRC};
use lpatch_loader::kallsyms::{Kallsyms, Length};
use lpatch_loader::link::{link, Linked};
use lpatch_loader::relocate::Bases;
use lpatch_loader::resolve::ColdPart;
use lpatch_loader::target::Target;
use lpatch_model::image::Image;
use lpatch_model::refusal::Refusal;
use lpatch_model::uapi::{self, Reason, State};
use lpatch_model::verify::verify;

/// Builds the image and gives it to `look` with what the core says of it.
fn built(
    linked: &Linked<'_>,
    extra_pages: &[u64],
    look: impl FnOnce(&Image<'_>, Result<(), Refusal>),
) {
    let room = room(linked);
    let bases = Bases {
        text: room.text.addr,
        rodata: room.rodata.addr,
        data: room.data.addr,
    };
    let built = image::build(linked, &bases, extra_pages).expect("it is in range");
    let image = Image::parse(&built.bytes, CRC).expect("it is well-formed");
    look(&image, verify(&image, &room, &kernel()));
}

/// The image of an object that the core accepts.
fn accepted(file: &[u8], look: impl FnOnce(&Image<'_>)) {
    let linked = link(file, &target()).unwrap_or_else(|problems| panic!("{problems}"));
    built(&linked, &[], |image, result| {
        assert_eq!(result, Ok(()));
        look(image);
    });
}

/// One problem, whose message has all of these words.
#[track_caller]
fn refused(file: &[u8], words: &[&str]) {
    let problems = link(file, &target()).expect_err("it is refused");
    let messages: Vec<String> = problems.iter().map(|p| p.to_string()).collect();
    let [message] = messages.as_slice() else {
        panic!("not one problem with {words:?}: {messages:#?}");
    };
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

/// The cold parts that are found with these lines in front of the kernel's list.
fn colds(lines: &str, file: &[u8]) -> Result<Vec<ColdPart>, String> {
    let text = format!("{lines}{}", kallsyms_text());
    let target = Target {
        kallsyms: Kallsyms::parse(text).expect("it is well-formed"),
        ..target()
    };
    link(file, &target)
        .map(|linked| linked.resolved.colds)
        .map_err(|problems| problems.to_string())
}

#[test]
fn the_set_is_main_unless_the_patch_says_another() {
    accepted(&object(&[]), |image| assert_eq!(image.set(), b"main"));
    let more = ".section .note.lpatch, \"\", @note\nnote 1\n.asciz \"set=net-fixes\"\ndone\n";
    accepted(&object_with(more), |image| {
        assert_eq!(image.set(), b"net-fixes")
    });
    let more = more.replace("net-fixes", "net/fixes");
    refused(&object_with(&more), &["set", "net/fixes", "not allowed"]);
}

#[test]
fn cumulative_is_a_flag() {
    for (value, flags) in [("1", uapi::IMG_REPLACE), ("0", 0)] {
        accepted(&object(&[("@cumulative@", value)]), |image| {
            assert_eq!(image.header.flags, flags);
            assert_eq!(image.replaces(), flags != 0);
        });
    }
    for value in ["", "2", "yes"] {
        let file = object(&[("@cumulative@", value)]);
        refused(&file, &["cumulative is not 0 or 1"]);
    }
    let note = ".section .note.lpatch, \"\", @note\nnote 1\n.asciz \"cumulative=1\"\ndone\n";
    refused(&object_with(note), &["two INFO cumulative notes"]);
}

#[test]
fn callbacks_are_sorted_by_object_and_kind() {
    accepted(&object(&[]), |image| {
        let all = image.callbacks.iter();
        let found: Vec<_> = all
            .map(|entry| {
                let object = image.string(entry.objname).expect("it is a string");
                (object, entry.kind, entry.offset)
            })
            .collect();
        let symbols = image.ksyms.iter();
        let mut before = symbols.filter(|s| image.string(s.name) == Ok(b"before"));
        let at = before.next().expect("it is there").offset;
        let expected = [
            (&b"tinyfs"[..], uapi::CALLBACK_POST_UNPATCH, at),
            (b"vmlinux", uapi::CALLBACK_PRE_PATCH, at),
        ];
        assert_eq!(found, expected);
    });
}

#[test]
fn callbacks_that_are_refused() {
    for kind in ["0", "5", "1 << 32"] {
        let file = object(&[("@callback_kind@", kind)]);
        refused(&file, &["entry 0 of .lpatch.callbacks", "kind is unknown"]);
    }
    let file = object(&[("@callback_object@", "tinyfs"), ("@callback_kind@", "4")]);
    refused(&file, &["tinyfs has two post-unpatch callbacks, before"]);
    let entry = |entry: &str| object_with(&format!(".section .lpatch.callbacks\n.quad {entry}\n"));
    refused(&entry("0, 0, 2"), &["entry 2", "no function"]);
    refused(&entry("counter, 0, 2"), &["entry 2", "text section"]);
    refused(&entry("before + 4, 0, 2"), &["entry 2", "no symbol"]);
    refused(&entry("jiffies, 0, 2"), &["entry 2", "out of the object"]);
    refused(&entry("before, 5, 2"), &["entry 2", "no relocation"]);
    refused(&entry("before"), &[".lpatch.callbacks", "multiple of 24"]);
}

/// An indirect call of a function whose endbr64 is sealed is a fault: the core sees it.
#[test]
fn a_sealed_callback_is_refused_by_the_core() {
    let sealed = ".section .ibt_endbr_seal, \"a\", @progbits\n.long before - .\n";
    let file = object_with(sealed);
    let linked = link(&file, &target()).unwrap_or_else(|problems| panic!("{problems}"));
    built(&linked, &[], |_, result| {
        let refusal = result.expect_err("it cannot be called");
        assert_eq!((refusal.reason, refusal.at), (Reason::CallbackTable, 0));
    });
}

#[test]
fn states_are_sorted_by_id() {
    let file = object(&[("@state@", "0xfffffffffffffffe")]);
    accepted(&file, |image| {
        let state = |id, version| State {
            id,
            version,
            reserved: 0,
        };
        let expected = [state(7, 2), state(u64::MAX - 1, 3)];
        assert_eq!(image.states.iter().collect::<Vec<_>>(), expected);
    });
    refused(&object(&[("@state@", "7")]), &["state 7 is there twice"]);
    let more = ".section .lpatch.states\n.quad 9\n.long 1, 1\n";
    refused(
        &object_with(more),
        &["entry 2 of .lpatch.states", "not zero"],
    );
    let more = ".section .lpatch.states\n.quad 9\n";
    refused(&object_with(more), &[".lpatch.states", "multiple of 16"]);
}

#[test]
fn sections_of_a_newer_header_are_not_passed_over() {
    refused(
        &object_with(".section .lpatch.future, \"a\", @progbits\n.quad 0\n"),
        &["section .lpatch.future", "install a newer one"],
    );
}

#[test]
fn cold_parts_are_ranges_of_their_own() {
    accepted(&object(&[]), |image| {
        let [part] = image.colds.iter().collect::<Vec<_>>()[..] else {
            panic!("there is one");
        };
        assert_eq!(image.string(part.name), Ok(&b"cmdline_proc_show.cold"[..]));
        assert_eq!((part.func, part.addr, part.len), (0, TEXT + 0x1340, 0x40));
    });
}

#[test]
fn every_cold_part_is_found() {
    let file = object(&[]);
    // A number behind it, two functions of one name, and what is none: of a copy, of another function, of a module.
    let lines = "\
ffffffff81000200 t cmdline_proc_show.cold.1
ffffffff81000210 t cmdline_proc_show.cold
ffffffff81000220 t cmdline_proc_show.isra.0.cold
ffffffff81000230 t cmdline_proc_show.colder
ffffffff81000240 t cmdline_proc_show.cold.x
ffffffff81000250 t fs_read.cold
";
    let found = colds(lines, &file).expect("it links");
    let found: Vec<_> = found.iter().map(|p| (p.name.as_str(), p.addr)).collect();
    let expected = [
        ("cmdline_proc_show.cold.1", TEXT + 0x200),
        ("cmdline_proc_show.cold", TEXT + 0x210),
        ("cmdline_proc_show.cold", TEXT + 0x1340),
    ];
    assert_eq!(found, expected);
}

/// The compiler names a part after the function, which can have further names.
#[test]
fn cold_parts_go_by_any_name_of_the_function() {
    let crc = {
        let mut bytes = code(TEXT + 0x1240, 32);
        bytes[4..9].fill(0);
        format!("{:#x}", crc32fast::hash(&bytes))
    };
    let file = object(&[("@old_show@", "alias"), ("@show_crc@", &crc)]);
    let found = colds("ffffffff81000200 t __pi_alias.cold\n", &file).expect("it links");
    assert_eq!(found.len(), 1);
    // Its name does not tell the core that it belongs to the function.
    let message = colds("ffffffff81000200 t alias.cold\n", &file).expect_err("it is refused");
    assert!(message.contains("alias.cold belongs to __pi_alias"));
}

/// Kallsyms does not tell where the last part of a module's text ends.
#[test]
fn the_last_cold_part_of_a_module_is_open_ended() {
    let file = last_object();
    let linked = link(&file, &target()).unwrap_or_else(|problems| panic!("{problems}"));
    let [part, last] = &linked.resolved.colds[..] else {
        panic!("there are two: {:?}", linked.resolved.colds);
    };
    assert_eq!((part.func, last.func), (0, 1));
    assert_eq!(last.len, Length::AtLeast(0xfc0));
    built(&linked, &[], |_, result| {
        let expected = Refusal::at(Reason::Cold, 1).value(0x2fc0);
        assert_eq!(result, Err(expected));
    });
    built(&linked, &[0, 0, 0, 2], |_, result| {
        assert_eq!(result, Ok(()))
    });
}
