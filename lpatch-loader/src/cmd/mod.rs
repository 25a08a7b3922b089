// SPDX-License-Identifier: GPL-2.0

//! The subcommands, one file each or a few that share a request.

mod blockers;
mod diff_mem;
mod dry_run;
mod explain;
mod generate;
mod info;
mod kernel;
mod link;
mod list;
mod load;
mod meta;
mod op;
mod outcome;
mod promotion;
mod seal;
mod status;
mod transition;
mod verify;
mod watch;

use crate::cli::{Command, Waiting};
use crate::failure::Failure;
use crate::output::{Output, Report};
use crate::system::System;
use lpatch_loader::install::InstallError;
use lpatch_loader::problem::Problems;
use lpatch_loader::wait::Verb;
use std::path::Path;

/// Runs one.
pub(crate) fn run(
    command: &Command,
    system: &mut dyn System,
    output: &mut Output,
) -> Result<Report, Failure> {
    match command {
        Command::Load(args) => load::run(args, system, output),
        Command::Enable(args) => {
            let (name, waiting) = (&args.patch.name, &args.waiting);
            op::begin(system, output, Verb::Enable, name, waiting)
        }
        Command::Disable(args) => {
            let (name, waiting) = (&args.patch.name, &args.waiting);
            op::begin(system, output, Verb::Disable, name, waiting)
        }
        Command::Reverse(args) => {
            let waiting = Waiting {
                timeout: 0,
                interrupting: args.interrupting,
                no_wait: args.no_wait,
            };
            op::begin(system, output, Verb::Reverse, &args.patch.name, &waiting)
        }
        Command::Force(args) => op::force(system, args),
        Command::Unload(args) => op::unload(system, &args.name),
        Command::List => list::run(system.core()?.as_mut()),
        Command::Status(args) => status::run(args, system),
        Command::DiffMem(args) => diff_mem::run(&args.name, system),
        Command::Link(args) => link::run(args, system, output),
        Command::Info(args) => info::run(args, system),
        Command::Verify(args) => verify::run(args, system, output),
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
        InstallError::Refused { .. } | InstallError::Interrupted { .. } => Failure::Install(error),
    }
}
