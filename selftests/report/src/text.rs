// SPDX-License-Identifier: GPL-2.0

//! The tables for a terminal, and the list of goals.

use std::fmt::Write;

use crate::number::{self, MARK, MARK_MEANS};
use crate::results::Results;

/// So many runs a row should have, and one that says how its runs lie.
const ENOUGH: usize = 5;
const ENOUGH_TO_SPREAD: usize = 20;

/// The width of a row's name.
const NAME: usize = 58;

/// All tables.
pub fn tables(results: &Results) -> String {
    let mut out = format!(
        "medians, where a line names nothing else (of so many runs); kernel {}, commit {}\n",
        results.machine.kernel, results.machine.commit
    );
    for section in &results.sections {
        let none = section.rows.iter().any(|row| row.none.is_some());
        let head = ["without", "upstream", "lpatch", "ratio"];
        // A line of its own: some are long.
        out.push_str(&format!("\n{}\n", section.title));
        line(&mut out, "", "", head.map(str::to_owned), none);
        for row in &section.rows {
            for figures in row.lines() {
                let cells = [
                    number::figure_of(figures.none),
                    number::figure_of(figures.upstream),
                    number::figure_of(figures.lpatch),
                    number::ratio_of(&figures),
                ];
                let name = format!("  {}", figures.name);
                line(&mut out, &name, &row.unit, cells, none);
            }
        }
        if section.within_spread() {
            out.push_str(&format!("  {MARK}: {MARK_MEANS}\n"));
        }
    }
    out
}

fn line(out: &mut String, name: &str, unit: &str, cells: [String; 4], none: bool) {
    let mut text = format!("{name:<NAME$} {unit:<12}");
    for (i, cell) in cells.iter().enumerate() {
        if i > 0 || none {
            text.push_str(&format!(" {cell:>16}"));
        }
    }
    out.push_str(text.trim_end());
    out.push('\n');
}

/// What holds, what does not, and what nobody knows.
pub fn goals(results: &Results) -> String {
    let of = if results.left_out.is_empty() {
        ""
    } else {
        " of what was measured"
    };
    let mut out = format!("goals{of}, for lpatch (1:N, N:1: of upstream's figure)\n");
    for v in &results.verdicts {
        let goal = v
            .goal
            .as_ref()
            .map_or_else(|| "any figure".to_owned(), ToString::to_string);
        // Writing to a string does not fail.
        let _ = writeln!(out, "  {:<13} {goal:<34} {}", v.verdict, v.name);
    }
    for key in &results.unknown {
        let _ = writeln!(out, "  {:<13} it is not in the table of rows", key);
    }
    if !results.unreadable.is_empty() {
        let _ = writeln!(
            out,
            "lines of a log that cannot be read, and count for nothing:"
        );
    }
    for line in &results.unreadable {
        let _ = writeln!(out, "  {}", line.escape_debug());
    }
    out
}

/// The rows that have fewer runs than they should, in one line; nothing if there is none. Their median is less certain, no more.
pub fn few_runs(results: &Results) -> String {
    let rows = results.sections.iter().flat_map(|section| &section.rows);
    let few = rows.filter_map(|row| {
        let enough = if row.spread { ENOUGH_TO_SPREAD } else { ENOUGH };
        let runs = row.runs().filter(|runs| *runs < enough)?;
        Some(format!("{} ({runs})", row.key))
    });
    let few: Vec<_> = few.collect();
    if few.is_empty() {
        return String::new();
    }
    format!(
        "rows with fewer than {ENOUGH} runs, or {ENOUGH_TO_SPREAD} of those with a spread: {}\n",
        few.join(", ")
    )
}

/// A line if the machine was not quiet.
pub fn doubt(results: &Results) -> String {
    results.doubt().map(|d| d + "\n").unwrap_or_default()
}

