// SPDX-License-Identifier: GPL-2.0

//! The seal of a patch object: which kernel it is for, and what the functions that it replaces look like there.
//!
//! It is a section `.note.lpatch.seal` of ELF notes, see [`crate::notes`] for their types and docs/object.md
//! for the format. Nothing else of the object changes, and sealing again replaces the seal.

use crate::append::{with_section, AppendError};
use crate::elf::ElfError;
use crate::kmod::{Kmod, KmodError};
use crate::meta::{FuncEntry, Meta, VMLINUX};
use crate::notes::{crc, NoteError, Notes};
use crate::notes::{NOTE_BUILD_ID, NOTE_CRC, NOTE_PREIMAGE, NOTE_RELEASE, OWNER};
use crate::object::Object;
use crate::preimage::Preimage;
use crate::problem::Problems;
use crate::vmlinux::{Vmlinux, VmlinuxError};
use std::collections::BTreeMap;
use thiserror::Error;

/// The section that holds the seal.
pub const SECTION: &str = ".note.lpatch.seal";

/// Why an object cannot be sealed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SealError {
    /// Cannot be read.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// The section cannot be added.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Notes or tables that no loader would take.
    #[error("{0}")]
    Object(Problems),
    /// A function of vmlinux.
    #[error(transparent)]
    Vmlinux(#[from] VmlinuxError),
    /// A function of a module.
    #[error("module {objname}: {error}")]
    Kmod {
        /// The module.
        objname: String,
        /// What is wrong.
        error: KmodError,
    },
    /// The module was not given.
    #[error("{function}: the target has no module {objname}; name the directory of its modules with --modules")]
    NoModule {
        /// The patched function.
        function: String,
        /// Its module.
        objname: String,
    },
    /// Out of the image.
    #[error("{function}: the kernel image does not have its bytes; give the vmlinux that the symbols are of")]
    NoBytes {
        /// The patched function.
        function: String,
    },
}

/// A kernel as it is before it runs.
#[derive(Debug)]
pub struct Stock<'d> {
    /// The kernel proper.
    pub vmlinux: Vmlinux<'d>,
    /// Its modules, by name; those that the patch is about are enough.
    pub modules: BTreeMap<String, Kmod<'d>>,
}

/// A sealed object.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The file.
    pub file: Vec<u8>,
    /// The name of each function, in the order of `.lpatch.funcs`.
    pub names: Vec<String>,
    /// The pre-image of each.
    pub preimages: Vec<Preimage>,
    /// Functions that cannot be replaced, sealed because they were forced to be.
    pub forced: Vec<SealError>,
}

impl Stock<'_> {
    fn preimage(&self, func: &FuncEntry<'_>) -> Result<Preimage, SealError> {
        let function = || func.old_name.to_owned();
        if func.objname == VMLINUX {
            let symbol = self.vmlinux.function(func.old_name, func.sympos)?;
            return self
                .vmlinux
                .preimage(&symbol)
                .ok_or_else(|| SealError::NoBytes {
                    function: function(),
                });
        }
        let kmod = self
            .modules
            .get(func.objname)
            .ok_or_else(|| SealError::NoModule {
                function: function(),
                objname: func.objname.into(),
            })?;
        let place = kmod
            .function(func.old_name, func.sympos)
            .map_err(|error| SealError::Kmod {
                objname: func.objname.into(),
                error,
            })?;
        kmod.preimage(place).ok_or_else(|| SealError::NoBytes {
            function: function(),
        })
    }
}

impl Stock<'_> {
    /// The pre-image of a function that may not be replaceable.
    fn bytes_of(&self, func: &FuncEntry<'_>) -> Option<Preimage> {
        if func.objname == VMLINUX {
            let symbol = self.vmlinux.find(func.old_name, func.sympos).ok()?;
            return self.vmlinux.preimage(&symbol);
        }
        let kmod = self.modules.get(func.objname)?;
        kmod.preimage(kmod.find(func.old_name, func.sympos).ok()?)
    }
}

