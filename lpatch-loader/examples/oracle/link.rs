// SPDX-License-Identifier: GPL-2.0

//! Links a module where the kernel put it, and finishes its text: the loader's and the core's own code.

use crate::breaks::Break;
use crate::dump::{at, Dump, Sections};
use crate::plan::is_init;
use lpatch_loader::class::{classify, Class};
use lpatch_loader::elf::{Home, Section};
use lpatch_loader::layout::{Layout, Place, Region};
use lpatch_loader::object::Object;
use lpatch_loader::problem::Problems;
use lpatch_loader::relocate::{self, Bases, Fields};
use lpatch_loader::tables::{self, Tables};
use lpatch_model::finalize::{self, Facts, Records};
use lpatch_model::image::Table;
use lpatch_model::num::wide;
use lpatch_model::uapi::{Alt, Reloc, Site, Wire, SEC_TEXT};
use std::collections::HashMap;
use std::ops::Range;

/// Per-CPU variables of a module; they are in memory of their own.
const PERCPU: &str = ".data..percpu";
/// Writable sections that the kernel puts apart, since they are constant once the module is initialized.
const RO_AFTER_INIT: [&str; 2] = [".data..ro_after_init", "__jump_table"];

/// A module that was linked and finished.
pub(crate) struct Linked<'d> {
    pub(crate) name: &'d str,
    pub(crate) object: Object<'d>,
    pub(crate) layout: Layout,
    pub(crate) bases: Bases,
    pub(crate) tables: Tables<'d>,
    /// Text offsets of the calls of `__fentry__`.
    pub(crate) fentry: Vec<u32>,
    /// Text, rodata and data. Between the sections is anything.
    pub(crate) regions: [Vec<u8>; 3],
    /// What of the text is still there when the module is initialized.
    pub(crate) core: Range<u32>,
    /// Bytes that finishing changed.
    pub(crate) finished: usize,
    /// What was assumed of the boot.
    pub(crate) facts: Facts,
}

/// A module's sections are those of a patch where they are tables. The rest becomes memory, by its flags.
fn class(section: &Section<'_>) -> Class {
    let found = classify(section);
    match found {
        Class::OrcHeader | Class::Orc | Class::OrcIp | Class::Extable | Class::Bugs => found,
        Class::Mcount | Class::Alternatives | Class::Sites(_) => found,
        _ if !section.is_alloc() => Class::Ignored("not in memory"),
        _ if section.is_exec() => Class::Text,
        _ if section.is_write() && section.data.is_empty() => Class::Bss,
        _ if section.is_write() => Class::Data,
        _ => Class::Rodata,
    }
}

fn region(section: &Section<'_>) -> Region {
    match (section.is_exec(), section.is_write()) {
        (true, _) => Region::Text,
        (false, true) => Region::Data,
        (false, false) => Region::Rodata,
    }
}

fn encode<T: Wire>(list: &[T]) -> Vec<u8> {
    let mut bytes = vec![0; list.len() * T::SIZE];
    for (to, entry) in bytes.chunks_exact_mut(T::SIZE).zip(list) {
        // The chunk has the length.
        let _ = entry.write(to);
    }
    bytes
}

/// Where the sections are that have nothing in them, but may have symbols: the kernel does not say it. They follow what comes
/// before them in the file among those of a kind, as in layout_sections() in kernel/module/main.c.
fn empty(object: &Object<'_>, sections: &Sections) -> HashMap<usize, u64> {
    let mut ends: HashMap<(Region, bool, bool), u64> = HashMap::new();
    let mut found = HashMap::new();
    let all = object.elf.sections().iter();
    for section in all.filter(|s| s.is_alloc() && s.name != PERCPU) {
        let constant_later = RO_AFTER_INIT.contains(&section.name);
        let end = ends.entry((region(section), constant_later, is_init(section)));
        match sections.get(section.name) {
            Some(addr) => {
                end.insert_entry(addr.saturating_add(section.size));
            }
            None if section.size == 0 => {
                end.and_modify(|end| {
                    *end = end.next_multiple_of(section.align.max(1));
                    found.insert(section.index, *end);
                });
            }
            None => {}
        }
    }
    found
}

