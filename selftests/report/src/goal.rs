// SPDX-License-Identifier: GPL-2.0

//! What lpatch's figure of a row has to be.

use std::fmt;

use crate::figure::Figure;

/// A condition for lpatch's figure.
#[derive(Clone, Debug, PartialEq)]
pub enum Goal {
    /// `1:N`: at most this part of upstream's.
    Part(f64),
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
        let number = |t: &str| t.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
        if let Some(part) = text.strip_prefix("1:") {
            number(part).filter(|n| *n > 0.0).map(Goal::Part)
        } else if let Some(most) = text.strip_prefix("<=") {
            number(most).map(Goal::AtMost)
        } else {
            let (factor, key) = text.strip_prefix('<')?.split_once('*')?;
            Some(Goal::Below(number(factor)?, key.to_owned()))
        }
    }

    /// Compares. `other` is lpatch's figure of the row that the goal names.
    pub fn judge(
        &self,
        lpatch: Option<Figure>,
        upstream: Option<Figure>,
        other: Option<Figure>,
    ) -> Verdict {
        let Some(lpatch) = lpatch else {
            return Verdict::NotMeasured;
        };
        // What it is compared with: a lower bound, and whether the true value can be above it.
        let (limit, open, strict) = match self {
            Goal::AtMost(most) => (*most, false, false),
            Goal::Part(part) => match upstream {
                Some(u) => (u.value / part, u.at_least, false),
                None => return Verdict::NotMeasured,
            },
            Goal::Below(factor, _) => match other {
                Some(o) => (o.value * factor, o.at_least, true),
                None => return Verdict::NotMeasured,
            },
        };
        let within = lpatch.value < limit || (!strict && lpatch.value <= limit);
        match (within, lpatch.at_least, open) {
            (true, false, _) => Verdict::Holds,
            (false, _, false) => Verdict::Missed,
            _ => Verdict::NotMeasured,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::Part(part) => write!(f, "1:{part}"),
            Goal::AtMost(most) => write!(f, "at most {most}"),
            Goal::Below(factor, key) => write!(f, "less than {factor} times {key}"),
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
        assert_eq!(goal("1:50"), Goal::Part(50.0));
        assert_eq!(goal("<=1.01"), Goal::AtMost(1.01));
        assert_eq!(goal("<5*a_1"), Goal::Below(5.0, "a_1".into()));
        for bad in [
            "", "-", "1:", "1:0", "1:x", "2:50", "<=", "<=nan", "<=-1", "<5", "<*a", ">3", "1:inf",
        ] {
            assert_eq!(Goal::parse(bad), None, "{bad}");
        }
        assert_eq!(goal("<=1.01").to_string(), "at most 1.01");
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
            for g in [goal("1:10"), goal("1:1"), goal("<=100")] {
                let verdict = g.judge(told(l, lc), told(u, uc), None);
                let true_one = g.judge(truth(l, lc, dl), truth(u, uc, du), None);
                prop_assert!(verdict == Verdict::NotMeasured || verdict == true_one);
            }
        }
    }
}
