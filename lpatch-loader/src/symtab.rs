// SPDX-License-Identifier: GPL-2.0

//! The list that /proc/kallsyms would give, from the symbol table of a developer's own vmlinux.
//!
//! It leaves out what the kernel leaves out of its list (scripts/mksysmap, scripts/kallsyms.c).

use object::elf::{self, FileHeader64, Sym64};
use object::read::elf::{FileHeader, SectionHeader, Sym};
use object::read::SectionIndex;
use object::LittleEndian;
use std::fmt::Write;

const LE: LittleEndian = LittleEndian;

const LEFT_OUT: &[&str] = &[
    "$",
    ".L",
    "__efistub_",
    "__pi_$",
    "__pi_.L",
    "__kcfi_typeid_",
    "__pi___kcfi_typeid_",
    "__crc_",
    "__kstrtab_",
    "__kstrtabns_",
    "__mod_device_table__",
    "__UNIQUE_ID_modinfo_",
];

/// Lines "address letter name" in the order of the table; `None` if the file is not ELF or has no symbol table.
pub fn kallsyms(vmlinux: &[u8]) -> Option<String> {
    let header = FileHeader64::<LittleEndian>::parse(vmlinux).ok()?;
    let sections = header.sections(LE, vmlinux).ok()?;
    let table = sections.symbols(LE, vmlinux, elf::SHT_SYMTAB).ok()?;
    let mut list: Vec<(u64, char, &str)> = Vec::with_capacity(table.len());
    for symbol in table.iter() {
        let name = table.symbol_name(LE, symbol).ok()?;
        let Ok(name) = std::str::from_utf8(name) else {
            continue;
        };
        let at = SectionIndex(usize::from(symbol.st_shndx(LE)));
        let flags = sections.section(at).map_or(0, |s| s.sh_flags(LE));
        if is_listed(symbol, name) {
            let is_code = flags & u64::from(elf::SHF_EXECINSTR) != 0;
            let letter = match (is_code, symbol.is_local()) {
                (true, true) => 't',
                (true, false) => 'T',
                (false, true) => 'd',
                (false, false) => 'D',
            };
            list.push((symbol.st_value(LE), letter, name));
        }
    }
    let mut text = String::with_capacity(list.len() * 48);
    for (addr, letter, name) in &list {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{addr:016x} {letter} {name}");
    }
    (!list.is_empty()).then_some(text)
}

fn is_listed(symbol: &Sym64<LittleEndian>, name: &str) -> bool {
    let is_local_number = symbol.st_shndx(LE) == elf::SHN_ABS && symbol.is_local();
    let is_structure = matches!(symbol.st_type(), elf::STT_SECTION | elf::STT_FILE);
    !symbol.is_undefined(LE)
        && !is_local_number
        && !is_structure
        && !name.is_empty()
        && name != "L0"
        && !LEFT_OUT.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This very program has a symbol table, and is ELF64 for x86-64.
    #[test]
    fn symbols_of_a_program_are_listed() {
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let text = kallsyms(&program).unwrap();
        let parsed = crate::kallsyms::Kallsyms::parse(text).unwrap();
        let mut last = 0;
        for symbol in parsed.iter() {
            assert!(symbol.addr >= last);
            last = symbol.addr;
        }
        let main: Vec<_> = parsed.by_name("main").collect();
        assert_eq!(main.len(), 1);
        assert_eq!(main[0].letter, 'T');
    }

    #[test]
    fn other_files_have_none() {
        assert_eq!(kallsyms(b"ffffffff81000000 T _text\n"), None);
        assert_eq!(kallsyms(b"\x7fELF"), None);
    }
}
