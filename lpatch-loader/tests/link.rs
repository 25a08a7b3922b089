// SPDX-License-Identifier: GPL-2.0

//! Good objects: what the linker makes of them, checked by the core's own verification.

mod common;

use common::*;
use lpatch_loader::elf::Section;
use lpatch_loader::image::{self, CRC};
use lpatch_loader::kallsyms::Length;
use lpatch_loader::layout::{Layout, Region};
use lpatch_loader::link::link;
use lpatch_loader::object::Object;
use lpatch_loader::relocate::Bases;
use lpatch_model::image::Image;
use lpatch_model::uapi;
use lpatch_model::verify::verify;

fn bases(room: &lpatch_model::verify::Reservation) -> Bases {
    Bases {
        text: room.text.addr,
        rodata: room.rodata.addr,
        data: room.data.addr,
    }
}

/// Links, builds, and gives the image to `look` after the core's verification accepted it.
fn accepted(file: &[u8], look: impl FnOnce(&Image<'_>, &lpatch_loader::link::Linked<'_>)) {
    let linked = link(file, &target()).unwrap_or_else(|problems| panic!("{problems}"));
    let room = room(&linked);
    let built = image::build(&linked, &bases(&room), &[]).expect("it is in range");
    let image = Image::parse(&built.bytes, CRC).expect("it is well-formed");
    verify(&image, &room, &kernel()).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    look(&image, &linked);
}

#[test]
fn the_core_accepts_the_good_object() {
    accepted(&object(&[]), |image, linked| {
        assert_eq!(image.name(), b"good");
        assert_eq!(image.version(), b"1.2");
        assert_eq!(linked.info.fixes, ["CVE-2026-0001"]);
        assert_eq!(image.funcs.len(), 2);
        assert_eq!(image.exs.len(), 1);
        assert_eq!(image.bugs.len(), 2);
        assert!(linked.resolved.preimages_checked);
        let kinds: std::collections::BTreeSet<u8> = image.relocs.iter().map(|r| r.kind).collect();
        // 64, PC32, PLT32, 32, 32S, PC64; NONE needs no field.
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), [1, 2, 4, 10, 11, 24]);
    });
}

#[test]
fn every_section_lies_where_it_belongs() {
    accepted(&object(&[]), |image, linked| {
        let symbol = |name: &str| {
            let found = image
                .ksyms
                .iter()
                .find(|k| image.string(k.name).expect("it is a string") == name.as_bytes());
            found.unwrap_or_else(|| panic!("{name} is there"))
        };
        // Cold code behind all other code.
        assert!(symbol("new_show.cold").offset > symbol("one").offset);
        assert_eq!(symbol("new_show").letter, b'T');
        assert_eq!(symbol("helper").letter, b't');
        assert_eq!(symbol("counter").letter, b'D');
        assert_eq!(symbol("zeros").letter, b'b');
        assert_eq!(symbol("pointers").letter, b'r');
        // Zeros are aligned, behind the data, and not in the image.
        let zeros = symbol("zeros");
        assert_eq!(zeros.offset % 64, 0);
        assert!(zeros.offset >= image.header.data.count);
        assert_eq!(linked.layout.data_len, zeros.offset + 5000);
    });
}

/// The nop of a replacement stays as it is where it has a relocated field: the core compares fields with relocations.
#[test]
fn a_field_in_a_nop_is_not_covered() {
    let nop = "\t.byte 0x0f, 0x1f, 0x44, 0\n\t.reloc ., R_X86_64_32S, jiffies\n\t.long 0\n\tjmp new_show\n";
    let file = object(&[
        ("\tsite\t.ibt_endbr_seal\n\tendbr64\n\tfentry\n", nop),
        (
            "\tmov\tjiffies(%rip), %rax\n\tcall\tmod_helper\n",
            "\tcall\tmod_helper\n",
        ),
    ]);
    accepted(&file, |image, _| {
        let mut funcs = image.funcs.iter();
        let new_read = funcs.find(|f| f.new_off != 0).expect("it is the other one");
        let start = usize::try_from(new_read.new_off).expect("it is small");
        assert_eq!(image.text[start..start + 5], [0x0f, 0x1f, 0x44, 0, 0]);
    });
}

#[test]
fn fentry_calls_become_nops_and_are_no_call_sites() {
    accepted(&object(&[]), |image, _| {
        let new_show = image
            .funcs
            .iter()
            .find(|f| f.new_off == 0)
            .expect("it is first");
        assert_eq!(new_show.old_addr, TEXT + 0x1000);
        assert_eq!(
            image.text[..9],
            [0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x89, 0x64, 0x24, 0xf8]
        );
        let count = |kind| image.sites.iter().filter(|s| s.kind == kind).count();
        assert_eq!(count(uapi::SITE_RETURN), 6);
        assert_eq!(count(uapi::SITE_SEAL), 1);
        // helper and seq_printf, not the two of __fentry__.
        assert_eq!(count(uapi::SITE_CALL), 2);
    });
}

