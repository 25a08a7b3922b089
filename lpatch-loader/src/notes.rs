// SPDX-License-Identifier: GPL-2.0

//! The ELF notes of a patch object: what it is called, and the seal that ties it to one kernel.
//!
//! Notes of owner "lpatch" in SHT_NOTE sections `.note.lpatch*`. The types are in the constants below; a
//! note is three 32-bit words (name length, contents length, type), the name and the contents, both
//! padded to 4 bytes (System V ABI, "Note Section").

use crate::class::Class;
use crate::limits::{BUILD_ID_MAX, PATCH_NAME_MAX, VERSION_MAX};
use crate::object::Object;
use lpatch_model::uapi::{Mask, Wire};
use thiserror::Error;

/// Owner of the notes, with its NUL.
pub const OWNER: &[u8] = b"lpatch\0";
/// A "key=value" string: name, version, description, fixes (may repeat), set, cumulative (0 or 1).
pub const NOTE_INFO: u32 = 1;
/// The release of the target, as in `uname -r`.
pub const NOTE_RELEASE: u32 = 2;
/// The build-id of the target: bytes.
pub const NOTE_BUILD_ID: u32 = 3;
/// The pre-image of a function: u32 index, u32 len, u32 crc, u32 n, n times {u32 offset, u32 len}.
pub const NOTE_PREIMAGE: u32 = 4;
/// CRC-32 of the whole file with these four bytes zero.
pub const NOTE_CRC: u32 = 5;

/// Why the notes of an object cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoteError {
    /// The section cannot be walked.
    #[error("section {section}: the note at offset {at} is truncated; build the object again")]
    Truncated {
        /// The section.
        section: String,
        /// Offset of the note.
        at: usize,
    },
    /// A note has contents that its type does not have.
    #[error("section {section}: the {what} note at offset {at} is malformed: {why}; build and seal the object again")]
    Malformed {
        /// The section.
        section: String,
        /// Offset of the note.
        at: usize,
        /// Its type.
        what: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// A note that can be there once is there twice.
    #[error("there are two {0} notes; build and seal the object again")]
    Twice(&'static str),
    /// No name.
    #[error("the patch has no name; add LPATCH_NAME(\"…\")")]
    NoName,
    /// A name that the core would refuse.
    #[error("the patch's {key} {value:?} is not allowed; write it with A-Z a-z 0-9 . _ + -")]
    BadName {
        /// Which string.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// A name that is longer than the core takes.
    #[error("the patch's {key} has {len} bytes, more than the limit of {max}; shorten it")]
    LongName {
        /// Which string.
        key: &'static str,
        /// Bytes.
        len: usize,
        /// Longest allowed.
        max: usize,
    },
    /// A build-id that no linker makes.
    #[error("the build-id in the seal has {0} bytes, more than the limit of {BUILD_ID_MAX}; seal the object again")]
    LongBuildId(usize),
    /// The CRC does not match.
    #[error("the file is damaged: its CRC-32 is {found:#010x}, sealed as {sealed:#010x}; copy it again, or seal it again if you changed it")]
    Crc {
        /// Computed.
        found: u32,
        /// Recorded.
        sealed: u32,
    },
    /// Not sealed, or only in part.
    #[error("the object is not sealed for a kernel: it has no {0} note; run `lpatch seal` on it")]
    Unsealed(&'static str),
    /// A function without a pre-image.
    #[error("no pre-image is recorded for function {index} ({name}); run `lpatch seal` again")]
    NoPreimage {
        /// Index in `.lpatch.funcs`.
        index: usize,
        /// Its old name.
        name: String,
    },
}

/// One note.
#[derive(Clone, Copy, Debug)]
pub struct Note<'d> {
    /// NOTE_*.
    pub kind: u32,
    /// Its contents.
    pub desc: &'d [u8],
    /// Where the contents start in the file.
    pub file_offset: usize,
    section: &'d str,
    at: usize,
}

/// What the author says about the patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Its name.
    pub name: String,
    /// Its version, may be empty.
    pub version: String,
    /// One line, may be empty.
    pub description: String,
    /// CVE ids and the like.
    pub fixes: Vec<String>,
    /// The set that it belongs to.
    pub set: String,
    /// Whether it replaces all others of its set.
    pub cumulative: bool,
}

/// What the bytes of an old function must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preimage {
    /// Index in `.lpatch.funcs`.
    pub func: usize,
    /// Bytes that are compared.
    pub len: u32,
    /// Their CRC-32 with the masked ranges zero.
    pub crc: u32,
    /// Ranges that differ from boot to boot, sorted.
    pub masks: Vec<Mask>,
}

/// The notes of an object, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// What the author says.
    pub info: Info,
    /// The target's release.
    pub release: Option<String>,
    /// The target's build-id.
    pub build_id: Option<Vec<u8>>,
    /// Pre-images, as many as were recorded.
    pub preimages: Vec<Preimage>,
    /// The recorded CRC-32 and where its bytes lie in the file.
    pub crc: Option<(u32, usize)>,
}

