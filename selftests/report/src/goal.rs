// SPDX-License-Identifier: GPL-2.0

//! What lpatch's figure of a row has to be.

use std::fmt;

use crate::figure::{Figure, Statistic};

/// A condition, and for which figure of lpatch's it is: the median where none is named.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// What it has to be.
    pub condition: Condition,
    /// The figure that is named. The one that it is compared with is the same of the other side or row.
    pub named: Option<Statistic>,
}

/// A condition for a figure of lpatch's.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// `1:N`: at most this part of upstream's.
    Part(f64),
    /// `N:1`: at most so many times upstream's.
    Times(f64),
    /// `<=N`: at most that, in the unit of the row.
    AtMost(f64),
    /// `<N*KEY`: less than so many times lpatch's figure of another row.
    Below(f64, String),
}

/// Whether it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Holds,
    /// It does not.
    Missed,
    /// There is no figure, or a bound that does not tell.
    NotMeasured,
}

impl Goal {
    /// Reads one; none if it is no goal.
    pub fn parse(text: &str) -> Option<Goal> {
        let Some((condition, word)) = text.split_once('@') else {
            return Some(Goal {
                condition: Condition::parse(text)?,
                named: None,
            });
        };
        let named = match word {
            "min" => Statistic::Min,
            "median" => Statistic::Median,
            "p90" => Statistic::P90,
            "max" => Statistic::Max,
            _ => return None,
        };
        Some(Goal {
            condition: Condition::parse(condition)?,
            named: Some(named),
        })
    }

    /// The figure that it is for.
    pub fn statistic(&self) -> Statistic {
        self.named.unwrap_or(Statistic::Median)
    }

    /// The row that it compares with, if there is one.
    pub fn other(&self) -> Option<&str> {
        match &self.condition {
            Condition::Below(_, key) => Some(key),
            _ => None,
        }
    }

    /// Compares figures of the kind that it is for. `other` is lpatch's figure of the row that the goal names.
    pub fn judge(
        &self,
        lpatch: Option<Figure>,
        upstream: Option<Figure>,
        other: Option<Figure>,
    ) -> Verdict {
        let Some(lpatch) = lpatch else {
            return Verdict::NotMeasured;
        };
        let (with, times, parts, strict) = match self.condition {
            Condition::AtMost(most) => (None, most, 1.0, false),
            Condition::Part(part) => (Some(upstream), 1.0, part, false),
            Condition::Times(times) => (Some(upstream), times, 1.0, false),
            Condition::Below(times, _) => (Some(other), times, 1.0, true),
        };
        // What it is compared with: a lower bound, and whether the true value can be above it.
        let (limit, open) = match with {
            None => (times, false),
            Some(Some(with)) => (with.value * times / parts, with.at_least),
            Some(None) => return Verdict::NotMeasured,
        };
        let within = lpatch.value < limit || (!strict && lpatch.value <= limit);
        match (within, lpatch.at_least, open) {
            (true, false, _) => Verdict::Holds,
            (false, _, false) => Verdict::Missed,
            _ => Verdict::NotMeasured,
        }
    }
}

