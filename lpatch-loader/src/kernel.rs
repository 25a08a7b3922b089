// SPDX-License-Identifier: GPL-2.0

//! Reads the running kernel: uname, /sys/kernel/notes, /proc/kallsyms, /proc/kcore, tracefs. With
//! `file.rs` and `device.rs` the only file of the library that does input or output.

use crate::kallsyms::Kallsyms;
use crate::kprobes::{self, Kprobe, Kprobes};
use crate::target::{build_id, Memory, Target, TargetError, Traceable};
use lpatch_model::uapi::Wire;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

const KALLSYMS: &str = "/proc/kallsyms";

fn read_error<'p>(
    path: &'p str,
    next: &'static str,
) -> impl FnOnce(std::io::Error) -> TargetError + 'p {
    move |error| TargetError::Read {
        path: path.into(),
        why: error.to_string(),
        next,
    }
}

/// Reads a kallsyms file.
pub fn kallsyms(path: &str) -> Result<Kallsyms, TargetError> {
    // Files in /proc have no length; the kernel's list is about 10 MB.
    let mut text = String::with_capacity(16 << 20);
    File::open(path)
        .and_then(|mut file| file.read_to_string(&mut text))
        .map_err(read_error(
            path,
            "mount /proc, or give --kallsyms a readable copy",
        ))?;
    Ok(Kallsyms::parse(text)?)
}

/// The release of the running kernel.
pub fn release() -> Result<String, TargetError> {
    let path = "/proc/sys/kernel/osrelease";
    let text = fs::read_to_string(path).map_err(read_error(path, "mount /proc"))?;
    Ok(text.trim_end().to_owned())
}

/// All that can be known of the running kernel.
pub fn running() -> Result<Target, TargetError> {
    let notes = fs::read("/sys/kernel/notes").unwrap_or_default();
    let memory = Kcore::open().map(|kcore| -> Box<dyn Memory> { Box::new(kcore) });
    Ok(Target {
        release: release()?,
        build_id: build_id(&notes),
        kallsyms: kallsyms(KALLSYMS)?,
        memory,
        traceable: Some(Box::<Filter>::default()),
        kprobes: Some(Box::new(Debugfs)),
    })
}

/// ftrace's list, read when somebody asks: the kernel takes as long for it as for all its symbols. `None`: it cannot be read.
#[derive(Default)]
struct Filter(OnceLock<Option<HashSet<String>>>);

impl Traceable for Filter {
    fn has(&self, name: &str) -> Option<bool> {
        let names = self.0.get_or_init(filter_functions);
        Some(names.as_ref()?.contains(name))
    }
}

/// The list of kprobes, read each time that somebody asks.
#[derive(Clone, Copy, Debug)]
pub struct Debugfs;

impl Kprobes for Debugfs {
    fn list(&self) -> Option<Vec<Kprobe>> {
        let text = fs::read_to_string("/sys/kernel/debug/kprobes/list").ok()?;
        Some(kprobes::parse(&text))
    }
}

/// A file of tracefs, wherever that is mounted; the loader mounts nothing.
pub(crate) fn tracefs(name: &str) -> Option<String> {
    ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"]
        .iter()
        .find_map(|path| fs::read_to_string(format!("{path}/{name}")).ok())
}

/// What can be traced.
fn filter_functions() -> Option<HashSet<String>> {
    let text = tracefs("available_filter_functions")?;
    let names = text
        .lines()
        .filter_map(|l| l.split_ascii_whitespace().next());
    Some(names.map(str::to_owned).collect())
}

/// A program header of /proc/kcore: addresses and where they are in the file.
#[derive(Clone, Copy, Debug)]
struct Segment {
    addr: u64,
    len: u64,
    offset: u64,
}

/// The kernel's memory as an ELF core file (fs/proc/kcore.c).
#[derive(Debug)]
struct Kcore {
    file: File,
    segments: Vec<Segment>,
}

impl Kcore {
    fn open() -> Option<Self> {
        const PT_LOAD: u32 = 1;
        let file = File::open("/proc/kcore").ok()?;
        let mut header = [0; 64];
        file.read_exact_at(&mut header, 0).ok()?;
        let field = |at: usize| header.get(at..);
        let table = field(32).and_then(<u64 as Wire>::read)?;
        let entry = u64::from(field(54).and_then(<u16 as Wire>::read)?);
        let count = u64::from(field(56).and_then(<u16 as Wire>::read)?);
        let mut segments = Vec::new();
        for index in 0..count {
            let mut bytes = [0; 56];
            file.read_exact_at(&mut bytes, table.checked_add(index * entry)?)
                .ok()?;
            let field = |at: usize| bytes.get(at..).and_then(<u64 as Wire>::read);
            if <u32 as Wire>::read(&bytes) == Some(PT_LOAD) {
                segments.push(Segment {
                    offset: field(8)?,
                    addr: field(16)?,
                    len: field(40)?,
                });
            }
        }
        Some(Self { file, segments })
    }
}

impl Memory for Kcore {
    fn read(&self, addr: u64, out: &mut [u8]) -> bool {
        let Ok(len) = u64::try_from(out.len()) else {
            return false;
        };
        let covers = |s: &&Segment| {
            addr.checked_sub(s.addr)
                .is_some_and(|at| at < s.len && len <= s.len - at)
        };
        let Some(segment) = self.segments.iter().find(covers) else {
            return false;
        };
        let Some(offset) = segment.offset.checked_add(addr - segment.addr) else {
            return false;
        };
        self.file.read_exact_at(out, offset).is_ok()
    }
}
