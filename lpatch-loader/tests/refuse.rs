// SPDX-License-Identifier: GPL-2.0

//! Bad objects: each is refused with an error that names what, where and what to do next.

mod common;

use common::*;
use lpatch_loader::kprobes::{self, Kprobe, Kprobes};
use lpatch_loader::link::{examine, link};
use lpatch_loader::notes::NoteError;
use lpatch_loader::problem::Problem;
use lpatch_loader::relocate::Bases;
use lpatch_loader::target::{Memory, Target};
use lpatch_loader::{elf, image};

/// The messages of all problems of a file, linked and built for a kernel.
fn problems_for(file: &[u8], target: &Target) -> Vec<String> {
    let bases = Bases {
        text: ARENA,
        rodata: ARENA + 0x10_0000,
        data: ARENA + 0x20_0000,
    };
    let result = link(file, target).and_then(|linked| image::build(&linked, &bases, &[]));
    match result {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(Problem::to_string).collect(),
    }
}

fn problems(file: &[u8]) -> Vec<String> {
    problems_for(file, &target())
}

/// One problem, whose message has all of these words.
#[track_caller]
fn refused(file: &[u8], words: &[&str]) {
    refused_for(file, &target(), words);
}

#[track_caller]
fn refused_for(file: &[u8], target: &Target, words: &[&str]) {
    let list = problems_for(file, target);
    let [message] = list.as_slice() else {
        panic!("not one problem with {words:?}: {list:#?}");
    };
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

#[test]
fn files_that_are_no_objects() {
    refused(b"", &["not an ELF file"]);
    refused(b"#!/bin/sh\n", &["not an ELF file", "make patch"]);
    let good = object(&[]);
    for (at, value, words) in [
        (4, 1, ["ELF class is 1", "x86-64"]),
        (5, 2, ["encoding is 2", "little endian"]),
        (18, 183, ["machine is 183", "x86-64"]),
        (16, 2, ["type is 2", "relocatable"]),
        (16, 3, ["type is 3", "relocatable"]),
    ] {
        let mut file = good.clone();
        file[at] = value;
        refused(&file, &words);
    }
}

#[test]
fn truncation_at_every_section_boundary_and_every_64th_byte() {
    let good = object(&[]);
    assert!(problems(&good).is_empty());
    let parsed = elf::Elf::parse(&good).expect("it is good");
    let mut cuts: Vec<usize> = (0..good.len()).step_by(64).collect();
    for section in parsed.sections() {
        let end = section.file_offset + section.data.len();
        cuts.extend([section.file_offset, end.saturating_sub(1), end]);
    }
    cuts.push(good.len() - 1);
    for cut in cuts.into_iter().filter(|cut| *cut < good.len()) {
        let list = problems(&good[..cut]);
        assert!(!list.is_empty(), "cut at {cut}");
        // The same with bytes in their place: the tables are found, the CRC is not.
        let mut padded = good[..cut].to_vec();
        padded.resize(good.len(), 0);
        if padded != good {
            assert!(!problems(&padded).is_empty(), "zeros from {cut}");
        }
    }
}

#[test]
fn every_flipped_byte_is_noticed() {
    let good = object(&[]);
    for at in 0..good.len() {
        let mut file = good.clone();
        file[at] ^= 1 << (at % 8);
        let list = problems(&file);
        assert!(!list.is_empty(), "byte {at}");
    }
    // In the contents of a section, it is the CRC that says so, and it alone.
    let text = elf::Elf::parse(&good).expect("it is good").sections()[1].file_offset;
    let mut file = good.clone();
    file[text + 20] ^= 0x10;
    refused(&file, &["damaged", "CRC-32", "copy it again"]);
}

#[test]
fn sections_are_refused_by_name() {
    for (name, why) in [
        (".parainstructions", "paravirt calls"),
        (".cfi_sites", "FineIBT"),
        ("__kflagstab", "EXPORT_SYMBOL"),
        ("___kflagstab+foo", "EXPORT_SYMBOL"),
        (".init.text", "freed after boot"),
        (".init.data", "freed after boot"),
        (".exit.text", "modules"),
        (".data..percpu", "per-CPU"),
        (".data..percpu..read_mostly", "per-CPU"),
        ("__ksymtab", "EXPORT_SYMBOL"),
        ("__ksymtab_gpl", "EXPORT_SYMBOL"),
        ("___ksymtab+foo", "EXPORT_SYMBOL"),
        ("__param", "module_param"),
        (".gnu.linkonce.this_module", "kernel module"),
        ("__tracepoints", "tracepoints"),
        ("__tracepoints_ptrs", "tracepoints"),
        ("__dyndbg_classes", "pr_debug"),
        (".static_call.text", "static calls"),
        (".noinstr.text", "noinstr"),
        (".eh_frame", "unknown section"),
        (".some.new.section", "unknown section"),
    ] {
        let more = format!(".section {name}, \"a\", @progbits\n.long 1\n");
        refused(
            &object_with(&more),
            &[&format!("section {name} is refused"), why],
        );
        // An empty one is what the compiler leaves where there is nothing.
        let more = format!(".section {name}, \"a\", @progbits\n");
        assert_eq!(problems(&object_with(&more)), [""; 0]);
    }
    // Nothing asks for these at run time.
    let more = ".section .some.note, \"\", @progbits\n.long 1\n";
    assert_eq!(problems(&object_with(more)), [""; 0]);
}

#[test]
fn sections_whose_flags_contradict_their_name() {
    for (more, words) in [
        (
            ".section .text.w, \"awx\", @progbits\nnop\n",
            [".text.w", "AX"],
        ),
        (
            ".section .rodata.x, \"ax\", @progbits\nnop\n",
            [".rodata.x", "flag A"],
        ),
        (
            ".section .rodata.w, \"aw\", @progbits\nnop\n",
            [".rodata.w", "flag A"],
        ),
        (
            ".section .data.big, \"aw\", @progbits\n.p2align 13\nnop\n",
            [".data.big", "8192"],
        ),
        (".comm common_one, 4\n", ["common_one", "-fno-common"]),
    ] {
        refused(&object_with(more), &words);
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let more = ".section .parainstructions, \"a\"\n.long 1\n.section .init.text, \"ax\"\nnop\n";
    let file = object_with(more);
    assert_eq!(problems(&file).len(), 2);
    let more =
        ".text\ncall nowhere_one\ncall nowhere_two\n.reloc ., R_X86_64_GOTPCREL, helper\n.long 0\n";
    let list = problems(&object_with(more));
    assert_eq!(list.len(), 3, "{list:#?}");
}

#[test]
fn relocations() {
    for (more, words) in [
        (
            ".text\n.reloc ., R_X86_64_GOTPCREL, helper\n.long 0\n",
            ["unknown relocation kind 9", "helper", ".text+0x"],
        ),
        (
            ".data\n.long jiffies\n",
            ["R_X86_64_32", "jiffies", "out of range"],
        ),
        // The arena is behind the kernel; further back is too far.
        (
            ".text\ncall jiffies - 0x7f000000\n",
            ["R_X86_64_P", "out of range", ".text+0x"],
        ),
        (
            ".data\n.long jiffies - 0x7fff0000 - .\n",
            ["R_X86_64_PC32", "jiffies", "out of range"],
        ),
        (
            ".text\nmov jiffies - 0x7f000000, %eax\n",
            ["R_X86_64_32S", "jiffies", "out of range"],
        ),
        (
            ".section .rodata.r, \"a\"\n.reloc 6, R_X86_64_64, jiffies\n.quad 0\n",
            ["beyond the end", "jiffies", ".rodata.r+0x6"],
        ),
        (
            ".section .rodata.r, \"a\"\n.reloc 2, R_X86_64_PC32, jiffies\n.reloc 4, R_X86_64_PC32, jiffies\n.quad 0\n",
            ["two relocations overlap", ".rodata.r+0x4", "build"],
        ),
        (
            ".set abs, 0x1234\n.global abs\n.data\n.reloc ., R_X86_64_64, abs\n.quad 0\n",
            ["R_X86_64_64", "absolute", ".data+0x"],
        ),
        (
            ".data\n.quad in_comment\n.section .comment\nin_comment:\n",
            ["not part of the patch's memory", "R_X86_64_64", ".data+0x"],
        ),
        (
            ".text\ncall __fentry__\n",
            ["__mcount_loc does not list", ".text+0x", "-mrecord-mcount"],
        ),
        (
            ".data\n.quad __fentry__\n",
            ["not a call", ".data+0x", "-mrecord-mcount"],
        ),
        (
            ".section __mcount_loc\n.quad helper\n",
            ["neither a call of __fentry__ nor a nop", "text+0x", "-pg"],
        ),
        // It becomes a nop, and no relocation may write into that.
        (
            ".text\n.reloc new_show + 3, R_X86_64_32S, jiffies\n",
            ["two relocations overlap", ".text+0x3", "new_show"],
        ),
    ] {
        refused(&object_with(more), &words);
    }
    // An error in a function says so.
    let more = ".text\n.type bad, @function\nbad: call jiffies - 0x7f000000\n.size bad, . - bad\n";
    refused(&object_with(more), &["in bad"]);
}

#[test]
fn tables() {
    for (more, words) in [
        (
            ".section .orc_unwind\n.short 1, 2, 3\n",
            ["ORC entries", "addresses"],
        ),
        (
            ".section .orc_unwind\n.short 1\n",
            [".orc_unwind", "multiple of 6"],
        ),
        (
            ".section .orc_header\n.ascii \"XBCDEFGHIJKLMNOPQRST\"\n",
            [".orc_header", "one hash"],
        ),
        (
            ".section .orc_header\n.byte 1\n",
            [".orc_header", "one hash"],
        ),
        (
            ".section __ex_table\n.long counter - ., helper - ., 3\n",
            ["__ex_table", "code of the patch"],
        ),
        (
            ".section __ex_table\n.long 1, helper - ., 3\n",
            ["__ex_table", "without a relocation"],
        ),
        (
            ".section __bug_table\n.long helper - ., counter - ., 0, 0\n",
            ["__bug_table", "constant"],
        ),
        (
            ".section __bug_table\n.quad helper, 0\n",
            ["__bug_table", "another kind"],
        ),
        (
            ".section .return_sites\n.long jiffies - .\n",
            [".return_sites", "not part of"],
        ),
        (
            ".section __mcount_loc\n.quad counter\n",
            ["__mcount_loc", "code of the patch"],
        ),
    ] {
        let list = problems(&object_with(more));
        let first = list.first().unwrap_or_else(|| panic!("{more} is accepted"));
        for word in words {
            assert!(first.contains(word), "{word:?} is not in: {first}");
        }
    }
    // Without objtool.
    let mut file = assemble(&source(&[]).replace(".orc_unwind", ".discard.orc"));
    assert!(seal(&mut file));
    let list = problems(&file);
    assert!(
        list.iter()
            .any(|m| m.contains("no ORC unwind information") && m.contains("objtool")),
        "{list:#?}"
    );
}

#[test]
fn symbols() {
    for (more, words) in [
        (
            ".text\ncall seq_printg\n",
            ["seq_printg: no such symbol", "seq_printf"],
        ),
        (
            ".text\ncall qqqqqqqqqqqqqqq\n",
            ["qqqqqqqqqqqqqqq: no such symbol", "inlined"],
        ),
        (
            ".text\ncall twice\n",
            [
                "twice is ambiguous: vmlinux sympos 1 (t 0xffffffff81001200), vmlinux sympos 2",
                "LPATCH_SYM(object, twice, sympos)",
            ],
        ),
    ] {
        refused(&object_with(more), &words);
    }
    let names = ".section .lpatch.strings\nn: .asciz \"twice\"\nm: .asciz \"other_helper\"\ng: .asciz \"gonefs\"\nc: .asciz \"lpatch_core\"\ns: .asciz \"lpatch_shadow_get\"\n.text\n";
    let syms = |call: &str, entry: &str| {
        object_with(&format!(
            "{names}call {call}\n.section .lpatch.syms\n.quad {entry}\n"
        ))
    };
    assert_eq!(problems(&syms("twice", "0, n, 2")), [""; 0]);
    refused(&syms("twice", "0, n, 3"), &["twice: sympos is 3", "only 2"]);
    refused(&syms("twice", "0, n, 0"), &["twice is ambiguous"]);
    refused(
        &syms("other_helper", "g, m, 0"),
        &["gonefs is not loaded", "modprobe gonefs"],
    );
    refused(
        &syms("other_helper", "tinyfs, m, 0"),
        &["other_helper: no such symbol in tinyfs"],
    );
    refused(
        &syms("twice", "0, n, 1\n.quad 0, n, 2"),
        &["twice: two LPATCH_SYM lines"],
    );
    // Of the core: to call, not to replace. The module's helper is not there either.
    assert_eq!(problems(&syms("lpatch_shadow_get", "c, s, 0")), [""; 0]);
    let list = problems(&object(&[
        ("\"tinyfs\"", "\"lpatch_core\""),
        ("\"fs_read\"", "\"lpatch_shadow_get\""),
    ]));
    assert_eq!(list.len(), 2, "{list:#?}");
    assert!(list
        .iter()
        .any(|m| m.contains("lpatch_shadow_get is part of lpatch_core")));
    // In one module only.
    assert_eq!(
        problems(&object_with(".text\ncall other_helper\n")),
        [""; 0]
    );
}

#[test]
fn functions() {
    for (name, words) in [
        (
            "cmdline_proc_shov",
            ["no such symbol in vmlinux", "cmdline_proc_show"],
        ),
        (
            "twice",
            [
                "twice is ambiguous",
                "LPATCH_FUNC_POS(object, twice, sympos, new_function)",
            ],
        ),
        (
            "_RNvCs1_6kernel4rust",
            ["Rust function", "patch a C function"],
        ),
        ("init_one", ["__init function", "freed after boot"]),
        ("notrace_one", ["no fentry site", "notrace"]),
        ("jiffies", ["not a function", "type in kallsyms is D"]),
        (
            "last_one",
            ["is not the function that the patch was made for", "CRC-32"],
        ),
    ] {
        refused(&object(&[("@old_show@", name)]), &words);
    }
    refused(&object(&[("@sympos@", "2")]), &["sympos is 2", "only 1"]);
}

/// ftrace's list.
struct Only(&'static [&'static str]);

impl lpatch_loader::target::Traceable for Only {
    fn has(&self, name: &str) -> Option<bool> {
        Some(self.0.contains(&name))
    }
}

#[test]
fn functions_that_ftrace_does_not_list() {
    let mut target = target();
    target.memory = None;
    target.traceable = Some(Box::new(Only(&["fs_read"])));
    refused_for(
        &object(&[]),
        &target,
        &["cmdline_proc_show in vmlinux has no fentry site"],
    );
}

/// A tracer comes or goes at a function while it is looked at. Whether there is a site, only ftrace's list tells.
#[test]
fn a_site_that_is_written_at_this_moment() {
    struct Written;
    impl Memory for Written {
        fn read(&self, addr: u64, out: &mut [u8]) -> bool {
            let ok = FakeMemory { notrace: vec![] }.read(addr, out);
            if addr == TEXT + 0x1000 {
                // Only the first byte of the nop has changed yet.
                out[4] = 0xcc;
            }
            ok
        }
    }
    let mut target = target();
    target.memory = Some(Box::new(Written));
    let file = object(&[]);
    let accepted = |target: &Target| match examine(&file, Some(target)) {
        Ok(examined) => assert_eq!(examined.problems.to_string(), ""),
        Err(problems) => panic!("{problems}"),
    };
    accepted(&target);
    target.traceable = Some(Box::new(Only(&["fs_read", "cmdline_proc_show"])));
    accepted(&target);
    target.traceable = Some(Box::new(Only(&["fs_read"])));
    refused_for(
        &file,
        &target,
        &["cmdline_proc_show in vmlinux has no fentry site"],
    );
}

/// A kprobe does not make another function of one. The loader cannot tell what was there; the core asks the kernel.
#[test]
fn a_function_with_a_kprobe() {
    struct Probed;
    impl Memory for Probed {
        fn read(&self, addr: u64, out: &mut [u8]) -> bool {
            let ok = FakeMemory { notrace: vec![] }.read(addr, out);
            if let (true, Some(byte)) = (addr == TEXT + 0x1000, out.get_mut(17)) {
                *byte = 0xcc;
            }
            ok
        }
    }
    struct At(Option<&'static str>);
    impl Kprobes for At {
        fn list(&self) -> Option<Vec<Kprobe>> {
            self.0.map(kprobes::parse)
        }
    }
    let mut target = target();
    target.memory = Some(Box::new(Probed));
    let file = object(&[]);
    let said = ["cmdline_proc_show in vmlinux is not the function that the patch was made for"];
    refused_for(&file, &target, &said);
    for list in [
        Some("ffffffff81001011  k  cmdline_proc_show+0x11\n"),
        // Nobody may see it.
        None,
    ] {
        target.kprobes = Some(Box::new(At(list)));
        let linked = link(&file, &target).expect("the core decides");
        assert!(!linked.resolved.preimages_checked);
    }
    for list in [
        "",
        "ffffffff81001011  k  at+0x4  [FTRACE]\n",
        "ffffffff81001020  k  behind+0x0\n",
    ] {
        target.kprobes = Some(Box::new(At(Some(list))));
        refused_for(&file, &target, &said);
    }
}

#[test]
fn entries_of_lpatch_sections() {
    let entry = "new_show, 0, old_show, 0";
    for (more, words) in [
        (
            format!(".section .lpatch.funcs\n.quad {entry}\n"),
            ["replaced twice", "entries 1 and 2"],
        ),
        (
            ".section .lpatch.funcs\n.quad 0, 0, old_show, 0\n".into(),
            ["entry 2", "no new function"],
        ),
        (
            ".section .lpatch.funcs\n.quad counter, 0, old_show, 0\n".into(),
            ["entry 2", "text section"],
        ),
        (
            ".section .lpatch.funcs\n.quad new_show+1, 0, old_show, 0\n".into(),
            ["entry 2", "no symbol with a size"],
        ),
        (
            ".section .lpatch.funcs\n.quad new_show, 0, 0, 0\n".into(),
            ["entry 2", "no name"],
        ),
        (
            ".section .lpatch.funcs\n.quad new_show, 0, jiffies, 0\n".into(),
            ["entry 2", "out of the object"],
        ),
        (
            ".section .lpatch.funcs\n.quad new_show, 0, 77, 0\n".into(),
            ["entry 2", "no relocation"],
        ),
        (
            ".section .lpatch.funcs\n.quad new_show, 0, old_show, 1 << 32\n".into(),
            ["entry 2", "sympos"],
        ),
        (
            ".section .lpatch.funcs\n.quad 0\n".into(),
            ["multiple of 32", ".lpatch.funcs"],
        ),
    ] {
        let list = problems(&object_with(&more));
        let found = |m: &String| words.iter().all(|w| m.contains(w));
        assert!(list.iter().any(found), "{words:?} not in {list:#?}");
    }
    let empty = source(&[]).replace(".lpatch.funcs", ".lpatch.strings");
    let mut file = assemble(&empty);
    assert!(seal(&mut file));
    let list = problems(&file);
    assert!(
        list[0].contains("replaces no function") && list[0].contains("LPATCH_FUNC"),
        "{list:#?}"
    );
}

#[test]
fn seals() {
    // Another kernel: the release, then the build.
    let mut other = target();
    other.release = "7.3.1".into();
    refused_for(
        &object(&[]),
        &other,
        &["sealed for kernel 7.2.12-test", "this is 7.3.1"],
    );
    let mut other = target();
    other.build_id = Some(vec![9]);
    refused_for(&object(&[]), &other, &["01020304", "build 09"]);
    other.build_id = None;
    refused_for(
        &object(&[]),
        &other,
        &["build-id is not known", "--build-id"],
    );

    // A changed pre-image.
    refused(
        &object(&[("@show_crc@", "1")]),
        &["cmdline_proc_show", "made for", "0x00000001"],
    );
    // One that is longer than the function.
    refused(
        &object(&[(".long\t1, 32,", ".long\t1, 1000,")]),
        &["has 512 bytes, the seal records 1000"],
    );

    // Parts that are missing.
    let good = source(&[]);
    let without = |note: &str| {
        let mut text = good.clone();
        assert!(text.contains(note));
        // A type that is another owner's: the note is not ours.
        text = text.replacen(note, &note.replace("note\t", "other_note\t"), 1);
        let other = ".macro other_note type\n.p2align 2\n.long 6, 99f - 98f, \\type\n.asciz \"other\"\n.p2align 2\n98:\n.endm\n";
        let mut file = assemble(&format!("{other}{text}"));
        seal(&mut file);
        file
    };
    refused(
        &without("note\t5"),
        &["not sealed", "no CRC note", "lpatch seal"],
    );
    refused(
        &without("note\t2"),
        &["not sealed", "no RELEASE note", "lpatch seal"],
    );
    refused(
        &without("note\t3"),
        &["not sealed", "no BUILD_ID note", "lpatch seal"],
    );
    refused(
        &without("note\t4\n\t.long\t0"),
        &["no pre-image", "function 0 (fs_read)", "lpatch seal"],
    );
    refused(
        &without("note\t1\n\t.asciz\t\"name"),
        &["has no name", "LPATCH_NAME"],
    );
}

#[test]
fn notes() {
    let note = |kind: u32, desc: &str| {
        format!(".section .note.lpatch.more, \"\", @note\nnote {kind}\n{desc}\ndone\n")
    };
    for (more, words) in [
        (note(1, ".asciz \"name=two\""), "two INFO name notes"),
        (note(1, ".asciz \"nonsense\""), "not key=value"),
        (note(1, ".ascii \"version=\\377\""), "UTF-8"),
        (note(2, ".asciz \"7\""), "two RELEASE notes"),
        (note(3, ".byte 1"), "two BUILD_ID notes"),
        (note(3, ""), "it is empty"),
        (note(4, ".long 0, 16, 0, 0"), "two PREIMAGE notes"),
        (note(4, ".long 7, 16, 0, 0"), "two PREIMAGE notes"),
        (note(4, ".long 0, 16, 0"), "too short"),
        (note(4, ".long 0, 16, 0, 5"), "its count"),
        (note(4, ".long 0, 16, 0, 1, 15, 2"), "masks"),
        (note(4, ".long 0, 16, 0, 2, 4, 4, 6, 4"), "masks"),
        (note(4, ".long 0, 16, 0, 1, 4, 0"), "masks"),
        (note(9, ".long 1"), "unknown note"),
        (
            ".section .note.lpatch.more, \"\", @note\n.long 7, 100, 1\n".into(),
            "truncated",
        ),
        (
            ".section .note.lpatch.more, \"\", @note\n.long -1, -1, 1\n.asciz \"lpatch\"\n".into(),
            "truncated",
        ),
    ] {
        // Where the notes cannot be walked, there is no CRC to put right.
        let mut file = assemble(&source(&[("@more@", &more)]));
        seal(&mut file);
        let list = problems(&file);
        assert!(
            list.first().is_some_and(|m| m.contains(words)),
            "{words} not in {list:#?}"
        );
    }
    for name in ["name=a b", "name=a/b"] {
        refused(
            &object(&[("name=good", name)]),
            &["the patch's name", "not allowed"],
        );
    }
    assert!(matches!(
        link(&object(&[("name=good", "name=")]), &target())
            .map(|_| ())
            .map_err(|p| p.iter().next().cloned()),
        Err(Some(Problem::Note(NoteError::NoName)))
    ));
}

#[test]
fn sizes() {
    // Beyond what an image carries, and beyond what relocations reach.
    let more = ".section .rodata.big, \"a\"\n.zero 33 << 20\n";
    refused(
        &object_with(more),
        &["rodata of the patch takes", "33554432", "split"],
    );
    let more = ".section .bss.big, \"aw\", @nobits\n.zero 1 << 31\n";
    refused(&object_with(more), &["data of the patch takes", "split"]);
    let more = ".section .rodata.big, \"a\"\n.zero 20 << 20\n.data\n.zero 20 << 20\n";
    refused(
        &object_with(more),
        &["contents of the patch takes", "split"],
    );
    // Zeros cost nothing in the image; whether the arena has room, the core says.
    let more = ".section .bss.big, \"aw\", @nobits\n.zero 500 << 20\n";
    assert_eq!(problems(&object_with(more)), [""; 0]);
}

/// A small file could otherwise describe any amount of work.
#[test]
fn sections_that_share_bytes() {
    let mut file = object(&[]);
    let parsed = elf::Elf::parse(&file).expect("it is good");
    let find = |name: &str| {
        let found = parsed.sections().iter().find(|s| s.name == name);
        let section = found.expect("it is there");
        (section.index, section.file_offset)
    };
    let ((_, text), (rodata, _)) = (find(".text"), find(".rodata"));
    let headers = u64::from_le_bytes(file[40..48].try_into().expect("it has 8 bytes"));
    // sh_offset is at 24 of the 64 bytes of a section header.
    let field = usize::try_from(headers).expect("it is small") + 64 * rodata + 24;
    file[field..field + 8].copy_from_slice(&text.to_le_bytes());
    refused(&file, &[".text", ".rodata", "overlap in the file"]);
}
