// SPDX-License-Identifier: GPL-2.0

//! All figures and verdicts of one benchmark.

use crate::figure::{ratio, within_spread, Figure, Figures, Ratio, Statistic};
use crate::goal::{Goal, Verdict};
use crate::log::{Runs, Side};
use crate::plan::{Axis, Plan, Row};

/// Where it was measured.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// The kernel's release.
    pub kernel: String,
    /// What was built.
    pub commit: String,
    /// So many times slower than a quiet machine of the reference kind, at the worst that was seen.
    pub slower: f64,
}

/// From that on figures of time say more about what else the machine did.
const BUSY: f64 = 1.5;

/// All that is known in the end.
#[derive(Debug)]
pub struct Results {
    /// Where.
    pub machine: Machine,
    /// Those of the parts that ran, in the order of the table.
    pub sections: Vec<SectionResult>,
    /// A verdict for each goal, and "not measured" for each row without a figure.
    pub verdicts: Vec<GoalResult>,
    /// Keys that were measured and are in no table.
    pub unknown: Vec<String>,
    /// Lines that were meant as runs.
    pub unreadable: Vec<String>,
    /// Boots for which there was no time: `PART`, or `PART-N` of a part with several.
    pub left_out: Vec<String>,
}

/// A section.
#[derive(Debug)]
pub struct SectionResult {
    /// Its heading.
    pub title: String,
    /// How the plot draws it.
    pub axis: Axis,
    /// Its rows.
    pub rows: Vec<RowResult>,
}

/// A row.
#[derive(Debug, Default)]
pub struct RowResult {
    /// What guests call it.
    pub key: String,
    /// What readers call it.
    pub name: String,
    /// What its figures are.
    pub unit: String,
    /// Its lines say how its runs lie, not only their median.
    pub spread: bool,
    /// Without either.
    pub none: Option<Figures>,
    /// Upstream livepatch.
    pub upstream: Option<Figures>,
    /// lpatch.
    pub lpatch: Option<Figures>,
}

/// A line of a table.
#[derive(Debug)]
pub struct Line {
    /// What readers call it.
    pub name: String,
    /// Without either.
    pub none: Option<Figure>,
    /// Upstream livepatch.
    pub upstream: Option<Figure>,
    /// lpatch.
    pub lpatch: Option<Figure>,
    /// The runs of one side lie farther apart than the two figures, and nothing else says so.
    pub within_spread: bool,
}

impl Line {
    /// lpatch's figure as a part of upstream's.
    pub fn ratio(&self) -> Option<Ratio> {
        ratio(self.upstream, self.lpatch)
    }
}

/// A goal and what became of it.
#[derive(Debug)]
pub struct GoalResult {
    /// What became of it.
    pub verdict: Verdict,
    /// The goal; none for a row without goals and without figures.
    pub goal: Option<Goal>,
    /// The name of the section and of the row.
    pub name: String,
}

impl RowResult {
    fn new(row: &Row, runs: &Runs) -> RowResult {
        let of = |side| Figures::of(runs.of(&row.key, side));
        RowResult {
            key: row.key.clone(),
            name: row.name.clone(),
            unit: row.unit.clone(),
            spread: row.spread,
            none: of(Side::None),
            upstream: of(Side::Upstream),
            lpatch: of(Side::Lpatch),
        }
    }

    /// The line of these figures.
    pub fn line(&self, statistic: Statistic) -> Line {
        let of = |figures: Option<Figures>| figures.map(|f| f.get(statistic));
        Line {
            name: if self.spread {
                format!("{}: {}", self.name, statistic.name())
            } else {
                self.name.clone()
            },
            none: of(self.none),
            upstream: of(self.upstream),
            lpatch: of(self.lpatch),
            within_spread: self.within_spread(),
        }
    }

    /// Do the runs of one side lie farther apart than the two medians? Not of a row that says how they lie.
    pub fn within_spread(&self) -> bool {
        !self.spread && within_spread(self.upstream, self.lpatch)
    }