/// A line about what was left out; nothing if nothing was.
pub fn left_out(results: &Results) -> String {
    if results.left_out.is_empty() {
        return String::new();
    }
    let mut parts = Vec::new();
    for name in &results.left_out {
        let part = match name.rsplit_once('-') {
            Some((part, boot)) if boot.bytes().all(|b| b.is_ascii_digit()) => part,
            _ => name,
        };
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    format!(
        "left out: {}, for want of time, so this does not say whether all goals hold; make bench P='{}' measures them\n",
        results.left_out.join(", "),
        parts.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{apart, example, plain, two_modes};

    #[test]
    fn tables_of_all_kinds_of_rows() {
        let want = "\
medians, where a line names nothing else (of so many runs); kernel 7.2.12, commit abc

Until <done>
                                                                                upstream           lpatch            ratio
  enable & wait                                            ms                  1,379 (3)         21.4 (1)           1:64 ±
  nobody did                                               ms                          -                -                -
  ±: The runs of one side lie farther apart than the two figures do, so another run can show another difference.

What a call costs
                                                                                 without         upstream           lpatch            ratio
  promoted                                                 instructions           80 (1)           86 (1)            4 (1)             1:22
  disabled                                                 instructions                -            0 (1)            0 (1)                -
";
        assert_eq!(tables(&example(&["a"])), want);
    }

    #[test]
    fn a_row_with_a_spread_has_a_line_for_each_figure() {
        let want = "
Until <done>
                                                                                upstream           lpatch            ratio
  idle: minimum                                            ms                    37 (20)          18 (20)            1:2.1
  idle: median                                             ms                    37 (20)          20 (20)            1:1.8
  idle: 90th percentile                                    ms                 1,400 (20)          20 (20)             1:70
  idle: maximum                                            ms               ≥ 2,000 (20)          25 (20)           ≥ 1:80
";
        let got = tables(&two_modes(20));
        assert!(got.ends_with(want), "{got}");
    }

    #[test]
    fn a_difference_within_the_spread_is_marked_and_the_mark_explained() {
        let text = tables(&apart());
        let line = |name| text.lines().find(|l| l.trim_start().starts_with(name));
        let ends =
            |name, end: &str| assert!(line(name).expect("it is there").ends_with(end), "{text}");
        ends("near", " 1:1.1 ±");
        ends("far", " 1:10");
        // Its own lines say so.
        ends("two: median", " 1:1.1");
        assert!(text.ends_with(&format!("\n  ±: {MARK_MEANS}\n")));
        assert_eq!(text.matches('±').count(), 2);
        assert!(!tables(&two_modes(20)).contains('±'));
    }

    #[test]
    fn rows_with_few_runs() {
        let head = "rows with fewer than 5 runs, or 20 of those with a spread:";
        assert_eq!(
            few_runs(&example(&["a"])),
            format!("{head} long (1), call (1), zero (1)\n")
        );
        // A row that nobody measured is told among the goals.
        assert_eq!(few_runs(&example(&["b"])), "");
        assert_eq!(few_runs(&two_modes(19)), format!("{head} idle (19)\n"));
        assert_eq!(few_runs(&two_modes(20)), "");
        let of = |runs: usize| few_runs(&plain(runs));
        assert_eq!(of(ENOUGH), "");
        assert_eq!(of(ENOUGH - 1), format!("{head} call (4)\n"));
    }

    #[test]
    fn goals_and_what_is_wrong_with_the_logs() {
        let want = "\
goals, for lpatch (1:N, N:1: of upstream's figure)
  holds         1:50                               Until <done>: enable & wait
  not measured  any figure                         Until <done>: nobody did
  missed        at most 3                          What a call costs: promoted
  holds         1:20                               What a call costs: promoted
  holds         less than 5 times call             What a call costs: disabled
  stray         it is not in the table of rows
lines of a log that cannot be read, and count for nothing:
  row broken
";
        assert_eq!(goals(&example(&["a"])), want);
    }

    #[test]
    fn what_was_left_out_is_named_with_its_parts() {
        let mut results = plain(5);
        assert_eq!(left_out(&results), "");
        assert!(goals(&results).starts_with("goals, for lpatch "));
        results.left_out = ["load", "many-4", "many-5", "two-ways"]
            .map(str::to_owned)
            .into();
        let want = "left out: load, many-4, many-5, two-ways, for want of time, so this does not say whether all goals hold; \
            make bench P='load many two-ways' measures them\n";
        assert_eq!(left_out(&results), want);
        assert!(goals(&results).starts_with("goals of what was measured, for lpatch "));
    }
}
