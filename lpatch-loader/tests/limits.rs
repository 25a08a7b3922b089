// SPDX-License-Identifier: GPL-2.0

//! The limits of `limits.rs`: what is as long as one is read, what is one longer is refused by an error of its own.

mod common;

use common::*;
use lpatch_loader::elf::{Elf, ElfError};
use lpatch_loader::kallsyms::{Kallsyms, KallsymsError};
use lpatch_loader::layout::LayoutError;
use lpatch_loader::limits::*;
use lpatch_loader::link::link;
use lpatch_loader::meta::MetaError;
use lpatch_loader::notes::NoteError;
use lpatch_loader::object::ObjectError;
use lpatch_loader::problem::{Problem, Problems};
use lpatch_loader::resolve::ResolveError;
use lpatch_loader::tables::TableError;

/// What is wrong with the good object after a change.
fn problems(changes: &[(&str, &str)]) -> Vec<Problem> {
    match link(&object(changes), &target()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().cloned().collect(),
    }
}

/// Whether one problem, and no other, is of this kind.
#[track_caller]
fn only(list: &[Problem], is: impl Fn(&Problem) -> bool) {
    assert!(matches!(list, [one] if is(one)), "{list:#?}");
}

#[track_caller]
fn none(list: &[Problem], is: impl Fn(&Problem) -> bool) {
    assert!(!list.iter().any(is), "{list:#?}");
}

#[test]
fn files() {
    let of = |len| Elf::parse(&vec![0; len]).unwrap_err();
    assert_eq!(of(FILE_MAX), ElfError::NotElf);
    assert_eq!(of(FILE_MAX + 1), ElfError::TooLong(FILE_MAX + 1));
}

#[test]
fn names_of_sections_and_symbols() {
    for source in [".section NAME,\"\",@progbits\n", ".text\nNAME:\n"] {
        let with = |len: usize| {
            let name = "n".repeat(len);
            // Not sealed: that parses it.
            assemble(&common::source(&[(
                "@more@",
                &source.replace("NAME", &name),
            )]))
        };
        assert!(Elf::parse(&with(NAME_MAX)).is_ok());
        let error = Elf::parse(&with(NAME_MAX + 1)).unwrap_err();
        let len = NAME_MAX + 1;
        assert!(
            matches!(&error, ElfError::LongName { len: l, .. } if *l == len),
            "{error}"
        );
    }
}

#[test]
fn alignment() {
    let with = |power: u32| {
        let more = format!(".section .rodata.x, \"a\"\n.p2align {power}\n.byte 1\n");
        problems(&[("@more@", &more)])
    };
    assert_eq!(with(12), []);
    only(&with(13), |p| {
        matches!(p, Problem::Object(ObjectError::Align { align: 8192, .. }))
    });
}

#[test]
fn names_in_tables() {
    let is_long = |p: &Problem| matches!(p, Problem::Meta(MetaError::LongName { .. }));
    let symbol = |len: usize| problems(&[("@old_show@", &"n".repeat(len))]);
    none(&symbol(SYMBOL_MAX), is_long);
    only(&symbol(SYMBOL_MAX + 1), |p| {
        matches!(
            p,
            Problem::Meta(MetaError::LongName {
                index: 1,
                max: SYMBOL_MAX,
                ..
            })
        )
    });
    let objname = |len: usize| {
        let name = format!(".asciz \"{}\"", "n".repeat(len));
        problems(&[(".asciz\t\"tinyfs\"", &name)])
    };
    none(&objname(OBJNAME_MAX), is_long);
    let list = objname(OBJNAME_MAX + 1);
    assert!(!list.is_empty() && list.iter().all(is_long), "{list:#?}");
    // To the end of the file without a NUL.
    let unending = problems(&[(
        ".asciz\t\"tinyfs\"",
        ".ascii \"nnnn\"\n.section .lpatch.strings",
    )]);
    none(&unending, is_long);
}

#[test]
fn positions() {
    let is_large = |p: &Problem| matches!(p, Problem::Meta(MetaError::Sympos { .. }));
    let sympos = |value: u64| problems(&[("@sympos@", &value.to_string())]);
    none(&sympos(u32::MAX.into()), is_large);
    only(&sympos(1 << 32), is_large);
}

#[test]
fn names_of_the_patchs_own_symbols() {
    let symbol = |len: usize| {
        let name = "n".repeat(len);
        problems(&[(
            "@more@",
            &format!(".text\n.type {name}, @function\n{name}: nop\n"),
        )])
    };
    assert_eq!(symbol(SYMBOL_MAX), []);
    only(&symbol(SYMBOL_MAX + 1), |p| {
        matches!(p, Problem::Table(TableError::LongName(_)))
    });
}

