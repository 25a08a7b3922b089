// SPDX-License-Identifier: GPL-2.0

//! Objects and a kernel for the tests.
#![allow(dead_code, reason = "each test uses a part")]

pub(crate) mod fake;
pub(crate) mod large;
pub(crate) mod script;

use lpatch_loader::kallsyms::Kallsyms;
use lpatch_loader::link::Linked;
use lpatch_loader::notes;
use lpatch_loader::object::Object;
use lpatch_loader::target::{Memory, Target};
use lpatch_model::testing::{FakeKernel, FakeSymbol};
use lpatch_model::verify::{Area, Reservation};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The release in the seal of the good object.
pub(crate) const RELEASE: &str = "7.2.12-test";
/// The build-id in it.
pub(crate) const BUILD_ID: [u8; 4] = [1, 2, 3, 4];
/// The hash in its .orc_header.
pub(crate) const ORC_HASH: &[u8; 20] = b"ABCDEFGHIJKLMNOPQRST";
/// Start of the kernel's text.
pub(crate) const TEXT: u64 = 0xffff_ffff_8100_0000;
/// Start of the module's text.
pub(crate) const MODULE: u64 = 0xffff_ffff_c100_0000;
/// Start of the arena.
pub(crate) const ARENA: u64 = 0xffff_ffff_c000_0000;

/// Symbols: address, type, name, module.
pub(crate) const SYMBOLS: &[(u64, char, &str, Option<&str>)] = &[
    (TEXT, 'T', "_text", None),
    (TEXT + 0x40, 'T', "__x86_return_thunk", None),
    (TEXT + 0x100, 'T', "seq_printf", None),
    (TEXT + 0x1000, 't', "cmdline_proc_show", None),
    (TEXT + 0x1200, 't', "twice", None),
    (TEXT + 0x1240, 'T', "__pi_alias", None),
    (TEXT + 0x1240, 'T', "alias", None),
    (TEXT + 0x1280, 't', "twice", None),
    (TEXT + 0x12c0, 't', "_RNvCs1_6kernel4rust", None),
    (TEXT + 0x1300, 't', "notrace_one", None),
    (TEXT + 0x1340, 't', "cmdline_proc_show.cold", None),
    (TEXT + 0x1380, 't', "last_one", None),
    (TEXT + 0x10_0000, 'D', "jiffies", None),
    (TEXT + 0x1f_0000, 'T', "BUG_func", None),
    (TEXT + 0x1f_1040, 'T', "__x86_indirect_thunk_rdx", None),
    (TEXT + 0x20_0000, 'T', "_sinittext", None),
    (TEXT + 0x20_0040, 't', "init_one", None),
    (TEXT + 0x20_0080, 'T', "_einittext", None),
    (TEXT + 0x30_0000, 'B', "_end", None),
    (MODULE + 0x3000, 'd', "fs_data", Some("tinyfs")),
    (MODULE + 0x40, 't', "mod_helper", Some("tinyfs")),
    (MODULE, 't', "fs_read", Some("tinyfs")),
    (MODULE, 't', "fs_read_alias", Some("tinyfs")),
    (MODULE + 0x80, 't', "fs_last", Some("tinyfs")),
    (MODULE + 0x8000, 't', "other_helper", Some("otherfs")),
    (
        MODULE + 0x9000,
        'T',
        "lpatch_shadow_get",
        Some("lpatch_core"),
    ),
    (MODULE + 0x1_0000, 't', "fs_end", Some("lastfs")),
    (MODULE + 0x1_0040, 't', "fs_end.cold", Some("lastfs")),
];

/// The text of /proc/kallsyms.
pub(crate) fn kallsyms_text() -> String {
    let mut text = String::new();
    for (addr, letter, name, module) in SYMBOLS {
        text += &format!("{addr:016x} {letter} {name}");
        if let Some(module) = module {
            text += &format!("\t[{module}]");
        }
        text.push('\n');
    }
    text + "ffffffffc2000000 t bpf_prog_1\t[bpf]\n"
}

/// The bytes of a function that ftrace knows, with something of its own in it.
pub(crate) fn code(addr: u64, len: usize) -> Vec<u8> {
    let seed = addr.to_le_bytes();
    let mut bytes: Vec<u8> = (0..len).map(|i| seed[i % 3] ^ 0x55).collect();
    bytes[..9].copy_from_slice(&[0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x1f, 0x44, 0, 0]);
    bytes
}

