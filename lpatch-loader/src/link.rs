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

/// All that can be found out about an object, whatever is wrong with it.
#[derive(Debug)]
pub struct Examined<'d> {
    /// The object with its meaning, as far as it could be read.
    pub opened: Opened<'d>,
    /// Where sections go, unless they cannot.
    pub layout: Option<Layout>,
    /// What depends on addresses.
    pub fields: Fields,
    /// Branches that depend on static keys, by place.
    pub branches: Vec<Branch>,
    /// What the kernel's tables get.
    pub tables: Tables<'d>,
    /// What names mean in the kernel that it was examined for.
    pub resolved: Option<Resolved>,
    /// All that is wrong.
    pub problems: Problems,
}

/// Reads an object, its integrity first, since nothing else can be believed without it; `Err` if it cannot be.
fn read<'d>(file: &'d [u8], problems: &mut Problems) -> Result<Opened<'d>, Problems> {
    let object = Object::parse(file).map_err(|error: ElfError| Problems::from(error))?;
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
    object.check(problems);
    let meta = Meta::read(&object, problems);
    Ok(Opened {
        object,
        notes,
        meta,
    })
}

/// Reads an object.
pub fn open(file: &[u8]) -> Result<Opened<'_>, Problems> {
    let mut problems = Problems::default();
    let opened = read(file, &mut problems)?;
    problems.or(opened)
}

/// Links a sealed object for a kernel, collecting everything that is wrong.
pub fn link<'d>(file: &'d [u8], target: &Target) -> Result<Linked<'d>, Problems> {
    link_opened(open(file)?, target)
}

/// Like [`link`], of an object that was read.
pub fn link_opened<'d>(opened: Opened<'d>, target: &Target) -> Result<Linked<'d>, Problems> {
    let seal = opened.notes.seal(&opened.meta.funcs)?;
    let mut problems = Problems::default();
    target.check_seal(&seal, &mut problems);
    // For another kernel every name and byte may differ: one error, not a hundred.
    problems.or(())?;
    steps(opened, Some(target), Problems::default()).linked()
}

/// Goes through all steps that need no addresses, whatever one finds. Without a kernel, no names are looked up, and the object
/// need not be sealed. `Err` if the file is no object, or damaged.
pub fn examine<'d>(file: &'d [u8], target: Option<&Target>) -> Result<Examined<'d>, Problems> {
    let mut problems = Problems::default();
    let opened = read(file, &mut problems)?;
    if let Some(target) = target {
        match opened.notes.seal(&opened.meta.funcs) {
            Ok(seal) => target.check_seal(&seal, &mut problems),
            Err(error) => problems.push(error),
        }
    }
    Ok(steps(opened, target, problems))
}

fn steps<'d>(opened: Opened<'d>, target: Option<&Target>, mut problems: Problems) -> Examined<'d> {
    let (object, meta) = (&opened.object, &opened.meta);
    let layout = Layout::collect(object, &mut problems);
    let (mut fields, mut branches, mut tables) = (Fields::default(), Vec::new(), Tables::default());
    if let Some(layout) = &layout {
        let mcount = tables::mcount(object, layout, &mut problems);
        fields = relocate::collect(object, layout, &mcount, &mut problems);
        branches = keys::read(object, layout, &mut problems);
        keys::redirect(object, &branches, &mut fields, &mut problems);
        tables = Tables::read(object, layout, &fields.nops, &branches, &mut problems);
    }
    let seal = opened.notes.seal(&meta.funcs).ok();
    let preimages = seal.as_ref().map(|seal| seal.preimages.as_slice());
    let resolved = target
        .map(|target| resolve::resolve(object, meta, &fields, target, preimages, &mut problems));
    Examined {
        layout,
        fields,
        branches,
        tables,
        resolved,
        problems,
        opened,
    }
}

impl<'d> Examined<'d> {
    /// What can be loaded, or all that is wrong.
    pub fn linked(self) -> Result<Linked<'d>, Problems> {
        let Self {
            opened,
            layout,
            fields,
            branches,
            tables,
            resolved,
            problems,
        } = self;
        problems.or(())?;
        let seal = opened.notes.seal(&opened.meta.funcs)?;
        let release = seal.release.to_owned();
        let preimages = seal.preimages.into_iter().cloned().collect();
        Ok(Linked {
            info: opened.notes.info,
            release,
            preimages,
            object: opened.object,
            meta: opened.meta,
            // Without problems there is a layout, and it was examined for a kernel.
            layout: layout.unwrap_or_default(),
            fields,
            branches,
            tables,
            resolved: resolved.unwrap_or_default(),
        })
    }
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
