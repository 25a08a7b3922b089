// SPDX-License-Identifier: GPL-2.0

//! Addresses at the end of the address space, which a damaged module or kernel can have: no computation overflows.

#[allow(dead_code, reason = "other tests use more of it")]
mod elf_file;

use elf_file::{ElfFile, Section};
use lpatch_loader::kallsyms::Kallsyms;
use lpatch_loader::kmod::{Kmod, KmodError};
use lpatch_loader::vmlinux::{Vmlinux, VmlinuxError};
use object::elf::{ET_EXEC, ET_REL, SHF_ALLOC, SHF_EXECINSTR, SHT_NOTE, SHT_PROGBITS};

const BASE: u64 = 0xffff_ffff_8100_0000;
const A: u32 = SHF_ALLOC;
const AX: u32 = SHF_ALLOC | SHF_EXECINSTR;

#[test]
fn a_function_of_a_module() {
    let mut elf = ElfFile::new(ET_REL);
    let text = elf.add(Section::new(".text", SHT_PROGBITS, AX, vec![0x90; 32]));
    for back in 0..4 {
        elf.function(&format!("f{back}"), text, u64::MAX - back, 4);
    }
    let file = elf.write();
    let kmod = Kmod::new(&file).expect("nothing is read there");
    for back in 0..4 {
        let name = format!("f{back}");
        assert_eq!(kmod.function(&name, None), Err(KmodError::NoFentry(name)));
        let place = kmod
            .find(&format!("f{back}"), None)
            .expect("it is a symbol");
        assert!(kmod.preimage(place).is_none());
    }
}

/// A kernel with a table of sites at this address.
fn kernel(table: u64) -> Vec<u8> {
    let mut text = vec![0x90; 64];
    text[32..].copy_from_slice(b"Linux version 9.9.9-test (me) #1");
    let mut elf = ElfFile::new(ET_EXEC);
    let mut note = Vec::new();
    for word in [4_u32, 8, 3] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"GNU\0buildid!");
    elf.add(Section::new(".text", SHT_PROGBITS, AX, text).at(BASE));
    elf.add(Section::new(".notes", SHT_NOTE, A, note).at(BASE + 0x1000));
    elf.add(Section::new(".smp_locks", SHT_PROGBITS, A, vec![1; 16]).at(table));
    let mut file = elf.write();
    // No relocations.
    file.extend([0; 8]);
    file
}

#[test]
fn a_table_and_a_function_of_a_kernel() {
    // The last one is loaded elsewhere, by less than its offset in the image.
    let text = format!(
        "{BASE:x} T _text\n{:x} D linux_banner\n{:x} T last\n",
        BASE + 32,
        u64::MAX - 2,
    );
    let symbols = || Kallsyms::parse(text.clone()).expect("it is well-formed");
    for back in 1..32 {
        let file = kernel(u64::MAX - back);
        // What is left of the table has no record, or one that leads nowhere.
        let error = Vmlinux::new(&file, symbols()).expect_err("there is nothing");
        assert!(
            matches!(
                error,
                VmlinuxError::BadTable { .. } | VmlinuxError::Missing(_)
            ),
            "{back}: {error}"
        );
    }
}
