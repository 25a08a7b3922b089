// SPDX-License-Identifier: GPL-2.0

//! The requests to lpatch_core, behind one trait: room for the real device, and for a fake in tests.

use crate::wait::Limits;
use lpatch_model::request;
use lpatch_model::uapi::{
    self, Blocker, Difference, FuncInfo, PatchInfo, Query, Range, Reason, Reserve, Transition,
};
use std::io;
use thiserror::Error;

/// Where the core listens.
pub const PATH: &str = "/dev/lpatch";

/// A reply with a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The request.
    pub op: &'static str,
    /// The errno.
    pub errno: i32,
    /// The number in the reply.
    pub code: u32,
    /// See enum lpatch_reason.
    pub at: u64,
    /// See enum lpatch_reason.
    pub value: u64,
}

impl Refused {
    /// The reason, if this build knows it.
    pub fn reason(&self) -> Option<Reason> {
        Reason::from_code(self.code)
    }
}

/// Why a request did not succeed.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// No device file.
    #[error("{PATH} does not exist: lpatch_core is not loaded; load it (modprobe lpatch_core, or insmod lpatch_core.ko)")]
    Missing,
    /// Not root.
    #[error("{PATH} may not be opened: {0}; run as root (CAP_SYS_MODULE is needed)")]
    Permission(io::Error),
    /// Something else.
    #[error("{PATH} cannot be opened: {0}; is lpatch_core loaded, and loaded once?")]
    Open(io::Error),
    /// Another version.
    #[error("lpatch_core speaks version {found} of the interface, this lpatch speaks {}; install both from the same release", uapi::ABI_VERSION)]
    Abi {
        /// Its version.
        found: u32,
    },
    /// Refused, with a reason.
    #[error("{}", crate::reason::sentence(.0, None))]
    Refused(Refused),
    /// Failed without a reason.
    #[error("{op}: {error}, and the core gave no reason; is {PATH} the device of lpatch_core?")]
    Unexplained {
        /// The request.
        op: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A name that no patch can have.
    #[error("{0:?} is no name of a patch: 1 to 63 characters of A-Z a-z 0-9 . _ + -")]
    Name(String),
    /// The core contradicts itself.
    #[error("{op}: the core answered {what}; this is a bug in lpatch")]
    Answer {
        /// The request.
        op: &'static str,
        /// What it answered.
        what: &'static str,
    },
}

impl DeviceError {
    /// The reason that the core gave, if it gave one that this build knows.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused(refused) => refused.reason(),
            _ => None,
        }
    }
}

/// Which tasks are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask<'a> {
    /// Those that the transition under way waits for.
    UnderWay,
    /// Those that one waited for when a deadline last passed.
    AtDeadline,
    /// Those that execute in one of these ranges now, or would return there. At most `RANGES_MAX`.
    Ranges(&'a [Range]),
}

/// Tasks that a transition waits for, or would wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocking {
    /// Those that were told; of very many, some.
    pub list: Vec<Blocker>,
    /// How many there are.
    pub count: u32,
}

/// How the text of a patch in memory differs from what was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Those that were told; of very many, some.
    pub list: Vec<Difference>,
    /// How many there are.
    pub count: u32,
    /// How many bytes differ.
    pub bytes: u64,
    /// How many were compared.
    pub text_len: u32,
}

/// What lpatch_core can be asked for. Dropping it releases what it reserved.
pub trait Device {
    /// What the core is and has.
    fn query(&mut self) -> Result<Query, DeviceError>;
    /// Takes room; fills in the addresses.
    fn reserve(&mut self, request: &mut Reserve) -> Result<(), DeviceError>;
    /// Verifies and installs an image; consumes the reservation.
    fn load(&mut self, image: &[u8], flags: u64) -> Result<(), DeviceError>;
    /// Begins to redirect the functions of a patch.
    fn enable(&mut self, name: &str, limits: Limits) -> Result<(), DeviceError>;
    /// Begins to take the redirection back.
    fn disable(&mut self, name: &str, limits: Limits) -> Result<(), DeviceError>;
    /// Turns the transition of a patch around; `interrupt_ms` as in [`Limits`], and 0: as it was begun.
    fn reverse(&mut self, name: &str, interrupt_ms: u32) -> Result<(), DeviceError>;
    /// Ends the transition of a patch, whatever its tasks do.
    fn force(&mut self, name: &str) -> Result<(), DeviceError>;
    /// Frees a patch.
    fn unload(&mut self, name: &str) -> Result<(), DeviceError>;
    /// All patches, oldest first.
    fn list(&mut self) -> Result<Vec<PatchInfo>, DeviceError>;
    /// One patch with its functions.
    fn status(&mut self, name: &str) -> Result<(PatchInfo, Vec<FuncInfo>), DeviceError>;
    /// The transition under way, or else the last one.
    fn transition(&mut self) -> Result<Transition, DeviceError>;
    /// Waits until the transition `id` has ended, `wait_ms` are over (at least 1) or a signal comes.
    fn wait(&mut self, id: u64, wait_ms: u32) -> Result<Transition, DeviceError>;
    /// The tasks that a transition waits for.
    fn blockers(&mut self, ask: Ask<'_>) -> Result<Blocking, DeviceError>;
    /// How the text of a patch differs from what was loaded.
    fn compare(&mut self, name: &str) -> Result<Comparison, DeviceError>;
    /// Ftrace's list of the functions that have users, or nothing where it cannot be read.
    fn enabled_functions(&mut self) -> String;
    /// CLOCK_MONOTONIC in ns, for the times in replies.
    fn now_ns(&mut self) -> u64;
}

/// A name in its field, or an error if it cannot be one.
pub fn name_field(name: &str) -> Result<[u8; uapi::NAME_LEN], DeviceError> {
    let mut field = [0; uapi::NAME_LEN];
    let bad = || DeviceError::Name(name.chars().take(100).collect());
    if name.len() >= field.len() || name.contains('\0') {
        return Err(bad());
    }
    field
        .get_mut(..name.len())
        .ok_or_else(bad)?
        .copy_from_slice(name.as_bytes());
    // The core's own rule.
    request::name(&field, 0).map_err(|_| bad())?;
    Ok(field)
}

/// A name out of its field.
pub fn name_of(field: &[u8]) -> String {
    let len = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(field.get(..len).unwrap_or_default()).into_owned()
}
