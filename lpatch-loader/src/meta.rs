// SPDX-License-Identifier: GPL-2.0

//! The sections `.lpatch.*`: which functions are replaced, how names are meant, what the core calls, which states
//! the patch has.
//!
//! An entry of `.lpatch.funcs` is {u64 new function, u64 objname, u64 old name, u64 sympos}, one of
//! `.lpatch.syms` is {u64 objname, u64 name, u64 sympos}. The first ones are R_X86_64_64 relocations, objname
//! to a string or 0 for vmlinux; sympos is a number.

use crate::class::Class;
use crate::elf::{Rela, Section, Symbol};
use crate::limits::{OBJNAME_MAX, SYMBOL_MAX};
use crate::object::Object;
use crate::problem::Problems;
use lpatch_model::uapi::{State, Wire};
use std::collections::HashMap;
use thiserror::Error;

mod callbacks;
mod states;

pub use callbacks::{kind_name, CallbackEntry};

/// What names of the kernel proper are said to be in.
pub const VMLINUX: &str = "vmlinux";

/// The name of the core.
pub const CORE: &str = "lpatch_core";

const FUNC_LEN: usize = 32;
const SYM_LEN: usize = 24;

/// Why an entry cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MetaError {
    /// No functions.
    #[error("the object replaces no function: it has no .lpatch.funcs; add LPATCH_FUNC(…)")]
    NoFuncs,
    /// The section is not an array.
    #[error("section {section} has {len} bytes, not a multiple of {entry}; build the object again with this lpatch's headers")]
    Length {
        /// The section.
        section: String,
        /// Its length.
        len: usize,
        /// Length of an entry.
        entry: usize,
    },
    /// An entry is malformed.
    #[error("entry {index} of {section}: {what}; write it with the macros of lpatch/patch.h")]
    Entry {
        /// The section.
        section: String,
        /// Index of the entry.
        index: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A name that is longer than the kernel's names are.
    #[error("entry {index} of {section}: a name has more than {max} bytes, the limit of the kernel; see /proc/kallsyms for the name")]
    LongName {
        /// The section.
        section: String,
        /// Index of the entry.
        index: usize,
        /// Longest allowed.
        max: usize,
    },
    /// A position that no symbol has.
    #[error("entry {index} of {section}: sympos is {sympos}, more than the limit of {}; count the symbols of that name in /proc/kallsyms", u32::MAX)]
    Sympos {
        /// The section.
        section: String,
        /// Index of the entry.
        index: usize,
        /// The position.
        sympos: u64,
    },
    /// Two entries replace the same function.
    #[error("{name} of {objname} is replaced twice, by entries {first} and {second} of .lpatch.funcs; remove one")]
    Twice {
        /// The function.
        name: String,
        /// The object that has it.
        objname: String,
        /// Index of one entry.
        first: usize,
        /// Index of the other.
        second: usize,
    },
    /// Two callbacks of a kind.
    #[error("{objname} has two {kind} callbacks, {first} and {second}; let one call the other")]
    CallbackTwice {
        /// Which kind.
        kind: &'static str,
        /// The object that they are about.
        objname: String,
        /// One function.
        first: String,
        /// The other function.
        second: String,
    },
    /// Two versions of a state.
    #[error(
        "state {id} is there twice; keep the LPATCH_STATE line with its version in this patch"
    )]
    StateTwice {
        /// Its id.
        id: u64,
    },
}

/// A position among symbols of one name, from 1; `None`: the name must be unique.
pub type Sympos = Option<u32>;

/// A function to replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuncEntry<'d> {
    /// Index of the section that has the new function.
    pub section: usize,
    /// Offset of the new function in it.
    pub offset: u64,
    /// Bytes of the new function.
    pub len: u64,
    /// Name of the new function.
    pub new_name: &'d str,
    /// "vmlinux" or the name of a module.
    pub objname: &'d str,
    /// Name of the old function.
    pub old_name: &'d str,
    /// Which of this name.
    pub sympos: Sympos,
}