/// The seal: everything that ties an object to one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal<'n> {
    /// The target's release.
    pub release: &'n str,
    /// The target's build-id.
    pub build_id: &'n [u8],
    /// One pre-image for each function, in the order of `.lpatch.funcs`.
    pub preimages: Vec<&'n Preimage>,
}

/// Walks the notes of owner "lpatch" in an object.
pub fn walk<'d>(object: &Object<'d>) -> Result<Vec<Note<'d>>, NoteError> {
    let mut notes = Vec::new();
    for section in object.of(Class::Notes) {
        let mut at = 0;
        while at < section.data.len() {
            let truncated = || NoteError::Truncated {
                section: section.name.into(),
                at,
            };
            let rest = section.data.get(at..).unwrap_or_default();
            let [name_len, desc_len, kind] = <[u32; 3]>::read(rest).ok_or_else(truncated)?;
            let name_len = usize::try_from(name_len).map_err(|_| truncated())?;
            let desc_len = usize::try_from(desc_len).map_err(|_| truncated())?;
            let name_end = name_len.checked_add(12).ok_or_else(truncated)?;
            let desc_at = name_end.checked_next_multiple_of(4).ok_or_else(truncated)?;
            let desc_end = desc_at.checked_add(desc_len).ok_or_else(truncated)?;
            let name = rest.get(12..name_end).ok_or_else(truncated)?;
            let desc = rest.get(desc_at..desc_end).ok_or_else(truncated)?;
            if name == OWNER {
                notes.push(Note {
                    kind,
                    desc,
                    file_offset: section.file_offset + at + desc_at,
                    section: section.name,
                    at,
                });
            }
            at += desc_end.checked_next_multiple_of(4).ok_or_else(truncated)?;
        }
    }
    Ok(notes)
}

trait Triple: Sized {
    fn read(bytes: &[u8]) -> Option<Self>;
}

impl Triple for [u32; 3] {
    fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| bytes.get(at..).and_then(<u32 as Wire>::read);
        Some([word(0)?, word(4)?, word(8)?])
    }
}

impl Note<'_> {
    fn malformed(&self, what: &'static str, why: &'static str) -> NoteError {
        NoteError::Malformed {
            section: self.section.into(),
            at: self.at,
            what,
            why,
        }
    }

    /// The contents as a string; a NUL at the end is not part of it.
    fn string(&self, what: &'static str) -> Result<&str, NoteError> {
        let bytes = self.desc.strip_suffix(b"\0").unwrap_or(self.desc);
        match std::str::from_utf8(bytes) {
            Ok(s) if !s.chars().any(char::is_control) => Ok(s),
            _ => Err(self.malformed(what, "it is not a line of UTF-8 text")),
        }
    }

    fn word(&self, at: usize, what: &'static str) -> Result<u32, NoteError> {
        self.desc
            .get(at..)
            .and_then(<u32 as Wire>::read)
            .ok_or_else(|| self.malformed(what, "it is too short"))
    }

    fn preimage(&self) -> Result<Preimage, NoteError> {
        const WHAT: &str = "PREIMAGE";
        let usize_of =
            |v: u32| usize::try_from(v).map_err(|_| self.malformed(WHAT, "a number is too large"));
        let count = usize_of(self.word(12, WHAT)?)?;
        let len = self.word(4, WHAT)?;
        let table = self.desc.get(16..).unwrap_or_default();
        if table.len() / Mask::SIZE != count || table.len() % Mask::SIZE != 0 {
            return Err(self.malformed(WHAT, "its length does not agree with its count"));
        }
        let masks: Vec<Mask> = table.chunks(Mask::SIZE).filter_map(Mask::read).collect();
        let mut end = 0;
        for mask in &masks {
            let mask_end = mask.offset.checked_add(mask.len).filter(|end| *end <= len);
            match mask_end {
                Some(mask_end) if mask.len > 0 && mask.offset >= end => end = mask_end,
                _ => return Err(self.malformed(WHAT, "its masks are not sorted or out of bounds")),
            }
        }
        Ok(Preimage {
            func: usize_of(self.word(0, WHAT)?)?,
            len,
            crc: self.word(8, WHAT)?,
            masks,
        })
    }
}

fn once<T>(slot: &mut Option<T>, value: T, what: &'static str) -> Result<(), NoteError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(NoteError::Twice(what)),
    }
}

/// Checks a string that the core takes only with [A-Za-z0-9._+-].
fn check_name(key: &'static str, value: &str, max: usize) -> Result<(), NoteError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._+-".contains(&b);
    if value.len() > max {
        let len = value.len();
        return Err(NoteError::LongName { key, len, max });
    }
    if value.bytes().all(allowed) {
        return Ok(());
    }
    Err(NoteError::BadName {
        key,
        value: value.into(),
    })
}

