// SPDX-License-Identifier: GPL-2.0

//! Proves pre-images: records those of all functions of a kernel, and compares them with a running one.
//!
//! `preimages record VMLINUX KALLSYMS [MODULE.ko]...` writes the record to stdout, on the host;
//! `preimages check RECORD` reads /proc/kallsyms and /proc/kcore in the guest, as root. It ends with
//! "N compared, N differ", and fails if one differs or none was compared.

use lpatch_loader::kallsyms::Kallsyms;
use lpatch_loader::kmod::Kmod;
use lpatch_loader::preimage::Preimage;
use lpatch_loader::unpack::unpack;
use lpatch_loader::vmlinux::Vmlinux;
use lpatch_model::uapi::Mask;
use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Differences that are shown in full.
const SHOWN: usize = 40;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["record", vmlinux, kallsyms, modules @ ..] => record(vmlinux, kallsyms, modules),
        ["check", record] => check(record),
        _ => Err("usage: preimages record VMLINUX KALLSYMS [MODULE.ko]... | check RECORD".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("preimages: {error}");
            ExitCode::FAILURE
        }
    }
}

fn line(out: &mut impl Write, object: &str, name: &str, nth: usize, pre: &Preimage) -> Result<()> {
    write!(out, "{object} {name} {nth} {} {:08x}", pre.len, pre.crc)?;
    for mask in &pre.masks {
        write!(out, " {}:{}", mask.offset, mask.len)?;
    }
    writeln!(out)?;
    Ok(())
}

