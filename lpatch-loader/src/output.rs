// SPDX-License-Identifier: GPL-2.0

//! What a person or a program sees: lines and tables, or one JSON object.

use crate::failure::{Failure, INPUT};
use crate::progress::Style;
use serde_json::{json, Value};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// What a command found out.
pub(crate) struct Report {
    /// For people; ends without a newline.
    pub(crate) text: String,
    /// For programs: an object.
    pub(crate) json: Value,
    /// The exit code.
    pub(crate) code: u8,
}

impl Report {
    /// Of a command that did what it was asked for.
    pub(crate) fn new(text: impl Into<String>, json: Value) -> Self {
        Self {
            text: text.into(),
            json,
            code: 0,
        }
    }
}

/// Where text goes.
pub(crate) struct Streams {
    /// Results.
    pub(crate) out: Box<dyn Write>,
    /// Errors and progress.
    pub(crate) err: Box<dyn Write>,
    /// Whether `err` is a terminal where a line can be rewritten.
    pub(crate) terminal: bool,
}

impl Streams {
    /// Those of the process.
    pub(crate) fn standard() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            terminal: io::stderr().is_terminal() && !dumb,
        }
    }
}

/// Where results go.
pub(crate) struct Output {
    json: bool,
    streams: Streams,
    steps: Vec<Value>,
}

impl Output {
    /// `json`: one object at the end, nothing before.
    pub(crate) fn new(json: bool, streams: Streams) -> Self {
        Self {
            json,
            streams,
            steps: Vec::new(),
        }
    }

    /// How progress is shown.
    pub(crate) fn style(&self) -> Style {
        match (self.streams.terminal, self.json) {
            (true, _) => Style::Terminal,
            (false, false) => Style::Lines,
            (false, true) => Style::Silent,
        }
    }

    /// Writes a piece of progress.
    pub(crate) fn progress(&mut self, text: &str) {
        // A reader that went away does not stop what is under way in the kernel.
        let _ = self.streams.err.write_all(text.as_bytes());
        let _ = self.streams.err.flush();
    }

    /// Reports a step that is done, at once.
    pub(crate) fn step(&mut self, name: &str, detail: &str, time: Duration) {
        let ms = time.as_secs_f64() * 1000.0;
        self.steps
            .push(json!({"step": name, "detail": detail, "ms": ms}));
        if !self.json {
            // As above.
            let _ = writeln!(self.streams.out, "{name:<9} {ms:>8.1} ms  {detail}");
        }
    }

    /// Writes the result and gives the exit code.
    pub(crate) fn finish(self, result: Result<Report, Failure>) -> io::Result<u8> {
        let Streams {
            mut out, mut err, ..
        } = self.streams;
        let code = match &result {
            Ok(report) => report.code,
            Err(failure) => failure.exit_code(),
        };
        match (result, self.json) {
            (Ok(report), false) if report.text.is_empty() => Ok(()),
            (Ok(report), false) => writeln!(out, "{}", report.text),
            (Err(failure), false) => {
                if let Failure::Described { text, .. } = &failure {
                    writeln!(out, "{text}")?;
                    out.flush()?;
                }
                writeln!(err, "lpatch: {failure}")
            }
            (result, true) => {
                let mut object = match result {
                    Ok(report) => report.json,
                    Err(failure) => failure.json(),
                };
                if let (Value::Object(object), false) = (&mut object, self.steps.is_empty()) {
                    object.insert("steps".into(), Value::Array(self.steps));
                }
                writeln!(out, "{object}")
            }
        }?;
        out.flush()?;
        Ok(code)
    }
}

/// Prints what clap found and gives the exit code.
pub(crate) fn usage(error: &clap::Error, json: bool) -> u8 {
    let code = if error.use_stderr() { INPUT } else { 0 };
    if json && code != 0 {
        let message = error.to_string();
        let object = json!({"kind": "input", "exit_code": code, "message": message.trim_end()});
        println!("{}", json!({ "error": object }));
    } else {
        // If it cannot be printed, the exit code still says it.
        let _ = error.print();
    }
    code
}

/// Aligns columns; the first row is the heading.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
