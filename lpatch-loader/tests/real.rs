// SPDX-License-Identifier: GPL-2.0

//! An object that gcc and objtool made (tests/data/real.c), sealed for a stock kernel, linked against lines of that
//! kernel's own kallsyms.

mod common;

use common::ARENA;
use lpatch_loader::image::{self, CRC};
use lpatch_loader::kallsyms::Kallsyms;
use lpatch_loader::link::{link, Linked};
use lpatch_loader::relocate::Bases;
use lpatch_loader::target::{unhex, Target};
use lpatch_model::image::Image;
use lpatch_model::testing::{FakeKernel, FakeSymbol};
use lpatch_model::uapi;
use lpatch_model::verify::verify;

const REAL: &[u8] = include_bytes!("data/real.lpo");
const KALLSYMS: &str = include_str!("data/real.kallsyms");
const SHOW: u64 = 0xffff_ffff_8188_5ba0;
/// cmdline_proc_show of that kernel, as it is in the file.
const SHOW_BYTES: &str =
    "f30f1efae84789aaff53488b35773410014889fbe8b782f6ff4889dfbe0a000000e88a7df6ff31c05be9a29790006690";
const ORC_HASH: &str = "137c36ad7627c4dd55932176bb0ecdbd5041fc82";

fn target() -> Target {
    Target {
        release: "7.2.12+deb13-amd64".into(),
        build_id: unhex("1eeabb9495d1c8f00f0ea93e0fc50f51c3d38e32"),
        kallsyms: Kallsyms::parse(KALLSYMS.into()).expect("it is well-formed"),
        memory: None,
        traceable: None,
        kprobes: None,
    }
}

/// The same kernel, for the core's checks: sprint_symbol() by the same list.
fn kernel(kallsyms: &Kallsyms) -> FakeKernel {
    let all: Vec<_> = kallsyms.iter().collect();
    let mut kernel = FakeKernel {
        release: "7.2.12+deb13-amd64".into(),
        orc_hash: unhex(ORC_HASH)
            .and_then(|h| h.try_into().ok())
            .expect("it has 20 bytes"),
        ours: ARENA..ARENA + 0x40_0000,
        return_thunk: 0xffff_ffff_8218_f370,
        ibt: true,
        text: vec![(SHOW, unhex(SHOW_BYTES).expect("it is hex"))],
        ..FakeKernel::default()
    };
    for found in &all {
        let next = all.iter().find(|f| f.addr > found.addr);
        let size = next.map_or(0, |f| f.addr - found.addr);
        kernel
            .symbols
            .push(FakeSymbol::new(found.addr, size, found.name, "vmlinux"));
    }
    kernel
}

fn linked(look: impl FnOnce(&Image<'_>, &Linked<'_>)) {
    let target = target();
    let linked = link(REAL, &target).unwrap_or_else(|problems| panic!("{problems}"));
    let room = common::room(&linked);
    let bases = Bases {
        text: room.text.addr,
        rodata: room.rodata.addr,
        data: room.data.addr,
    };
    let built = image::build(&linked, &bases, &[]).expect("it is in range");
    let image = Image::parse(&built.bytes, CRC).expect("it is well-formed");
    let kernel = kernel(&target.kallsyms);
    verify(&image, &room, &kernel).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    look(&image, &linked);
}

#[test]
fn the_core_accepts_it() {
    linked(|image, linked| {
        assert_eq!(image.name(), b"real");
        assert_eq!(linked.resolved.funcs[0].addr, SHOW);
        assert_eq!(
            (image.funcs.len(), image.exs.len(), image.bugs.len()),
            (1, 1, 2)
        );
        assert!(image.masks.len() >= 4);
    });
}

/// On this kernel `__x86_return_thunk` has another name first, and the core compares names.
#[test]
fn the_return_thunk_goes_by_its_first_name() {
    linked(|image, _| {
        let names: Vec<_> = image
            .symbols
            .iter()
            .map(|s| String::from_utf8_lossy(image.string(s.name).expect("it is one")).into_owned())
            .collect();
        assert!(
            names.iter().any(|n| n == "__pi___x86_return_thunk"),
            "{names:?}"
        );
        let returns = image.sites.iter().filter(|s| s.kind == uapi::SITE_RETURN);
        assert_eq!(returns.count(), 7);
    });
}

/// WARN_ONCE with a format passes the address of its bug entry: that is in the data, and agrees with the table.
#[test]
fn warnings_have_their_strings() {
    linked(|image, _| {
        let text = |offset: u32| {
            let start = usize::try_from(offset).expect("it is small");
            let bytes = &image.rodata[start..];
            let len = bytes.iter().position(|b| *b == 0).expect("it ends");
            String::from_utf8_lossy(&bytes[..len]).into_owned()
        };
        let formats: Vec<String> = image.bugs.iter().map(|b| text(b.format)).collect();
        assert!(formats.iter().any(|f| f == "too many: %d\n"), "{formats:?}");
        assert!(image.bugs.iter().all(|b| text(b.file).ends_with("real.c")));
        let to_data = image
            .relocs
            .iter()
            .filter(|r| r.section == uapi::SEC_TEXT && r.target_kind == uapi::SEC_DATA);
        assert!(to_data.count() > 3);
    });
}

/// objtool seals the endbr64 of functions that nothing refers to; a callback is referred to by its entry.
#[test]
fn callbacks_are_not_sealed() {
    linked(|image, linked| {
        let callbacks = image.callbacks.iter();
        let kinds: Vec<u32> = callbacks.map(|entry| entry.kind).collect();
        let expected = [uapi::CALLBACK_PRE_PATCH, uapi::CALLBACK_POST_UNPATCH];
        assert_eq!(kinds, expected);
        let symbols = &linked.tables.symbols;
        let sealed = image.sites.iter().filter(|s| s.kind == uapi::SITE_SEAL);
        let sealed: Vec<&str> = sealed
            .filter_map(|site| symbols.iter().find(|s| s.place.offset == site.offset))
            .map(|symbol| &*symbol.name)
            .collect();
        assert_eq!(sealed, ["real_sealed"]);
    });
}

#[test]
fn no_call_of_fentry_is_left() {
    linked(|image, _| {
        let symbols = image.symbols.iter();
        let mut names = symbols.map(|s| image.string(s.name).expect("it is one"));
        assert!(names.all(|n| n != b"__fentry__"));
        let count = |insn: [u8; 5]| image.text.windows(5).filter(|w| **w == insn).count();
        let replacements = image.funcs.len();
        assert_eq!(count(lpatch_model::fentry::COVER), replacements);
        assert_eq!(count([0x0f, 0x1f, 0x44, 0, 0]), 6 - replacements);
    });
}