fn record(vmlinux: &str, kallsyms: &str, modules: &[&str]) -> Result<()> {
    let data = unpack(fs::read(vmlinux)?)?;
    let vmlinux = Vmlinux::new(&data, Kallsyms::parse(fs::read_to_string(kallsyms)?)?)?;
    let mut out = BufWriter::new(io::stdout().lock());

    // Behind _etext is code that is freed after boot.
    let addr_of = |name| vmlinux.symbols().find(|s| s.name == name).map(|s| s.addr);
    let text = addr_of("_stext").ok_or("no symbol _stext")?
        ..addr_of("_etext").ok_or("no symbol _etext")?;
    let (mut functions, mut bytes, mut compared, mut redirectable) = (0_u32, 0_u64, 0_u64, 0_u32);
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for symbol in vmlinux.symbols() {
        let nth = seen.entry(symbol.name).or_default();
        *nth += 1;
        if !text.contains(&symbol.addr) || !matches!(symbol.letter, 't' | 'T' | 'w' | 'W') {
            continue;
        }
        let pre = vmlinux
            .preimage(&symbol)
            .ok_or_else(|| format!("no pre-image of {}", symbol.name))?;
        line(&mut out, "vmlinux", symbol.name, *nth, &pre)?;
        functions += 1;
        bytes += u64::from(pre.len);
        compared += u64::from(pre.compared());
        redirectable += u32::from(vmlinux.has_fentry(&symbol));
    }
    eprintln!(
        "{}: {functions} functions, {redirectable} with fentry; {compared} of {bytes} bytes compared",
        vmlinux.release()
    );

    for path in modules {
        let data = unpack(fs::read(path)?)?;
        let kmod = Kmod::new(&data)?;
        let file = Path::new(path).file_name().and_then(|name| name.to_str());
        let stem = file.and_then(|name| name.split('.').next());
        let object = stem.ok_or("a module's name is not text")?.replace('-', "_");
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (section, symbol) in kmod.symbols() {
            let nth = seen.entry(symbol.name).or_default();
            *nth += 1;
            if symbol.kind == object::elf::STT_FUNC {
                let pre = kmod
                    .preimage((section, symbol.value))
                    .ok_or_else(|| format!("no pre-image of {}", symbol.name))?;
                line(&mut out, &object, symbol.name, *nth, &pre)?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

/// /proc/kcore: an ELF core file whose segments are the kernel's mappings.
struct Kcore {
    file: File,
    /// Address, length, offset in the file.
    segments: Vec<(u64, u64, u64)>,
}

impl Kcore {
    fn open() -> Result<Self> {
        let file = File::open("/proc/kcore")?;
        let mut head = vec![0; 64];
        file.read_exact_at(&mut head, 0)?;
        let at = |bytes: &[u8], at: usize| -> u64 {
            bytes
                .get(at..at + 8)
                .and_then(|b| b.first_chunk().copied())
                .map_or(0, u64::from_le_bytes)
        };
        let count = usize::from(u16::from_le_bytes([head[56], head[57]]));
        let mut table = vec![0; count * 56];
        file.read_exact_at(&mut table, at(&head, 32))?;
        let segments = table
            .chunks_exact(56)
            .filter(|program| program[0] == 1)
            .map(|program| (at(program, 16), at(program, 40), at(program, 8)))
            .collect();
        Ok(Self { file, segments })
    }

    fn read(&self, addr: u64, len: usize) -> Result<Vec<u8>> {
        let (start, _, offset) = self
            .segments
            .iter()
            .find(|(start, size, _)| addr.checked_sub(*start).is_some_and(|at| at < *size))
            .ok_or_else(|| format!("{addr:#x} is not in /proc/kcore"))?;
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, addr - start + offset)?;
        Ok(bytes)
    }
}

fn check(record: &str) -> Result<()> {
    let kallsyms = fs::read_to_string("/proc/kallsyms")?;
    let mut addresses: HashMap<(&str, &str), Vec<u64>> = HashMap::new();
    for line in kallsyms.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(addr), Some(_), Some(name)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let object = words
            .next()
            .map_or("vmlinux", |m| m.trim_matches(['[', ']']));
        let addr = u64::from_str_radix(addr, 16)?;
        addresses.entry((object, name)).or_default().push(addr);
    }
    let text = *addresses
        .get(&("vmlinux", "_text"))
        .and_then(|list| list.first())
        .filter(|addr| **addr != 0)
        .ok_or("addresses are hidden: be root, with kernel.kptr_restrict=0")?;
    println!("_text {text:#x}");

    let kcore = Kcore::open()?;
    let record = fs::read_to_string(record)?;
    let mut totals: HashMap<&str, (u32, u32)> = HashMap::new();
    let mut shown = 0;
    for line in record.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [object, name, nth, len, crc, masks @ ..] = words.as_slice() else {
            return Err(format!("bad line: {line}").into());
        };
        let masks: Option<Vec<Mask>> = masks
            .iter()
            .map(|mask| {
                let (offset, len) = mask.split_once(':')?;
                Some(Mask {
                    offset: offset.parse().ok()?,
                    len: len.parse().ok()?,
                })
            })
            .collect();
        let pre = Preimage {
            len: len.parse()?,
            crc: u32::from_str_radix(crc, 16)?,
            masks: masks.ok_or("bad mask")?,
        };
        let total = totals.entry(object).or_default();
        let nth: usize = nth.parse()?;
        let Some(addr) = addresses
            .get(&(*object, *name))
            .and_then(|list| list.get(nth - 1))
        else {
            return Err(format!("{object} has no {name} number {nth}").into());
        };
        let code = kcore.read(*addr, usize::try_from(pre.len)?)?;
        total.0 += 1;
        if !pre.matches(&code) {
            total.1 += 1;
            if shown < SHOWN {
                shown += 1;
                let hex: String = code.iter().map(|b| format!("{b:02x}")).collect();
                println!("differs: {object} {name} {nth} {:#x} {hex}", addr - text);
            }
        }
    }
    let mut bad = totals.is_empty();
    let mut totals: Vec<_> = totals.into_iter().collect();
    totals.sort_unstable();
    for (object, (compared, differ)) in totals {
        println!("{object}: {compared} compared, {differ} differ");
        bad |= differ != 0;
    }
    if bad {
        return Err("pre-images differ".into());
    }
    Ok(())
}
