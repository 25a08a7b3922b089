// SPDX-License-Identifier: GPL-2.0

//! Pre-images and seals, on a kernel, a module and a patch that are written here byte by byte.

mod elf_file;

use elf_file::{ElfFile, Section};
use lpatch_loader::append::{with_section, AppendError};
use lpatch_loader::elf::Elf;
use lpatch_loader::kallsyms::Kallsyms;
use lpatch_loader::kmod::{Kmod, KmodError};
use lpatch_loader::link::examine;
use lpatch_loader::module_files;
use lpatch_loader::notes::{self, Notes};
use lpatch_loader::object::Object;
use lpatch_loader::resolve::PreimageState;
use lpatch_loader::seal::{seal, SealError, Stock};
use lpatch_loader::target::Target;
use lpatch_loader::vmlinux::{Vmlinux, VmlinuxError};
use object::elf::{
    ET_EXEC, ET_REL, R_X86_64_64, R_X86_64_PC32, SHF_ALLOC, SHF_EXECINSTR, SHT_NOTE, SHT_PROGBITS,
};
use std::collections::BTreeMap;

const BASE: u64 = 0xffff_ffff_8100_0000;
const A: u32 = SHF_ALLOC;
const AX: u32 = SHF_ALLOC | SHF_EXECINSTR;

/// Offsets in the text of the kernel.
const FIRST: u64 = 0x10;
const SECOND: u64 = 0x40;
const BARE: u64 = 0x80;
const INIT: u64 = 0xa0;
const BANNER: u64 = 0xc0;
const TABLES: u64 = 0x100;

/// endbr64, call __fentry__, mov $imm32 (KASLR moves it), nop, jmp rel32 to the return thunk, padding.
fn function(fentry: bool) -> Vec<u8> {
    let mut code = vec![0xf3, 0x0f, 0x1e, 0xfa];
    if fentry {
        code.extend([0xe8, 1, 2, 3, 4]);
    }
    code.extend([0x48, 0xc7, 0xc0, 0x11, 0x22, 0x33, 0x81]);
    code.extend([0x0f, 0x1f, 0x40, 0x00]);
    code.extend([0xe9, 5, 6, 7, 8]);
    code.resize(0x20, 0xcc);
    code
}

