// SPDX-License-Identifier: GPL-2.0

//! `verify`: all that `load` does, without the core, at addresses that the core could have given.

use super::{installed, map, meta, problems};
use crate::cli;
use crate::failure::Failure;
use crate::output::{table, Output, Report};
use crate::system::System;
use lpatch_loader::install::build;
use lpatch_loader::kallsyms::Length;
use lpatch_loader::kernel;
use lpatch_loader::link::{self, Linked};
use lpatch_loader::relocate::Bases;
use lpatch_loader::target::{unhex, Target};
use serde_json::{json, Value};
use std::time::Instant;

/// Where modules are on x86-64 with KASLR (MODULES_VADDR); the arena is in a module.
const MODULES: u64 = 0xffff_ffff_c000_0000;

fn target(args: &cli::Verify, system: &mut dyn System) -> Result<Target, Failure> {
    let (Some(path), Some(release), Some(build_id)) =
        (&args.kallsyms, &args.release, &args.build_id)
    else {
        return Ok(system.target()?);
    };
    let build_id = unhex(build_id).ok_or_else(|| {
        Failure::Argument(format!(
            "--build-id {build_id:?} is not hex; give it as `file vmlinux` or `readelf -n` shows it"
        ))
    })?;
    Ok(Target {
        release: release.clone(),
        build_id: Some(build_id),
        kallsyms: kernel::kallsyms(&path.to_string_lossy())?,
        memory: None,
        traceable: None,
    })
}

/// A length for programs and for people.
fn bytes(len: Length) -> (Option<u64>, String) {
    match len {
        Length::Exact(len) => (Some(len), len.to_string()),
        Length::AtLeast(_) => (None, "to the end of the module's text".into()),
    }
}

/// Where a function is, for people.
fn address(addr: u64) -> String {
    match addr {
        0 => "its module is not loaded".into(),
        addr => format!("{addr:#x}"),
    }
}

/// The function that a cold part is listed with.
fn function_of<'l>(linked: &'l Linked<'_>, func: usize) -> &'l str {
    linked.resolved.funcs.get(func).map_or("?", |f| &f.name)
}

/// The ranges that stack checks look for beside those of the functions, if there are any.
fn cold_table(linked: &Linked<'_>) -> Option<String> {
    let heading = ["COLD PART", "FUNCTION", "ADDRESS", "BYTES"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(linked.resolved.colds.iter().map(|part| {
        vec![
            part.name.clone(),
            function_of(linked, part.func).into(),
            format!("{:#x}", part.addr),
            bytes(part.len).1,
        ]
    }));
    (rows.len() > 1).then(|| table(&rows))
}

/// The same for programs.
fn colds(linked: &Linked<'_>) -> Value {
    let parts = linked.resolved.colds.iter();
    parts
        .map(|part| {
            json!({
                "name": part.name,
                "function": function_of(linked, part.func),
                "addr": part.addr,
                "len": bytes(part.len).0,
            })
        })
        .collect()
}

/// Links without loading.
pub(crate) fn run(
    args: &cli::Verify,
    system: &mut dyn System,
    output: &mut Output,
) -> Result<Report, Failure> {
    let path = &args.file;
    let start = Instant::now();
    let file = map(path)?;
    let opened = link::open(&file).map_err(problems(path))?;
    let target = target(args, system)?;
    let detail = format!("{} symbols of {}", target.kallsyms.len(), target.release);
    output.step("kernel", &detail, start.elapsed());

    let start = Instant::now();
    let linked = link::link_opened(opened, &target).map_err(problems(path))?;
    let up = |len: u32| u64::from(len).next_multiple_of(4096) + 4096;
    let text = MODULES;
    let rodata = text + up(linked.layout.text_len);
    let data = rodata + up(linked.layout.rodata_len);
    let bases = Bases { text, rodata, data };
    let built = build(&linked, &bases, &[]).map_err(installed(path))?;
    let detail = format!("image of {} bytes", built.bytes.len());
    output.step("link", &detail, start.elapsed());

    let heading = ["FUNCTION", "OBJECT", "ADDRESS", "BYTES", "PARTS"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let mut funcs: Vec<Value> = Vec::new();
    for func in &linked.resolved.funcs {
        let there = func.addr != 0;
        let (len, bytes) = bytes(func.len);
        rows.push(vec![
            func.name.clone(),
            func.objname.clone(),
            address(func.addr),
            if there { bytes } else { "-".into() },
            func.parts.join(" "),
        ]);
        funcs.push(json!({
            "name": func.name,
            "objname": func.objname,
            "sympos": func.sympos,
            "addr": there.then_some(func.addr),
            "len": len.filter(|_| there),
            "parts": func.parts,
        }));
    }
    let mut text = vec![table(&rows)];
    text.extend(cold_table(&linked));
    text.extend(meta::tables(&linked.meta));
    let checked = linked.resolved.preimages_checked;
    let preimages = match (checked, target.memory.is_some()) {
        (true, _) => "pre-images match",
        _ if linked.resolved.funcs.iter().all(|func| func.addr == 0) => {
            "the core compares pre-images when the module is loaded"
        }
        (false, true) => "pre-images could not be read from /proc/kcore; the core compares them",
        (false, false) => {
            "pre-images not compared: no kernel memory to read; the core compares them"
        }
    };
    let waiting = meta::waiting(&linked);
    if !waiting.is_empty() {
        text.push(waiting.join("\n"));
    }
    text.push(format!(
        "set: {}\n{} is good for {}; {preimages}",
        meta::set(&linked.info),
        linked.info.name,
        target.release
    ));
    Ok(Report {
        code: 0,
        text: text.join("\n\n"),
        json: json!({
            "name": linked.info.name,
            "good": true,
            "release": target.release,
            "set": linked.info.set,
            "cumulative": linked.info.cumulative,
            "functions": funcs,
            "colds": colds(&linked),
            "callbacks": meta::callbacks(&linked.meta),
            "states": meta::states(&linked.meta),
            "waiting": meta::waiting_json(&linked),
            "symbols": linked.resolved.symbols.len(),
            "relocations": linked.fields.list.len(),
            "image_len": built.bytes.len(),
            "text_len": linked.layout.text_len,
            "rodata_len": linked.layout.rodata_len,
            "data_len": linked.layout.data_len,
            "preimages_checked": checked,
        }),
    })
}