/// Memory with such a function at each symbol.
pub(crate) struct FakeMemory {
    /// Functions without a fentry site.
    pub(crate) notrace: Vec<u64>,
}

impl Memory for FakeMemory {
    fn read(&self, addr: u64, out: &mut [u8]) -> bool {
        if self.notrace.contains(&addr) {
            out.fill(0x90);
        } else {
            let bytes = code(addr, out.len().max(16));
            out.copy_from_slice(&bytes[..out.len()]);
        }
        true
    }
}

/// The kernel that the good object is for.
pub(crate) fn target() -> Target {
    Target {
        release: RELEASE.into(),
        build_id: Some(BUILD_ID.to_vec()),
        kallsyms: Kallsyms::parse(kallsyms_text()).expect("it is well-formed"),
        memory: Some(Box::new(FakeMemory {
            notrace: vec![TEXT + 0x1300],
        })),
        traceable: None,
        kprobes: None,
    }
}

/// The text of /proc/kallsyms while a module is not loaded.
pub(crate) fn kallsyms_without(module: &str) -> String {
    let end = format!("\t[{module}]");
    let text = kallsyms_text();
    let lines = text.split_inclusive('\n');
    lines.filter(|l| !l.trim_end().ends_with(&end)).collect()
}

/// The kernel while a module is not loaded.
pub(crate) fn target_without(module: &str) -> Target {
    Target {
        kallsyms: Kallsyms::parse(kallsyms_without(module)).expect("it is well-formed"),
        ..target()
    }
}

/// The same kernel, for the core's checks.
pub(crate) fn kernel() -> FakeKernel {
    let mut kernel = FakeKernel {
        release: RELEASE.into(),
        orc_hash: *ORC_HASH,
        ours: ARENA..ARENA + 0x40_0000,
        return_thunk: TEXT + 0x40,
        indirect_thunks: TEXT + 0x1f_1000,
        bug_func: TEXT + 0x1f_0000,
        ibt: true,
        ..FakeKernel::default()
    };
    for (name, addr, size) in [
        ("__x86_return_thunk", TEXT + 0x40, 0xc0),
        ("seq_printf", TEXT + 0x100, 0xf00),
        ("cmdline_proc_show", TEXT + 0x1000, 0x200),
        ("__pi_alias", TEXT + 0x1240, 0x40),
        ("cmdline_proc_show.cold", TEXT + 0x1340, 0x40),
        ("jiffies", TEXT + 0x10_0000, 0xf_0000),
        ("BUG_func", TEXT + 0x1f_0000, 0x1040),
        ("__x86_indirect_thunk_rdx", TEXT + 0x1f_1040, 0xefc0),
    ] {
        kernel
            .symbols
            .push(FakeSymbol::new(addr, size, name, "vmlinux"));
    }
    for (name, addr, size) in [
        ("fs_read", MODULE, 0x40),
        ("mod_helper", MODULE + 0x40, 0x40),
        ("fs_last", MODULE + 0x80, 0x2f80),
        ("fs_data", MODULE + 0x3000, 0x1000),
    ] {
        kernel
            .symbols
            .push(FakeSymbol::new(addr, size, name, "tinyfs"));
    }
    for (name, addr, size) in [
        ("fs_end", MODULE + 0x1_0000, 0x40),
        ("fs_end.cold", MODULE + 0x1_0040, 0x2fc0),
    ] {
        kernel
            .symbols
            .push(FakeSymbol::new(addr, size, name, "lastfs"));
    }
    for symbol in &kernel.symbols {
        let size = usize::try_from(symbol.size).expect("it is small");
        kernel.text.push((symbol.addr, code(symbol.addr, size)));
    }
    kernel
}

/// The room that the core would give.
pub(crate) fn room(linked: &Linked<'_>) -> Reservation {
    let request = linked.reservation();
    let area = |offset, len: u32| Area {
        addr: ARENA + offset,
        len: len.into(),
    };
    Reservation {
        text: area(0x1000, request.text_len),
        rodata: area(0x10_0000, request.rodata_len),
        data: area(0x20_0000, request.data_len),
        orcs: request.orcs.into(),
        exs: request.exs.into(),
        bugs: request.bugs.into(),
    }
}