impl Notes {
    /// Reads all notes of an object.
    pub fn read(object: &Object<'_>) -> Result<Self, NoteError> {
        let mut notes = Self::default();
        let (mut name, mut version, mut description, mut set) = (None, None, None, None);
        let mut cumulative = None;
        for note in walk(object)? {
            match note.kind {
                NOTE_INFO => {
                    let line = note.string("INFO")?;
                    let (key, value) = line
                        .split_once('=')
                        .ok_or_else(|| note.malformed("INFO", "it is not key=value"))?;
                    let value = value.to_owned();
                    match key {
                        "name" => once(&mut name, value, "INFO name")?,
                        "version" => once(&mut version, value, "INFO version")?,
                        "description" => once(&mut description, value, "INFO description")?,
                        "set" => once(&mut set, value, "INFO set")?,
                        "cumulative" => {
                            let yes = match value.as_str() {
                                "0" => false,
                                "1" => true,
                                _ => return Err(note.malformed("INFO", "cumulative is not 0 or 1")),
                            };
                            once(&mut cumulative, yes, "INFO cumulative")?
                        }
                        "fixes" => notes.info.fixes.push(value),
                        // A newer object may say more about itself.
                        _ => (),
                    }
                }
                NOTE_RELEASE => once(
                    &mut notes.release,
                    note.string("RELEASE")?.to_owned(),
                    "RELEASE",
                )?,
                NOTE_BUILD_ID if note.desc.is_empty() => {
                    return Err(note.malformed("BUILD_ID", "it is empty"))
                }
                NOTE_BUILD_ID if note.desc.len() > BUILD_ID_MAX => {
                    return Err(NoteError::LongBuildId(note.desc.len()))
                }
                NOTE_BUILD_ID => once(&mut notes.build_id, note.desc.to_vec(), "BUILD_ID")?,
                NOTE_PREIMAGE => notes.preimages.push(note.preimage()?),
                NOTE_CRC if note.desc.len() == 4 => once(
                    &mut notes.crc,
                    (note.word(0, "CRC")?, note.file_offset),
                    "CRC",
                )?,
                NOTE_CRC => return Err(note.malformed("CRC", "it has not 4 bytes")),
                _ => return Err(note.malformed("unknown", "this lpatch does not know its type")),
            }
        }
        notes.info.name = name.unwrap_or_default();
        notes.info.version = version.unwrap_or_default();
        notes.info.description = description.unwrap_or_default();
        notes.info.set = set.unwrap_or_else(|| "main".into());
        notes.info.cumulative = cumulative.unwrap_or(false);
        if notes.info.name.is_empty() {
            return Err(NoteError::NoName);
        }
        check_name("name", &notes.info.name, PATCH_NAME_MAX)?;
        check_name("version", &notes.info.version, VERSION_MAX)?;
        check_name("set", &notes.info.set, PATCH_NAME_MAX)?;
        Ok(notes)
    }

    /// Compares the file with its recorded CRC; an object without one passes.
    pub fn check_crc(&self, file: &[u8]) -> Result<(), NoteError> {
        match self.crc {
            Some((sealed, at)) => {
                let found = crc(file, at);
                if found == sealed {
                    Ok(())
                } else {
                    Err(NoteError::Crc { found, sealed })
                }
            }
            None => Ok(()),
        }
    }

    /// The seal, or which part of it is missing.
    pub fn seal(&self, funcs: &[crate::meta::FuncEntry<'_>]) -> Result<Seal<'_>, NoteError> {
        if self.crc.is_none() {
            return Err(NoteError::Unsealed("CRC"));
        }
        let release = self
            .release
            .as_deref()
            .ok_or(NoteError::Unsealed("RELEASE"))?;
        let build_id = self
            .build_id
            .as_deref()
            .ok_or(NoteError::Unsealed("BUILD_ID"))?;
        if self.preimages.is_empty() {
            return Err(NoteError::Unsealed("PREIMAGE"));
        }
        let mut of: Vec<Option<&Preimage>> = vec![None; funcs.len()];
        for preimage in &self.preimages {
            let slot = of
                .get_mut(preimage.func)
                .ok_or(NoteError::Twice("PREIMAGE"))?;
            once(slot, preimage, "PREIMAGE")?;
        }
        let mut preimages = Vec::with_capacity(of.len());
        for (index, (preimage, func)) in of.iter().zip(funcs).enumerate() {
            match preimage {
                Some(preimage) if preimage.len > 0 => preimages.push(*preimage),
                _ => {
                    return Err(NoteError::NoPreimage {
                        index,
                        name: func.old_name.into(),
                    })
                }
            }
        }
        Ok(Seal {
            release,
            build_id,
            preimages,
        })
    }
}

/// CRC-32 of a file whose four bytes at `at` read as zero.
pub fn crc(file: &[u8], at: usize) -> u32 {
    let (head, tail) = file.split_at_checked(at).unwrap_or((file, &[]));
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(&[0; 4]);
    hasher.update(tail.get(4..).unwrap_or_default());
    hasher.finalize()
}