/// The kernel takes descriptors of pr_debug() from modules only, so they stay as they are; names of tracepoints are for the
/// build of vmlinux.
#[test]
fn debug_messages_are_data_and_names_of_tracepoints_nothing() {
    let more = ".section __dyndbg, \"aw\", @progbits\n.p2align 3\n.type debug, @object\ndebug: .quad message, 7\n\
                .size debug, 16\n.section __tracepoint_check, \"a\", @progbits\n.asciz \"foo\"\n";
    accepted(&object_with(more), |image, linked| {
        let debug = linked.tables.symbols.iter().find(|s| s.name == "debug");
        let at = usize::try_from(debug.expect("it is there").place.offset).expect("it is small");
        assert_eq!(image.data[at + 8..at + 16], 7_u64.to_le_bytes());
        assert!(!image.rodata.windows(3).any(|w| w == b"foo"));
    });
}

/// As clang writes returns.
#[test]
fn returns_may_have_a_prefix() {
    let code = ".text\nfunc other\norc\nsite .return_sites\n.byte 0x2e\njmp __x86_return_thunk\nend other\n";
    accepted(&object_with(code), |image, _| {
        let count = image.sites.iter().filter(|s| s.kind == uapi::SITE_RETURN);
        assert_eq!(count.count(), 7);
    });
}

/// Two alternatives of one place, the outer one with more padding; a call through a pointer; a replacement that is empty,
/// behind all others.
const ALTERNATIVES: &str = r#"
	.macro alt site, feature, len, repl, end
	.pushsection .altinstructions, "aM", @progbits, 14
	.long	\site - ., \repl - .
	.long	\feature
	.byte	\len, \end - \repl
	.popsection
	.endm
	.text
	func	special
	orc
11:	call	helper
	.skip	3, 0x90
12:	call	*jiffies(%rip)
13:	nop
	site	.retpoline_sites
	call	__x86_indirect_thunk_rdx
	return
	end	special
	.section .altinstr_replacement, "ax", @progbits
21:	jmp	helper
22:	call	BUG_func
23:
	alt	12b, 0x20020, 6, 22b, 23b
	alt	11b, 100, 5, 21b, 22b
	alt	11b, 0x10065, 8, 22b, 22b
	alt	13b, 7, 1, 23b, 23b
"#;

#[test]
fn alternatives_are_sorted_and_as_long_as_their_place() {
    accepted(&object_with(ALTERNATIVES), |image, linked| {
        let of = |name: &str| {
            let found = linked.tables.symbols.iter().find(|s| s.name == name);
            found.expect("it is there").place.offset
        };
        let start = of("special");
        // Replacements come behind all code, those of cold parts included.
        let repl = image.alts.get(0).expect("there are some").repl;
        assert!(repl > of("new_show.cold") && repl > of("one"));
        let found: Vec<_> = (image.alts.iter())
            .map(|alt| {
                let (at, from) = (alt.offset - start, alt.repl - repl);
                (at, alt.len, from, alt.repl_len, alt.feature, alt.flags)
            })
            .collect();
        let expected = [
            (0, 8, 0, 5, 100, 0),
            (0, 8, 5, 0, 101, uapi::ALT_NOT),
            (8, 6, 5, 5, 32, uapi::ALT_DIRECT_CALL),
            (14, 1, 10, 0, 7, 0),
        ];
        assert_eq!(found, expected);
        let branch = image.sites.iter().find(|s| s.kind == uapi::SITE_RETPOLINE);
        assert_eq!(branch.map(|site| site.offset - start), Some(15));
        assert!(image.sites.iter().any(|s| s.kind == uapi::SITE_LOCK));
    });
}

#[test]
fn code_that_names_its_bug_entry_has_one() {
    accepted(&object(&[]), |image, _| {
        // The second entry: line 43 in the data.
        let entry = image.data.windows(4).position(|w| w == [43, 0, 3, 0]);
        let entry = u32::try_from(entry.expect("it was copied")).expect("it is small") - 12;
        let lea = image.relocs.iter().find(|r| {
            let target = i64::from(r.target) + r.addend + 4;
            r.section == uapi::SEC_TEXT
                && r.target_kind == uapi::SEC_DATA
                && target == i64::from(entry)
        });
        assert!(lea.is_some());
    });
}

#[test]
fn old_functions_are_as_the_kernel_names_them() {
    accepted(&object(&[]), |_, linked| {
        let funcs = &linked.resolved.funcs;
        assert_eq!(funcs[0].name, "cmdline_proc_show");
        assert_eq!(funcs[0].len, Length::Exact(0x200));
        assert_eq!(funcs[0].parts, ["cmdline_proc_show.cold"]);
        assert_eq!(
            (funcs[1].name.as_str(), funcs[1].objname.as_str()),
            ("fs_read", "tinyfs")
        );
        assert_eq!(funcs[1].len, Length::Exact(0x40));
    });
}

/// A symbol that has several names goes under the first, as sprint_symbol() prints it.
#[test]
fn aliases_go_by_their_first_name() {
    accepted(&object_with(".text\ncall alias\n"), |image, _| {
        let mut names = image
            .symbols
            .iter()
            .map(|s| image.string(s.name).expect("it is one"));
        assert!(names.any(|n| n == b"__pi_alias"));
    });
}