/// What an undefined symbol's name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SymEntry<'d> {
    /// "vmlinux" or the name of a module.
    pub objname: &'d str,
    /// The name.
    pub name: &'d str,
    /// Which of this name.
    pub sympos: Sympos,
}

/// All tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta<'d> {
    /// In the order of the file.
    pub funcs: Vec<FuncEntry<'d>>,
    /// In the order of the file.
    pub syms: Vec<SymEntry<'d>>,
    /// By object and kind.
    pub callbacks: Vec<CallbackEntry<'d>>,
    /// By id.
    pub states: Vec<State>,
}

/// One section of entries with its relocations by offset.
struct Table<'o, 'd> {
    object: &'o Object<'d>,
    section: &'o Section<'d>,
    relas: HashMap<u64, Rela>,
    entry: usize,
}

impl<'o, 'd> Table<'o, 'd> {
    fn new(
        object: &'o Object<'d>,
        section: &'o Section<'d>,
        entry: usize,
    ) -> Result<Self, MetaError> {
        if section.data.len() % entry != 0 {
            return Err(MetaError::Length {
                section: section.name.into(),
                len: section.data.len(),
                entry,
            });
        }
        let relas = object
            .elf
            .relas(section.index)
            .map(|r| (r.offset, r))
            .collect();
        Ok(Self {
            object,
            section,
            relas,
            entry,
        })
    }

    fn bad(&self, index: usize, what: &'static str) -> MetaError {
        MetaError::Entry {
            section: self.section.name.into(),
            index,
            what,
        }
    }

    fn number(&self, index: usize, field: usize) -> Option<u64> {
        let at = index * self.entry + field;
        self.section.data.get(at..).and_then(<u64 as Wire>::read)
    }

    /// The place in this object that a pointer field names, `None` if the field is zero.
    fn pointer(&self, index: usize, field: usize) -> Result<Option<(usize, u64)>, MetaError> {
        let at = u64::try_from(index * self.entry + field)
            .map_err(|_| self.bad(index, "it is out of range"))?;
        let Some(rela) = self.relas.get(&at) else {
            return match self.number(index, field) {
                Some(0) => Ok(None),
                _ => Err(self.bad(index, "a pointer has no relocation")),
            };
        };
        if rela.kind != object::elf::R_X86_64_64 {
            return Err(self.bad(index, "a pointer's relocation is not R_X86_64_64"));
        }
        match self.object.local_target(rela) {
            Some(target) => Ok(Some(target)),
            None => Err(self.bad(index, "a pointer leads out of the object")),
        }
    }