/// The image as the linker and the decompressor's tools leave it, with its relocation table.
fn kernel(with_relocs: bool) -> Vec<u8> {
    let mut text = vec![0xcc; 0x200];
    let mut put = |at: u64, bytes: &[u8]| {
        let at = usize::try_from(at).unwrap();
        text[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(FIRST, &function(true));
    put(SECOND, &function(true));
    put(BARE, &function(false));
    put(INIT, &function(true));
    // In front of a function; and at the end of one, where only alignment follows.
    put(SECOND - 16, &[0x90; 16]);
    put(FIRST + 0x1e, &[0x90; 2]);
    put(BANNER, b"Linux version 9.9.9-test (somebody) #1\n\0");
    let mcount: Vec<u8> = [FIRST, SECOND, INIT]
        .iter()
        .flat_map(|at| (BASE + at + 4).to_le_bytes())
        .collect();
    put(TABLES, &mcount);
    let returns: Vec<u8> = [FIRST, SECOND]
        .iter()
        .enumerate()
        .flat_map(|(index, at)| {
            let here = i32::try_from(TABLES + 0x40).unwrap() + i32::try_from(index * 4).unwrap();
            (i32::try_from(at + 20).unwrap() - here).to_le_bytes()
        })
        .collect();
    put(TABLES + 0x40, &returns);

    let mut note = Vec::new();
    for word in [4_u32, 8, 3] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"GNU\0buildid!");
    let mut elf = ElfFile::new(ET_EXEC);
    elf.add(Section::new(".text", SHT_PROGBITS, AX, text).at(BASE));
    elf.add(Section::new(".notes", SHT_NOTE, A, note).at(BASE + 0x1000));
    let mut file = elf.write();
    if with_relocs {
        // A zero, the 64-bit fields, a zero, the 32-bit fields: the immediates.
        let low = |at| u32::try_from((BASE + at) & 0xffff_ffff).unwrap();
        let narrow = [FIRST, SECOND, INIT].map(|at| low(at + 12));
        let words = [0, low(BARE + 0x18), 0].into_iter().chain(narrow);
        for word in words {
            file.extend(word.to_le_bytes());
        }
    }
    file
}

/// Its symbols, as a boot at another address lists them.
fn kallsyms(slide: u64) -> Kallsyms {
    let symbols = [
        (0, 'T', "_text"),
        (FIRST, 't', "first"),
        (FIRST + 0x20, 't', "__pfx_second"),
        (SECOND, 'T', "second"),
        (SECOND + 0x20, 't', "twice"),
        (BARE, 't', "bare"),
        (INIT, 't', "__init_begin"),
        (INIT, 't', "starter"),
        (INIT + 0x20, 't', "__init_end"),
        (BANNER, 'D', "linux_banner"),
        (TABLES - 0x10, 't', "twice"),
        (TABLES, 'd', "__start_mcount_loc"),
        (TABLES + 24, 'd', "__stop_mcount_loc"),
        (TABLES + 0x40, 'd', "__return_sites"),
        (TABLES + 0x48, 'd', "__return_sites_end"),
        (0x200, 'T', "_end"),
    ];
    let lines =
        symbols.map(|(at, letter, name)| format!("{:x} {letter} {name}\n", BASE + slide + at));
    Kallsyms::parse(lines.concat()).unwrap()
}

#[test]
fn a_preimage_masks_what_a_boot_rewrites_and_nothing_else() {
    let file = kernel(true);
    let vmlinux = Vmlinux::new(&file, kallsyms(0x1c00_0000)).unwrap();
    assert_eq!(vmlinux.release(), "9.9.9-test");
    assert_eq!(vmlinux.build_id(), b"buildid!");
    let first = vmlinux.function("first", None).unwrap();
    let pre = vmlinux.preimage(&first).unwrap();
    let masks: Vec<_> = pre.masks.iter().map(|m| (m.offset, m.len)).collect();
    // fentry, the immediate, the return.
    assert_eq!((pre.len, masks), (0x20, vec![(4, 5), (12, 4), (20, 5)]));
    let mut code = function(true);
    code[0x1e..].fill(0x90);
    for at in 0..code.len() {
        let mut other = code.clone();
        other[at] ^= 1;
        let masked = (4..9).contains(&at) || (12..16).contains(&at) || (20..25).contains(&at);
        assert_eq!(pre.matches(&other), masked, "byte {at}");
    }
}

#[test]
fn wide_fields_and_padding_are_masked() {
    let file = kernel(true);
    let vmlinux = Vmlinux::new(&file, kallsyms(0)).unwrap();
    let masks = |name| -> Vec<(u32, u32)> {
        let found = vmlinux.find(name, None).unwrap();
        let pre = vmlinux.preimage(&found).unwrap();
        pre.masks.iter().map(|m| (m.offset, m.len)).collect()
    };
    assert_eq!(masks("bare"), [(0x18, 8)]);
    assert_eq!(masks("__pfx_second"), [(0, 16)]);
}

#[test]
fn functions_that_cannot_be_replaced_have_a_reason() {
    let file = kernel(true);
    let vmlinux = Vmlinux::new(&file, kallsyms(0)).unwrap();
    let error = |name, sympos| vmlinux.function(name, sympos).unwrap_err();
    assert_eq!(error("never", None), VmlinuxError::NotFound("never".into()));
    assert!(matches!(
        error("twice", None),
        VmlinuxError::Ambiguous { count: 2, .. }
    ));
    assert!(matches!(
        error("twice", Some(3)),
        VmlinuxError::Sympos { count: 2, .. }
    ));
    assert!(matches!(
        error("twice", Some(0)),
        VmlinuxError::Sympos { .. }
    ));
    assert_eq!(error("bare", None), VmlinuxError::NoFentry("bare".into()));
    assert_eq!(error("starter", None), VmlinuxError::Init("starter".into()));
    assert_eq!(
        error("linux_banner", None),
        VmlinuxError::NotFunction("linux_banner".into())
    );
}

#[test]
fn a_wrong_image_or_list_is_refused() {
    let refused = |file: &[u8], symbols| Vmlinux::new(file, symbols).unwrap_err();
    assert!(matches!(
        refused(&kernel(false), kallsyms(0)),
        VmlinuxError::NoRelocs(_)
    ));
    let other = Kallsyms::parse(format!(
        "{BASE:x} T _text\n{:x} D linux_banner\n",
        BASE + BANNER + 1
    ));
    assert!(matches!(
        refused(&kernel(true), other.unwrap()),
        VmlinuxError::WrongSymbols(_)
    ));
    assert!(matches!(
        refused(b"\x7fELF", kallsyms(0)),
        VmlinuxError::NotVmlinux(_)
    ));
    // The table of relocations is checked against the image.
    let mut file = kernel(true);
    let end = file.len();
    file[end - 1] ^= 0x40;
    assert!(matches!(
        refused(&file, kallsyms(0)),
        VmlinuxError::NoRelocs(_)
    ));
}

/// A module of two functions of the same name and one other, with a relocation in each.
fn module() -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..3 {
        text.extend(function(true));
    }
    text[0x3c..0x40].fill(0x90);
    let mut elf = ElfFile::new(ET_REL);
    let at = elf.add(Section::new(".text", SHT_PROGBITS, AX, text));
    for (index, name) in ["same", "same", "other"].iter().enumerate() {
        elf.function(name, at, u64::try_from(index).unwrap() * 0x20, 0x20);
    }
    let external = elf.undefined("external");
    let symbol = elf.section_symbol(at);
    elf.relocate(at, 12, R_X86_64_PC32, external, 0);
    elf.relocate(at, 0x2c, R_X86_64_64, external, 0);
    let mcount = elf.add(Section::new("__mcount_loc", SHT_PROGBITS, A, vec![0; 16]));
    elf.relocate(mcount, 0, R_X86_64_64, symbol, 4);
    elf.relocate(mcount, 8, R_X86_64_64, symbol, 0x24);
    let alt = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1];
    let alt = elf.add(Section::new(".altinstructions", SHT_PROGBITS, A, alt));
    elf.relocate(alt, 0, R_X86_64_PC32, symbol, 0x1e);
    elf.write()
}

