// SPDX-License-Identifier: GPL-2.0

//! `verify`: all that `load` does, without the core, at addresses that the core could have given.

use super::{explain, installed, kernel, map, meta, problems};
use crate::cli;
use crate::failure::Failure;
use crate::output::{Output, Report};
use crate::system::System;
use lpatch_loader::install::{build, InstallError};
use lpatch_loader::layout::Layout;
use lpatch_loader::link::{self, Linked};
use lpatch_loader::relocate::Bases;
use lpatch_loader::resolve::PreimageState;
use lpatch_loader::target::Target;
use serde_json::{json, Map, Value};
use std::time::Instant;

/// Where modules are on x86-64 with KASLR (MODULES_VADDR); the arena is in a module.
const MODULES: u64 = 0xffff_ffff_c000_0000;

/// Addresses that the core could give, from that of the text on.
pub(super) fn bases(layout: &Layout, text: u64) -> Bases {
    let up = |len: u32| u64::from(len).next_multiple_of(4096).wrapping_add(4096);
    let rodata = text.wrapping_add(up(layout.text_len));
    let data = rodata.wrapping_add(up(layout.rodata_len));
    Bases { text, rodata, data }
}

/// What is known of the pre-images, in a few words.
fn preimages(linked: &Linked<'_>, target: &Target) -> &'static str {
    let matches = |state: &PreimageState| *state == PreimageState::Matches;
    match (linked.resolved.preimages_checked, target.memory.is_some()) {
        (true, _) => "pre-images match",
        // By the files of modules that are not loaded.
        _ if linked.resolved.preimages.iter().all(matches) => "pre-images match",
        _ if linked.resolved.funcs.iter().all(|func| func.addr == 0) => {
            "the core compares pre-images when the module is loaded"
        }
        (false, true) => "pre-images could not all be compared; the core does that",
        (false, false) => {
            "pre-images not compared: no kernel memory to read; the core compares them"
        }
    }
}

/// What there is to say of an object that can be loaded.
fn good(linked: &Linked<'_>, target: &Target, image_len: usize) -> (String, Map<String, Value>) {
    let mut text = meta::waiting(linked);
    text.push(format!(
        "set: {}\n{} is good for {}; {}",
        meta::set(&linked.info),
        linked.info.name,
        target.release,
        preimages(linked, target),
    ));
    let keys = json!({
        "good": true,
        "waiting": meta::waiting_json(linked),
        "symbols": linked.resolved.symbols.len(),
        "relocations": linked.fields.list.len(),
        "image_len": image_len,
        "preimages_checked": linked.resolved.preimages_checked,
    });
    match keys {
        Value::Object(keys) => (text.join("\n"), keys),
        _ => (text.join("\n"), Map::new()),
    }
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
    let notes = link::examine(&file, None)
        .map_err(problems(path))?
        .opened
        .notes;
    let target = kernel::target(&args.kernel, &notes, system)?;
    let detail = format!("{} symbols of {}", target.kallsyms.len(), target.release);
    output.step("kernel", &detail, start.elapsed());

    let start = Instant::now();
    let examined = kernel::examine(&args.kernel, path, &file, &target)?;
    let (mut text, mut keys) = explain::explain(&examined);
    let info = &notes.info;
    keys.insert("name".into(), info.name.clone().into());
    keys.insert("release".into(), target.release.clone().into());
    keys.insert("set".into(), info.set.clone().into());
    keys.insert("cumulative".into(), info.cumulative.into());
    keys.insert("good".into(), false.into());
    if !examined.problems.is_empty() {
        output.step("link", "cannot be loaded", start.elapsed());
        return explain::report(path, examined.problems, text.join("\n\n"), keys.into());
    }
    let linked = examined.linked().map_err(problems(path))?;
    let bases = bases(&linked.layout, MODULES);
    let built = match build(&linked, &bases, &[]) {
        Ok(built) => built,
        Err(InstallError::Problems(found)) => {
            return explain::report(path, found, text.join("\n\n"), keys.into());
        }
        Err(error) => return Err(installed(path)(error)),
    };
    let detail = format!("image of {} bytes", built.bytes.len());
    output.step("link", &detail, start.elapsed());
    let (last, more) = good(&linked, &target, built.bytes.len());
    text.push(last);
    keys.extend(more);
    Ok(Report::new(text.join("\n\n"), keys.into()))
}
