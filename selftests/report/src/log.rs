// SPDX-License-Identifier: GPL-2.0

//! The runs, as a guest prints them: one line each, among other lines.
//!
//! ```text
//! row KEY SIDE VALUE
//! capped KEY SIDE VALUE       it did not end; it takes this or more
//! ```

use std::collections::BTreeMap;

use crate::figure::Sample;
use crate::plan::is_key;

/// Who was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Neither of the two, for comparison.
    None,
    /// Upstream livepatch.
    Upstream,
    /// lpatch.
    Lpatch,
}

/// All runs of all logs.
#[derive(Debug, Default)]
pub struct Runs {
    samples: BTreeMap<String, BTreeMap<Side, Vec<Sample>>>,
    /// Lines that were meant as runs and cannot be read.
    pub unreadable: Vec<String>,
}

impl Runs {
    /// Adds the runs of one log.
    pub fn read(&mut self, log: &str) {
        for line in log.lines() {
            let mut words = line.split_ascii_whitespace();
            let capped = match words.next() {
                // Indented, it is what somebody says about a run.
                Some("row") if line.starts_with("row") => false,
                Some("capped") if line.starts_with("capped") => true,
                _ => continue,
            };
            match parse(words, capped) {
                Some((key, side, sample)) => {
                    let sides = self.samples.entry(key.to_owned()).or_default();
                    sides.entry(side).or_default().push(sample);
                }
                None => self.unreadable.push(line.trim_end().to_owned()),
            }
        }
    }

    /// The runs of one row and side, in the order of the logs.
    pub fn of(&self, key: &str, side: Side) -> &[Sample] {
        let sides = self.samples.get(key);
        sides.and_then(|s| s.get(&side)).map_or(&[], Vec::as_slice)
    }

    /// The keys that have runs.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.samples.keys().map(String::as_str)
    }
}

fn parse<'a>(
    mut words: impl Iterator<Item = &'a str>,
    capped: bool,
) -> Option<(&'a str, Side, Sample)> {
    let key = words.next().filter(|key| is_key(key))?;
    let side = match words.next()? {
        "none" => Side::None,
        "upstream" => Side::Upstream,
        "lpatch" => Side::Lpatch,
        _ => return None,
    };
    // Rust reads "inf" and "nan", too.
    let value: f64 = words.next()?.parse().ok()?;
    let complete = words.next().is_none() && value.is_finite();
    complete.then_some((key, side, Sample { value, capped }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn runs(log: &str) -> Runs {
        let mut runs = Runs::default();
        runs.read(log);
        runs
    }

    fn values(runs: &Runs, key: &str, side: Side) -> Vec<(f64, bool)> {
        let samples = runs.of(key, side).iter();
        samples.map(|s| (s.value, s.capped)).collect()
    }

    #[test]
    fn runs_are_taken_from_among_other_lines() {
        let log =
            "boot\r\nrow a upstream 1.5\r\nrows a upstream 9\n row a upstream 9\nrow a lpatch 2\n\
            capped a upstream 60\nrow a none 0\nhe said: row a lpatch 9\n";
        let runs = runs(log);
        assert_eq!(
            values(&runs, "a", Side::Upstream),
            [(1.5, false), (60.0, true)]
        );
        assert_eq!(values(&runs, "a", Side::Lpatch), [(2.0, false)]);
        assert_eq!(values(&runs, "a", Side::None), [(0.0, false)]);
        assert_eq!(runs.unreadable, [""; 0]);
        assert_eq!(runs.keys().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn what_cannot_be_read_is_kept_and_counts_for_nothing() {
        let bad = [
            "row",
            "row a",
            "row a lpatch",
            "row a lpatch x",
            "row a lpatch nan",
            "row a lpatch inf",
            "row a lpatch 1e999",
            "row a lpatch 1,5",
            "row a lpatch 12[   33.4] livepatch: 'x': complete",
            "row a lpatch 12 ms",
            "row a mine 12",
            "row A lpatch 12",
            "row a/b lpatch 12",
            "capped a upstream",
            "row \u{fffd} lpatch 1",
        ];
        let runs = runs(&bad.join("\n"));
        assert_eq!(runs.unreadable, bad);
        assert_eq!(runs.keys().count(), 0);
        assert!(runs.of("a", Side::Lpatch).is_empty());
    }

    proptest! {
        #[test]
        fn any_log_can_be_read(log in "(row |capped |[ -~]{0,9}|\\PC{0,3}|\n|\r){0,60}") {
            let runs = runs(&log);
            for key in runs.keys() {
                prop_assert!(is_key(key));
            }
        }

        #[test]
        fn what_is_printed_is_read(value in proptest::num::f64::NORMAL, capped in any::<bool>()) {
            let word = if capped { "capped" } else { "row" };
            let runs = runs(&format!("{word} k_1 lpatch {value}\r\n"));
            prop_assert_eq!(values(&runs, "k_1", Side::Lpatch), [(value, capped)]);
        }
    }
}
