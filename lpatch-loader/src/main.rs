// SPDX-License-Identifier: GPL-2.0

//! The `lpatch` command.

mod cli;
mod cmd;
mod failure;
mod json_keys;
mod output;
mod progress;
mod signals;
mod system;

use anyhow::Context;
use clap::Parser;
use failure::Failure;
use output::{Output, Streams};
use std::process::ExitCode;

/// Runs the command; an `Err` is one that could not even be reported.
fn run(args: &cli::Cli) -> anyhow::Result<u8> {
    let mut output = Output::new(args.json, Streams::standard());
    // A panic is a bug of ours; it has an exit code of its own so that scripts can tell.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        cmd::run(&args.command, &mut system::Machine, &mut output)
    }))
    .unwrap_or_else(|_| {
        Err(Failure::Bug(
            "the loader panicked (see above); the device is closed, so nothing stays reserved"
                .into(),
        ))
    });
    output
        .finish(result)
        .context("the result cannot be written to the standard output")
}

fn main() -> ExitCode {
    let args = match cli::Cli::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let json = std::env::args_os().any(|a| a == "--json");
            return ExitCode::from(output::usage(&error, json));
        }
    };
    match run(&args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("lpatch: {error:#}");
            ExitCode::from(failure::BUG)
        }
    }
}
