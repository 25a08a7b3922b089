// SPDX-License-Identifier: GPL-2.0

//! Which rows there are: the table `selftests/bench.rows`. Its head says what its lines are.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::goal::Goal;

/// All sections, in the order in which they are printed.
#[derive(Debug, Default)]
pub struct Plan {
    /// At least one row each is usual, not needed.
    pub sections: Vec<Section>,
}

/// Rows that belong together.
#[derive(Debug)]
pub struct Section {
    /// The scripts that measure them, `selftests/bench.d/PART.sh`; at least one.
    pub parts: Vec<String>,
    /// How the plot draws them.
    pub axis: Axis,
    /// Its heading.
    pub title: String,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// How a section is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Bars from zero.
    Linear,
    /// Points on a logarithmic axis.
    Log,
}

/// One row of the tables. Less is better in all of them.
#[derive(Debug)]
pub struct Row {
    /// What guests call it.
    pub key: String,
    /// What its figures are.
    pub unit: String,
    /// It is shown with how its runs lie, because a median says too little of them.
    pub spread: bool,
    /// What has to hold; often nothing.
    pub goals: Vec<Goal>,
    /// What readers call it.
    pub name: String,
}

/// What is wrong with the table.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("line {line}: {problem}")]
pub struct PlanError {
    /// Counted from 1.
    pub line: usize,
    /// Of that line.
    pub problem: Problem,
}

/// What is wrong with a line of the table.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// Fewer words than it needs.
    #[error("it has too few words")]
    Short,
    /// Neither linear nor log.
    #[error("{0} is no axis: linear or log")]
    Axis(String),
    /// A row before the first section.
    #[error("a row in no section")]
    NoSection,
    /// Something else than lower-case letters, digits and underscores.
    #[error("{0} is no key: lower-case letters, digits and _")]
    Key(String),
    /// Two rows of one name.
    #[error("a second row {0}")]
    Twice(String),
    /// Something else than spread behind a unit.
    #[error("{0} is no unit: UNIT or UNIT,spread")]
    Unit(String),
    /// See [`Goal`].
    #[error("{0} is no goal: 1:N, N:1, <=N or <N*KEY, and @min, @median, @p90 or @max behind it")]
    Goal(String),
    /// A goal for a figure that is not in the tables.
    #[error("a goal for the {0}, which only a row of UNIT,spread shows")]
    Hidden(&'static str),
    /// A goal names a row that is not in the table.
    #[error("there is no row {0}")]
    NoRow(String),
}

/// Is it a key: lower-case letters, digits and underscores?
pub fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

impl Plan {
    /// Reads the table.
    ///
    /// # Errors
    ///
    /// The first line that is wrong.
    pub fn parse(text: &str) -> Result<Plan, PlanError> {
        let mut plan = Plan::default();
        let mut keys = BTreeSet::new();
        let lines = || {
            let lines = text.lines().map(str::trim).zip(1usize..);
            lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'))
        };
        for (line, number) in lines() {
            plan.take(line, &mut keys).map_err(|problem| PlanError {
                line: number,
                problem,
            })?;
        }
        // Goals can name rows that come later.
        for (line, number) in lines() {
            let goals = line.split_whitespace().nth(2).unwrap_or_default();
            let goals = goals.split(',').filter_map(Goal::parse);
            for key in goals.filter_map(|g| g.other().map(str::to_owned)) {
                if !keys.contains(&key) {
                    return Err(PlanError {
                        line: number,
                        problem: Problem::NoRow(key),
                    });
                }
            }
        }
        Ok(plan)
    }