#[test]
fn sympos_chooses_among_symbols_of_one_name() {
    let crc = {
        let mut bytes = code(TEXT + 0x1280, 32);
        bytes[4..9].fill(0);
        format!("{:#x}", crc32fast::hash(&bytes))
    };
    let file = object(&[
        ("@old_show@", "twice"),
        ("@sympos@", "2"),
        ("@show_crc@", &crc),
    ]);
    let target = target();
    let linked = link(&file, &target).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(linked.resolved.funcs[0].addr, TEXT + 0x1280);
    assert_eq!(linked.resolved.funcs[0].sympos, 2);
}

/// An image says which of several symbols it means.
#[test]
fn symbols_have_their_position() {
    let file = object_with(
        ".text\ncall twice\n.section .lpatch.strings\ntwice_name: .asciz \"twice\"\n\
         .section .lpatch.syms\n.quad 0, twice_name, 2\n",
    );
    let target = target();
    let linked = link(&file, &target).unwrap_or_else(|problems| panic!("{problems}"));
    let room = room(&linked);
    let built = image::build(&linked, &bases(&room), &[]).expect("it is in range");
    let image = Image::parse(&built.bytes, CRC).expect("it is well-formed");
    for symbol in image.symbols.iter() {
        let expected = if symbol.addr == TEXT + 0x1280 { 2 } else { 0 };
        assert_eq!(symbol.sympos, expected);
    }
    assert!(image.symbols.iter().any(|symbol| symbol.sympos == 2));
}

/// Kallsyms does not tell the length of the last function of a module's text.
#[test]
fn the_last_function_of_a_module_is_open_ended() {
    let crc = format!("{:#x}", crc32fast::hash(&code(MODULE + 0x80, 16)));
    let file = object(&[("\"fs_read\"", "\"fs_last\""), ("@read_crc@", &crc)]);
    let target = target();
    let linked = link(&file, &target).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(linked.resolved.funcs[1].len, Length::AtLeast(0xf80));
    let room = room(&linked);
    let built = |pages| {
        let built = image::build(&linked, &bases(&room), &[0, pages]).expect("it is in range");
        let image = Image::parse(&built.bytes, CRC).expect("it is well-formed");
        verify(&image, &room, &kernel()).map_err(|refusal| (refusal.reason, refusal.at))
    };
    assert_eq!(built(0), Err((uapi::Reason::FuncSymbol, 1)));
    assert_eq!(built(2), Ok(()));
}

/// Where the addresses of the arena are does not matter to the rest.
#[test]
fn other_addresses_change_only_what_depends_on_them() {
    let file = object(&[]);
    let target = target();
    let linked = link(&file, &target).unwrap_or_else(|problems| panic!("{problems}"));
    let first = room(&linked);
    let mut second = first;
    second.text.addr += 0x1000;
    second.data.addr += 0x7000;
    let [a, b] = [first, second].map(|r| image::build(&linked, &bases(&r), &[]).expect("it fits"));
    assert_ne!(a.bytes, b.bytes);
    for (built, room) in [(&a, &first), (&b, &second)] {
        let image = Image::parse(&built.bytes, CRC).expect("it is well-formed");
        assert_eq!(verify(&image, room, &kernel()), Ok(()));
    }
    let image = Image::parse(&a.bytes, CRC).expect("it is well-formed");
    assert!(verify(&image, &second, &kernel()).is_err());
}

#[test]
fn sections_that_are_somewhere_already_stay_there() {
    let file = object(&[]);
    let object = Object::parse(&file).expect("it is an object");
    let text = |s: &Section<'_>| s.name == ".text";
    // Code in two places, the second in front of the first; constants; no data.
    let place = |s: &Section<'_>| match s.name {
        ".text" => Some((Region::Text, 0xffff_ffff_c010_0000)),
        ".text.unlikely" => Some((Region::Text, 0xffff_ffff_c000_0000)),
        ".rodata" => Some((Region::Rodata, 0xffff_ffff_c020_0040)),
        _ => None,
    };
    let (layout, bases) = Layout::found(&object, place).expect("they are near");
    assert_eq!(bases.text, 0xffff_ffff_c000_0000);
    assert_eq!(bases.rodata, 0xffff_ffff_c020_0040);
    let section = object.elf.sections().iter().find(|s| text(s));
    let section = section.expect("it has code");
    let start = layout.section(section.index).expect("it has a place");
    assert_eq!(bases.address(start), 0xffff_ffff_c010_0000);
    assert_eq!(u64::from(layout.text_len), 0x10_0000 + section.size);
    assert_eq!((layout.data_init_len, layout.data_len), (0, 0));
    let others = object.elf.sections().iter();
    for other in others.filter(|s| place(s).is_none()) {
        assert_eq!(layout.section(other.index), None, "{}", other.name);
    }

    // Too far apart for offsets of 32 bits.
    let far = |s: &Section<'_>| match s.name {
        ".text" => Some((Region::Text, 0)),
        ".text.unlikely" => Some((Region::Text, 1 << 33)),
        _ => None,
    };
    assert!(Layout::found(&object, far).is_none());
}