#[test]
fn a_module_is_masked_by_its_relocations_and_tables() {
    let file = module();
    let kmod = Kmod::new(&file).unwrap();
    let masks = |sympos| {
        let place = kmod.function("same", Some(sympos)).unwrap();
        let pre = kmod.preimage(place).unwrap();
        let masks: Vec<_> = pre.masks.iter().map(|m| (m.offset, m.len)).collect();
        (pre.len, masks)
    };
    assert_eq!(masks(1), (0x20, vec![(4, 5), (12, 4), (0x1e, 2)]));
    assert_eq!(masks(2), (0x20, vec![(4, 5), (12, 8), (0x1c, 4)]));
    let error = |name, sympos| kmod.function(name, sympos).unwrap_err();
    assert!(matches!(
        error("same", None),
        KmodError::Ambiguous { count: 2, .. }
    ));
    assert!(matches!(error("same", Some(3)), KmodError::Sympos { .. }));
    assert_eq!(error("other", None), KmodError::NoFentry("other".into()));
    assert_eq!(
        error("external", None),
        KmodError::NotFound("external".into())
    );
}

/// A patch of one function of vmlinux, or of a module.
fn patch(objname: Option<&str>, old_name: &str) -> Vec<u8> {
    let mut elf = ElfFile::new(ET_REL);
    let text = elf.add(Section::new(".text", SHT_PROGBITS, AX, function(true)));
    elf.function("replacement", text, 0, 0x20);
    let text_symbol = elf.section_symbol(text);
    let mut names = old_name.as_bytes().to_vec();
    names.push(0);
    let objname_at = i64::try_from(names.len()).unwrap();
    names.extend(objname.unwrap_or("").as_bytes());
    names.push(0);
    let strings = elf.add(Section::new(".lpatch.strings", SHT_PROGBITS, A, names));
    let strings = elf.section_symbol(strings);
    let funcs = elf.add(Section::new(".lpatch.funcs", SHT_PROGBITS, A, vec![0; 32]));
    elf.relocate(funcs, 0, R_X86_64_64, text_symbol, 0);
    elf.relocate(funcs, 16, R_X86_64_64, strings, 0);
    if objname.is_some() {
        elf.relocate(funcs, 8, R_X86_64_64, strings, objname_at);
    }
    let mut note = Vec::new();
    for word in [7_u32, 10, 1] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"lpatch\0\0name=test\0\0\0");
    elf.add(Section::new(".note.lpatch", SHT_NOTE, 0, note));
    elf.write()
}

