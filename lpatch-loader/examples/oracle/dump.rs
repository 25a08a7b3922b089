// SPDX-License-Identifier: GPL-2.0

//! What was read in the guest: see `selftests/programs/oracle.c` for the files.

use crate::calls::Names;
use crate::facts;
use crate::Result;
use lpatch_loader::kallsyms::Kallsyms;
use lpatch_model::finalize::Facts;
use lpatch_model::num::index;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

/// Sections of a module: name to address.
pub(crate) type Sections = HashMap<String, u64>;

/// A dump.
pub(crate) struct Dump {
    modules: Vec<(String, Sections)>,
    /// Modules that could not be loaded, with the error.
    pub(crate) failed: Vec<(String, i32)>,
    memory: Vec<u8>,
    /// Start to offset in the memory and length.
    ranges: BTreeMap<u64, (usize, usize)>,
    words: HashMap<u64, u64>,
    pub(crate) kallsyms: Kallsyms,
    /// Of static calls.
    pub(crate) names: Names,
    pub(crate) facts: Facts,
    /// Name and contents of the files about the boot.
    pub(crate) boot: BTreeMap<String, String>,
}

fn number<T>(text: Option<&str>, radix: u32) -> Result<T>
where
    T: TryFrom<u64>,
{
    let value = u64::from_str_radix(text.ok_or("the index is cut off")?, radix)?;
    T::try_from(value).map_err(|_| "a number in the index is too large".into())
}

impl Dump {
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let file = |name: &str| {
            fs::read(dir.join(name))
                .map_err(|error| format!("{}: {error}", dir.join(name).display()))
        };
        let text = |name: &str| -> Result<String> { Ok(String::from_utf8(file(name)?)?) };
        let kallsyms = Kallsyms::parse(text("kallsyms")?)?;
        let mut dump = Self {
            modules: Vec::new(),
            failed: Vec::new(),
            memory: file("memory")?,
            ranges: BTreeMap::new(),
            words: HashMap::new(),
            names: Names::new(&kallsyms),
            kallsyms,
            facts: facts::parse(&text("facts")?)?,
            boot: BTreeMap::new(),
        };
        dump.index(&text("index")?)?;
        for line in text("words")?.lines() {
            let mut words = line.split(' ');
            let addr = number(words.next(), 16)?;
            dump.words.insert(addr, number(words.next(), 16)?);
        }
        for name in ["release", "cmdline", "cpu", "its", "spectre_v2", "retbleed"] {
            let said = fs::read_to_string(dir.join(name)).unwrap_or_default();
            dump.boot.insert(name.into(), said.trim().into());
        }
        Ok(dump)
    }

    fn index(&mut self, text: &str) -> Result<()> {
        for line in text.lines() {
            let mut words = line.split(' ');
            match words.next() {
                Some("module") => {
                    let name = words.next().unwrap_or_default();
                    self.modules.push((name.into(), Sections::new()));
                }
                Some("failed") => {
                    let name = words.next().unwrap_or_default().to_owned();
                    self.failed.push((name, number(words.next(), 10)?));
                }
                Some("section") => {
                    let name = words.next().unwrap_or_default();
                    let addr = number(words.next(), 16)?;
                    self.range(addr, words)?;
                    let (_, sections) = self.modules.last_mut().ok_or("no module")?;
                    sections.insert(name.into(), addr);
                }
                Some("kernel") => {
                    let addr = number(words.next(), 16)?;
                    self.range(addr, words)?;
                }
                _ => return Err(format!("not a line of an index: {line}").into()),
            }
        }
        Ok(())
    }

    fn range<'l>(&mut self, addr: u64, mut words: impl Iterator<Item = &'l str>) -> Result<()> {
        let len = number(words.next(), 10)?;
        let offset = number(words.next(), 16)?;
        if len > 0 {
            self.ranges.insert(addr, (offset, len));
        }
        Ok(())
    }

    /// The modules that were loaded, with what the kernel says about them.
    pub(crate) fn modules(&self) -> impl Iterator<Item = (&str, &Sections)> {
        self.modules.iter().map(|(name, s)| (name.as_str(), s))
    }

    /// What was read from an address on, as far as it was read at once.
    pub(crate) fn from(&self, addr: u64) -> Option<&[u8]> {
        let (start, (offset, len)) = self.ranges.range(..=addr).next_back()?;
        let within = usize::try_from(addr - start).ok()?;
        let range = self.memory.get(*offset..)?.get(..*len)?;
        range.get(within..).filter(|rest| !rest.is_empty())
    }

    /// So many bytes at an address.
    pub(crate) fn bytes(&self, addr: u64, len: usize) -> Option<&[u8]> {
        self.from(addr)?.get(..len)
    }

    /// 8 bytes at an address; those behind the end of what was read are zeros.
    pub(crate) fn word(&self, addr: u64) -> Option<u64> {
        if let Some(value) = self.words.get(&addr) {
            return Some(*value);
        }
        let mut bytes = [0; 8];
        let found = self.from(addr)?;
        for (to, from) in bytes.iter_mut().zip(found) {
            *to = *from;
        }
        Some(u64::from_le_bytes(bytes))
    }

    /// The address of a symbol that a module may refer to: the kernel's first, then those that modules export.
    pub(crate) fn symbol(&self, name: &str) -> Option<u64> {
        // Exported symbols of modules have upper-case letters, as the global ones of the kernel have.
        let rank = |letter: char, vmlinux: bool| match (letter.is_ascii_uppercase(), vmlinux) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        let found = self.kallsyms.by_name(name).filter(|f| f.addr != 0);
        found
            .min_by_key(|f| rank(f.letter, f.objname == "vmlinux"))
            .map(|f| f.addr)
    }

    /// The address of a symbol of one module.
    pub(crate) fn own_symbol(&self, module: &str, name: &str) -> Option<u64> {
        let mut found = self.kallsyms.by_name(name).filter(|f| f.objname == module);
        found.next().map(|f| f.addr)
    }
}

/// A relative pointer of 32 bits in a table at `addr`: what the field at `at` leads to.
pub(crate) fn relative(table: &[u8], addr: u64, at: usize) -> Option<u64> {
    let field = i32::from_le_bytes(*table.get(at..)?.first_chunk()?);
    let place = addr.wrapping_add(lpatch_model::num::wide(at));
    Some(place.wrapping_add_signed(field.into()))
}

/// An offset in a text as an index.
pub(crate) fn at(offset: u32) -> usize {
    index(offset)
}
