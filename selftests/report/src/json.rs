// SPDX-License-Identifier: GPL-2.0

//! The rows for programs: an array of objects, one in each line.

use serde::Serialize;

use crate::figure::{within_spread, Figure, Figures, Statistic};
use crate::results::Results;

/// A row. What was not measured is null.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    unit: &'a str,
    upstream: Option<f64>,
    lpatch: Option<f64>,
    /// lpatch's figure, divided by upstream's.
    ratio: Option<f64>,
    kernel: &'a str,
    commit: &'a str,
    /// The machine, than a quiet one of the reference kind.
    slower: f64,
    key: &'a str,
    section: &'a str,
    without: Option<f64>,
    /// The figure is a lower bound.
    upstream_at_least: bool,
    lpatch_at_least: bool,
    upstream_runs: usize,
    lpatch_runs: usize,
    upstream_spread: Option<Spread>,
    lpatch_spread: Option<Spread>,
    /// The tables show that.
    spread: bool,
    /// The runs of one side lie farther apart than the two medians.
    within_spread: bool,
}

/// How the runs lie. Each figure can be a lower bound.
#[derive(Serialize)]
struct Spread {
    min: f64,
    p90: f64,
    max: f64,
    min_at_least: bool,
    p90_at_least: bool,
    max_at_least: bool,
}

impl Spread {
    fn new(figures: Figures) -> Spread {
        let [min, p90, max] =
            [Statistic::Min, Statistic::P90, Statistic::Max].map(|s| figures.get(s));
        Spread {
            min: min.value,
            p90: p90.value,
            max: max.value,
            min_at_least: min.at_least,
            p90_at_least: p90.at_least,
            max_at_least: max.at_least,
        }
    }
}

/// All rows. It ends with a new line.
///
/// # Errors
///
/// None that is known: all that is written are strings and finite numbers.
pub fn rows(results: &Results) -> serde_json::Result<String> {
    let mut lines = Vec::new();
    for section in &results.sections {
        for row in &section.rows {
            let value = |f: Option<Figure>| f.map(|f| f.value);
            let at_least = |f: Option<Figure>| f.is_some_and(|f| f.at_least);
            let runs = |f: Option<Figure>| f.map_or(0, |f| f.runs);
            let medians = row.line(Statistic::Median);
            lines.push(serde_json::to_string(&Line {
                name: &row.name,
                unit: &row.unit,
                upstream: value(medians.upstream),
                lpatch: value(medians.lpatch),
                ratio: medians.ratio().map(|r| r.value),
                kernel: &results.machine.kernel,
                commit: &results.machine.commit,
                slower: results.machine.slower,
                key: &row.key,
                section: &section.title,
                without: value(medians.none),
                upstream_at_least: at_least(medians.upstream),
                lpatch_at_least: at_least(medians.lpatch),
                upstream_runs: runs(medians.upstream),
                lpatch_runs: runs(medians.lpatch),
                upstream_spread: row.upstream.map(Spread::new),
                lpatch_spread: row.lpatch.map(Spread::new),
                spread: row.spread,
                within_spread: within_spread(row.upstream, row.lpatch),
            })?);
        }
    }
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{example, two_modes};
    use serde_json::{json, Value};

    #[test]
    fn rows_have_what_was_measured_and_null_for_the_rest() {
        let text = rows(&example(&["a"])).expect("it is written");
        let read: Value = serde_json::from_str(&text).expect("it is JSON");
        let read = read.as_array().expect("an array");
        assert_eq!(read.len(), 4);
        assert_eq!(
            read[0],
            json!({
                "name": "enable & wait", "unit": "ms", "upstream": 1379.0, "lpatch": 21.4, "ratio": 21.4 / 1379.0,
                "kernel": "7.2.12", "commit": "abc", "slower": 1.0, "key": "long", "section": "Until <done>", "without": null,
                "upstream_at_least": false, "lpatch_at_least": false, "upstream_runs": 3, "lpatch_runs": 1,
                "upstream_spread": {
                    "min": 1000.0, "p90": 60000.0, "max": 60000.0, "min_at_least": false, "p90_at_least": true, "max_at_least": true
                },
                "lpatch_spread": {
                    "min": 21.4, "p90": 21.4, "max": 21.4, "min_at_least": false, "p90_at_least": false, "max_at_least": false
                },
                "spread": false, "within_spread": true
            })
        );
        assert_eq!(read[1]["upstream"], Value::Null);
        assert_eq!(read[1]["upstream_runs"], 0);
        assert_eq!(read[1]["upstream_spread"], Value::Null);
        assert_eq!(read[2]["without"], 80.0);
        assert_eq!(read[3]["ratio"], Value::Null);
    }

    #[test]
    fn a_row_with_a_spread_is_told_from_others() {
        let text = rows(&two_modes(20)).expect("it is written");
        let read: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(read[0]["spread"], true);
        assert_eq!(read[0]["within_spread"], true);
        assert_eq!(read[0]["name"], "idle");
        assert_eq!(read[0]["upstream"], 37.0);
        assert_eq!(read[0]["upstream_spread"]["p90"], 1400.0);
        assert_eq!(read[0]["lpatch_spread"]["max"], 25.0);
    }

    #[test]
    fn no_rows_are_json_too() {
        let text = rows(&example(&[])).expect("it is written");
        assert_eq!(
            serde_json::from_str::<Value>(&text).expect("it is JSON"),
            json!([])
        );
    }
}