/// Where the per-CPU variables are: the kernel says it of each of them only.
fn percpu(object: &Object<'_>, module: &str, dump: &Dump) -> Option<u64> {
    let sections = object.elf.sections();
    let index = sections.iter().find(|s| s.name == PERCPU)?.index;
    let own = object.elf.symbols().iter();
    let mut own = own.filter(|s| s.home == Home::Section(index) && !s.name.is_empty());
    own.find_map(|s| Some(dump.own_symbol(module, s.name)?.wrapping_sub(s.value)))
}

impl<'d> Linked<'d> {
    /// Links the file of the module `name`, with a deliberate bug if there is one.
    pub(crate) fn new(
        name: &'d str,
        file: &'d [u8],
        sections: &Sections,
        dump: &Dump,
        bug: Option<Break>,
    ) -> Result<Self, String> {
        let object = Object::parse_as(file, class).map_err(|error| error.to_string())?;
        let percpu = percpu(&object, name, dump);
        let empty = empty(&object, sections);
        let place = |s: &Section<'_>| {
            let addr = match s.name {
                PERCPU => percpu,
                _ if !s.is_alloc() => None,
                _ if s.size == 0 => empty.get(&s.index).copied(),
                _ => sections.get(s.name).copied(),
            };
            addr.map(|addr| (region(s), addr))
        };
        let (layout, bases) = Layout::found(&object, place).ok_or("its sections are far apart")?;

        let mut problems = Problems::default();
        let mcount = tables::mcount(&object, &layout, &mut problems);
        let mut fields = relocate::collect(&object, &layout, &mcount, &mut problems);
        let mut tables = match layout.text_len {
            // It has data only.
            0 => Tables::default(),
            _ => Tables::read(&object, &layout, &fields.nops, &[], &mut problems),
        };
        let mut facts = dump.facts;
        if let Some(bug) = bug {
            bug.apply(&mut facts, &mut fields, &mut tables);
        }

        let lens = [layout.text_len, layout.rodata_len, layout.data_len];
        let mut regions = lens.map(|len| vec![0; at(len)]);
        for section in object.elf.sections() {
            if let Some(place) = layout.section(section.index) {
                let to = slice(&mut regions, place, section.data.len());
                to.ok_or("a section is out of its region")?
                    .copy_from_slice(section.data);
            }
        }
        let undefined = |symbol: usize| dump.symbol(object.elf.symbol_label(symbol));
        let [text, rodata, data] = &mut regions;
        let all = [text.as_mut_slice(), rodata, data];
        relocate::apply(&object, &fields, &bases, all, undefined, &mut problems);
        problems.or(()).map_err(|problems| problems.to_string())?;