    fn take(&mut self, line: &str, keys: &mut BTreeSet<String>) -> Result<(), Problem> {
        let (first, second, third, rest) = words(line).ok_or(Problem::Short)?;
        if first == "section" {
            let axis = match third {
                "linear" => Axis::Linear,
                "log" => Axis::Log,
                _ => return Err(Problem::Axis(third.to_owned())),
            };
            self.sections.push(Section {
                parts: second.split(',').map(str::to_owned).collect(),
                axis,
                title: rest.to_owned(),
                rows: Vec::new(),
            });
            return Ok(());
        }
        if !is_key(first) {
            return Err(Problem::Key(first.to_owned()));
        }
        if !keys.insert(first.to_owned()) {
            return Err(Problem::Twice(first.to_owned()));
        }
        let (unit, spread) = match second.split_once(',') {
            None => (second, false),
            Some((unit, "spread")) if !unit.is_empty() => (unit, true),
            Some(_) => return Err(Problem::Unit(second.to_owned())),
        };
        let goals = match third {
            "-" => Vec::new(),
            terms => {
                let one = |t: &str| Goal::parse(t).ok_or_else(|| Problem::Goal(t.to_owned()));
                terms.split(',').map(one).collect::<Result<_, _>>()?
            }
        };
        let named = goals.iter().find_map(|goal: &Goal| goal.named);
        if let Some(statistic) = named.filter(|_| !spread) {
            return Err(Problem::Hidden(statistic.name()));
        }
        let section = self.sections.last_mut().ok_or(Problem::NoSection)?;
        section.rows.push(Row {
            key: first.to_owned(),
            unit: unit.to_owned(),
            spread,
            goals,
            name: rest.to_owned(),
        });
        Ok(())
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.sections.iter().flat_map(|section| &section.rows)
    }
}

/// Three words and the rest, which is not empty.
fn words(line: &str) -> Option<(&str, &str, &str, &str)> {
    let mut rest = line;
    let mut next = || {
        let (word, behind) = rest.split_once(char::is_whitespace)?;
        rest = behind.trim_start();
        Some(word)
    };
    let (first, second, third) = (next()?, next()?, next()?);
    (!rest.is_empty()).then_some((first, second, third, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> (usize, Problem) {
        let error = Plan::parse(text).expect_err("it is wrong");
        (error.line, error.problem)
    }

    #[test]
    fn a_table() {
        let text = "# head\n\nsection calls linear What a call costs\n  a_1   instructions <=3,1:20  one argument\nb ms,spread - two\n\
            section many,most log Many\nc ms <5*a_1 three, of many\n";
        let plan = Plan::parse(text).expect("it is right");
        let titles: Vec<_> = plan
            .sections
            .iter()
            .map(|s| (s.parts.join(" "), &*s.title, s.axis))
            .collect();
        assert_eq!(
            titles,
            [
                ("calls".to_owned(), "What a call costs", Axis::Linear),
                ("many most".to_owned(), "Many", Axis::Log)
            ]
        );
        let rows: Vec<_> = plan
            .rows()
            .map(|r| (&*r.key, &*r.unit, r.spread, &*r.name, r.goals.len()))
            .collect();
        assert_eq!(
            rows,
            [
                ("a_1", "instructions", false, "one argument", 2),
                ("b", "ms", true, "two", 0),
                ("c", "ms", false, "three, of many", 1)
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let head = "section p log Title\n";
        assert_eq!(problem("a ms - x"), (1, Problem::NoSection));
        assert_eq!(
            problem("section p bars Title"),
            (1, Problem::Axis("bars".into()))
        );
        assert_eq!(problem(&format!("{head}a ms -")), (2, Problem::Short));
        assert_eq!(
            problem(&format!("{head}A ms - x")),
            (2, Problem::Key("A".into()))
        );
        assert_eq!(
            problem(&format!("{head}a ms - x\n#\na ms - y")),
            (4, Problem::Twice("a".into()))
        );
        for unit in ["ms,", ",spread", "ms,wide", "ms,spread,spread"] {
            assert_eq!(
                problem(&format!("{head}a {unit} - x")),
                (2, Problem::Unit(unit.into()))
            );
        }
        assert_eq!(
            problem(&format!("{head}a ms 1:3,x x")),
            (2, Problem::Goal("x".into()))
        );
        for goal in ["<2*b", "1:1@min,<2*b@max"] {
            assert_eq!(
                problem(&format!("{head}a ms,spread {goal} x")),
                (2, Problem::NoRow("b".into()))
            );
        }
        assert_eq!(
            problem(&format!("{head}a ms 1:2,1:10@p90 x")),
            (2, Problem::Hidden("90th percentile"))
        );
    }
}
