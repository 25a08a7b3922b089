// SPDX-License-Identifier: GPL-2.0

//! The kernel's symbols as /proc/kallsyms lists them, and the questions that `sprint_symbol()` answers.
//!
//! One pass over the text, one index entry a line; names stay in the text. vmlinux comes first and sorted
//! by address, then modules in the order of their symbol tables (kernel/kallsyms.c, kernel/module/kallsyms.c).

use crate::layout::PAGE;
use crate::limits::{KALLSYMS_MAX, KALLSYMS_NAME_MAX, MODULES_MAX};
use crate::meta::VMLINUX;
use crate::visit::visit;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;
use thiserror::Error;

mod line;
use line::{quick, read, Hash, Read, NAME_AT};

/// Why a kallsyms file cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum KallsymsError {
    /// A line that is not a symbol.
    #[error("line {0} of kallsyms is not \"address type name\"; give a copy of /proc/kallsyms")]
    Line(usize),
    /// Addresses are hidden.
    #[error("all addresses in kallsyms are zero: the kernel hides them; run as root with CAP_SYSLOG, and if kernel.kptr_restrict is 2 set it to 1")]
    Hidden,
    /// No symbols.
    #[error("kallsyms has no symbols; the kernel needs CONFIG_KALLSYMS")]
    Empty,
    /// A symbol of vmlinux behind those of modules.
    #[error("line {0} of kallsyms is of vmlinux, behind lines of modules; give a copy of /proc/kallsyms as it is")]
    Order(usize),
    /// Longer than [`KALLSYMS_MAX`].
    #[error("kallsyms has {0} bytes, more than the limit of {KALLSYMS_MAX}; give a copy of /proc/kallsyms")]
    TooLong(usize),
    /// A name longer than [`KALLSYMS_NAME_MAX`].
    #[error("line {line} of kallsyms has a name of {len} bytes, more than the limit of {KALLSYMS_NAME_MAX}; give a copy of /proc/kallsyms")]
    LongName {
        /// The line, from 1.
        line: usize,
        /// Bytes.
        len: usize,
    },
    /// More than [`MODULES_MAX`].
    #[error("kallsyms has more than {MODULES_MAX} changes of module, the limit; give a copy of /proc/kallsyms")]
    Modules,
}

/// A line.
#[derive(Clone, Copy, Debug)]
struct Line {
    addr: u64,
    name_at: u32,
    name_len: u16,
    /// Index into the names of objects; 0 is vmlinux.
    object: u16,
    letter: u8,
    /// Whether the name has a dot.
    dotted: bool,
    /// Of the name's hash.
    bucket: u32,
}

/// A symbol of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'k> {
    /// Position in the list.
    pub index: usize,
    /// Its name.
    pub name: &'k str,
    /// "vmlinux" or the name of a module.
    pub objname: &'k str,
    /// Its address.
    pub addr: u64,
    /// As in nm.
    pub letter: char,
}

/// How long a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// To the next symbol, or to the end that vmlinux names.
    Exact(u64),
    /// The last symbol of a module's text: it reaches to the end of the text's pages. At least so long; any
    /// number of whole pages may follow.
    AtLeast(u64),
}

impl Length {
    /// Bytes that are certainly its own.
    pub fn at_least(self) -> u64 {
        let (Self::Exact(len) | Self::AtLeast(len)) = self;
        len
    }
}

/// A parsed kallsyms.
#[derive(Debug)]
pub struct Kallsyms {
    text: String,
    lines: Vec<Line>,
    /// How many of the lines, at the start, are of vmlinux.
    vmlinux_len: usize,
    objects: Vec<Range<usize>>,
    /// Hash of name to the first line of that hash plus 1; 0: none.
    heads: Vec<u32>,
    /// The next line of the same hash plus 1; 0: none. In ascending order.
    next: Vec<u32>,
    /// The lines whose names have a dot, in ascending order: what may be a part or a copy of a function.
    dotted: Vec<u32>,
    /// The lines of modules by module and address, those of one address in the order of the list; made when first asked for.
    by_addr: OnceLock<Vec<usize>>,
}

/// What gcc appends to the names of parts and copies of functions.
const VARIANTS: [&str; 4] = [".cold", ".part.", ".constprop.", ".isra."];

const HASH_BITS: u32 = 18;

