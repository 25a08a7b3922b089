// SPDX-License-Identifier: GPL-2.0

//! Everything that can be wrong with a patch object, and the list that collects it.

use crate::elf::ElfError;
use crate::layout::LayoutError;
use crate::limits::PROBLEMS_MAX;
use crate::meta::MetaError;
use crate::notes::NoteError;
use crate::object::ObjectError;
use crate::relocate::RelocError;
use crate::resolve::ResolveError;
use crate::tables::TableError;
use crate::target::TargetError;
use std::fmt;
use thiserror::Error;

/// One thing that is wrong: what, where, and what to do next. By the step that found it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// Not a file that can be read.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// Not a patch.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// Notes and seal.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// `.lpatch.*` sections.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// Does not fit.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Relocations.
    #[error(transparent)]
    Reloc(#[from] RelocError),
    /// ORC, exception, bug tables, sites.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Names in the kernel.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The kernel is another, or cannot be read.
    #[error(transparent)]
    Target(#[from] TargetError),
}

impl Problem {
    /// The step that found it, for programs.
    pub fn step(&self) -> &'static str {
        match self {
            Self::Elf(_) => "elf",
            Self::Object(_) => "object",
            Self::Note(_) => "note",
            Self::Meta(_) => "meta",
            Self::Layout(_) => "layout",
            Self::Reloc(_) => "relocate",
            Self::Table(_) => "tables",
            Self::Resolve(_) => "resolve",
            Self::Target(_) => "target",
        }
    }
}

/// What was found, in the order in which it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    more: bool,
}

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: impl Into<Problem>) {
        if self.list.len() < PROBLEMS_MAX {
            self.list.push(problem.into());
        } else {
            self.more = true;
        }
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether no more are kept: a step that finds more need not go on, as each message takes time.
    pub fn is_full(&self) -> bool {
        self.list.len() >= PROBLEMS_MAX
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The kept ones.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// Whether some were found but not kept.
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// `value` if nothing was found, else everything that was.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl<T: Into<Problem>> From<T> for Problems {
    fn from(problem: T) -> Self {
        let mut problems = Self::default();
        problems.push(problem);
        problems
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        if self.more {
            write!(f, "\nand more")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
