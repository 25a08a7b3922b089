// SPDX-License-Identifier: GPL-2.0

//! Static keys. The kernel rewrites the branches of a key when the key is flipped, but it knows only the tables of
//! vmlinux and of modules, not those of patches. So every branch of a patch goes to a stub that reads the key: it is
//! right at any moment, whoever flips the key, and wherever the key is.
//!
//! A branch in the object (`struct jump_entry`, linux/jump_label.h): 32-bit displacements of the instruction and of
//! its target, a 64-bit displacement of the key. Bit 0 of that says that the branch is taken while the key is off; bit
//! 1 is a note of the compiler's to objtool. A key is on unless its first word is zero.

use crate::class::Class;
use crate::layout::{Layout, Place, Region};
use crate::object::Object;
use crate::problem::Problems;
use crate::relocate::{Field, Fields, Origin, Target, NOP5};
use crate::tables::{read_all, Reader, TableError, RELATIVE};
use lpatch_model::reloc;
use lpatch_model::uapi::Orc;
use object::elf;

/// Bytes of an entry.
pub const ENTRY: usize = 16;
/// From one stub to the next, in bytes: each lies in one cache line.
pub const STUB: u32 = 32;
/// Bytes of a branch.
const SITE: u32 = 5;
const JMP: u8 = 0xe9;
const SHORT: &str =
    "a static branch that is no jump or nop of five bytes, so that a stub cannot take its place; \
     compile it with build-patch, and in Rust ask for the count of the key instead";

/// What a stub does. It changes no flag and no register, as the instruction that it stands for.
const CODE: [u8; 21] = [
    0x51, // push %rcx
    0x8b, 0x0d, 0, 0, 0, 0, // mov key(%rip),%ecx
    0xe3, 0x06, // jrcxz off
    0x59, // pop %rcx
    0xe9, 0, 0, 0, 0,    // jmp, where it goes while the key is on
    0x59, // off: pop %rcx
    0xe9, 0, 0, 0, 0, // jmp, where it goes while the key is off
];
/// Its fields.
const KEY: u32 = 3;
const ON: u32 = 11;
const OFF: u32 = 17;
/// From which of its bytes there is how much more on the stack.
const PUSHED: [(u32, i16); 5] = [(0, 0), (1, 8), (10, 0), (15, 8), (16, 0)];
/// In the low bits of ORC entries: the frame is found from the stack pointer, or by a pointer on the stack.
const ORC_REG: u16 = 15;
const ORC_REG_SP: u16 = 3;
const ORC_REG_SP_INDIRECT: u16 = 9;

/// A branch that depends on a key.
#[derive(Clone, Copy, Debug)]
pub struct Branch {
    /// Text offset of the instruction.
    pub site: u32,
    /// Text offset of where it goes when it is taken.
    pub target: u32,
    /// It is taken while the key is off, not while it is on.
    pub inverted: bool,
    /// Text offset of its stub.
    pub stub: u32,
    /// The key is `addend` bytes from here.
    key: Target,
    addend: i64,
    origin: Origin,
    /// Where the instruction goes as it is in the object.
    goes: Goes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goes {
    /// It is a nop.
    On,
    /// By this displacement, unless it has a relocation.
    By(i32),
}

/// The room for stubs that an object needs, in bytes.
pub fn room(object: &Object<'_>) -> u64 {
    let entry = u64::try_from(ENTRY).unwrap_or(u64::MAX);
    let bytes = object.of(Class::Jumps).map(|s| s.size);
    bytes.map(|size| size / entry * u64::from(STUB)).sum()
}

fn error(object: &Object<'_>, branch: &Branch, what: &'static str) -> TableError {
    TableError::Branch {
        place: object.place(branch.origin.section, branch.origin.offset),
        what,
    }
}

/// Reads one entry.
fn branch(reader: &Reader<'_, '_>, at: usize) -> Result<Branch, TableError> {
    let (object, layout) = (reader.object, reader.layout);
    let site = reader.text(at, RELATIVE)?;
    let target = reader.text(at + 4, RELATIVE)?;
    let no_key = || reader.bad(at + 8, "does not name a static key that can be linked");
    let key = reader.rela(at + 8).ok_or_else(no_key)?;
    if key.kind != elf::R_X86_64_PC64 {
        return Err(no_key());
    }
    let (section, offset) = reader
        .rela(at)
        .and_then(|rela| object.local_target(&rela))
        .ok_or_else(|| reader.bad(at, "does not point to code of the patch"))?;
    let mut found = Branch {
        site,
        target,
        inverted: key.addend & 1 != 0,
        stub: 0,
        key: Target::of(object, layout, key.symbol).ok_or_else(no_key)?,
        addend: key.addend & !3,
        origin: Origin {
            section,
            offset,
            symbol: key.symbol,
        },
        goes: Goes::On,
    };
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let code = object.elf.sections().get(section).map(|s| s.data);
    let insn = code.and_then(|code| code.get(start..)?.first_chunk::<5>());
    found.goes = match insn {
        Some(&NOP5) => Goes::On,
        Some(&[JMP, a, b, c, d]) => Goes::By(i32::from_le_bytes([a, b, c, d])),
        _ => return Err(error(object, &found, SHORT)),
    };
    Ok(found)
}

/// Reads all branches, by place.
pub fn read(object: &Object<'_>, layout: &Layout, problems: &mut Problems) -> Vec<Branch> {
    let mut list = read_all(object, layout, Class::Jumps, ENTRY, problems, branch);
    list.sort_by_key(|branch| branch.site);
    let mut stub = layout.stubs;
    for branch in &mut list {
        branch.stub = stub;
        // The layout has room for as many as there are entries.
        stub = stub.saturating_add(STUB);
    }
    for pair in list.windows(2) {
        if let [first, second] = pair {
            if second.site - first.site < SITE && !problems.is_full() {
                problems.push(error(object, second, "two static branches in one place"));
            }
        }
    }
    list
}

fn text(offset: u32) -> Place {
    Place {
        region: Region::Text,
        offset,
    }
}

impl Branch {
    /// Whether a relocation of the instruction leads to the target, as that of a jump does.
    fn has(&self, field: &Field) -> bool {
        let to = match field.target {
            Target::Patch(place) if place.region == Region::Text => i64::from(place.offset),
            _ => return false,
        };
        let relative = field.kind.number == reloc::PC32 || field.kind.number == reloc::PLT32;
        relative
            && self.goes != Goes::On
            && field.place.offset == self.site.saturating_add(1)
            && to.checked_add(field.addend) == Some(i64::from(self.target) - 4)
    }

