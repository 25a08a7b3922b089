// SPDX-License-Identifier: GPL-2.0

//! `link`: the linked patch as an ELF file, for tools.

use super::{installed, kernel, map, problems, verify};
use crate::cli;
use crate::failure::Failure;
use crate::output::{Output, Report};
use crate::system::System;
use lpatch_loader::elf_image::elf_image;
use lpatch_loader::install::build;
use lpatch_loader::layout::Layout;
use lpatch_loader::link;
use lpatch_loader::relocate::Bases;
use serde_json::json;
use std::fs;
use std::time::Instant;

/// The addresses to link for.
fn bases(args: &cli::Link, layout: &Layout, system: &mut dyn System) -> Result<Bases, Failure> {
    let Some(name) = &args.as_loaded else {
        return Ok(verify::bases(layout, args.base.unwrap_or_default()));
    };
    let (info, _) = system.core()?.status(name)?;
    let (found, own) = (
        [info.text_len, info.rodata_len, info.data_len],
        [layout.text_len, layout.rodata_len, layout.data_len],
    );
    if found != own {
        return Err(Failure::Argument(format!(
            "the loaded patch {name} is another one: text, constants and data have {found:?} bytes, those of the file {own:?}; give the file that was loaded"
        )));
    }
    Ok(Bases {
        text: info.text_addr,
        rodata: info.rodata_addr,
        data: info.data_addr,
    })
}

/// Links, and writes the file.
pub(crate) fn run(
    args: &cli::Link,
    system: &mut dyn System,
    output: &mut Output,
) -> Result<Report, Failure> {
    let path = &args.file;
    let start = Instant::now();
    let file = map(path)?;
    let opened = link::open(&file).map_err(problems(path))?;
    let target = kernel::target(&args.kernel, &opened.notes, system)?;
    let detail = format!("{} symbols of {}", target.kallsyms.len(), target.release);
    output.step("kernel", &detail, start.elapsed());

    let start = Instant::now();
    let linked = link::link_opened(opened, &target).map_err(problems(path))?;
    let bases = bases(args, &linked.layout, system)?;
    let built = build(&linked, &bases, &[]).map_err(installed(path))?;
    let bytes = elf_image(&linked, &bases, &built)
        .map_err(|refusal| Failure::Bug(format!("the linked image cannot be read: {refusal:?}")))?;
    let to = args
        .output
        .clone()
        .unwrap_or_else(|| path.with_extension("elf"));
    fs::write(&to, &bytes).map_err(|error| Failure::Seal {
        path: to.clone(),
        why: format!("cannot be written: {error}; choose another place with -o"),
    })?;
    let detail = format!("{} bytes in {}", bytes.len(), to.display());
    output.step("link", &detail, start.elapsed());
    let name = &linked.info.name;
    Ok(Report::new(
        format!(
            "{name} for text at {:#x}; show it with `objdump -d {}`",
            bases.text,
            to.display()
        ),
        json!({
            "name": name,
            "file": to,
            "len": bytes.len(),
            "text_addr": bases.text,
            "rodata_addr": bases.rodata,
            "data_addr": bases.data,
        }),
    ))
}
