// SPDX-License-Identifier: GPL-2.0

//! What a person or a program sees: lines and tables, or one JSON object.

use crate::failure::{Failure, INPUT};
use serde_json::{json, Value};
use std::io::{self, Write};
use std::time::Duration;

/// What a command found out.
pub(crate) struct Report {
    /// For people; ends without a newline.
    pub(crate) text: String,
    /// For programs: an object.
    pub(crate) json: Value,
}

/// Where results go.
pub(crate) struct Output {
    json: bool,
    steps: Vec<Value>,
}

impl Output {
    /// `json`: one object at the end, nothing before.
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            steps: Vec::new(),
        }
    }

    /// Reports a step that is done, at once.
    pub(crate) fn step(&mut self, name: &str, detail: &str, time: Duration) {
        let ms = time.as_secs_f64() * 1000.0;
        self.steps
            .push(json!({"step": name, "detail": detail, "ms": ms}));
        if !self.json {
            // A reader that went away does not stop what is under way in the kernel.
            let _ = writeln!(io::stdout(), "{name:<9} {ms:>8.1} ms  {detail}");
        }
    }

    /// Writes the result.
    pub(crate) fn finish(self, result: Result<Report, Failure>) -> io::Result<()> {
        let mut stdout = io::stdout();
        match (result, self.json) {
            (Ok(report), false) if report.text.is_empty() => Ok(()),
            (Ok(report), false) => writeln!(stdout, "{}", report.text),
            (Err(failure), false) => writeln!(io::stderr(), "lpatch: {failure}"),
            (result, true) => {
                let mut object = match result {
                    Ok(report) => report.json,
                    Err(failure) => failure.json(),
                };
                if let (Value::Object(object), false) = (&mut object, self.steps.is_empty()) {
                    object.insert("steps".into(), Value::Array(self.steps));
                }
                writeln!(stdout, "{object}")
            }
        }?;
        stdout.flush()
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
