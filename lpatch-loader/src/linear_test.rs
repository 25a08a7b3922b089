// SPDX-License-Identifier: GPL-2.0

//! The work of a link grows with what there is to link, and no faster: counted, not timed.

#[path = "../tests/common/large.rs"]
mod large;

use crate::kallsyms::Kallsyms;
use crate::link::link;
use crate::notes::{self, NOTE_CRC};
use crate::object::Object;
use crate::target::{Memory, Target};
use crate::visit;
use std::process::Command;

/// A function with a fentry site.
fn code(_: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0x55; len];
    bytes[..9].copy_from_slice(&[0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x1f, 0x44, 0, 0]);
    bytes
}

/// Assembles a source with the host's compiler.
fn assemble(source: &str) -> Vec<u8> {
    let path = std::env::temp_dir().join(format!("lpatch-linear-{}", std::process::id()));
    let (input, output) = (path.with_extension("S"), path.with_extension("o"));
    std::fs::write(&input, source).expect("the directory is writable");
    let run = Command::new("cc")
        .args(["-c", "-x", "assembler", "-o"])
        .args([&output, &input])
        .status()
        .expect("this test needs `cc` on the host");
    assert!(run.success());
    let object = std::fs::read(&output).expect("cc wrote it");
    for path in [input, output] {
        std::fs::remove_file(path).expect("it is there");
    }
    object
}

/// Puts the right CRC into an object that has a note for it.
fn seal(file: &mut [u8]) -> bool {
    let object = Object::parse(file).expect("it is good");
    let notes = notes::walk(&object).expect("they are good");
    let crc = notes.iter().find(|note| note.kind == NOTE_CRC);
    let at = crc.expect("there is one").file_offset;
    let sum = notes::crc(file, at);
    file[at..at + 4].copy_from_slice(&sum.to_le_bytes());
    true
}

struct Same;

impl Memory for Same {
    fn read(&self, _: u64, out: &mut [u8]) -> bool {
        out.copy_from_slice(&code(0, out.len().max(16))[..out.len()]);
        true
    }
}

/// What linking so many functions for a kernel with so many symbols looks at.
fn visits(functions: usize, symbols: usize) -> u64 {
    let file = large::object(functions, symbols);
    let target = Target {
        release: "7.2.12-test".into(),
        build_id: Some(vec![1, 2, 3, 4]),
        kallsyms: Kallsyms::parse(large::kallsyms(symbols)).expect("it is well-formed"),
        memory: Some(Box::new(Same)),
        traceable: None,
        kprobes: None,
    };
    visit::taken();
    let linked = link(&file, &target).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(linked.resolved.funcs.len(), functions);
    assert!(linked.resolved.preimages_checked);
    visit::taken()
}

#[test]
fn the_work_grows_with_the_object_and_with_the_kernel() {
    let once = visits(100, 8000);
    let larger_object = visits(400, 8000);
    assert!(larger_object < once * 4, "{once} {larger_object}");
    let larger_kernel = visits(100, 32_000);
    // What is looked at for each symbol of the kernel, whatever the patch is.
    assert!(larger_kernel < once + 32_000 * 2, "{once} {larger_kernel}");
    let both = visits(400, 32_000);
    assert!(both < once * 5, "{once} {both}");
}