/// What no function has: one byte, whose CRC-32 cannot be zero.
fn impossible() -> Preimage {
    Preimage {
        len: 1,
        crc: 0,
        masks: Vec::new(),
    }
}

fn note(kind: u32, desc: &[u8], out: &mut Vec<u8>) {
    let word = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(&word(OWNER.len()));
    out.extend_from_slice(&word(desc.len()));
    out.extend_from_slice(&kind.to_le_bytes());
    for part in [OWNER, desc] {
        out.extend_from_slice(part);
        out.resize(out.len().next_multiple_of(4), 0);
    }
}

fn preimage_note(index: usize, preimage: &Preimage) -> Vec<u8> {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let count = u32::try_from(preimage.masks.len()).unwrap_or(u32::MAX);
    let masks = preimage.masks.iter().flat_map(|m| [m.offset, m.len]);
    [index, preimage.len, preimage.crc, count]
        .into_iter()
        .chain(masks)
        .flat_map(u32::to_le_bytes)
        .collect()
}

/// The names of the modules that an object patches.
pub fn modules(file: &[u8]) -> Result<Vec<String>, SealError> {
    let object = Object::parse(file)?;
    let mut problems = Problems::default();
    let meta = Meta::read(&object, &mut problems);
    problems.or(()).map_err(SealError::Object)?;
    let mut names: Vec<String> = meta.funcs.iter().map(|f| f.objname.into()).collect();
    names.retain(|name| name != VMLINUX);
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Seals an object for a kernel. With `force` a function that cannot be replaced is sealed too, so that a
/// loader gets to see the object and refuses it; one that does not exist gets a pre-image that nothing has.
pub fn seal(file: &[u8], stock: &Stock<'_>, force: bool) -> Result<Sealed, Vec<SealError>> {
    let object = Object::parse(file).map_err(|error| vec![error.into()])?;
    let mut problems = Problems::default();
    let meta = Meta::read(&object, &mut problems);
    // An old seal may be of an older form, and is replaced; what the author wrote must be right.
    if let Err(
        error @ (NoteError::NoName | NoteError::BadName { .. } | NoteError::LongName { .. }),
    ) = Notes::read(&object)
    {
        problems.push(error);
    }
    problems
        .or(())
        .map_err(|problems| vec![SealError::Object(problems)])?;

    let mut preimages = Vec::with_capacity(meta.funcs.len());
    let mut errors = Vec::new();
    for func in &meta.funcs {
        match stock.preimage(func) {
            Ok(preimage) => preimages.push(preimage),
            Err(error) => {
                preimages.push(stock.bytes_of(func).unwrap_or_else(impossible));
                errors.push(error);
            }
        }
    }
    if !errors.is_empty() && !force {
        return Err(errors);
    }

    let mut notes = Vec::new();
    let mut release = stock.vmlinux.release().as_bytes().to_vec();
    release.push(0);
    note(NOTE_RELEASE, &release, &mut notes);
    note(NOTE_BUILD_ID, stock.vmlinux.build_id(), &mut notes);
    for (index, preimage) in preimages.iter().enumerate() {
        note(NOTE_PREIMAGE, &preimage_note(index, preimage), &mut notes);
    }
    note(NOTE_CRC, &[0; 4], &mut notes);

    let one = |error: SealError| vec![error];
    let (mut sealed, at) = with_section(file, SECTION, object::elf::SHT_NOTE, &notes)
        .map_err(|error| one(error.into()))?;
    // The CRC is the last four bytes of the last note.
    let crc_at = at + notes.len() - 4;
    let sum = crc(&sealed, crc_at);
    if let Some(field) = sealed.get_mut(crc_at..crc_at + 4) {
        field.copy_from_slice(&sum.to_le_bytes());
    }
    Ok(Sealed {
        file: sealed,
        names: meta.funcs.iter().map(|f| f.old_name.into()).collect(),
        preimages,
        forced: errors,
    })
}
