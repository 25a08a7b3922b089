// SPDX-License-Identifier: GPL-2.0

//! The eight requests to lpatch_core, behind one trait: the real device, and room for a fake in tests.
//! The only file that calls ioctl.

use lpatch_model::request;
use lpatch_model::uapi::{
    self, FuncInfo, Hdr, List, Load, Op, PatchInfo, Query, Reason, Reserve, Status, Wire,
};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use thiserror::Error;

/// Where the core listens.
pub const PATH: &str = "/dev/lpatch";
/// More entries than this no list has; the core counts patches and functions in 32 bits.
const ENTRIES_MAX: u32 = 1 << 20;

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
    #[error("{}", crate::reason::sentence(.0))]
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

/// What lpatch_core can be asked for. Dropping it releases what it reserved.
pub trait Device {
    /// What the core is and has.
    fn query(&mut self) -> Result<Query, DeviceError>;
    /// Takes room; fills in the addresses.
    fn reserve(&mut self, request: &mut Reserve) -> Result<(), DeviceError>;
    /// Verifies and installs an image; consumes the reservation.
    fn load(&mut self, image: &[u8]) -> Result<(), DeviceError>;
    /// Redirects the functions of a patch.
    fn enable(&mut self, name: &str) -> Result<(), DeviceError>;
    /// Takes the redirection back.
    fn disable(&mut self, name: &str) -> Result<(), DeviceError>;
    /// Frees a patch.
    fn unload(&mut self, name: &str) -> Result<(), DeviceError>;
    /// All patches, oldest first.
    fn list(&mut self) -> Result<Vec<PatchInfo>, DeviceError>;
    /// One patch with its functions.
    fn status(&mut self, name: &str) -> Result<(PatchInfo, Vec<FuncInfo>), DeviceError>;
}

/// The device of the running kernel.
#[derive(Debug)]
pub struct Core {
    file: File,
}

/// A request: a struct that begins with a head.
trait Request: Wire {
    fn hdr(&mut self) -> &mut Hdr;
}

macro_rules! requests {
    ($($ty:ty),*) => {$(
        impl Request for $ty {
            fn hdr(&mut self) -> &mut Hdr {
                &mut self.hdr
            }
        }
    )*};
}
requests!(Query, Reserve, Load, Op, List, Status);

/// The address of what a request points to.
fn address<T>(data: &[T]) -> u64 {
    // A user address fits 64 bits on every architecture that Linux has.
    u64::try_from(data.as_ptr().expose_provenance()).unwrap_or(0)
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

impl Core {
    /// Opens the device and checks that it speaks this version.
    pub fn open() -> Result<Self, DeviceError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(PATH)
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => DeviceError::Missing,
                io::ErrorKind::PermissionDenied => DeviceError::Permission(error),
                _ => match error.raw_os_error() {
                    // The file is there, the driver is not.
                    Some(libc::ENXIO | libc::ENODEV) => DeviceError::Missing,
                    _ => DeviceError::Open(error),
                },
            })?;
        let mut core = Self { file };
        match core.query()?.abi {
            uapi::ABI_VERSION => Ok(core),
            found => Err(DeviceError::Abi { found }),
        }
    }

    fn call<T: Request>(
        &mut self,
        op: &'static str,
        code: u32,
        request: &mut T,
    ) -> Result<(), DeviceError> {
        let size = u32::try_from(size_of::<T>()).unwrap_or(0);
        // The number of an ioctl has the size of its argument in the bits 16 to 29.
        assert_eq!(code >> 16 & 0x3fff, size, "{op} with another struct");
        *request.hdr() = Hdr {
            size,
            ..Hdr::default()
        };
        // SAFETY: the file is open. The core reads and writes `size` bytes at the pointer, which is the size
        // of the struct that the exclusive reference covers, and memory that the struct names: `load`, `list`
        // and `status` pass buffers that outlive the call, with their lengths. All of these are plain
        // integers, for which any bytes are a value.
        let ret = unsafe {
            libc::ioctl(
                self.file.as_raw_fd(),
                libc::Ioctl::from(code),
                std::ptr::from_mut(request),
            )
        };
        if ret >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        let errno = error.raw_os_error().unwrap_or(0);
        let Hdr {
            reason, at, value, ..
        } = *request.hdr();
        if reason == 0 {
            return Err(DeviceError::Unexplained { op, error });
        }
        Err(DeviceError::Refused(Refused {
            op,
            errno,
            code: reason,
            at,
            value,
        }))
    }

    fn op(&mut self, op: &'static str, code: u32, name: &str) -> Result<(), DeviceError> {
        let mut request = Op {
            name: name_field(name)?,
            ..Op::default()
        };
        self.call(op, code, &mut request)
    }
}