/// Names are short and nobody attacks us with kernel symbols.
fn bucket(name: &[u8]) -> u32 {
    let mut hash = Hash::new();
    for byte in name {
        hash.add(*byte);
    }
    hash.bucket(HASH_BITS)
}

/// Objects in brackets that are no modules: code of BPF programs and of tracing.
fn is_pseudo(object: &str) -> bool {
    object == "bpf" || object.starts_with("__builtin__")
}

/// Local labels that the kernel passes over in modules (`is_mapping_symbol()`).
fn is_mapping(name: &str) -> bool {
    name.starts_with(".L") || name.starts_with("L0") || name.starts_with('$')
}

impl Kallsyms {
    /// Reads the text of /proc/kallsyms.
    pub fn parse(text: String) -> Result<Self, KallsymsError> {
        if text.len() > KALLSYMS_MAX {
            return Err(KallsymsError::TooLong(text.len()));
        }
        let mut lines: Vec<Line> = Vec::with_capacity(text.len() / 40);
        // The first stands for vmlinux, which has no brackets.
        let mut objects: Vec<Range<usize>> = Vec::new();
        objects.push(Range::default());
        let (mut at, mut number) = (0, 0);
        let mut any_address = false;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let start = at;
            number += 1;
            let quickly = quick(rest.as_bytes(), HASH_BITS);
            let read = match quickly {
                Some(quick) => {
                    at += quick.len;
                    Some(Read {
                        addr: quick.addr,
                        letter: quick.letter,
                        name: start + NAME_AT..start + quick.name_end,
                        object: quick.object.map(|(from, to)| start + from..start + to),
                    })
                }
                None => {
                    let line = rest.split_inclusive('\n').next().unwrap_or(rest);
                    at += line.len();
                    read(line, start).ok_or(KallsymsError::Line(number))?
                }
            };
            let Some(read) = read else {
                continue;
            };
            any_address |= read.addr != 0;
            let object = match read.object {
                None if objects.len() > 1 => return Err(KallsymsError::Order(number)),
                None => 0,
                Some(range) => {
                    let name = |range: &Range<usize>| text.get(range.clone()).unwrap_or_default();
                    if is_pseudo(name(&range)) {
                        continue;
                    }
                    // The first is empty, and no module's.
                    if objects.last().map(name) != Some(name(&range)) {
                        objects.push(range);
                    }
                    u16::try_from(objects.len() - 1).map_err(|_| KallsymsError::Modules)?
                }
            };
            // Undefined symbols of a module that is being loaded.
            if read.letter.eq_ignore_ascii_case(&b'u') && read.addr == 0 {
                continue;
            }
            let (name_at, len) = (read.name.start, read.name.len());
            let name = || text.as_bytes().get(read.name.clone()).unwrap_or_default();
            lines.push(Line {
                addr: read.addr,
                name_at: u32::try_from(name_at).map_err(|_| KallsymsError::TooLong(name_at))?,
                name_len: u16::try_from(len)
                    .map_err(|_| KallsymsError::LongName { line: number, len })?,
                object,
                letter: read.letter,
                dotted: quickly.map_or_else(|| name().contains(&b'.'), |quick| quick.dotted),
                bucket: quickly.map_or_else(|| bucket(name()), |quick| quick.bucket),
            });
        }
        if lines.is_empty() {
            return Err(KallsymsError::Empty);
        }
        if !any_address {
            return Err(KallsymsError::Hidden);
        }
        // The kernel's own list of vmlinux is sorted; a list made by nm may not be.
        let vmlinux = lines.iter().take_while(|l| l.object == 0).count();
        if let Some(list) = lines.get_mut(..vmlinux) {
            if !list.is_sorted_by_key(|l| l.addr) {
                list.sort_by_key(|l| l.addr);
            }
        }
        Ok(Self::index(text, lines, objects))
    }

    fn index(text: String, lines: Vec<Line>, objects: Vec<Range<usize>>) -> Self {
        let mut heads = vec![0; 1 << HASH_BITS];
        let mut next = vec![0; lines.len()];
        let mut dotted = Vec::new();
        // Backwards, so that each chain is in the order of the list.
        for (index, line) in lines.iter().enumerate().rev() {
            if let (Some(head), Some(link), Ok(number)) = (
                usize::try_from(line.bucket)
                    .ok()
                    .and_then(|bucket| heads.get_mut(bucket)),
                next.get_mut(index),
                u32::try_from(index + 1),
            ) {
                *link = std::mem::replace(head, number);
                if line.dotted {
                    dotted.push(number - 1);
                }
            }
        }
        dotted.reverse();
        Self {
            text,
            vmlinux_len: lines.partition_point(|l| l.object == 0),
            lines,
            objects,
            heads,
            next,
            dotted,
            by_addr: OnceLock::new(),
        }
    }

    fn found(&self, index: usize) -> Option<Found<'_>> {
        let line = self.lines.get(index)?;
        let object = self.objects.get(usize::from(line.object))?.clone();
        Some(Found {
            index,
            name: name_of(&self.text, line),
            objname: match line.object {
                0 => VMLINUX,
                _ => self.text.get(object)?,
            },
            addr: line.addr,
            letter: char::from(line.letter),
        })
    }

    /// How many symbols there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none; never true after [`Self::parse`].
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// All symbols in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = Found<'_>> {
        (0..self.lines.len()).filter_map(|index| self.found(index))
    }

    /// The symbols of a name in all objects, in the order of the list.
    pub fn by_name<'k>(&'k self, name: &'k str) -> impl Iterator<Item = Found<'k>> {
        let head = usize::try_from(bucket(name.as_bytes()));
        let first = head.ok().and_then(|head| self.heads.get(head));
        let first = first.copied().unwrap_or(0);
        let chain = std::iter::successors(usize::try_from(first).ok(), |number| {
            let link = self.next.get(number.checked_sub(1)?)?;
            usize::try_from(*link).ok()
        });
        chain
            .take_while(|number| *number != 0)
            .inspect(|_| visit())
            .filter_map(|number| self.found(number - 1))
            .filter(move |found| found.name == name)
    }

    /// Whether a module has symbols here, that is: is loaded.
    pub fn has_object(&self, objname: &str) -> bool {
        objname == VMLINUX || self.object_number(objname).is_some()
    }

    fn object_number(&self, objname: &str) -> Option<u16> {
        let names = self.objects.iter().skip(1);
        let at = names
            .map(|range| self.text.get(range.clone()))
            .position(|name| name == Some(objname))?;
        u16::try_from(at + 1).ok()
    }

    /// Modules follow vmlinux.
    fn vmlinux_len(&self) -> usize {
        self.vmlinux_len
    }

    /// The lines of modules by module and address.
    fn by_addr(&self) -> &[usize] {
        self.by_addr.get_or_init(|| {
            let mut list: Vec<usize> = (self.vmlinux_len()..self.lines.len()).collect();
            list.sort_by_key(|index| self.lines.get(*index).map(|l| (l.object, l.addr)));
            list
        })
    }

    /// The lines of the object of the line at `index`, from the first one at its address, in the order of addresses.
    fn ascending(&self, index: usize) -> impl Iterator<Item = (usize, &Line)> {
        let (object, addr) = (self.lines.get(index)).map_or((0, 0), |l| (l.object, l.addr));
        let (vmlinux, modules) = if object == 0 {
            let end = self.vmlinux_len();
            let same = |at: &usize| self.lines.get(*at).is_some_and(|l| l.addr == addr);
            let others = (0..index).rev().take_while(same).count();
            (index - others..end, &[][..])
        } else {
            let list = self.by_addr();
            let before = |index: &usize| {
                let line = self.lines.get(*index);
                line.is_some_and(|l| (l.object, l.addr) < (object, addr))
            };
            let start = list.partition_point(before);
            (0..0, list.get(start..).unwrap_or_default())
        };
        vmlinux
            .chain(modules.iter().copied())
            .map_while(|index| Some((index, self.lines.get(index)?)))
            .take_while(move |(_, l)| l.object == object)
            .inspect(|_| visit())
    }

    /// The first symbol at the address of `symbol` in its object: the name that `sprint_symbol()` gives.
    pub fn canonical<'k>(&'k self, symbol: &Found<'k>) -> Found<'k> {
        let Some(line) = self.lines.get(symbol.index) else {
            return *symbol;
        };
        // In modules, local labels are passed over.
        let first = self
            .ascending(symbol.index)
            .take_while(|(_, l)| l.addr == line.addr)
            .find(|(_, l)| l.object == 0 || !is_mapping(name_of(&self.text, l)));
        first
            .and_then(|(index, _)| self.found(index))
            .unwrap_or(*symbol)
    }

    /// All symbols at the address of `symbol` in its object, itself included, in the order of the list.
    pub fn aliases<'k>(&'k self, symbol: &Found<'k>) -> Vec<Found<'k>> {
        let Some(line) = self.lines.get(symbol.index) else {
            return vec![*symbol];
        };
        self.ascending(symbol.index)
            .take_while(|(_, l)| l.addr == line.addr)
            .filter_map(|(index, _)| self.found(index))
            .collect()
    }

    /// The position of a symbol among those of its name in its object, from 1, or 0 if it is the only one.
    pub fn sympos(&self, symbol: &Found<'_>) -> u32 {
        let same = self
            .by_name(symbol.name)
            .filter(|f| f.objname == symbol.objname);
        let (mut count, mut position) = (0, 0);
        for found in same {
            count += 1;
            if found.index == symbol.index {
                position = count;
            }
        }
        if count == 1 {
            0
        } else {
            position
        }
    }

    /// The length that `sprint_symbol()` gives at a symbol's address (get_symbol_pos() for vmlinux,
    /// find_kallsyms_symbol() for modules).
    pub fn length(&self, symbol: &Found<'_>) -> Option<Length> {
        let line = self.lines.get(symbol.index)?;
        let mut behind = (self.ascending(symbol.index)).filter(|(_, l)| l.addr > line.addr);
        if line.object == 0 {
            // Behind the last symbol comes nothing that a patch could name; _end is itself a symbol.
            let (_, next) = behind.next()?;
            return Some(Length::Exact(next.addr - line.addr));
        }
        // The next symbol counts if it lies in the same memory as this one. A module's text, constants and
        // data are allocated apart; functions are in the text, and only there.
        match behind.find(|(_, l)| !is_mapping(name_of(&self.text, l))) {
            Some((_, l)) if l.letter.eq_ignore_ascii_case(&b't') => {
                Some(Length::Exact(l.addr - line.addr))
            }
            _ => Some(Length::AtLeast(PAGE - line.addr % PAGE)),
        }
    }

    /// The symbol that covers an address in vmlinux.
    pub fn at(&self, addr: u64) -> Option<Found<'_>> {
        let vmlinux = self.lines.get(..self.vmlinux_len()).unwrap_or_default();
        let behind = vmlinux.partition_point(|l| l.addr <= addr);
        self.found(behind.checked_sub(1)?)
    }

    /// Parts of functions that the compiler split off or specialized: `foo.cold`, `foo.part.0`, `foo.isra.0` …;
    /// for all functions in one pass.
    pub fn variants(&self, symbols: &[Found<'_>]) -> Vec<Vec<Found<'_>>> {
        let mut list = vec![Vec::new(); symbols.len()];
        let keys = symbols.iter().enumerate();
        let wanted: HashMap<(&str, &str), usize> =
            keys.map(|(at, s)| ((s.objname, s.name), at)).collect();
        let dotted = (self.dotted.iter()).filter_map(|index| usize::try_from(*index).ok());
        for index in dotted {
            visit();
            let Some(line) = self.lines.get(index) else {
                continue;
            };
            // A variant of `foo.isra.0` is `foo.isra.0.cold`, so every dot may be the one.
            let name = name_of(&self.text, line);
            for (dot, _) in name.match_indices('.') {
                let (stem, rest) = name.split_at(dot);
                let is_variant = VARIANTS.iter().any(|kind| rest.starts_with(kind));
                if let Some(found) = is_variant.then(|| self.found(index)).flatten() {
                    let at = wanted.get(&(found.objname, stem));
                    if let Some(parts) = at.and_then(|at| list.get_mut(*at)) {
                        parts.push(found);
                    }
                }
            }
        }
        list
    }
}

fn name_of<'t>(text: &'t str, line: &Line) -> &'t str {
    let start = usize::try_from(line.name_at).unwrap_or(usize::MAX);
    let end = start.saturating_add(usize::from(line.name_len));
    text.get(start..end).unwrap_or_default()
}

#[cfg(test)]
#[path = "kallsyms_test.rs"]
mod tests;
