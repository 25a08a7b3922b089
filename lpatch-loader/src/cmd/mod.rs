// SPDX-License-Identifier: GPL-2.0

//! The subcommands, one file each or a few that share a request.

mod generate;
mod info;
mod list;
mod load;
mod meta;
mod op;
mod seal;
mod verify;

use crate::cli::Command;
use crate::failure::Failure;
use crate::output::{Output, Report};
use lpatch_loader::device::Core;
use lpatch_loader::install::InstallError;
use lpatch_loader::problem::Problems;
use std::path::Path;

/// Runs one.
pub(crate) fn run(command: &Command, output: &mut Output) -> Result<Report, Failure> {
    match command {
        Command::Load(args) => load::run(args, output),
        Command::Enable(args) => op::run(&mut Core::open()?, op::Verb::Enable, &args.name),
        Command::Disable(args) => op::run(&mut Core::open()?, op::Verb::Disable, &args.name),
        Command::Unload(args) => op::run(&mut Core::open()?, op::Verb::Unload, &args.name),
        Command::List => list::list(&mut Core::open()?),
        Command::Status(args) => list::status(&mut Core::open()?, args.name.as_deref()),
        Command::Info(args) => info::run(&args.file),
        Command::Verify(args) => verify::run(args, output),
        Command::Seal(args) => seal::run(args, output),
        Command::Man => generate::man(),
        Command::Completions(args) => Ok(generate::completions(args.shell)),
    }
}

/// Maps a patch file.
fn map(path: &Path) -> Result<memmap2::Mmap, Failure> {
    lpatch_loader::file::map(path).map_err(|error| Failure::File {
        path: path.into(),
        error,
    })
}

/// Adds the file to what is wrong with it.
fn problems(path: &Path) -> impl FnOnce(Problems) -> Failure + '_ {
    |problems| Failure::Problems {
        path: path.into(),
        problems,
    }
}

/// Turns an error of the installation into one of the command.
fn installed(path: &Path) -> impl FnOnce(InstallError) -> Failure + '_ {
    move |error| match error {
        InstallError::Problems(list) => problems(path)(list),
        InstallError::Malformed(_) => Failure::Bug(error.to_string()),
        InstallError::Refused { .. } => Failure::Install(error),
    }
}
