// SPDX-License-Identifier: GPL-2.0

use super::*;

const TEXT: &str = "\
ffffffff81000000 T _text
ffffffff81000000 T _stext
ffffffff81000010 t foo
ffffffff81000020 t bar
ffffffff81000020 T bar_alias
ffffffff81000040 t foo
ffffffff81000050 t foo.cold
ffffffff81000058 t foo.isra.0.cold
ffffffff81000060 t foo.isra.0
ffffffff81000070 t foobar.cold
ffffffff81001000 B _end
ffffffffc1000000 t .Lmapping\t[mod]
ffffffffc1000000 t init\t[mod]
ffffffffc1000000 t init_alias\t[mod]
ffffffffc1002000 d foo\t[mod]
ffffffffc1000100 t last\t[mod]
0000000000000000 U undefined\t[mod]
ffffffffc1000080 t $x\t[mod]
ffffffffc1000090 t middle\t[mod]
ffffffffc2000000 t foo\t[other]
ffffffffc3000000 t bpf_prog\t[bpf]
ffffffffc3000000 t ftrace_trampoline\t[__builtin__ftrace]
";

fn kallsyms() -> Kallsyms {
    Kallsyms::parse(TEXT.into()).expect("it is well-formed")
}

fn one<'k>(kallsyms: &'k Kallsyms, objname: &str, name: &'k str) -> Found<'k> {
    let mut found = kallsyms.by_name(name).filter(|f| f.objname == objname);
    found.next().expect("it is there")
}

#[test]
fn names_are_found_in_the_order_of_the_list() {
    let kallsyms = kallsyms();
    let found: Vec<_> = kallsyms
        .by_name("foo")
        .map(|f| (f.objname, f.addr))
        .collect();
    let expected = [
        (VMLINUX, 0xffff_ffff_8100_0010),
        (VMLINUX, 0xffff_ffff_8100_0040),
        ("mod", 0xffff_ffff_c100_2000),
        ("other", 0xffff_ffff_c200_0000),
    ];
    assert_eq!(found, expected);
    assert_eq!(kallsyms.by_name("fo").count(), 0);
    // Undefined symbols, BPF programs and trampolines are not there.
    for name in ["undefined", "bpf_prog", "ftrace_trampoline"] {
        assert_eq!(kallsyms.by_name(name).count(), 0);
    }
    assert!(kallsyms.has_object("mod") && kallsyms.has_object("vmlinux"));
    assert!(!kallsyms.has_object("bpf") && !kallsyms.has_object("mo"));
}

#[test]
fn sympos_counts_within_the_object() {
    let kallsyms = kallsyms();
    let positions: Vec<_> = kallsyms
        .by_name("foo")
        .map(|f| kallsyms.sympos(&f))
        .collect();
    assert_eq!(positions, [1, 2, 0, 0]);
}

#[test]
fn the_first_name_at_an_address_is_the_canonical_one() {
    let kallsyms = kallsyms();
    let canonical = |objname, name| kallsyms.canonical(&one(&kallsyms, objname, name)).name;
    assert_eq!(canonical(VMLINUX, "bar_alias"), "bar");
    assert_eq!(canonical(VMLINUX, "bar"), "bar");
    assert_eq!(canonical(VMLINUX, "_stext"), "_text");
    // The kernel passes over local labels in modules.
    assert_eq!(canonical("mod", "init_alias"), "init");
}

#[test]
fn lengths_are_those_of_sprint_symbol() {
    let kallsyms = kallsyms();
    let length = |objname, name| kallsyms.length(&one(&kallsyms, objname, name));
    assert_eq!(length(VMLINUX, "bar"), Some(Length::Exact(0x20)));
    assert_eq!(length(VMLINUX, "bar_alias"), Some(Length::Exact(0x20)));
    assert_eq!(length(VMLINUX, "foobar.cold"), Some(Length::Exact(0xf90)));
    assert_eq!(length(VMLINUX, "_end"), None);
    // The next function, whatever the order of the list; a local label is none.
    assert_eq!(length("mod", "init"), Some(Length::Exact(0x90)));
    // Behind the last function comes data, which is elsewhere.
    assert_eq!(length("mod", "last"), Some(Length::AtLeast(0xf00)));
    assert_eq!(length("other", "foo"), Some(Length::AtLeast(0x1000)));
}

#[test]
fn parts_of_functions() {
    let kallsyms = kallsyms();
    let founds = [
        one(&kallsyms, VMLINUX, "foo"),
        one(&kallsyms, VMLINUX, "foo.isra.0"),
        one(&kallsyms, "other", "foo"),
    ];
    let parts = kallsyms.variants(&founds);
    let names = |list: &[Found<'_>]| list.iter().map(|f| f.name.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        names(&parts[0]),
        ["foo.cold", "foo.isra.0.cold", "foo.isra.0"]
    );
    assert_eq!(names(&parts[1]), ["foo.isra.0.cold"]);
    assert_eq!(names(&parts[2]), [""; 0]);
}

#[test]
fn what_is_not_kallsyms_is_refused() {
    let error = |text: &str| {
        Kallsyms::parse(text.into())
            .map(|_| ())
            .expect_err("it is refused")
    };
    assert_eq!(error(""), KallsymsError::Empty);
    assert_eq!(error("0000000000000000 T _text\n"), KallsymsError::Hidden);
    let line = "ffffffff81000000 T _text\n";
    for bad in [
        "nonsense\n",
        "xyz T name\n",
        "ffffffff81000000\n",
        "ffffffff81000000 T\n",
        "ffffffff81000000  name\n",
        "fffffffff81000000 T name\n",
        "ffffffff81000000 T name\tmodule\n",
        "ffffffff81000000 T \t[module]\n",
    ] {
        assert_eq!(
            error(&format!("{line}{bad}")),
            KallsymsError::Line(2),
            "{bad}"
        );
    }
}

#[test]
fn vmlinux_comes_first() {
    let text = "ffffffff81000000 T a\nffffffffc1000000 t b\t[m]\nffffffff81000010 T c\n";
    assert_eq!(
        Kallsyms::parse(text.into()).err(),
        Some(KallsymsError::Order(3))
    );
    // What is in brackets and no module may be anywhere.
    let text = "ffffffffc0000000 t p\t[bpf]\nffffffff81000000 T a\nffffffffc1000000 t b\t[m]\n";
    assert_eq!(Kallsyms::parse(text.into()).map(|list| list.len()), Ok(2));
}

/// A list that `nm` made is not sorted.
#[test]
fn unsorted_lists_are_sorted() {
    let text = "ffffffff81000020 t b\nffffffff81000000 t a\nffffffff81000030 t c\n";
    let kallsyms = Kallsyms::parse(text.into()).expect("it is well-formed");
    let found = kallsyms.length(&one(&kallsyms, VMLINUX, "a"));
    assert_eq!(found, Some(Length::Exact(0x20)));
}
