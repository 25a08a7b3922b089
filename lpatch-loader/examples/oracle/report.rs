// SPDX-License-Identifier: GPL-2.0

//! What is printed, and what is written down.

use crate::compare::{Counts, Difference, Outcome};
use crate::dump::Dump;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;

/// Differences of a module that are printed and written down; all are counted.
const SHOWN: usize = 5;
/// And of all modules.
const SHOWN_IN_ALL: usize = 40;

/// The boot.
#[derive(Serialize)]
pub(crate) struct Config<'d> {
    name: &'d str,
    commit: &'d str,
    #[serde(flatten)]
    boot: &'d BTreeMap<String, String>,
    /// What lpatch_core learned about the boot.
    facts: Vec<String>,
    /// Modules that could not be loaded, with the error.
    not_loaded: &'d [(String, i32)],
}

impl<'d> Config<'d> {
    pub(crate) fn new(name: &'d str, commit: &'d str, dump: &'d Dump) -> Self {
        let mut facts = String::new();
        // A string takes all.
        let _ = dump.facts.show(&mut facts);
        Self {
            name,
            commit,
            boot: &dump.boot,
            facts: facts.lines().map(str::to_owned).collect(),
            not_loaded: &dump.failed,
        }
    }
}

/// All modules of a boot.
#[derive(Default)]
pub(crate) struct Totals {
    modules: Vec<String>,
    counts: Counts,
    differences: usize,
    shown: Vec<Difference>,
    errors: Vec<String>,
}

/// What is written down.
#[derive(Serialize)]
struct Report<'t> {
    #[serde(flatten)]
    config: &'t Config<'t>,
    modules: usize,
    bytes_compared: u64,
    #[serde(flatten)]
    counts: Counts,
    differences: usize,
    unexplained: Vec<String>,
    module_names: &'t [String],
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        // A string takes all.
        let _ = write!(text, "{byte:02x} ");
    }
    text.trim_end().into()
}

/// One place, in a line.
fn line(d: &Difference) -> String {
    format!(
        "{} {}+{:#x} ({}): ours {} memory {}",
        d.module,
        d.section,
        d.offset,
        d.note,
        hex(&d.ours),
        hex(&d.memory)
    )
}

/// The instructions that bytes are, by a program of the toolroot; nothing if it does not run.
fn disassemble(command: &str, address: u64, bytes: &[u8]) -> Option<String> {
    let file = std::env::current_dir()
        .ok()?
        .join(format!("oracle.{}.bin", std::process::id()));
    std::fs::write(&file, bytes).ok()?;
    let mut words = command.split_whitespace();
    let output = Command::new(words.next()?)
        .args(words)
        .args(["-D", "-b", "binary", "-m", "i386:x86-64"])
        .arg(format!("--adjust-vma={address:#x}"))
        .arg(&file)
        .output();
    let _ = std::fs::remove_file(&file);
    let text = String::from_utf8(output.ok()?.stdout).ok()?;
    let code = text.lines().filter(|l| l.contains(":\t"));
    Some(code.map(|l| format!("      {}\n", l.trim())).collect())
}

fn print(d: &Difference, objdump: Option<&str>) {
    println!("differs: {} {}+{:#x}", d.module, d.section, d.offset);
    println!("    {}", d.note);
    for (who, bytes) in [("ours  ", &d.ours), ("memory", &d.memory)] {
        if bytes.is_empty() {
            continue;
        }
        println!("    {who} at {:#x}: {}", d.address, hex(bytes));
        let code = objdump.filter(|_| d.code);
        if let Some(text) = code.and_then(|command| disassemble(command, d.address, bytes)) {
            print!("{text}");
        }
    }
}

impl Totals {
    pub(crate) fn add(&mut self, name: &str, outcome: Outcome, objdump: Option<&str>) {
        self.modules.push(name.into());
        self.counts += outcome.counts;
        self.differences += outcome.differences.len();
        for difference in outcome.differences.into_iter().take(SHOWN) {
            if self.shown.len() < SHOWN_IN_ALL {
                print(&difference, objdump);
                self.shown.push(difference);
            }
        }
        if let Some(error) = outcome.error {
            println!("differs: {name} could not be compared: {error}");
            self.errors.push(format!("{name}: {error}"));
        }
    }

    pub(crate) fn modules(&self) -> usize {
        self.modules.len()
    }

    pub(crate) fn agree(&self) -> bool {
        self.differences == 0 && self.errors.is_empty()
    }

    fn bytes(&self) -> u64 {
        self.counts.text + self.counts.rodata + self.counts.tables
    }

    pub(crate) fn summary(&self) -> String {
        let c = &self.counts;
        format!(
            "{} modules, {} bytes compared ({} text, {} rodata, {} tables), {} differences, {} errors\n\
             {} bytes finished at {} sites and {} alternatives; by meaning: {} ftrace sites, {} static branches ({} jump), \
             {} static calls, {} ITS branches, {} counted functions",
            self.modules.len(),
            self.bytes(),
            c.text,
            c.rodata,
            c.tables,
            self.differences,
            self.errors.len(),
            c.finished,
            c.sites,
            c.alternatives,
            c.ftrace,
            c.static_keys,
            c.static_jumps,
            c.static_calls,
            c.its_branches,
            c.counted_functions,
        )
    }

    pub(crate) fn json(&self, config: &Config<'_>) -> impl Serialize {
        let report = Report {
            config,
            modules: self.modules.len(),
            bytes_compared: self.bytes(),
            counts: self.counts,
            differences: self.differences + self.errors.len(),
            unexplained: self
                .shown
                .iter()
                .map(line)
                .chain(self.errors.iter().cloned())
                .collect(),
            module_names: &self.modules,
        };
        serde_json::to_value(report).unwrap_or_default()
    }
}
