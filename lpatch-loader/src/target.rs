// SPDX-License-Identifier: GPL-2.0

//! What is known of the kernel that a patch is linked for: the running one, or another one from files.

use crate::kallsyms::{Kallsyms, KallsymsError};
use crate::kprobes::Kprobes;
use crate::notes::Seal;
use crate::problem::Problems;
use thiserror::Error;

/// Why the kernel is not the right one, or not known well enough.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TargetError {
    /// kallsyms.
    #[error(transparent)]
    Kallsyms(#[from] KallsymsError),
    /// A file of the kernel could not be read.
    #[error("{path} cannot be read: {why}; {next}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        why: String,
        /// What to do.
        next: &'static str,
    },
    /// Another release.
    #[error("the patch is sealed for kernel {sealed}, this is {found}; build and seal it for this kernel")]
    Release {
        /// In the seal.
        sealed: String,
        /// Of the kernel.
        found: String,
    },
    /// Another build.
    #[error("the patch is sealed for the kernel build {sealed}, this is build {found} of the same release; build and seal it for this kernel")]
    BuildId {
        /// In the seal, in hex.
        sealed: String,
        /// Of the kernel, in hex.
        found: String,
    },
    /// The kernel does not say which build it is.
    #[error("the kernel's build-id is not known: /sys/kernel/notes has none; mount sysfs, or give --build-id")]
    NoBuildId,
}

/// Memory of the kernel.
pub trait Memory {
    /// Reads bytes at a kernel address; false if they cannot be read.
    fn read(&self, addr: u64, out: &mut [u8]) -> bool;
}

/// The functions that ftrace can attach to.
pub trait Traceable {
    /// Whether a function of this name is among them; `None` if nobody says.
    fn has(&self, name: &str) -> Option<bool>;
}

/// A kernel.
pub struct Target {
    /// As in `uname -r`.
    pub release: String,
    /// Of vmlinux, if known.
    pub build_id: Option<Vec<u8>>,
    /// Its symbols.
    pub kallsyms: Kallsyms,
    /// Its memory, where it can be read.
    pub memory: Option<Box<dyn Memory>>,
    /// What ftrace can attach to.
    pub traceable: Option<Box<dyn Traceable>>,
    /// The probes in its memory, if it runs.
    pub kprobes: Option<Box<dyn Kprobes>>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("release", &self.release)
            .field("build_id", &self.build_id.as_deref().map(hex))
            .field("symbols", &self.kallsyms.len())
            .finish_non_exhaustive()
    }
}

/// Bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Hex in bytes.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    // from_str_radix() alone would take a sign.
    let is_hex = text.bytes().all(|digit| digit.is_ascii_hexdigit());
    if text.len() % 2 != 0 || text.is_empty() || !is_hex {
        return None;
    }
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

/// The build-id in a file of ELF notes such as /sys/kernel/notes: type 3 of owner "GNU".
pub fn build_id(notes: &[u8]) -> Option<Vec<u8>> {
    use lpatch_model::uapi::Wire;
    let mut rest = notes;
    loop {
        let word = |at: usize| rest.get(at..).and_then(<u32 as Wire>::read);
        let length = |at: usize| usize::try_from(word(at)?).ok();
        let (name_len, desc_len, kind) = (length(0)?, length(4)?, word(8)?);
        let name_end = name_len.checked_add(12)?;
        let desc_at = name_end.checked_next_multiple_of(4)?;
        let desc_end = desc_at.checked_add(desc_len)?;
        if kind == 3 && rest.get(12..name_end)? == b"GNU\0" {
            return rest.get(desc_at..desc_end).map(<[u8]>::to_vec);
        }
        rest = rest.get(desc_end.checked_next_multiple_of(4)?..)?;
    }
}

impl Target {
    /// Compares release and build-id with what an object is sealed for.
    pub fn check_seal(&self, seal: &Seal<'_>, problems: &mut Problems) {
        if seal.release != self.release {
            problems.push(TargetError::Release {
                sealed: seal.release.into(),
                found: self.release.clone(),
            });
            return;
        }
        match &self.build_id {
            None => problems.push(TargetError::NoBuildId),
            Some(found) if found != seal.build_id => problems.push(TargetError::BuildId {
                sealed: hex(seal.build_id),
                found: hex(found),
            }),
            Some(_) => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_has_no_signs() {
        assert_eq!(unhex("01fF"), Some(vec![1, 0xff]));
        for bad in ["", "0", "+1", "-1", "0x", " 1", "é"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