impl Condition {
    fn parse(text: &str) -> Option<Condition> {
        let number = |t: &str| t.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
        let positive = |t: &str| number(t).filter(|n| *n > 0.0);
        if let Some(part) = text.strip_prefix("1:") {
            positive(part).map(Condition::Part)
        } else if let Some(times) = text.strip_suffix(":1") {
            positive(times).map(Condition::Times)
        } else if let Some(most) = text.strip_prefix("<=") {
            number(most).map(Condition::AtMost)
        } else {
            let (factor, key) = text.strip_prefix('<')?.split_once('*')?;
            Some(Condition::Below(number(factor)?, key.to_owned()))
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.condition {
            Condition::Part(part) => write!(f, "1:{part}")?,
            Condition::Times(times) => write!(f, "{times}:1")?,
            Condition::AtMost(most) => write!(f, "at most {most}")?,
            Condition::Below(factor, key) => write!(f, "less than {factor} times {key}")?,
        }
        match self.named {
            Some(statistic) => write!(f, ", {}", statistic.name()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Holds => "holds",
            Verdict::Missed => "missed",
            Verdict::NotMeasured => "not measured",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is(value: f64) -> Option<Figure> {
        Some(Figure {
            value,
            at_least: false,
            runs: 5,
        })
    }
    fn at_least(value: f64) -> Option<Figure> {
        is(value).map(|f| Figure {
            at_least: true,
            ..f
        })
    }
    fn goal(text: &str) -> Goal {
        Goal::parse(text).expect("it is a goal")
    }

    #[test]
    fn goals_are_read() {
        let condition = |text| goal(text).condition;
        assert_eq!(condition("1:50"), Condition::Part(50.0));
        assert_eq!(condition("2:1"), Condition::Times(2.0));
        assert_eq!(condition("1:1"), Condition::Part(1.0));
        assert_eq!(condition("<=1.01"), Condition::AtMost(1.01));
        assert_eq!(condition("<5*a_1"), Condition::Below(5.0, "a_1".into()));
        for bad in [
            "",
            "-",
            "1:",
            "1:0",
            "1:x",
            "2:50",
            "<=",
            "<=nan",
            "<=-1",
            "<5",
            "<*a",
            ">3",
            "1:inf",
            ":1",
            "0:1",
            "x:1",
            "inf:1",
            "1:10@",
            "1:10@p91",
            "@p90",
            "1:10@p90@p90",
            "1:10@P90",
        ] {
            assert_eq!(Goal::parse(bad), None, "{bad}");
        }
        assert_eq!(goal("<=1.01").to_string(), "at most 1.01");
        assert_eq!(goal("2:1").to_string(), "2:1");
    }

    #[test]
    fn goals_name_a_figure() {
        let named = |text: &str| {
            let goal = goal(text);
            assert_eq!(goal.condition, Condition::Part(10.0));
            (goal.statistic(), goal.to_string())
        };
        assert_eq!(named("1:10"), (Statistic::Median, "1:10".into()));
        for (word, statistic, text) in [
            ("min", Statistic::Min, "1:10, minimum"),
            ("median", Statistic::Median, "1:10, median"),
            ("p90", Statistic::P90, "1:10, 90th percentile"),
            ("max", Statistic::Max, "1:10, maximum"),
        ] {
            assert_eq!(named(&format!("1:10@{word}")), (statistic, text.into()));
        }
        assert_eq!(goal("<5*a@max").other(), Some("a"));
        assert_eq!(goal("1:10@max").other(), None);
    }

    #[test]
    fn times_upstream() {
        let g = goal("2:1");
        assert_eq!(g.judge(is(200.0), is(100.0), None), Verdict::Holds);
        assert_eq!(g.judge(is(200.1), is(100.0), None), Verdict::Missed);
        assert_eq!(
            g.judge(is(200.1), at_least(100.0), None),
            Verdict::NotMeasured
        );
        assert_eq!(g.judge(is(1.0), None, is(100.0)), Verdict::NotMeasured);
    }

    #[test]
    fn at_most() {
        let g = goal("<=3");
        assert_eq!(g.judge(is(3.0), None, None), Verdict::Holds);
        assert_eq!(g.judge(is(0.0), None, None), Verdict::Holds);
        assert_eq!(g.judge(is(3.01), None, None), Verdict::Missed);
        assert_eq!(g.judge(at_least(4.0), None, None), Verdict::Missed);
        assert_eq!(g.judge(at_least(2.0), None, None), Verdict::NotMeasured);
        assert_eq!(g.judge(None, is(1.0), None), Verdict::NotMeasured);
    }

    #[test]
    fn part_of_upstream() {
        let g = goal("1:10");
        assert_eq!(g.judge(is(10.0), is(100.0), None), Verdict::Holds);
        assert_eq!(g.judge(is(10.1), is(100.0), None), Verdict::Missed);
        // Upstream takes that or more.
        assert_eq!(g.judge(is(10.0), at_least(100.0), None), Verdict::Holds);
        assert_eq!(
            g.judge(is(10.1), at_least(100.0), None),
            Verdict::NotMeasured
        );
        // And so does lpatch.
        assert_eq!(g.judge(at_least(10.1), is(100.0), None), Verdict::Missed);
        assert_eq!(
            g.judge(at_least(9.0), is(100.0), None),
            Verdict::NotMeasured
        );
        assert_eq!(
            g.judge(at_least(9.0), at_least(100.0), None),
            Verdict::NotMeasured
        );
        assert_eq!(g.judge(is(1.0), None, None), Verdict::NotMeasured);
        assert_eq!(g.judge(is(0.0), is(100.0), None), Verdict::Holds);
        assert_eq!(g.judge(is(1.0), is(0.0), None), Verdict::Missed);
    }

    #[test]
    fn growth() {
        let g = goal("<5*a");
        assert_eq!(g.judge(is(49.0), None, is(10.0)), Verdict::Holds);
        assert_eq!(g.judge(is(50.0), None, is(10.0)), Verdict::Missed);
        assert_eq!(g.judge(is(49.0), is(1.0), None), Verdict::NotMeasured);
        assert_eq!(g.judge(is(49.0), None, at_least(10.0)), Verdict::Holds);
        assert_eq!(
            g.judge(is(51.0), None, at_least(10.0)),
            Verdict::NotMeasured
        );
    }

    proptest! {
        /// A verdict about bounds is the one about every pair of true values behind them.
        #[test]
        fn verdicts_stay_right_whatever_the_bounds_hide(
            l in 0u16..300, u in 0u16..300, lc in any::<bool>(), uc in any::<bool>(), dl in 0u16..300, du in 0u16..3000,
        ) {
            let (l, u) = (f64::from(l), f64::from(u));
            let told = |v, c| if c { at_least(v) } else { is(v) };
            let truth = |v, c, d| is(if c { v + f64::from(d) } else { v });
            for g in [goal("1:10"), goal("1:1"), goal("2:1"), goal("<=100")] {
                let verdict = g.judge(told(l, lc), told(u, uc), None);
                let true_one = g.judge(truth(l, lc, dl), truth(u, uc, du), None);
                prop_assert!(verdict == Verdict::NotMeasured || verdict == true_one);
            }
        }
    }
}
