// SPDX-License-Identifier: GPL-2.0

//! The tables for a document.

use std::fmt::Write;

use crate::number::{self, MARK, MARK_MEANS};
use crate::results::Results;

/// All tables, each under its heading. They end with a new line.
pub fn tables(results: &Results) -> String {
    let mut out = format!(
        "Linux {}, lpatch {}. Medians where a row names nothing else, in brackets of how many runs; ≥: it had not ended by then.\n",
        escape(&results.machine.kernel),
        escape(&results.machine.commit)
    );
    if let Some(doubt) = results.doubt() {
        let _ = writeln!(out, "\n{doubt}");
    }
    for section in &results.sections {
        let none = section.rows.iter().any(|row| row.none.is_some());
        let mut line = |cells: [&str; 6]| {
            let cells = cells.iter().enumerate().filter(|(i, _)| none || *i != 2);
            let cells: Vec<_> = cells.map(|(_, cell)| *cell).collect();
            // Writing to a string does not fail.
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        };
        line([
            &format!("**{}**", escape(&section.title)),
            "",
            "without",
            "upstream",
            "lpatch",
            "lpatch : upstream",
        ]);
        line(["---", "---", "--:", "--:", "--:", "--:"]);
        for row in &section.rows {
            for figures in row.lines() {
                line([
                    &escape(&figures.name),
                    &escape(&row.unit),
                    &number::figure_of(figures.none),
                    &number::figure_of(figures.upstream),
                    &number::figure_of(figures.lpatch),
                    &number::ratio_of(&figures),
                ]);
            }
        }
        if section.within_spread() {
            // Behind an empty line, or it would be a row.
            let _ = writeln!(out, "\n{MARK}: {MARK_MEANS}");
        }
    }
    // Between two tables, or they would be one.
    out.replace("\n| **", "\n\n| **")
}

/// What would be a sign of its own.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if matches!(c, '|' | '*' | '_' | '<' | '`' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{apart, example, two_modes};

    #[test]
    fn tables_of_all_kinds_of_rows() {
        let want = "\
Linux 7.2.12, lpatch abc. Medians where a row names nothing else, in brackets of how many runs; ≥: it had not ended by then.

| **Until \\<done>** |  | upstream | lpatch | lpatch : upstream |
| --- | --- | --: | --: | --: |
| enable & wait | ms | 1,379 (3) | 21.4 (1) | 1:64 ± |
| nobody did | ms | - | - | - |

±: The runs of one side lie farther apart than the two figures do, so another run can show another difference.

| **What a call costs** |  | without | upstream | lpatch | lpatch : upstream |
| --- | --- | --: | --: | --: | --: |
| promoted | instructions | 80 (1) | 86 (1) | 4 (1) | 1:22 |
| disabled | instructions | - | 0 (1) | 0 (1) | - |
";
        assert_eq!(tables(&example(&["a"])), want);
    }

    #[test]
    fn a_row_with_a_spread_has_a_row_for_each_figure() {
        let want = "
| idle: minimum | ms | 37 (20) | 18 (20) | 1:2.1 |
| idle: median | ms | 37 (20) | 20 (20) | 1:1.8 |
| idle: 90th percentile | ms | 1,400 (20) | 20 (20) | 1:70 |
| idle: maximum | ms | ≥ 2,000 (20) | 25 (20) | ≥ 1:80 |
";
        let got = tables(&two_modes(20));
        assert!(got.ends_with(want), "{got}");
    }

    #[test]
    fn a_difference_within_the_spread_is_marked_and_the_mark_explained() {
        let text = tables(&apart());
        let want =
            "\n| near | ms | 100 (3) | 95 (1) | 1:1.1 ± |\n| far | ms | 100 (3) | 10 (1) | 1:10 |\n";
        assert!(text.contains(want), "{text}");
        assert!(text.ends_with(&format!("|\n\n±: {MARK_MEANS}\n")));
        assert_eq!(text.matches('±').count(), 2);
    }

    #[test]
    fn a_machine_that_was_not_quiet_is_told_in_front_of_the_tables() {
        let mut results = example(&["a"]);
        results.machine.slower = 3.24;
        let text = tables(&results);
        let paragraphs: Vec<_> = text.split("\n\n").collect();
        assert_eq!(Some(paragraphs[1].into()), results.doubt());
        assert!(paragraphs[1].contains(" 3.2 times slower "));
        assert!(paragraphs[2].starts_with("| **Until"));
    }
}
