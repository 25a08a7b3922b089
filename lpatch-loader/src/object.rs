// SPDX-License-Identifier: GPL-2.0

//! A patch object: the ELF view with every section classified.

use crate::class::{classify, Class};
use crate::elf::{Elf, ElfError, Home, Rela, Section, Symbol};
use crate::problem::Problems;
use crate::visit::visit;
use object::elf;
use std::collections::HashMap;
use thiserror::Error;

/// Why an object cannot be a patch, whatever kernel it is for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ObjectError {
    /// A section that is not processed.
    #[error("section {name} is refused: {why}")]
    Section {
        /// Its name.
        name: String,
        /// Why, and what to do.
        why: &'static str,
    },
    /// Stricter than a page.
    #[error("section {name} is aligned to {align} bytes; the arena is aligned to 4096, so lower the alignment")]
    Align {
        /// Its name.
        name: String,
        /// Its alignment.
        align: u64,
    },
    /// A tentative definition.
    #[error("symbol {0} is a common symbol; compile with -fno-common")]
    Common(String),
}

/// A patch object.
#[derive(Debug)]
pub struct Object<'d> {
    /// The whole file.
    pub file: &'d [u8],
    /// Its ELF view.
    pub elf: Elf<'d>,
    classes: Vec<Class>,
    /// The first function with a length at a place: section and offset to the index of its symbol.
    functions: HashMap<(usize, u64), usize>,
}

impl<'d> Object<'d> {
    /// Parses and classifies; the refused sections are found by [`Self::check`].
    pub fn parse(file: &'d [u8]) -> Result<Self, ElfError> {
        Self::parse_as(file, classify)
    }

    /// Parses what is no patch, with classes of the caller's.
    pub fn parse_as(
        file: &'d [u8],
        classify: impl Fn(&Section<'d>) -> Class,
    ) -> Result<Self, ElfError> {
        let elf = Elf::parse(file)?;
        let classes = elf.sections().iter().map(classify).collect();
        let mut functions = HashMap::new();
        for (index, symbol) in elf.symbols().iter().enumerate() {
            visit();
            if let (Home::Section(section), true) = (
                symbol.home,
                symbol.kind == object::elf::STT_FUNC && symbol.size > 0,
            ) {
                functions.entry((section, symbol.value)).or_insert(index);
            }
        }
        Ok(Self {
            file,
            elf,
            classes,
            functions,
        })
    }

    /// The function, of those with a length, that begins at an offset in a section.
    pub fn function(&self, section: usize, offset: u64) -> Option<&Symbol<'d>> {
        let index = self.functions.get(&(section, offset))?;
        self.elf.symbols().get(*index)
    }

    /// What happens to a section.
    pub fn class(&self, section: usize) -> Class {
        self.classes
            .get(section)
            .copied()
            .unwrap_or(Class::Ignored("no such section"))
    }

    /// The sections of one class, in the order of the file.
    pub fn of(&self, class: Class) -> impl Iterator<Item = &Section<'d>> + '_ {
        self.elf
            .sections()
            .iter()
            .zip(&self.classes)
            .filter(move |(_, c)| **c == class)
            .map(|(section, _)| section)
    }

    /// Sections with their classes.
    pub fn classified(&self) -> impl Iterator<Item = (&Section<'d>, Class)> + '_ {
        self.elf.sections().iter().zip(self.classes.iter().copied())
    }

    /// Collects every section and symbol that keeps this from being a patch.
    pub fn check(&self, problems: &mut Problems) {
        for (section, class) in self.classified() {
            if section.size == 0 {
                continue;
            }
            if let Class::Refused(why) = class {
                problems.push(ObjectError::Section {
                    name: section.name.into(),
                    why,
                });
            }
            if class.is_placed() && section.align > crate::layout::PAGE {
                problems.push(ObjectError::Align {
                    name: section.name.into(),
                    align: section.align,
                });
            }
        }
        for symbol in self.elf.symbols() {
            if symbol.home == Home::Common {
                problems.push(ObjectError::Common(symbol.name.into()));
            }
        }
    }

    /// The section and offset in it that a relocation's S+A names, if it is in this object.
    pub fn local_target(&self, rela: &Rela) -> Option<(usize, u64)> {
        let symbol = self.elf.symbols().get(rela.symbol)?;
        match symbol.home {
            Home::Section(section) => {
                Some((section, symbol.value.checked_add_signed(rela.addend)?))
            }
            _ => None,
        }
    }

    /// The string at an offset in a section, without its NUL: of more than `max` bytes, `max` and one.
    pub fn string_at(&self, section: usize, offset: u64, max: usize) -> Option<&'d [u8]> {
        let section = self.elf.sections().get(section)?;
        let bytes = section.data.get(usize::try_from(offset).ok()?..)?;
        // No further: any number of names may share the bytes of one.
        let bytes = bytes.get(..max.saturating_add(1)).unwrap_or(bytes);
        match bytes.iter().position(|b| *b == 0) {
            Some(len) => bytes.get(..len),
            None => (bytes.len() > max).then_some(bytes),
        }
    }

    /// Where a message says that something is: "function+0x.. (section+0x..)".
    pub fn place(&self, section: usize, offset: u64) -> String {
        let name = self.elf.sections().get(section).map_or("?", |s| s.name);
        match self.elf.function_at(section, offset) {
            Some(function) => format!("{name}+{offset:#x} (in {function})"),
            None => format!("{name}+{offset:#x}"),
        }
    }

    /// Whether a symbol is a function.
    pub fn is_function(&self, symbol: usize) -> bool {
        self.elf
            .symbols()
            .get(symbol)
            .is_some_and(|s| s.kind == elf::STT_FUNC)
    }
}