/// Replaces the words of the good source: `changes`, then the defaults.
pub(crate) fn source(changes: &[(&str, &str)]) -> String {
    let mut text = include_str!("../data/good.S").to_owned();
    for (word, value) in changes {
        assert!(text.contains(word), "{word} is not in the source");
        text = text.replace(word, value);
    }
    let crc = |addr: u64, len: usize, mask: std::ops::Range<usize>| {
        let mut bytes = code(addr, len);
        bytes[mask].fill(0);
        format!("{:#x}", crc32fast::hash(&bytes))
    };
    for (word, value) in [
        ("@old_show@", "cmdline_proc_show".to_owned()),
        ("@sympos@", "0".into()),
        ("@mod_sympos@", "0".into()),
        ("@callback_object@", "0".into()),
        ("@callback_kind@", "1".into()),
        ("@state@", "1".into()),
        ("@cumulative@", "1".into()),
        ("@release@", RELEASE.into()),
        ("@read_crc@", crc(MODULE, 16, 0..0)),
        ("@show_crc@", crc(TEXT + 0x1000, 32, 4..9)),
        ("@more@", String::new()),
    ] {
        text = text.replace(word, &value);
    }
    text
}

/// A path that no other test uses.
fn scratch(suffix: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{}-{number}{suffix}", std::process::id());
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Assembles a source with the host's compiler.
pub(crate) fn assemble(source: &str) -> Vec<u8> {
    let (input, output) = (scratch(".S"), scratch(".o"));
    std::fs::write(&input, source).expect("the target directory is writable");
    let run = Command::new("cc")
        .args(["-c", "-x", "assembler", "-o"])
        .args([&output, &input])
        .output()
        .expect("these tests need `cc` on the host");
    let messages = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{messages}");
    let object = std::fs::read(&output).expect("cc wrote it");
    for path in [input, output] {
        std::fs::remove_file(path).expect("it is there");
    }
    object
}

/// Where the CRC of an object is.
pub(crate) fn crc_offset(file: &[u8]) -> Option<usize> {
    let object = Object::parse(file).ok()?;
    let notes = notes::walk(&object).ok()?;
    let crc = notes.iter().find(|n| n.kind == notes::NOTE_CRC)?;
    (crc.desc.len() == 4).then_some(crc.file_offset)
}

/// Puts the right CRC at an offset in a file; false if the file is too short.
pub(crate) fn seal_at(file: &mut [u8], at: usize) -> bool {
    let crc = notes::crc(file, at);
    match file.get_mut(at..at + 4) {
        Some(bytes) => {
            bytes.copy_from_slice(&crc.to_le_bytes());
            true
        }
        None => false,
    }
}

/// Puts the right CRC into an object that has a note for it; false if it has none.
pub(crate) fn seal(file: &mut [u8]) -> bool {
    match crc_offset(file) {
        Some(at) => seal_at(file, at),
        None => false,
    }
}

/// A sealed object with changes to the good source.
pub(crate) fn object(changes: &[(&str, &str)]) -> Vec<u8> {
    let mut file = assemble(&source(changes));
    assert!(seal(&mut file), "the source has a CRC note");
    file
}

/// The good object, but it replaces a function whose cold part is the last of its module's text.
pub(crate) fn last_object() -> Vec<u8> {
    let crc = format!("{:#x}", crc32fast::hash(&code(MODULE + 0x1_0000, 16)));
    object(&[
        ("new_read, tinyfs, old_read", "new_read, lastfs, old_read"),
        ("\"fs_read\"", "\"fs_end\""),
        ("@read_crc@", &crc),
        (
            "@more@",
            ".section .lpatch.strings\nlastfs: .asciz \"lastfs\"\n",
        ),
    ])
}

/// The good object with a piece of source at its end.
pub(crate) fn object_with(more: &str) -> Vec<u8> {
    object(&[("@more@", more)])
}

/// A random number generator (xorshift64*, Vigna 2016): the same numbers on every host.
pub(crate) struct Random(pub u64);

impl Random {
    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("usize has at most 64 bits");
        usize::try_from(self.next() % limit).expect("it is below a usize")
    }

    /// A byte.
    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }
}