    /// The string of at most `max` bytes that a pointer field names, `None` if the field is zero.
    fn string(&self, index: usize, field: usize, max: usize) -> Result<Option<&'d str>, MetaError> {
        match self.pointer(index, field)? {
            None => Ok(None),
            Some((section, offset)) => {
                let bytes = self.object.string_at(section, offset, max);
                let bytes = bytes.unwrap_or_default();
                if bytes.len() > max {
                    return Err(MetaError::LongName {
                        section: self.section.name.into(),
                        index,
                        max,
                    });
                }
                match std::str::from_utf8(bytes) {
                    Ok("") | Err(_) => Err(self.bad(index, "a name is empty or not a string")),
                    Ok(name) => Ok(Some(name)),
                }
            }
        }
    }

    fn objname(&self, index: usize, field: usize) -> Result<&'d str, MetaError> {
        Ok(self.string(index, field, OBJNAME_MAX)?.unwrap_or(VMLINUX))
    }

    fn name(&self, index: usize, field: usize) -> Result<&'d str, MetaError> {
        self.string(index, field, SYMBOL_MAX)?
            .ok_or_else(|| self.bad(index, "it has no name"))
    }

    fn sympos(&self, index: usize, field: usize) -> Result<Sympos, MetaError> {
        let number = self.number(index, field).unwrap_or(0);
        let number = u32::try_from(number).map_err(|_| MetaError::Sympos {
            section: self.section.name.into(),
            index,
            sympos: number,
        })?;
        Ok((number != 0).then_some(number))
    }

    /// Section, offset and symbol of the function that a pointer field names. `missing` says what is wrong if there is
    /// no pointer, no code, or no symbol.
    fn function(
        &self,
        index: usize,
        field: usize,
        missing: [&'static str; 3],
    ) -> Result<(usize, u64, &'o Symbol<'d>), MetaError> {
        let [no_pointer, no_code, no_symbol] = missing;
        let (section, offset) = self
            .pointer(index, field)?
            .ok_or_else(|| self.bad(index, no_pointer))?;
        if self.object.class(section) != Class::Text {
            return Err(self.bad(index, no_code));
        }
        let symbol = self.object.function(section, offset);
        let symbol = symbol.ok_or_else(|| self.bad(index, no_symbol))?;
        Ok((section, offset, symbol))
    }

    fn func(&self, index: usize) -> Result<FuncEntry<'d>, MetaError> {
        let (section, offset, symbol) = self.function(
            index,
            0,
            [
                "it has no new function",
                "the new function is not in a text section",
                "the new function has no symbol with a size",
            ],
        )?;
        Ok(FuncEntry {
            section,
            offset,
            len: symbol.size,
            new_name: symbol.name,
            objname: self.objname(index, 8)?,
            old_name: self.name(index, 16)?,
            sympos: self.sympos(index, 24)?,
        })
    }

    fn sym(&self, index: usize) -> Result<SymEntry<'d>, MetaError> {
        Ok(SymEntry {
            objname: self.objname(index, 0)?,
            name: self.name(index, 8)?,
            sympos: self.sympos(index, 16)?,
        })
    }
}

/// Reads every entry of the sections of one class, collecting what is wrong.
fn entries<'d, T>(
    object: &Object<'d>,
    class: Class,
    len: usize,
    read: impl Fn(&Table<'_, 'd>, usize) -> Result<T, MetaError>,
    problems: &mut Problems,
) -> Vec<T> {
    let mut list = Vec::new();
    for section in object.of(class) {
        match Table::new(object, section, len) {
            Err(error) => problems.push(error),
            Ok(table) => {
                for index in 0..section.data.len() / len {
                    if problems.is_full() {
                        break;
                    }
                    match read(&table, index) {
                        Ok(entry) => list.push(entry),
                        Err(error) => problems.push(error),
                    }
                }
            }
        }
    }
    list
}

impl<'d> Meta<'d> {
    /// Reads all tables, collecting what is wrong.
    pub fn read(object: &Object<'d>, problems: &mut Problems) -> Self {
        let before = problems.len();
        let funcs = entries(object, Class::Funcs, FUNC_LEN, |t, at| t.func(at), problems);
        let syms = entries(object, Class::Syms, SYM_LEN, |t, at| t.sym(at), problems);
        let mut callbacks = entries(
            object,
            Class::Callbacks,
            callbacks::LEN,
            callbacks::read,
            problems,
        );
        callbacks::sort(&mut callbacks, problems);
        let mut states = entries(object, Class::States, states::LEN, states::read, problems);
        states::sort(&mut states, problems);
        if funcs.is_empty() && problems.len() == before {
            problems.push(MetaError::NoFuncs);
        }
        let mut seen = HashMap::new();
        for (second, func) in funcs.iter().enumerate() {
            let key = (func.objname, func.old_name, func.sympos);
            if let Some(first) = seen.insert(key, second) {
                problems.push(MetaError::Twice {
                    name: func.old_name.into(),
                    objname: func.objname.into(),
                    first,
                    second,
                });
            }
        }
        Self {
            funcs,
            syms,
            callbacks,
            states,
        }
    }
}