fn stock<'d>(vmlinux: &'d [u8], module: &'d [u8]) -> Stock<'d> {
    Stock {
        vmlinux: Vmlinux::new(vmlinux, kallsyms(0)).unwrap(),
        modules: BTreeMap::from([("mod".to_owned(), Kmod::new(module).unwrap())]),
    }
}

#[test]
fn a_seal_says_what_the_loader_reads() {
    let (vmlinux, module) = (kernel(true), module());
    let stock = stock(&vmlinux, &module);
    let file = patch(None, "second");
    let sealed = seal(&file, &stock, false).unwrap();
    let object = Object::parse(&sealed.file).unwrap();
    let notes = Notes::read(&object).unwrap();
    notes.check_crc(&sealed.file).unwrap();
    assert!(notes.crc.is_some());
    assert_eq!(notes.release.as_deref(), Some("9.9.9-test"));
    assert_eq!(notes.build_id.as_deref(), Some(&b"buildid!"[..]));
    let [preimage] = notes.preimages.as_slice() else {
        panic!("{:?}", notes.preimages)
    };
    let recorded = &sealed.preimages[0];
    assert_eq!((preimage.len, preimage.crc), (recorded.len, recorded.crc));
    assert_eq!(preimage.masks, recorded.masks);

    // Any byte that changes is noticed, unless the file cannot even be read any more.
    for at in 0..sealed.file.len() {
        let mut damaged = sealed.file.clone();
        damaged[at] ^= 0x10;
        let seen = Object::parse(&damaged)
            .map_err(|error| error.to_string())
            .and_then(|object| Notes::read(&object).map_err(|error| error.to_string()))
            .and_then(|notes| match notes.crc {
                Some(_) => notes.check_crc(&damaged).map_err(|error| error.to_string()),
                None => Err("no CRC".into()),
            });
        assert!(seen.is_err(), "byte {at}");
    }
}

#[test]
fn sealing_again_gives_the_same_file() {
    let (vmlinux, module) = (kernel(true), module());
    let stock = stock(&vmlinux, &module);
    let file = patch(Some("mod"), "same");
    let error = seal(&file, &stock, false).unwrap_err();
    assert!(
        matches!(error.as_slice(), [SealError::Kmod { .. }]),
        "{error:?}"
    );

    let file = patch(None, "first");
    let once = seal(&file, &stock, false).unwrap();
    let twice = seal(&once.file, &stock, false).unwrap();
    assert_eq!(once.file, twice.file);
    // A seal for another function replaces it.
    let text = |file: &[u8]| Elf::parse(file).unwrap().sections().len();
    assert_eq!(text(&once.file), text(&file) + 1);
}

