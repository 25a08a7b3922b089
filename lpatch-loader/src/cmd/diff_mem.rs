// SPDX-License-Identifier: GPL-2.0

//! `diff-mem`: whether the text of a patch in memory is still what was loaded, and how calls come to it.

use super::status::{path_text, path_word};
use crate::failure::{Failure, INCOMPLETE};
use crate::output::{table, Report};
use crate::system::System;
use lpatch_loader::device::{name_of, Comparison};
use lpatch_model::uapi::{Difference, FuncInfo, PatchInfo};
use serde_json::{json, Value};

/// The bytes of a difference: what was loaded, and what was found.
fn sides(one: &Difference) -> [&[u8]; 2] {
    let len = usize::try_from(one.len).unwrap_or(0);
    [&one.loaded, &one.found].map(|bytes| bytes.get(..len).unwrap_or(bytes))
}

fn hex(bytes: &[u8]) -> String {
    let words: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    words.join(" ")
}

/// "name+0x10": without what every line has.
fn place(one: &Difference) -> String {
    let text = name_of(&one.symbol);
    let text = text.split(['/', ' ']).next().unwrap_or_default();
    if text.is_empty() {
        format!("text+{:#x}", one.offset)
    } else {
        text.into()
    }
}

fn differences(all: &Comparison, info: &PatchInfo) -> (String, Value) {
    let mut rows = vec![["WHERE", "OFFSET", "LOADED", "FOUND"]
        .map(str::to_owned)
        .to_vec()];
    let mut list = Vec::new();
    for one in &all.list {
        let [loaded, found] = sides(one);
        let cells = [
            place(one),
            format!("{:#x}", one.offset),
            hex(loaded),
            hex(found),
        ];
        rows.push(cells.to_vec());
        list.push(json!({
            "symbol": name_of(&one.symbol),
            "offset": one.offset,
            "addr": info.text_addr.wrapping_add(one.offset.into()),
            "loaded": loaded,
            "found": found,
        }));
    }
    let text = if all.list.is_empty() {
        String::new()
    } else {
        table(&rows)
    };
    (text, list.into())
}

/// How calls of the functions that are replaced come to the replacements: that is where the kernel's text changed.
fn paths(funcs: &[FuncInfo]) -> (String, Value) {
    let mut rows = vec![["FUNCTION", "OBJECT", "CALLS GO"]
        .map(str::to_owned)
        .to_vec()];
    let mut list = Vec::new();
    for func in funcs {
        let (name, objname) = (name_of(&func.name), name_of(&func.objname));
        rows.push(vec![name.clone(), objname.clone(), path_text(func)]);
        list.push(json!({ "name": name, "objname": objname, "path": path_word(func) }));
    }
    (table(&rows), list.into())
}

/// Compares.
pub(crate) fn run(name: &str, system: &mut dyn System) -> Result<Report, Failure> {
    let mut core = system.core()?;
    let core = core.as_mut();
    let (info, funcs) = core.status(name)?;
    let all = match core.compare(name) {
        Ok(all) => all,
        Err(error) => return Err(Failure::device(core, error)),
    };
    let (calls, functions) = paths(&funcs);
    let (changes, list) = differences(&all, &info);
    let same = all.count == 0;
    let verdict = if same {
        format!(
            "{name}: all {} bytes of its text are as they were loaded",
            all.text_len
        )
    } else {
        format!(
            "{name}: {} of {} bytes of its text are not as they were loaded; unload it and load it again, and find out what wrote there",
            all.bytes, all.text_len
        )
    };
    let more = match usize::try_from(all.count)
        .unwrap_or(usize::MAX)
        .saturating_sub(all.list.len())
    {
        0 => String::new(),
        more => format!("and {more} more"),
    };
    let parts = [calls, changes, more, verdict];
    let text: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    Ok(Report {
        text: text.join("\n\n"),
        json: json!({
            "name": name,
            "same": same,
            "text_addr": info.text_addr,
            "text_len": all.text_len,
            "bytes": all.bytes,
            "difference_count": all.count,
            "differences": list,
            "function_list": functions,
        }),
        code: if same { 0 } else { INCOMPLETE },
    })
}