/// Asks with a growing buffer until all entries fit.
fn all<T: Wire + Default + Clone>(
    op: &'static str,
    mut ask: impl FnMut(&mut [T]) -> Result<u32, DeviceError>,
) -> Result<Vec<T>, DeviceError> {
    let mut capacity = 16;
    loop {
        let mut entries = vec![T::default(); usize::try_from(capacity).unwrap_or(0)];
        let count = ask(&mut entries)?;
        if count <= capacity {
            entries.truncate(usize::try_from(count).unwrap_or(0));
            return Ok(entries);
        }
        if count > ENTRIES_MAX {
            return Err(DeviceError::Answer {
                op,
                what: "with more entries than there can be",
            });
        }
        capacity = count;
    }
}

impl Device for Core {
    fn query(&mut self) -> Result<Query, DeviceError> {
        let mut query = Query::default();
        self.call("query", uapi::IOC_QUERY, &mut query)?;
        Ok(query)
    }

    fn reserve(&mut self, request: &mut Reserve) -> Result<(), DeviceError> {
        self.call("reserve", uapi::IOC_RESERVE, request)
    }

    fn load(&mut self, image: &[u8]) -> Result<(), DeviceError> {
        let mut request = Load {
            image: address(image),
            image_len: u64::try_from(image.len()).unwrap_or(u64::MAX),
            ..Load::default()
        };
        self.call("load", uapi::IOC_LOAD, &mut request)
    }

    fn enable(&mut self, name: &str) -> Result<(), DeviceError> {
        self.op("enable", uapi::IOC_ENABLE, name)
    }

    fn disable(&mut self, name: &str) -> Result<(), DeviceError> {
        self.op("disable", uapi::IOC_DISABLE, name)
    }

    fn unload(&mut self, name: &str) -> Result<(), DeviceError> {
        self.op("unload", uapi::IOC_UNLOAD, name)
    }

    fn list(&mut self) -> Result<Vec<PatchInfo>, DeviceError> {
        all("list", |entries: &mut [PatchInfo]| {
            let mut request = List {
                entries: address_mut(entries),
                capacity: u32::try_from(entries.len()).unwrap_or(0),
                ..List::default()
            };
            self.call("list", uapi::IOC_LIST, &mut request)?;
            Ok(request.count)
        })
    }

    fn status(&mut self, name: &str) -> Result<(PatchInfo, Vec<FuncInfo>), DeviceError> {
        let mut info = PatchInfo::default();
        let entries = all("status", |entries: &mut [FuncInfo]| {
            let mut request = Status {
                name: name_field(name)?,
                entries: address_mut(entries),
                capacity: u32::try_from(entries.len()).unwrap_or(0),
                ..Status::default()
            };
            self.call("status", uapi::IOC_STATUS, &mut request)?;
            info = request.info;
            Ok(request.count)
        })?;
        Ok((info, entries))
    }
}

/// The address of a buffer that the core writes to.
fn address_mut<T>(data: &mut [T]) -> u64 {
    u64::try_from(data.as_mut_ptr().expose_provenance()).unwrap_or(0)
}