        let core = core(&object, &layout);
        let mut linked = Self {
            name,
            object,
            layout,
            bases,
            tables,
            fentry: fields.nops.clone(),
            regions,
            core,
            finished: 0,
            facts,
        };
        linked.finish(&fields, dump)?;
        Ok(linked)
    }

    /// Finishes what is left of the text once the module is initialized.
    fn finish(&mut self, fields: &Fields, dump: &Dump) -> Result<(), String> {
        let core = self.core.clone();
        let within = |offset: u32| core.contains(&offset).then(|| offset - core.start);
        let sites: Vec<Site> = (self.tables.sites.iter())
            .filter_map(|s| Some((within(s.offset)?, s)))
            .map(|(offset, s)| Site { offset, ..*s })
            .collect();
        let alts: Vec<Alt> = (self.tables.alts.iter())
            // An empty replacement may be at the end.
            .filter_map(|a| Some((within(a.offset)?, a.repl.checked_sub(core.start)?, a)))
            .map(|(offset, repl, a)| Alt { offset, repl, ..*a })
            .collect();
        let relocs: Vec<Reloc> = (fields.list.iter())
            .filter(|f| f.place.region == Region::Text)
            .filter_map(|f| Some((within(f.place.offset)?, f)))
            .map(|(offset, f)| Reloc {
                offset,
                section: SEC_TEXT,
                kind: u8::try_from(f.kind.number).unwrap_or(0),
                addend: f.addend,
                ..Reloc::default()
            })
            .collect();
        let [sites, alts, relocs] = [encode(&sites), encode(&alts), encode(&relocs)];
        let records = Records {
            sites: Table::over(&sites),
            alts: Table::over(&alts),
            relocs: Table::over(&relocs),
        };
        let base = self.bases.text.wrapping_add(core.start.into());
        let [text, ..] = &mut self.regions;
        let text = text
            .get_mut(at(core.start)..at(core.end))
            .ok_or("the text is out of its region")?;
        let before = text.to_vec();
        finalize::finalize(text, base, &records, &self.facts, &|a| dump.word(a))
            .map_err(|refusal| format!("finishing is refused: {refusal:?}"))?;
        self.finished = before.iter().zip(&*text).filter(|(a, b)| a != b).count();
        Ok(())
    }

    /// The address of a place.
    pub(crate) fn address(&self, place: Place) -> u64 {
        self.bases.address(place)
    }

    /// The text from an offset on.
    pub(crate) fn text(&self, offset: u32, len: usize) -> Option<&[u8]> {
        let [text, ..] = &self.regions;
        text.get(at(offset)..)?.get(..len)
    }

    /// Writes to the text.
    pub(crate) fn put(&mut self, offset: u32, bytes: &[u8]) -> Option<()> {
        let place = Place {
            region: Region::Text,
            offset,
        };
        slice(&mut self.regions, place, bytes.len())?.copy_from_slice(bytes);
        Some(())
    }

    /// The text offset of an address in what is left of the text.
    pub(crate) fn offset(&self, addr: u64) -> Option<u32> {
        let offset = u32::try_from(addr.checked_sub(self.bases.text)?).ok()?;
        self.core.contains(&offset).then_some(offset)
    }

    /// The address of a text offset.
    pub(crate) fn text_address(&self, offset: u32) -> u64 {
        self.bases.text.wrapping_add(offset.into())
    }

    /// Address and contents of a section, as we linked it.
    pub(crate) fn section(&self, section: &Section<'_>) -> Option<(u64, &[u8])> {
        let place = self.layout.section(section.index)?;
        let [text, rodata, data] = &self.regions;
        let bytes = match place.region {
            Region::Text => text,
            Region::Rodata => rodata,
            Region::Data => data,
        };
        let bytes = bytes.get(at(place.offset)..)?.get(..section.data.len())?;
        Some((self.address(place), bytes))
    }

    /// The same of a section that is there once, or nothing.
    pub(crate) fn section_named(&self, name: &str) -> Option<(u64, &[u8])> {
        let sections = self.object.elf.sections();
        self.section(sections.iter().find(|s| s.name == name)?)
    }
}

/// From the first to the last section of code that stays.
fn core(object: &Object<'_>, layout: &Layout) -> Range<u32> {
    let code = object.elf.sections().iter();
    let code = code.filter(|s| s.is_alloc() && s.is_exec() && !is_init(s));
    let places: Vec<(u32, u32)> = code
        .filter_map(|s| {
            let start = layout.section(s.index)?.offset;
            Some((start, start.checked_add(u32::try_from(s.size).ok()?)?))
        })
        .collect();
    let start = places.iter().map(|(start, _)| *start).min().unwrap_or(0);
    start..places.iter().map(|(_, end)| *end).max().unwrap_or(start)
}

fn slice(regions: &mut [Vec<u8>; 3], place: Place, len: usize) -> Option<&mut [u8]> {
    let [text, rodata, data] = regions;
    let bytes = match place.region {
        Region::Text => text,
        Region::Rodata => rodata,
        Region::Data => data,
    };
    bytes.get_mut(at(place.offset)..)?.get_mut(..len)
}

/// Bytes that differ.
pub(crate) fn differ(a: &[u8], b: &[u8]) -> u64 {
    wide(a.iter().zip(b).filter(|(a, b)| a != b).count())
}