    /// Its lines: that of the medians, or one for each of its figures.
    pub fn lines(&self) -> Vec<Line> {
        if self.spread {
            Statistic::ALL.map(|s| self.line(s)).into()
        } else {
            vec![self.line(Statistic::Median)]
        }
    }

    /// Of how many runs the figures are that have the fewest; none if there is no figure.
    pub fn runs(&self) -> Option<usize> {
        self.sides().map(|figures| figures.median().runs).min()
    }

    /// The figures of all sides that have some.
    pub fn sides(&self) -> impl Iterator<Item = Figures> {
        [self.none, self.upstream, self.lpatch]
            .into_iter()
            .flatten()
    }
}

impl SectionResult {
    /// Does that hold for one of its rows?
    pub fn within_spread(&self) -> bool {
        self.rows.iter().any(RowResult::within_spread)
    }
}

impl Results {
    /// Of these parts only; the others were not run. Where a section has some of both, what it lacks may be theirs.
    pub fn new(plan: &Plan, runs: Runs, parts: &[String], machine: Machine) -> Results {
        let mut sections = Vec::new();
        let mut verdicts = Vec::new();
        let ran = |part: &String| parts.contains(part);
        for section in plan.sections.iter().filter(|s| s.parts.iter().any(ran)) {
            let complete = section.parts.iter().all(ran);
            let mut rows = Vec::new();
            for row in &section.rows {
                let result = RowResult::new(row, &runs);
                if !complete && result.sides().next().is_none() {
                    continue;
                }
                verdicts.extend(judge(&section.title, row, &result, &runs, complete));
                rows.push(result);
            }
            sections.push(SectionResult {
                title: section.title.clone(),
                axis: section.axis,
                rows,
            });
        }
        let known = |key: &str| plan.rows().any(|row| row.key == key);
        let unknown = runs.keys().filter(|key| !known(key)).map(str::to_owned);
        Results {
            machine,
            sections,
            verdicts,
            unknown: unknown.collect(),
            unreadable: runs.unreadable,
            left_out: Vec::new(),
        }
    }

    /// A sentence if the machine was not quiet.
    pub fn doubt(&self) -> Option<String> {
        let slower = self.machine.slower;
        (slower > BUSY).then(|| {
            format!(
                "The machine was up to {slower:.1} times slower than a quiet one of the reference kind: figures of time are doubtful."
            )
        })
    }

    /// Does every goal hold, and was everything measured that is in the table? That cannot be said if something was left out.
    pub fn good(&self) -> bool {
        self.left_out.is_empty()
            && self.unknown.is_empty()
            && self.verdicts.iter().all(|v| v.verdict == Verdict::Holds)
    }
}

