// SPDX-License-Identifier: GPL-2.0

//! The kernel that a command is about: the running one, or another one from files.

use super::{problems, seal};
use crate::cli;
use crate::failure::Failure;
use crate::system::System;
use lpatch_loader::kallsyms::Kallsyms;
use lpatch_loader::kernel;
use lpatch_loader::link::{self, Examined};
use lpatch_loader::module_files;
use lpatch_loader::notes::Notes;
use lpatch_loader::offline::Offline;
use lpatch_loader::target::{unhex, Target};
use lpatch_loader::unpack::unpack;
use std::fs;
use std::path::Path;

/// Examines an object for a kernel, and for the files of its modules if they are named.
pub(super) fn examine<'d>(
    args: &cli::Kernel,
    path: &Path,
    file: &'d [u8],
    target: &Target,
) -> Result<Examined<'d>, Failure> {
    let mut examined = link::examine(file, Some(target)).map_err(problems(path))?;
    let waiting = examined
        .resolved
        .iter()
        .flat_map(|resolved| &resolved.waiting);
    let names: Vec<String> = waiting.map(|module| module.objname.clone()).collect();
    if let Some(directory) = &args.modules {
        let files = seal::read_modules(directory, &names)?;
        module_files::check(&mut examined, &seal::parse_modules(&files)?);
    }
    Ok(examined)
}

/// Whether files of a kernel are named.
pub(super) fn is_named(args: &cli::Kernel) -> bool {
    args.kallsyms.is_some() || args.vmlinux.is_some()
}

/// What the vmlinux tells, if one is named.
fn vmlinux(args: &cli::Kernel) -> Result<Option<Offline>, Failure> {
    let Some(path) = &args.vmlinux else {
        return Ok(None);
    };
    let failure = |why: String| Failure::Seal {
        path: path.clone(),
        why,
    };
    let file = fs::read(path).map_err(|error| failure(error.to_string()))?;
    let file = unpack(file).map_err(|error| failure(error.to_string()))?;
    let offline = Offline::read(file).map_err(|error| failure(error.to_string()))?;
    Ok(Some(offline))
}

/// The kernel that is named, or the running one. The notes of the patch: where the build-id is the same, so is the release.
pub(super) fn target(
    args: &cli::Kernel,
    notes: &Notes,
    system: &mut dyn System,
) -> Result<Target, Failure> {
    if !is_named(args) {
        return Ok(system.target()?);
    }
    let mut offline = vmlinux(args)?;
    let given = args.build_id.as_ref().map(|text| {
        unhex(text).ok_or_else(|| {
            Failure::Argument(format!(
                "--build-id {text:?} is not hex; give it as `file vmlinux` or `readelf -n` shows it"
            ))
        })
    });
    let found = offline
        .as_ref()
        .and_then(|offline| offline.build_id.clone());
    let build_id = given.transpose()?.or(found).ok_or_else(|| {
        Failure::Argument(
            "which build it is, is not known; give its --vmlinux (stripped is enough), or --build-id"
                .into(),
        )
    })?;
    let banner = offline.as_ref().and_then(|offline| offline.release.clone());
    let same_build = notes.build_id.as_deref() == Some(build_id.as_slice());
    let sealed = notes.release.clone().filter(|_| same_build);
    let release = args.release.clone().or(banner).or(sealed);
    let release = release.ok_or_else(|| {
        Failure::Argument(
            "the release of that kernel is not known; give --release, as its `uname -r` prints it"
                .into(),
        )
    })?;
    let kallsyms = match (&args.kallsyms, offline.as_mut().and_then(|o| o.symbols.take())) {
        (Some(path), _) => kernel::kallsyms(&path.to_string_lossy())?,
        (None, Some(text)) => Kallsyms::parse(text).map_err(|error| Failure::Target(error.into()))?,
        (None, None) => {
            return Err(Failure::Argument(
                "the vmlinux has no symbol table; give --kallsyms, a copy of that kernel's /proc/kallsyms"
                    .into(),
            ))
        }
    };
    Ok(Target {
        release,
        build_id: Some(build_id),
        memory: offline.and_then(|offline| offline.memory(&kallsyms)),
        kallsyms,
        traceable: None,
        kprobes: None,
    })
}