#[test]
fn names_of_the_patch() {
    for (line, key, max) in [
        ("name=good", "name", PATCH_NAME_MAX),
        ("version=1.2", "version", VERSION_MAX),
        ("fixes=CVE-2026-0001", "set", PATCH_NAME_MAX),
    ] {
        let with = |len: usize| {
            let changed = format!("{key}={}", "n".repeat(len));
            problems(&[(line, &changed)])
        };
        assert_eq!(with(max), []);
        let len = max + 1;
        only(&with(len), |p| {
            *p == Problem::Note(NoteError::LongName { key, len, max })
        });
    }
}

#[test]
fn build_ids() {
    let is_long = |p: &Problem| matches!(p, Problem::Note(NoteError::LongBuildId(_)));
    let with = |len: usize| {
        let bytes = format!(".zero {len}");
        problems(&[(".byte\t1, 2, 3, 4", &bytes)])
    };
    none(&with(BUILD_ID_MAX), is_long);
    only(&with(BUILD_ID_MAX + 1), is_long);
}

#[test]
fn memory() {
    let bss = |len: u64| {
        problems(&[(
            "@more@",
            &format!(".section .bss.x, \"aw\", @nobits\n.zero {len}\n"),
        )])
    };
    let is_big = |p: &Problem| {
        matches!(
            p,
            Problem::Layout(LayoutError::TooBig {
                region: "data",
                max: MEMORY_MAX,
                ..
            })
        )
    };
    assert_eq!(bss(MEMORY_MAX - (64 << 10)), []);
    only(&bss(MEMORY_MAX), is_big);
}

#[test]
fn images() {
    let max = u64::from(IMAGE_MAX);
    let rodata = |len: u64| {
        problems(&[(
            "@more@",
            &format!(".section .rodata.x, \"a\"\n.zero {len}\n"),
        )])
    };
    assert_eq!(rodata(max - (64 << 10)), []);
    only(&rodata(max - 64), |p| {
        matches!(
            p,
            Problem::Layout(LayoutError::TooBig {
                region: "contents" | "rodata",
                ..
            })
        )
    });
    only(&rodata(max + 1), |p| {
        matches!(
            p,
            Problem::Layout(LayoutError::TooBig {
                region: "rodata",
                ..
            })
        )
    });
}

#[test]
fn preimages() {
    let is_long = |p: &Problem| matches!(p, Problem::Resolve(ResolveError::LongPreimage { .. }));
    let with = |len: u32| problems(&[(".long\t0, 16, ", &format!(".long\t0, {len}, "))]);
    let list = with(PREIMAGE_MAX);
    none(&list, is_long);
    assert!(!list.is_empty());
    only(&with(PREIMAGE_MAX + 1), is_long);
}

#[test]
fn lists_of_symbols() {
    let parse = |text: String| Kallsyms::parse(text).map(|list| list.len());
    let spaces = |len: usize| String::from_utf8(vec![0; len]).expect("it is ASCII");
    assert_eq!(
        parse(spaces(KALLSYMS_MAX + 1)),
        Err(KallsymsError::TooLong(KALLSYMS_MAX + 1))
    );
    assert_eq!(parse(spaces(KALLSYMS_MAX)), Err(KallsymsError::Line(1)));

    let named = |len: usize| parse(format!("1 T a\n1 T {}\n", "n".repeat(len)));
    assert_eq!(named(KALLSYMS_NAME_MAX), Ok(2));
    let len = KALLSYMS_NAME_MAX + 1;
    assert_eq!(named(len), Err(KallsymsError::LongName { line: 2, len }));

    let modules = |count: usize| {
        let lines = (0..count).map(|number| format!("1 t f\t[m{number}]\n"));
        parse(lines.collect())
    };
    assert_eq!(modules(MODULES_MAX), Ok(MODULES_MAX));
    assert_eq!(modules(MODULES_MAX + 1), Err(KallsymsError::Modules));
}

#[test]
fn problems_that_are_listed() {
    let mut list = Problems::default();
    for _ in 0..PROBLEMS_MAX {
        list.push(LayoutError::NoText);
    }
    assert!(list.is_full() && !list.has_more());
    list.push(LayoutError::NoText);
    assert!(list.len() == PROBLEMS_MAX && list.has_more());
    assert!(list.to_string().ends_with("and more"));
}

/// Many section headers and symbols that share one long name: each message would repeat it.
#[test]
fn a_shared_name_is_not_repeated_for_long() {
    let mut source = String::new();
    for number in 0..100 {
        source += &format!(
            ".section {}{number},\"a\",@progbits\n.byte 1\n",
            "n".repeat(NAME_MAX - 2)
        );
    }
    let list = problems(&[("@more@", &source)]);
    let bytes: usize = list.iter().map(|p| p.to_string().len()).sum();
    assert!(
        list.len() == PROBLEMS_MAX && bytes < PROBLEMS_MAX * 2 * NAME_MAX,
        "{bytes}"
    );
}