/// `complete`: a row that a goal names was measured, if it could be.
fn judge(
    title: &str,
    row: &Row,
    result: &RowResult,
    runs: &Runs,
    complete: bool,
) -> Vec<GoalResult> {
    let name = format!("{title}: {}", row.name);
    if result.sides().next().is_none() && row.goals.is_empty() {
        return vec![GoalResult {
            verdict: Verdict::NotMeasured,
            goal: None,
            name,
        }];
    }
    let one = |goal: &Goal| {
        let figures = result.line(goal.statistic());
        let other = goal.other().map(|key| {
            let other = Figures::of(runs.of(key, Side::Lpatch));
            other.map(|figures| figures.get(goal.statistic()))
        });
        // The other row may be one of a part that did not run.
        if other == Some(None) && !complete {
            return None;
        }
        Some(GoalResult {
            verdict: goal.judge(figures.lpatch, figures.upstream, other.flatten()),
            goal: Some(goal.clone()),
            name: name.clone(),
        })
    };
    row.goals.iter().filter_map(one).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two sections of "a" and one of "b", with all kinds of figures.
    pub(crate) fn example(parts: &[&str]) -> Results {
        let rows = "section a log Until <done>\nlong ms 1:50 enable & wait\nempty ms - nobody did\n\
            section a linear What a call costs\ncall instructions <=3,1:20 promoted\nzero instructions <5*call disabled\n\
            section b log Other part\nother ms 1:2 else\n";
        let log = "row long upstream 1379\nrow long upstream 1000\ncapped long upstream 60000\nrow long lpatch 21.4\n\
            row call none 80\nrow call upstream 86\nrow call lpatch 4\nrow zero lpatch 0\nrow zero upstream 0\nrow stray lpatch 1\n\
            row broken";
        let plan = Plan::parse(rows).expect("it is right");
        let mut runs = Runs::default();
        runs.read(log);
        let parts: Vec<_> = parts.iter().map(|&p| p.to_owned()).collect();
        let machine = Machine {
            kernel: "7.2.12".into(),
            commit: "abc".into(),
            slower: 1.0,
        };
        Results::new(&plan, runs, &parts, machine)
    }

    /// What becomes of these runs with a table of the part "a".
    pub(crate) fn of(rows: &str, log: &str) -> Results {
        let plan = Plan::parse(rows).expect("it is right");
        let mut runs = Runs::default();
        runs.read(log);
        Results::new(&plan, runs, &["a".to_owned()], Machine::default())
    }

    /// Rows whose runs lie farther apart than the medians, but for the second one.
    pub(crate) fn apart() -> Results {
        let rows = "section a log Apart\nnear ms - near\nfar ms - far\ntwo ms,spread - two\n";
        let log = |key: &str, lpatch| {
            let upstream = ["90", "100", "110"].map(|v| format!("row {key} upstream {v}\n"));
            format!("{}row {key} lpatch {lpatch}\n", upstream.concat())
        };
        of(rows, &(log("near", 95) + &log("far", 10) + &log("two", 95)))
    }

    /// So many runs of a row without a spread.
    pub(crate) fn plain(runs: usize) -> Results {
        let log = "row call upstream 86\nrow call lpatch 3\n".repeat(runs);
        of(
            "section a linear Calls\ncall instructions - settled\n",
            &log,
        )
    }

    /// So many runs, 8 or more, of a row with a spread. Seven of upstream's are slow, and one of these has no end.
    pub(crate) fn two_modes(runs: usize) -> Results {
        let mut log = "row idle upstream 1400\n".repeat(6) + "capped idle upstream 2000\n";
        log += &"row idle upstream 37\n".repeat(runs - 7);
        log += "row idle lpatch 18\nrow idle lpatch 25\n";
        log += &"row idle lpatch 20\n".repeat(runs - 2);
        of("section a log Until <done>\nidle ms,spread - idle\n", &log)
    }

    fn verdicts(results: &Results) -> Vec<String> {
        let verdicts = results.verdicts.iter();
        verdicts
            .map(|v| {
                let goal = v.goal.as_ref().map(ToString::to_string);
                format!("{} {} {}", v.verdict, goal.unwrap_or_default(), v.name)
            })
            .collect()
    }

    #[test]
    fn every_goal_gets_a_verdict_and_every_empty_row_a_line() {
        let results = example(&["a"]);
        assert_eq!(
            verdicts(&results),
            [
                "holds 1:50 Until <done>: enable & wait",
                "not measured  Until <done>: nobody did",
                "missed at most 3 What a call costs: promoted",
                "holds 1:20 What a call costs: promoted",
                "holds less than 5 times call What a call costs: disabled",
            ]
        );
        assert_eq!(results.unknown, ["stray"]);
        assert_eq!(results.unreadable, ["row broken"]);
        assert!(!results.good());
    }

    #[test]
    fn goals_are_about_the_figure_that_they_name() {
        // Upstream has 100 eight times and twice 1000, lpatch 90 eight times and twice what is said.
        let goals = |goals: &str, slow: &str| {
            let mut log = "row k upstream 100\nrow k lpatch 90\n".repeat(8);
            log += &format!("row k upstream 1000\nrow k lpatch {slow}\n").repeat(2);
            let rows = format!("section a log Title\nk ms,spread {goals} name\n");
            verdicts(&of(&rows, &log))
        };
        assert_eq!(
            goals("1:10@p90,1:1@median,1:1@min", "95"),
            [
                "holds 1:10, 90th percentile Title: name",
                "holds 1:1, median Title: name",
                "holds 1:1, minimum Title: name",
            ]
        );
        assert_eq!(
            goals("1:10@p90,1:1@median,2:1@max", "100.1"),
            [
                "missed 1:10, 90th percentile Title: name",
                "holds 1:1, median Title: name",
                "holds 2:1, maximum Title: name",
            ]
        );
        assert_eq!(goals("1:10", "95"), ["missed 1:10 Title: name"]);
        // Nine in ten did not end.
        let log = "row k upstream 100\n".repeat(3)
            + &"capped k upstream 500\n".repeat(7)
            + "row k lpatch 55\n";
        let rows = "section a log Title\nk ms,spread 1:10@p90,1:1@min name\n";
        assert_eq!(
            verdicts(&of(rows, &log)),
            [
                "not measured 1:10, 90th percentile Title: name",
                "holds 1:1, minimum Title: name",
            ]
        );
    }

    #[test]
    fn a_goal_of_another_row_compares_the_same_figures() {
        let rows = "section a log Title\nsmall ms,spread - s\nlarge ms,spread <5*small@max,<5*small@min l\n";
        let log =
            "row small lpatch 1\nrow small lpatch 10\nrow large lpatch 6\nrow large lpatch 40\n";
        assert_eq!(
            verdicts(&of(rows, log)),
            [
                "holds less than 5 times small, maximum Title: l",
                "missed less than 5 times small, minimum Title: l",
            ]
        );
    }

    #[test]
    fn parts_that_did_not_run_are_not_missed() {
        let results = example(&["b"]);
        assert_eq!(verdicts(&results), ["not measured 1:2 Other part: else"]);
        assert_eq!(example(&[]).verdicts.len(), 0);
    }

    #[test]
    fn of_a_section_with_two_parts_one_is_enough() {
        let rows =
            "section a,b log Both\nsmall ms 1:2 of a\nlarge ms 1:2,<5*small of b\nno ms - of a\n";
        let plan = Plan::parse(rows).expect("it is right");
        let of = |log: &str, parts: &[&str]| {
            let mut runs = Runs::default();
            runs.read(log);
            let parts: Vec<_> = parts.iter().map(|&p| p.to_owned()).collect();
            Results::new(&plan, runs, &parts, Machine::default())
        };
        let large = "row large lpatch 4\nrow large upstream 100\n";
        let some = of(large, &["b"]);
        assert_eq!(verdicts(&some), ["holds 1:2 Both: of b"]);
        let keys: Vec<_> = some.sections[0].rows.iter().map(|r| &*r.key).collect();
        assert_eq!(keys, ["large"]);
        assert!(some.good());
        // What a part that ran did not measure is missed all the same.
        assert_eq!(
            verdicts(&of("row large lpatch 4\n", &["b"])),
            ["not measured 1:2 Both: of b"]
        );
        assert_eq!(
            verdicts(&of(large, &["a", "b"])),
            [
                "not measured 1:2 Both: of a",
                "holds 1:2 Both: of b",
                "not measured less than 5 times small Both: of b",
                "not measured  Both: of a",
            ]
        );
    }

    #[test]
    fn what_was_left_out_is_not_good() {
        let mut results = plain(5);
        assert!(results.good());
        results.left_out.push("b".into());
        assert!(!results.good());
    }

    #[test]
    fn figures_of_a_busy_machine_are_doubtful() {
        let mut results = plain(5);
        results.machine.slower = 1.5;
        assert_eq!(results.doubt(), None);
        results.machine.slower = 1.51;
        assert!(results
            .doubt()
            .is_some_and(|d| d.contains("up to 1.5 times slower")));
        // Whatever they say, they are what was measured.
        assert!(results.good());
    }

    #[test]
    fn a_key_without_a_row_is_not_good() {
        let mut results = example(&[]);
        assert!(!results.good());
        results.unknown.clear();
        assert!(results.good());
    }
}
