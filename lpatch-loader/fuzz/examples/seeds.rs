// SPDX-License-Identifier: GPL-2.0

//! Writes the first inputs of the corpus that are not patch objects: what the other targets take, made of the objects in
//! `corpus/object` and of the model's example. To be run again when a format changes: `cargo run --example seeds DIR`.

#[path = "../../tests/elf_file/mod.rs"]
#[allow(dead_code, reason = "tests use more of it")]
mod elf_file;

use elf_file::{ElfFile, Section};
use lpatch_fuzz::image_of;
use lpatch_loader::elf::Elf;
use lpatch_model::testing::{dormant, example, Draft};
use lpatch_model::uapi::Wire;
use object::elf::{ET_EXEC, SHF_ALLOC, SHF_EXECINSTR, SHT_NOTE, SHT_PROGBITS};
use std::fs;
use std::path::{Path, PathBuf};

const REAL: &[u8] = include_bytes!("../../tests/data/real.lpo");

fn table<T: Wire>(entries: &[T], out: &mut Vec<u8>) {
    for entry in entries {
        let at = out.len();
        out.resize(at + T::SIZE, 0);
        entry.write(&mut out[at..]).expect("it is long enough");
    }
}

/// Records and text, as the target takes them.
fn records(draft: &Draft) -> Vec<u8> {
    let count = |len: usize| u8::try_from(len).expect("they are few");
    let mut out = vec![count(draft.sites.len())];
    table(&draft.sites, &mut out);
    out.push(count(draft.alts.len()));
    table(&draft.alts, &mut out);
    out.push(count(draft.relocs.len()));
    table(&draft.relocs, &mut out);
    out.extend(&draft.text);
    out
}

/// The addresses of a room, and the first of the relocations of a real object, moved a little.
fn relocations() -> Vec<u8> {
    let mut out = Vec::new();
    for base in [
        0xffff_ffff_c000_1000_u64,
        0xffff_ffff_c400_0000,
        0xffff_ffff_c800_0000,
    ] {
        out.extend(base.to_le_bytes());
    }
    let elf = Elf::parse(REAL).expect("it is an object");
    let text = elf
        .sections()
        .iter()
        .find(|s| s.name == ".text")
        .expect("it has code");
    for (index, rela) in elf.relas(text.index).take(6).enumerate() {
        let half = u16::try_from(index).expect("they are few");
        let byte = |number: usize| u8::try_from(number).unwrap_or(0);
        out.extend(half.to_le_bytes());
        out.push(u8::try_from(rela.kind).unwrap_or(0));
        out.push(byte(rela.symbol));
        out.extend(u32::try_from(rela.offset).unwrap_or(0).to_le_bytes());
        out.extend(rela.addend.to_le_bytes());
    }
    out
}

/// A kernel of a few functions, for the symbols that the target has.
fn kernel() -> Vec<u8> {
    const BASE: u64 = 0xffff_ffff_8100_0000;
    let mut text = vec![0xcc; 0x200];
    let code = [
        0xf3, 0x0f, 0x1e, 0xfa, 0xe8, 1, 2, 3, 4, 0x48, 0xc7, 0xc0, 0x11, 0x22, 0x33, 0x81, 0xe9,
        5, 6, 7, 8,
    ];
    text[0x10..0x10 + code.len()].copy_from_slice(&code);
    text[0x40..0x40 + code.len()].copy_from_slice(&code);
    text[0xc0..0xe0].copy_from_slice(b"Linux version 9.9.9-test (me) #1");
    text[0x100..0x108].copy_from_slice(&(BASE + 0x14).to_le_bytes());
    text[0x108..0x110].copy_from_slice(&(BASE + 0x44).to_le_bytes());
    // A return, relative to its record.
    text[0x140..0x144].copy_from_slice(&(0x20_i32 - 0x140).to_le_bytes());
    let mut note = Vec::new();
    for word in [4_u32, 8, 3] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"GNU\0buildid!");
    let mut elf = ElfFile::new(ET_EXEC);
    let flags = SHF_ALLOC | SHF_EXECINSTR;
    elf.add(Section::new(".text", SHT_PROGBITS, flags, text).at(BASE));
    elf.add(Section::new(".notes", SHT_NOTE, SHF_ALLOC, note).at(BASE + 0x1000));
    let mut file = elf.write();
    for word in [0, 0x8100_0098_u32, 0, 0x8100_001c, 0x8100_004c] {
        file.extend(word.to_le_bytes());
    }
    file
}

fn tagged(tag: u8, rest: &[u8]) -> Vec<u8> {
    std::iter::once(tag).chain(rest.iter().copied()).collect()
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let out = PathBuf::from(std::env::args().nth(1).expect("usage: seeds DIR"));
    let put = |target: &str, name: &str, bytes: &[u8]| {
        let dir = out.join(target);
        fs::create_dir_all(&dir).expect("the directory is writable");
        fs::write(dir.join(name), bytes).expect("the directory is writable");
    };
    let (full, _, _) = example();
    let (waiting, _, _) = dormant();
    put("image", "example", &full.build());
    put("image", "dormant", &waiting.build());
    put("finalize", "example", &records(&full));
    put("insn", "example", &full.text);
    put("relocate", "real", &relocations());
    put(
        "text",
        "kallsyms",
        &tagged(0, include_bytes!("../world.kallsyms")),
    );
    put(
        "text",
        "symbol",
        &tagged(1, b"foo.cold+0x1f/0x100 [dm_mod]"),
    );
    put(
        "text",
        "notes",
        &tagged(2, b"\x04\0\0\0\x08\0\0\0\x03\0\0\0GNU\0buildid!"),
    );
    put("text", "hex", &tagged(2, b"0123456789abcdefABCDEF"));
    put(
        "text",
        "request",
        &tagged(
            3,
            &[0x50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].repeat(6),
        ),
    );
    let kernel = kernel();
    put("stock", "kernel", &tagged(1, &kernel));
    let mut sealed = tagged(
        3,
        &u32::try_from(kernel.len())
            .expect("it is small")
            .to_le_bytes(),
    );
    sealed.extend(&kernel);
    sealed.extend(REAL);
    put("stock", "seal", &sealed);
    let objects = fs::read_dir(root.join("object")).expect("it is there");
    for object in objects.map(|entry| entry.expect("it can be listed").path()) {
        let name = object
            .file_name()
            .expect("it has one")
            .to_string_lossy()
            .into_owned();
        let file = fs::read(&object).expect("it can be read");
        let image = image_of(&file);
        println!(
            "{name}: {}",
            if image.is_some() {
                "an image"
            } else {
                "no image"
            }
        );
        if let Some(image) = image {
            put("image", &name, &image);
        }
        if let Some(text) = Elf::parse(&file).ok().and_then(|elf| {
            elf.sections()
                .iter()
                .find(|s| s.name == ".text")
                .map(|s| s.data.to_vec())
        }) {
            put("insn", &name, &text[..text.len().min(256)]);
        }
        if file.len() < 6000 {
            put("stock", &name, &tagged(0, &file));
        }
    }
}
