// SPDX-License-Identifier: GPL-2.0

//! What the program in the guest has to read of each module.

use crate::Result;
use lpatch_loader::elf::{Elf, Section};
use std::fs;
use std::path::Path;

/// The tables that are writable. What the rest of the writable data holds is the module's business.
pub(crate) const WRITABLE_TABLES: [&str; 4] = [
    "__bug_table",
    "__jump_table",
    ".static_call_sites",
    "__mcount_loc",
];

/// Whether a section is gone once the module is initialized.
pub(crate) fn is_init(section: &Section<'_>) -> bool {
    section.name.starts_with(".init")
}

/// Whether a section is compared with memory.
pub(crate) fn is_compared(section: &Section<'_>) -> bool {
    let constant = !section.is_write() || WRITABLE_TABLES.contains(&section.name);
    section.is_alloc() && !section.data.is_empty() && constant && !is_init(section)
}

pub(crate) fn print(dir: &str, files: &[&str]) -> Result<()> {
    for path in files {
        let file = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        let elf = Elf::parse(&file)?;
        let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str());
        let name = stem.ok_or_else(|| format!("{path} has no name"))?;
        println!("module {name} {dir}/{name}.ko");
        // Static calls have keys in the data of the module that defines them.
        let defines_calls = elf
            .sections()
            .iter()
            .any(|s| s.name == ".static_call.text" && s.size > 0);
        for section in elf.sections().iter().filter(|s| s.is_alloc() && s.size > 0) {
            let keys = defines_calls && section.name.starts_with(".data");
            let len = if is_compared(section) || keys {
                section.data.len()
            } else {
                0
            };
            println!("section {} {len}", section.name);
        }
    }
    Ok(())
}
