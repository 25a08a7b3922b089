// SPDX-License-Identifier: GPL-2.0

//! The oracle: does our linking and finishing of code give what the kernel's own module loader gave?
//!
//! `oracle plan DIR MODULE.ko...` prints what `programs/oracle.c` has to read in the guest, where the modules are in DIR.
//! `oracle compare DUMP MODULES [OPTION...]` links the files in the directory MODULES where the kernel put them, finishes
//! them with the facts that lpatch_core had, and compares with the memory in the directory DUMP:
//!
//! ```text
//! --config NAME     what the boot is called in the report
//! --commit TEXT     whose code it is
//! --json FILE       where to write the report
//! --objdump COMMAND prints differences as instructions, too
//! --break NAME      with a deliberate bug; "list" prints the names
//! --least N         fail if fewer modules were compared
//! ```
//!
//! Files: `plan`, `dump` (what was read), `facts`, `link` (our code at work), `meaning` and `calls` (places that the kernel changes at run
//! time), `compare`, `tables`, `report`; `breaks` are the deliberate bugs.

mod breaks;
mod calls;
mod compare;
mod dump;
mod facts;
mod link;
mod meaning;
mod plan;
mod report;
mod tables;

use breaks::Break;
use report::{Config, Totals};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: oracle plan DIR MODULE.ko... | compare DUMP MODULES [--config NAME] \
    [--commit TEXT] [--json FILE] [--objdump COMMAND] [--break NAME] [--least N]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["plan", dir, files @ ..] => plan::print(dir, files).map(|()| true),
        ["compare", dump, modules, options @ ..] => {
            Options::parse(options).and_then(|o| run(Path::new(dump), Path::new(modules), &o))
        }
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("oracle: {error}");
            ExitCode::from(2)
        }
    }
}

#[derive(Default)]
struct Options {
    config: String,
    commit: String,
    json: Option<PathBuf>,
    objdump: Option<String>,
    bug: Option<Break>,
    least: usize,
}

impl Options {
    fn parse(args: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        for pair in args.chunks(2) {
            match pair {
                ["--config", name] => options.config = (*name).into(),
                ["--commit", text] => options.commit = (*text).into(),
                ["--json", file] => options.json = Some(file.into()),
                ["--objdump", command] => options.objdump = Some((*command).into()),
                ["--break", "list"] => {
                    Break::ALL.iter().for_each(|b| println!("{}", b.name()));
                    std::process::exit(0);
                }
                ["--break", name] => {
                    let bug = Break::ALL.iter().find(|b| b.name() == *name);
                    options.bug = Some(*bug.ok_or_else(|| format!("no bug {name}; see list"))?);
                }
                ["--least", number] => options.least = number.parse()?,
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }
}

/// Compares all modules of a dump; whether all agree.
fn run(dump: &Path, modules: &Path, options: &Options) -> Result<bool> {
    let dump = dump::Dump::read(dump)?;
    let mut totals = Totals::default();
    for (name, sections) in dump.modules() {
        let path = modules.join(format!("{name}.ko"));
        let file = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let outcome = compare::module(name, &file, sections, &dump, options.bug);
        totals.add(name, outcome, options.objdump.as_deref());
    }
    let enough = totals.modules() >= options.least;
    let config = Config::new(&options.config, &options.commit, &dump);
    println!("{}", totals.summary());
    if !enough {
        println!("fewer modules than {}", options.least);
    }
    if let Some(path) = &options.json {
        fs::write(path, serde_json::to_string_pretty(&totals.json(&config))?)?;
    }
    Ok(enough && totals.agree())
}
