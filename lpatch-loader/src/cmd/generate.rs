// SPDX-License-Identifier: GPL-2.0

//! `man` and `completions`: made from the definition of the command line.

use crate::cli::Cli;
use crate::failure::Failure;
use crate::json_keys::KEYS;
use crate::output::Report;
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::roff::{bold, roman, Roff};
use clap_mangen::Man;
use serde_json::json;

/// One page for the tool with a section for each subcommand.
pub(crate) fn man() -> Result<Report, Failure> {
    let mut command = Cli::command();
    command.build();
    let bug = |error: std::io::Error| Failure::Bug(format!("the man page: {error}"));
    let mut page = Vec::new();
    let whole = Man::new(command.clone()).section("8").manual("lpatch");
    whole.render_title(&mut page).map_err(bug)?;
    whole.render_name_section(&mut page).map_err(bug)?;
    whole.render_synopsis_section(&mut page).map_err(bug)?;
    whole.render_description_section(&mut page).map_err(bug)?;
    whole.render_options_section(&mut page).map_err(bug)?;
    let mut text = String::from_utf8_lossy(&page).into_owned();
    text.push_str(".SH COMMANDS\n");
    for sub in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        let mut part = Vec::new();
        let man = Man::new(sub.clone());
        man.render_synopsis_section(&mut part).map_err(bug)?;
        man.render_description_section(&mut part).map_err(bug)?;
        man.render_options_section(&mut part).map_err(bug)?;
        // Under one heading for the command, its parts have none of their own.
        text.push_str(&format!(".SS {}\n", sub.get_name()));
        let part = String::from_utf8_lossy(&part);
        let kept = part
            .lines()
            .filter(|l| !l.starts_with(".ie") && !l.starts_with(".el"));
        for line in kept {
            text.push_str(if line.starts_with(".SH") { ".PP" } else { line });
            text.push('\n');
        }
    }
    let mut exit = Vec::new();
    whole.render_extra_section(&mut exit).map_err(bug)?;
    text.push_str(&String::from_utf8_lossy(&exit).replace(".SH EXTRA", ".SH \"EXIT STATUS\""));
    text.push_str(&json_section());
    Ok(report(text))
}

/// What --json prints.
fn json_section() -> String {
    let mut page = Roff::new();
    page.control("SH", ["JSON OUTPUT"]);
    for (what, keys) in KEYS {
        page.control("SS", [*what]);
        for (key, meaning) in *keys {
            page.control("TP", []);
            page.text([bold(*key)]);
            page.text([roman(*meaning)]);
        }
    }
    // Without the preamble, which the page has already.
    page.to_roff()
}

/// Completions for a shell.
pub(crate) fn completions(shell: Shell) -> Report {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lpatch", &mut text);
    report(String::from_utf8_lossy(&text).into_owned())
}

fn report(text: String) -> Report {
    let text = text.trim_end().to_owned();
    Report::new(text.as_str(), json!({ "text": text }))
}