    /// What the instruction and its stub refer to.
    fn fields(&self) -> [Field; 4] {
        let behind = self.site.saturating_add(SITE);
        let (on, off) = match self.inverted {
            false => (self.target, behind),
            true => (behind, self.target),
        };
        let field = |offset: u32, target, addend: i64| {
            Field::displacement(text(offset), target, addend, self.origin)
        };
        let to = |offset| Target::Patch(text(offset));
        [
            field(self.site.saturating_add(1), to(self.stub), 0),
            field(self.stub.saturating_add(KEY), self.key, self.addend),
            field(self.stub.saturating_add(ON), to(on), 0),
            field(self.stub.saturating_add(OFF), to(off), 0),
        ]
    }
}

/// Sends all branches to their stubs: their own relocations go, those of the stubs come.
pub fn redirect(
    object: &Object<'_>,
    branches: &[Branch],
    fields: &mut Fields,
    problems: &mut Problems,
) {
    let mut relocated = vec![false; branches.len()];
    fields.list.retain(|field| {
        if field.place.region != Region::Text {
            return true;
        }
        let end = u64::from(field.place.offset) + field.size();
        // The only one that can share bytes with it: they are at least as long as a relocation's field.
        let last = branches.partition_point(|b| u64::from(b.site) < end);
        let Some((index, branch)) = last
            .checked_sub(1)
            .and_then(|index| Some((index, branches.get(index)?)))
        else {
            return true;
        };
        if branch.site.saturating_add(SITE) <= field.place.offset {
            return true;
        }
        if !branch.has(field) {
            if !problems.is_full() {
                problems.push(error(
                    object,
                    branch,
                    "a static branch with a relocation that does not lead to its target",
                ));
            }
            return true;
        }
        if let Some(slot) = relocated.get_mut(index) {
            *slot = true;
        }
        false
    });
    for (branch, relocated) in branches.iter().zip(relocated) {
        let Goes::By(by) = branch.goes else {
            continue;
        };
        let to = i64::from(branch.site) + i64::from(SITE) + i64::from(by);
        if !relocated && to != i64::from(branch.target) && !problems.is_full() {
            let what = "a static branch that jumps elsewhere than its table says";
            problems.push(error(object, branch, what));
        }
    }
    fields.list.extend(branches.iter().flat_map(Branch::fields));
    fields.list.sort_by_key(|field| field.place);
}

/// Writes jumps and stubs, without what they refer to.
pub fn write(branches: &[Branch], text: &mut [u8]) {
    for branch in branches {
        let mut put = |offset: u32, code: &[u8]| {
            let at = usize::try_from(offset).ok();
            let to = at.and_then(|at| text.get_mut(at..)?.get_mut(..code.len()));
            if let Some(to) = to {
                to.copy_from_slice(code);
            }
        };
        put(branch.site, &[JMP, 0, 0, 0, 0]);
        put(branch.stub, &CODE);
    }
}

/// The ORC entries of the stubs, sorted. `list` has those of all other code: the frame in a stub is that at its
/// branch, with what the stub pushes.
pub fn orcs(
    object: &Object<'_>,
    branches: &[Branch],
    list: &[Orc],
    problems: &mut Problems,
) -> Vec<Orc> {
    let mut all = Vec::with_capacity(branches.len() * PUSHED.len());
    for branch in branches {
        let behind = list.partition_point(|orc| orc.offset <= branch.site);
        let Some(orc) = behind.checked_sub(1).and_then(|at| list.get(at)) else {
            continue;
        };
        let reg = orc.bits & ORC_REG;
        if reg == ORC_REG_SP_INDIRECT {
            problems.push(error(
                object,
                branch,
                "a static branch where the stack is switched; move it out of that",
            ));
        }
        for (from, pushed) in PUSHED {
            let more = if reg == ORC_REG_SP { pushed } else { 0 };
            all.push(Orc {
                offset: branch.stub.saturating_add(from),
                sp_offset: orc.sp_offset.saturating_add(more),
                ..*orc
            });
        }
    }
    all
}

/// The stubs of each function: its name, the first text offset, and bytes. A branch outside of functions has no name.
pub fn runs<'n>(
    branches: &[Branch],
    function_at: impl Fn(u32) -> Option<&'n str>,
) -> Vec<(&'n str, u32, u32)> {
    let mut runs: Vec<(&str, u32, u32)> = Vec::new();
    for branch in branches {
        let name = function_at(branch.site).unwrap_or_default();
        match runs.last_mut() {
            Some((last, _, len)) if *last == name => *len = len.saturating_add(STUB),
            _ => runs.push((name, branch.stub, STUB)),
        }
    }
    runs
}
