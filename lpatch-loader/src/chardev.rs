// SPDX-License-Identifier: GPL-2.0

//! `/dev/lpatch`, the real device. The only file that calls ioctl.

use crate::device::{name_field, Ask, Blocking, Comparison, Device, DeviceError, Refused, PATH};
use crate::kernel;
use crate::wait::{Limits, NO_LIMITS};
use lpatch_model::uapi::{
    self, Blocker, Blockers, Compare, Difference, FuncInfo, Hdr, List, Load, Op, PatchInfo, Query,
    Reserve, Status, Transition, Wire,
};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;

/// More entries than this no list has; the core counts patches and functions in 32 bits.
const ENTRIES_MAX: u32 = 1 << 20;
/// Blockers that are asked for first; there are seldom more.
const BLOCKERS_FIRST: u32 = 32;
/// The same of differences.
const DIFFERENCES_FIRST: u32 = 16;

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
requests!(Query, Reserve, Load, Op, List, Status, Transition, Blockers, Compare);

/// The address of what a request points to.
fn address<T>(data: &[T]) -> u64 {
    // A user address fits 64 bits on every architecture that Linux has.
    u64::try_from(data.as_ptr().expose_provenance()).unwrap_or(0)
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
        // of the struct that the exclusive reference covers, and memory that the struct names: `load`, `list`,
        // `status`, `blockers` and `compare` pass buffers that outlive the call, with their lengths. All of these are
        // plain integers, for which any bytes are a value.
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

    fn op(
        &mut self,
        op: &'static str,
        code: u32,
        name: &str,
        limits: Limits,
    ) -> Result<(), DeviceError> {
        let mut request = Op {
            name: name_field(name)?,
            timeout_ms: limits.timeout_ms,
            interrupt_ms: limits.interrupt_ms,
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

    fn load(&mut self, image: &[u8], flags: u64) -> Result<(), DeviceError> {
        let mut request = Load {
            image: address(image),
            image_len: u64::try_from(image.len()).unwrap_or(u64::MAX),
            flags,
            ..Load::default()
        };
        self.call("load", uapi::IOC_LOAD, &mut request)
    }

    fn enable(&mut self, name: &str, limits: Limits) -> Result<(), DeviceError> {
        self.op("enable", uapi::IOC_ENABLE, name, limits)
    }

    fn disable(&mut self, name: &str, limits: Limits) -> Result<(), DeviceError> {
        self.op("disable", uapi::IOC_DISABLE, name, limits)
    }

    fn reverse(&mut self, name: &str, interrupt_ms: u32) -> Result<(), DeviceError> {
        let limits = Limits {
            interrupt_ms,
            ..NO_LIMITS
        };
        self.op("reverse", uapi::IOC_REVERSE, name, limits)
    }

    fn force(&mut self, name: &str) -> Result<(), DeviceError> {
        self.op("force", uapi::IOC_FORCE, name, NO_LIMITS)
    }

    fn unload(&mut self, name: &str) -> Result<(), DeviceError> {
        self.op("unload", uapi::IOC_UNLOAD, name, NO_LIMITS)
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

    fn transition(&mut self) -> Result<Transition, DeviceError> {
        let mut request = Transition::default();
        self.call("transition", uapi::IOC_TRANSITION, &mut request)?;
        Ok(request)
    }

    fn wait(&mut self, id: u64, wait_ms: u32) -> Result<Transition, DeviceError> {
        let mut request = Transition {
            id,
            // 0 would be for ever.
            wait_ms: wait_ms.max(1),
            ..Transition::default()
        };
        self.call("wait", uapi::IOC_WAIT, &mut request)?;
        Ok(request)
    }

    fn blockers(&mut self, ask: Ask<'_>) -> Result<Blocking, DeviceError> {
        let (flags, ranges) = match ask {
            Ask::UnderWay => (0, &[][..]),
            Ask::AtDeadline => (uapi::BLOCKERS_LAST, &[][..]),
            // Without ranges it would be another question.
            Ask::Ranges([]) => return Ok(Blocking::default()),
            Ask::Ranges(ranges) => (0, ranges),
        };
        let mut capacity = BLOCKERS_FIRST;
        loop {
            let mut list = vec![Blocker::default(); usize::try_from(capacity).unwrap_or(0)];
            let mut request = Blockers {
                flags,
                ranges: if ranges.is_empty() {
                    0
                } else {
                    address(ranges)
                },
                entries: address_mut(&mut list),
                range_count: u32::try_from(ranges.len()).unwrap_or(u32::MAX),
                capacity,
                ..Blockers::default()
            };
            self.call("blockers", uapi::IOC_BLOCKERS, &mut request)?;
            let count = request.count;
            // A second look is enough: the number changes all the time.
            if count <= capacity || capacity > BLOCKERS_FIRST {
                list.truncate(usize::try_from(request.written).unwrap_or(0));
                return Ok(Blocking { list, count });
            }
            capacity = count.saturating_add(count / 4).min(uapi::BLOCKERS_MAX);
        }
    }

    fn compare(&mut self, name: &str) -> Result<Comparison, DeviceError> {
        let mut capacity = DIFFERENCES_FIRST;
        loop {
            let mut list = vec![Difference::default(); usize::try_from(capacity).unwrap_or(0)];
            let mut request = Compare {
                name: name_field(name)?,
                entries: address_mut(&mut list),
                capacity,
                ..Compare::default()
            };
            self.call("compare", uapi::IOC_COMPARE, &mut request)?;
            let count = request.count;
            if count <= capacity || capacity > DIFFERENCES_FIRST {
                list.truncate(usize::try_from(request.written).unwrap_or(0));
                return Ok(Comparison {
                    list,
                    count,
                    bytes: request.bytes,
                    text_len: request.text_len,
                });
            }
            capacity = count.min(uapi::DIFFERENCES_MAX);
        }
    }

    fn enabled_functions(&mut self) -> String {
        kernel::tracefs("enabled_functions").unwrap_or_default()
    }

    fn now_ns(&mut self) -> u64 {
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the pointer is to a timespec of ours, which the call only writes to. It cannot fail for this clock.
        let _ = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
        let part = |value: i64| u64::try_from(value).unwrap_or(0);
        part(now.tv_sec) * 1_000_000_000 + part(now.tv_nsec)
    }
}

/// The address of a buffer that the core writes to.
fn address_mut<T>(data: &mut [T]) -> u64 {
    u64::try_from(data.as_mut_ptr().expose_provenance()).unwrap_or(0)
}
