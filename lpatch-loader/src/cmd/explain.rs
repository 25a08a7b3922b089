// SPDX-License-Identifier: GPL-2.0

//! What an object is made of, for people and for programs: functions, symbols, sections, relocations, tables, data.

use super::{meta, problems};
use crate::failure::Failure;
use crate::output::{table, Report};
use lpatch_loader::class::Class;
use lpatch_loader::elf::{Home, Section};
use lpatch_loader::kallsyms::Length;
use lpatch_loader::layout::Region;
use lpatch_loader::link::Examined;
use lpatch_loader::meta::FuncEntry;
use lpatch_loader::problem::Problems;
use lpatch_loader::resolve::{OldFunc, PreimageState};
use lpatch_model::reloc;
use lpatch_model::uapi;
use object::elf;
use serde_json::{json, Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// Rows with a heading.
fn rows<const N: usize>(heading: [&str; N]) -> Vec<Vec<String>> {
    vec![heading.map(str::to_owned).to_vec()]
}

/// A table that has more than its heading.
fn filled(rows: Vec<Vec<String>>) -> Option<String> {
    (rows.len() > 1).then(|| table(&rows))
}

/// A length for programs and for people.
fn bytes(len: Length) -> (Option<u64>, String) {
    match len {
        Length::Exact(len) => (Some(len), len.to_string()),
        Length::AtLeast(_) => (None, "to the end of the module's text".into()),
    }
}

/// The state of a pre-image: a word, and for people why.
fn state(examined: &Examined<'_>, entry: usize) -> (&'static str, String) {
    let states = examined.resolved.as_ref().map(|r| &r.preimages);
    match states.and_then(|states| states.get(entry)) {
        Some(PreimageState::Matches) => ("matches", "matches".into()),
        Some(PreimageState::Differs) => ("differs", "differs".into()),
        Some(PreimageState::Unknown(why)) => ("unknown", format!("unknown: {why}")),
        None => ("unknown", "unknown: no kernel was asked".into()),
    }
}

/// Where the functions to replace are: those that were found in the order of the image, then the others.
fn entries<'e, 'd>(examined: &'e Examined<'d>) -> Vec<(usize, &'e FuncEntry<'d>)> {
    let found: Vec<usize> = examined
        .resolved
        .iter()
        .flat_map(|resolved| resolved.funcs.iter().map(|func| func.entry))
        .collect();
    let funcs = &examined.opened.meta.funcs;
    let mut is_found = vec![false; funcs.len()];
    for entry in &found {
        if let Some(slot) = is_found.get_mut(*entry) {
            *slot = true;
        }
    }
    let rest = (0..funcs.len()).filter(|entry| is_found.get(*entry) == Some(&false));
    let order = found.iter().copied().chain(rest);
    order
        .filter_map(|entry| Some((entry, funcs.get(entry)?)))
        .collect()
}

fn functions(examined: &Examined<'_>) -> (Option<String>, Value) {
    let mut text = rows([
        "FUNCTION",
        "OBJECT",
        "SYMPOS",
        "REPLACED BY",
        "BYTES",
        "ADDRESS",
        "BYTES",
        "PRE-IMAGE",
        "PARTS",
    ]);
    let mut list = Vec::new();
    let by_entry: BTreeMap<usize, &OldFunc> = examined
        .resolved
        .iter()
        .flat_map(|resolved| resolved.funcs.iter().map(|func| (func.entry, func)))
        .collect();
    for (index, entry) in entries(examined) {
        let found = by_entry.get(&index);
        let there = found.filter(|func| func.addr != 0);
        let (len, long) = there.map_or((None, "-".into()), |func| bytes(func.len));
        let (word, why) = state(examined, index);
        let addr = match (found, there) {
            (_, Some(func)) => format!("{:#x}", func.addr),
            (Some(_), None) => "its module is not loaded".into(),
            (None, _) => "-".into(),
        };
        let sympos = entry.sympos.map_or_else(|| "-".into(), |p| p.to_string());
        let parts = found.map(|func| func.parts.clone()).unwrap_or_default();
        text.push(vec![
            found.map_or(entry.old_name, |func| &func.name).into(),
            entry.objname.into(),
            sympos,
            entry.new_name.into(),
            entry.len.to_string(),
            addr,
            long,
            why,
            parts.join(" "),
        ]);
        list.push(json!({
            "name": found.map_or(entry.old_name, |func| &func.name),
            "objname": entry.objname,
            "sympos": found.map_or(entry.sympos.unwrap_or(0), |func| func.sympos),
            "new_name": entry.new_name,
            "new_len": entry.len,
            "addr": there.map(|func| func.addr),
            "len": len,
            "preimage": word,
            "parts": parts,
        }));
    }
    (filled(text), list.into())
}

/// The name of the function that a cold part is listed with.
fn function_of<'e>(examined: &'e Examined<'_>, func: usize) -> &'e str {
    let funcs = examined.resolved.as_ref().map(|resolved| &resolved.funcs);
    funcs
        .and_then(|funcs| funcs.get(func))
        .map_or("?", |func| &func.name)
}

/// The ranges that stack checks look for beside those of the functions.
fn colds(examined: &Examined<'_>) -> (Option<String>, Value) {
    let mut text = rows(["COLD PART", "FUNCTION", "ADDRESS", "BYTES"]);
    let mut list = Vec::new();
    for part in examined.resolved.iter().flat_map(|r| &r.colds) {
        let function = function_of(examined, part.func);
        let (len, long) = bytes(part.len);
        let addr = format!("{:#x}", part.addr);
        text.push(vec![part.name.clone(), function.into(), addr, long]);
        list.push(json!({
            "name": part.name, "function": function, "addr": part.addr, "len": len,
        }));
    }
    (filled(text), list.into())
}

/// The symbols of the kernel that the object refers to, and where they are.
fn symbols(examined: &Examined<'_>) -> (Option<String>, Value) {
    let all = examined.opened.object.elf.symbols().iter().enumerate();
    let undefined = all.filter(|(_, s)| s.home == Home::Undefined && !s.name.is_empty());
    let mut text = rows(["REFERS TO", "OBJECT", "ADDRESS"]);
    let mut list: Vec<(&str, Vec<String>, Value)> = Vec::new();
    let mut used = vec![false; examined.opened.object.elf.symbols().len()];
    for field in &examined.fields.list {
        if let Some(slot) = used.get_mut(field.origin.symbol) {
            *slot = true;
        }
    }
    for (index, symbol) in undefined {
        let found = examined.resolved.as_ref().and_then(|r| r.symbol(index));
        let is_used = used.get(index) == Some(&true);
        let (state, objname, place) = match (found, &examined.resolved) {
            (Some(found), _) if found.addr != 0 => (
                "found",
                found.objname.as_str(),
                format!("{:#x}", found.addr),
            ),
            (Some(found), _) => (
                "waits",
                found.objname.as_str(),
                "its module is not loaded".into(),
            ),
            (None, _) if symbol.name == "__fentry__" => {
                ("unused", "-", "calls of it become nops".into())
            }
            (None, _) if !is_used => ("unused", "-", "nothing that is loaded refers to it".into()),
            (None, Some(_)) => ("missing", "-", "not found".into()),
            (None, None) => ("unknown", "-", "no kernel was asked".into()),
        };
        let row = vec![symbol.name.to_owned(), objname.into(), place];
        let value = json!({
            "name": symbol.name,
            "state": state,
            "objname": found.map(|found| &found.objname),
            "addr": found.map(|found| found.addr).filter(|addr| *addr != 0),
        });
        list.push((symbol.name, row, value));
    }
    list.sort_by_key(|(name, ..)| *name);
    text.extend(list.iter().map(|(_, row, _)| row.clone()));
    let values: Vec<Value> = list.into_iter().map(|(.., value)| value).collect();
    (filled(text), values.into())
}

/// What becomes of a section: a word, and for people more.
fn fate(examined: &Examined<'_>, section: &Section<'_>, class: Class) -> (&'static str, String) {
    let place = examined
        .layout
        .as_ref()
        .and_then(|l| l.section(section.index));
    let placed = |what: &str| match place {
        Some(place) => format!("{what}, at {}+{:#x}", place.region.name(), place.offset),
        None => what.into(),
    };
    let processed = |what: &str| ("processed", format!("processed: {what}"));
    match class {
        Class::Refused(why) => ("refused", format!("refused: {why}")),
        Class::Ignored(why) => ("dropped", format!("dropped: {why}")),
        Class::Text => ("loaded", placed("loaded as text")),
        Class::Rodata => ("loaded", placed("loaded as constants")),
        Class::Data => ("loaded", placed("loaded as data")),
        Class::Bss => ("loaded", placed("loaded as data, zeros")),
        Class::Orc | Class::OrcIp => processed("unwind table"),
        Class::OrcHeader => processed("compared with the kernel's ORC format"),
        Class::Extable => processed("exception table"),
        Class::Bugs if place.is_some() => (
            "loaded",
            placed("processed: bug table; the code refers to it, so loaded as data too"),
        ),
        Class::Bugs => processed("bug table"),
        Class::Mcount => processed("fentry calls become nops"),
        Class::Alternatives => processed("alternatives, for the CPU of this boot"),
        Class::Jumps => processed("branches that follow static keys, by stubs"),
        Class::Sites(uapi::SITE_RETURN) => processed("returns, as this boot has them"),
        Class::Sites(uapi::SITE_SEAL) => processed("landing pads that nothing needs"),
        Class::Sites(uapi::SITE_CALL) => processed("calls, where call depth is tracked"),
        Class::Sites(uapi::SITE_RETPOLINE) => processed("indirect branches, as this boot has them"),
        Class::Sites(uapi::SITE_LOCK) => processed("lock prefixes, which one CPU does not need"),
        Class::Notes | Class::Funcs | Class::Syms | Class::Callbacks | Class::States => {
            ("processed", "about the patch".into())
        }
        _ => processed("by the core"),
    }
}

fn sections(examined: &Examined<'_>) -> (Option<String>, Value) {
    let object = &examined.opened.object;
    let mut text = rows(["SECTION", "BYTES", "RELOCATIONS", "WHAT BECOMES OF IT"]);
    let mut list = Vec::new();
    for (section, class) in object.classified() {
        let is_table = matches!(class, Class::Ignored(_)) && !section.is_alloc();
        if section.size == 0 || is_table {
            continue;
        }
        let relocs = object.elf.relas(section.index).count();
        let (word, what) = fate(examined, section, class);
        text.push(vec![
            section.name.into(),
            section.size.to_string(),
            relocs.to_string(),
            what.clone(),
        ]);
        list.push(json!({
            "name": section.name, "len": section.size, "relocations": relocs, "fate": word, "what": what,
        }));
    }
    (filled(text), list.into())
}

/// Relocations by kind: those of what becomes memory, and those of tables.
fn relocations(examined: &Examined<'_>) -> (Option<String>, Value) {
    let object = &examined.opened.object;
    let mut counts: BTreeMap<u32, [usize; 2]> = BTreeMap::new();
    let used = object
        .classified()
        .filter(|(_, class)| !matches!(class, Class::Ignored(_) | Class::Refused(_)));
    for (section, class) in used {
        for rela in object.elf.relas(section.index) {
            let count = counts.entry(rela.kind).or_default();
            count[usize::from(!class.is_placed())] += 1;
        }
    }
    let mut text = rows(["RELOCATION", "IN MEMORY", "IN TABLES"]);
    let mut list = Vec::new();
    for (kind, [memory, tables]) in counts {
        let known = reloc::lookup(kind).map(|kind| kind.name);
        let name = known.map_or_else(|| format!("kind {kind}, refused"), str::to_owned);
        text.push(vec![name, memory.to_string(), tables.to_string()]);
        list.push(json!({
            "kind": kind, "name": known, "memory": memory, "tables": tables,
        }));
    }
    (filled(text), list.into())
}

/// The variables that come with the patch.
fn data(examined: &Examined<'_>) -> (Option<String>, Value) {
    let mut text = rows(["ADDS", "BYTES", "WHERE"]);
    let mut list = Vec::new();
    let variables = examined.tables.symbols.iter();
    for symbol in variables.filter(|s| s.place.region == Region::Data) {
        let place = format!("data+{:#x}", symbol.place.offset);
        text.push(vec![
            symbol.name.to_string(),
            symbol.size.to_string(),
            place,
        ]);
        list.push(json!({
            "name": symbol.name, "len": symbol.size, "offset": symbol.place.offset,
        }));
    }
    (filled(text), list.into())
}

/// How many entries of each kind go into the kernel's tables.
fn counts(examined: &Examined<'_>) -> (Option<String>, Value) {
    let tables = &examined.tables;
    let sites = |kind: u16| tables.sites.iter().filter(|site| site.kind == kind).count();
    let functions = examined.opened.object.elf.symbols().iter();
    let functions = functions.filter(|s| s.kind == elf::STT_FUNC && s.home != Home::Undefined);
    let all = [
        ("functions", "functions in it", functions.count()),
        ("orcs", "unwind entries (ORC)", tables.orcs.len()),
        ("exs", "exception table entries", tables.exs.len()),
        ("bugs", "WARN and BUG entries", tables.bugs.len()),
        ("alternatives", "alternatives", tables.alts.len()),
        ("returns", "returns", sites(uapi::SITE_RETURN)),
        (
            "retpolines",
            "indirect branches",
            sites(uapi::SITE_RETPOLINE),
        ),
        ("calls", "calls", sites(uapi::SITE_CALL)),
        ("seals", "landing pads to seal", sites(uapi::SITE_SEAL)),
        ("locks", "lock prefixes", sites(uapi::SITE_LOCK)),
        (
            "fentry",
            "fentry calls that become nops",
            examined.fields.nops.len(),
        ),
    ];
    let mut text = rows(["TABLES", "ENTRIES"]);
    let mut object = Map::new();
    for (key, what, count) in all {
        if count > 0 {
            text.push(vec![what.into(), count.to_string()]);
        }
        object.insert(key.into(), count.into());
    }
    (filled(text), object.into())
}

/// All of it: tables, and the keys of an object.
pub(super) fn explain(examined: &Examined<'_>) -> (Vec<String>, Map<String, Value>) {
    let parts = [
        ("functions", functions(examined)),
        ("colds", colds(examined)),
        ("symbol_list", symbols(examined)),
        ("sections", sections(examined)),
        ("relocation_kinds", relocations(examined)),
        ("variables", data(examined)),
        ("tables", counts(examined)),
    ];
    let mut text = Vec::new();
    let mut keys = Map::new();
    for (index, (key, (table, value))) in parts.into_iter().enumerate() {
        text.extend(table);
        if index == 1 {
            text.extend(meta::tables(&examined.opened.meta));
        }
        keys.insert(key.into(), value);
    }
    let meta = &examined.opened.meta;
    keys.insert("callbacks".into(), meta::callbacks(meta));
    keys.insert("states".into(), meta::states(meta));
    if let Some(layout) = &examined.layout {
        keys.insert("text_len".into(), layout.text_len.into());
        keys.insert("rodata_len".into(), layout.rodata_len.into());
        keys.insert("data_len".into(), layout.data_len.into());
        text.push(format!(
            "in memory: {} bytes of text, {} of constants, {} of data",
            layout.text_len, layout.rodata_len, layout.data_len
        ));
    }
    (text, keys)
}

/// The description, and, if anything is wrong, that.
pub(super) fn report(
    path: &Path,
    found: Problems,
    text: String,
    json: Value,
) -> Result<Report, Failure> {
    if found.is_empty() {
        return Ok(Report::new(text, json));
    }
    Err(Failure::Described {
        text,
        json,
        failure: Box::new(problems(path)(found)),
    })
}