#[test]
fn what_cannot_be_replaced_is_sealed_by_force_only() {
    let (vmlinux, module) = (kernel(true), module());
    let stock = stock(&vmlinux, &module);
    for (objname, name) in [(None, "never"), (None, "bare"), (Some("gone"), "f")] {
        let file = patch(objname, name);
        let errors = seal(&file, &stock, false).unwrap_err();
        let forced = seal(&file, &stock, true).unwrap();
        assert_eq!(errors, forced.forced);
        let object = Object::parse(&forced.file).unwrap();
        Notes::read(&object)
            .unwrap()
            .check_crc(&forced.file)
            .unwrap();
    }
    // No single byte has the CRC that stands for "no function".
    let forced = seal(&patch(None, "never"), &stock, true).unwrap();
    assert!((0..=255).all(|byte| !forced.preimages[0].matches(&[byte])));
    // One that exists has its own pre-image.
    let forced = seal(&patch(None, "bare"), &stock, true).unwrap();
    assert!(forced.preimages[0].matches(&function(false)));
}

#[test]
fn a_section_is_added_behind_all_others() {
    let file = patch(None, "first");
    let (out, at) = with_section(&file, ".note.new", SHT_NOTE, b"contents").unwrap();
    assert_eq!(&out[at..at + 8], b"contents");
    let (old, new) = (Elf::parse(&file).unwrap(), Elf::parse(&out).unwrap());
    assert_eq!(
        new.sections().last().map(|s| (s.name, s.data)),
        Some((".note.new", &b"contents"[..]))
    );
    for (old, new) in old.sections().iter().zip(new.sections()) {
        assert_eq!(
            (old.name, old.kind, old.flags),
            (new.name, new.kind, new.flags)
        );
        if old.name != ".shstrtab" {
            assert_eq!((old.data, old.file_offset), (new.data, new.file_offset));
        }
    }
    let (shorter, _) = with_section(&out, ".note.new", SHT_NOTE, b"less").unwrap();
    let (direct, _) = with_section(&file, ".note.new", SHT_NOTE, b"less").unwrap();
    assert_eq!(shorter, direct);
    assert!(matches!(
        with_section(b"\x7fELF", "x", 1, b""),
        Err(AppendError::Elf(_))
    ));
    // The CRC helper that the loader uses agrees with the seal about where its field is.
    assert_ne!(notes::crc(&out, at), notes::crc(&out, at + 4));
}

/// A module that is not loaded can be looked at in its file.
#[test]
fn functions_of_modules_are_compared_with_their_files() {
    // The first function gets a name of its own.
    let mut file = module();
    let name = file.windows(5).position(|bytes| bytes == b"same\0");
    file[name.unwrap()..][..4].copy_from_slice(b"lone");
    let image = kernel(true);
    let sealed = seal(&patch(Some("mod"), "lone"), &stock(&image, &file), false);
    let sealed = sealed.unwrap().file;
    let target = Target {
        release: "9.9.9-test".into(),
        build_id: Some(b"buildid!".to_vec()),
        kallsyms: kallsyms(0),
        memory: None,
        traceable: None,
        kprobes: None,
    };
    let look = |modules: &[&[u8]]| {
        let mut examined = examine(&sealed, Some(&target)).unwrap();
        let before = examined.problems.len();
        let parsed = modules
            .iter()
            .map(|file| ("mod".to_owned(), Kmod::new(file).unwrap()));
        module_files::check(&mut examined, &parsed.collect());
        let more: Vec<_> = examined.problems.iter().skip(before).collect();
        let more: Vec<String> = more.iter().map(ToString::to_string).collect();
        (examined.resolved.unwrap().preimages[0], more.join("\n"))
    };
    assert!(matches!(look(&[]), (PreimageState::Unknown(_), more) if more.is_empty()));
    assert_eq!(look(&[&file]), (PreimageState::Matches, String::new()));

    let mut other = file.clone();
    let text = other
        .windows(4)
        .position(|bytes| bytes == [0xf3, 0x0f, 0x1e, 0xfa]);
    other[text.unwrap() + 9] ^= 1;
    let (state, more) = look(&[&other]);
    assert_eq!(state, PreimageState::Differs);
    assert!(more.contains("lone in mod is not the function"), "{more}");

    let (state, more) = look(&[&module()]);
    assert!(matches!(state, PreimageState::Unknown(_)));
    assert!(
        more.contains("module mod: the module has no symbol lone"),
        "{more}"
    );
}
