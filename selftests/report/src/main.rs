// SPDX-License-Identifier: GPL-2.0

//! `lpatch-report --rows TABLE --kernel RELEASE --commit NAME --slower TIMES --json OUT [--markdown DOCUMENT --svg OUT] [--left-out NAME]… PART=LOG…`
//!
//! Prints the tables of these parts, what became of their goals, which rows have few runs, and what was left out. A part can have
//! several logs. Exit status: 0 all goals hold, 1 one is missed or was not measured or something was left out, 2 it could not be told.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use lpatch_report::log::Runs;
use lpatch_report::plan::Plan;
use lpatch_report::results::{Machine, Results};
use lpatch_report::{docs, json, markdown, plot, text};

#[derive(Default)]
struct Options {
    rows: PathBuf,
    machine: Machine,
    json: PathBuf,
    markdown: Option<PathBuf>,
    svg: Option<PathBuf>,
    left_out: Vec<String>,
    logs: Vec<(String, PathBuf)>,
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(arg) = args.next() {
        if let Some((part, log)) = arg.split_once('=') {
            options.logs.push((part.to_owned(), log.into()));
            continue;
        }
        let value = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
        match &*arg {
            "--rows" => options.rows = value.into(),
            "--kernel" => options.machine.kernel = value,
            "--commit" => options.machine.commit = value,
            "--slower" => {
                let times = value.parse().ok().filter(|t: &f64| t.is_finite());
                options.machine.slower =
                    times.ok_or_else(|| format!("{value} is no number of times"))?;
            }
            "--left-out" => options.left_out.push(value),
            "--json" => options.json = value.into(),
            "--markdown" => options.markdown = Some(value.into()),
            "--svg" => options.svg = Some(value.into()),
            _ => return Err(format!("unknown option {arg}")),
        }
    }
    Ok(options)
}

/// The text of a file. A console can hold anything.
fn read(path: &PathBuf) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn write(path: &PathBuf, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

fn run() -> Result<bool, String> {
    let options = options(std::env::args().skip(1))?;
    let plan = Plan::parse(&read(&options.rows)?)
        .map_err(|e| format!("{}: {e}", options.rows.display()))?;
    let mut runs = Runs::default();
    let mut parts = Vec::new();
    for (part, log) in options.logs {
        if !plan.sections.iter().any(|s| s.parts.contains(&part)) {
            return Err(format!("no section is of the part {part}"));
        }
        runs.read(&read(&log)?);
        parts.push(part);
    }
    let mut results = Results::new(&plan, runs, &parts, options.machine);
    results.left_out = options.left_out;
    write(
        &options.json,
        &json::rows(&results).map_err(|e| e.to_string())?,
    )?;
    if let Some(path) = options.markdown {
        let document = docs::replace(&read(&path)?, &markdown::tables(&results))
            .map_err(|e| format!("{}: {e}", path.display()))?;
        write(&path, &document)?;
    }
    if let Some(path) = options.svg {
        write(&path, &plot::svg(&results))?;
    }
    print!("{}\n{}", text::tables(&results), text::goals(&results));
    print!("{}{}", text::few_runs(&results), text::doubt(&results));
    print!("{}", text::left_out(&results));
    Ok(results.good())
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("lpatch-report: {problem}");
            ExitCode::from(2)
        }
    }
}
