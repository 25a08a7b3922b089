// SPDX-License-Identifier: GPL-2.0

//! The steps in order, without input or output: object → layout → fields → tables → names, and, once the
//! core has given addresses, → image.

use crate::elf::ElfError;
use crate::keys::{self, Branch};
use crate::layout::Layout;
use crate::meta::Meta;
use crate::notes::{Info, Notes, Preimage};
use crate::object::Object;
use crate::problem::Problems;
use crate::relocate::{self, Fields};
use crate::resolve::{self, Resolved};
use crate::tables::{self, Tables};
use crate::target::Target;
use lpatch_model::uapi::{Hdr, Reserve, Wire};

/// An object with its meaning, before any kernel is looked at.
#[derive(Debug)]
pub struct Opened<'d> {
    /// The object.
    pub object: Object<'d>,
    /// Its notes.
    pub notes: Notes,
    /// Its functions and hints.
    pub meta: Meta<'d>,
}

/// Everything but the addresses.
#[derive(Debug)]
pub struct Linked<'d> {
    /// The object.
    pub object: Object<'d>,
    /// What the author says.
    pub info: Info,
    /// The release it is sealed for.
    pub release: String,
    /// One for each function.
    pub preimages: Vec<Preimage>,
    /// Its functions.
    pub meta: Meta<'d>,
    /// Where sections go.
    pub layout: Layout,
    /// What depends on addresses.
    pub fields: Fields,
    /// Branches that depend on static keys, by place.
    pub branches: Vec<Branch>,
    /// What the kernel's tables get.
    pub tables: Tables<'d>,
    /// What names mean.
    pub resolved: Resolved,
}

/// Reads an object: its integrity first, since nothing else can be believed without it.
pub fn open(file: &[u8]) -> Result<Opened<'_>, Problems> {
    let object = Object::parse(file).map_err(|error: ElfError| Problems::from(error))?;
    let mut problems = Problems::default();
    let notes = match Notes::read(&object) {
        Ok(notes) => {
            notes.check_crc(file)?;
            notes
        }
        Err(error) => {
            problems.push(error);
            Notes::default()
        }
    };
    object.check(&mut problems);
    let meta = Meta::read(&object, &mut problems);
    problems.or(Opened {
        object,
        notes,
        meta,
    })
}

/// Links a sealed object for a kernel, collecting everything that is wrong.
pub fn link<'d>(file: &'d [u8], target: &Target) -> Result<Linked<'d>, Problems> {
    link_opened(open(file)?, target)
}

/// Like [`link`], of an object that was read.
pub fn link_opened<'d>(opened: Opened<'d>, target: &Target) -> Result<Linked<'d>, Problems> {
    let Opened {
        object,
        notes,
        meta,
    } = opened;
    let seal = notes.seal(&meta.funcs)?;
    let mut problems = Problems::default();
    target.check_seal(&seal, &mut problems);
    // For another kernel every name and byte may differ: one error, not a hundred.
    problems.or(())?;
    let mut problems = Problems::default();

    let layout = Layout::plan(&object)?;
    let mcount = tables::mcount(&object, &layout, &mut problems);
    let mut fields = relocate::collect(&object, &layout, &mcount, &mut problems);
    let branches = keys::read(&object, &layout, &mut problems);
    keys::redirect(&object, &branches, &mut fields, &mut problems);
    let tables = Tables::read(&object, &layout, &fields.nops, &branches, &mut problems);
    let resolved = resolve::resolve(
        &object,
        &meta,
        &fields,
        target,
        Some(&seal.preimages),
        &mut problems,
    );
    let release = seal.release.to_owned();
    let preimages = seal.preimages.into_iter().cloned().collect();
    problems.or(Linked {
        info: notes.info.clone(),
        release,
        preimages,
        object,
        meta,
        layout,
        fields,
        branches,
        tables,
        resolved,
    })
}

fn count<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

impl Linked<'_> {
    /// The room that the patch needs.
    pub fn reservation(&self) -> Reserve {
        Reserve {
            hdr: Hdr {
                size: u32::try_from(Reserve::SIZE).unwrap_or(0),
                ..Hdr::default()
            },
            text_len: self.layout.text_len,
            rodata_len: self.layout.rodata_len,
            data_len: self.layout.data_len,
            orcs: count(&self.tables.orcs),
            exs: count(&self.tables.exs),
            bugs: count(&self.tables.bugs),
            ..Reserve::default()
        }
    }
}
