// SPDX-License-Identifier: GPL-2.0

//! What stands in a cell of the tables: the median of the runs, or how they lie.

use std::cmp::Ordering;

/// One run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// In the unit of the row; finite.
    pub value: f64,
    /// It did not end by itself: it takes this or more.
    pub capped: bool,
}

/// A figure of some runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// In the unit of the row.
    pub value: f64,
    /// The value is a lower bound.
    pub at_least: bool,
    /// Of so many runs, 1 or more.
    pub runs: usize,
}

/// Which figure of the runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// The least run.
    Min,
    /// The run in the middle, or the mean of the two that are there.
    Median,
    /// The least run that 9 of 10 do not exceed.
    P90,
    /// The greatest run.
    Max,
}

impl Statistic {
    /// All, from the least to the greatest.
    pub const ALL: [Statistic; 4] = [
        Statistic::Min,
        Statistic::Median,
        Statistic::P90,
        Statistic::Max,
    ];

    /// What readers call it.
    pub fn name(self) -> &'static str {
        match self {
            Statistic::Min => "minimum",
            Statistic::Median => "median",
            Statistic::P90 => "90th percentile",
            Statistic::Max => "maximum",
        }
    }
}

/// How some runs lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    min: Figure,
    median: Figure,
    p90: Figure,
    max: Figure,
}

impl Figures {
    /// The figures of these runs; none if there is no run.
    ///
    /// A run that was capped takes its value or more. A figure is exact if all such runs are behind its place, because it stays
    /// what it is wherever they end.
    pub fn of(samples: &[Sample]) -> Option<Figures> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(order);
        let runs = sorted.len();
        let at = |place: usize| {
            let before = sorted.get(..=place)?;
            Some(Figure {
                value: before.last()?.value,
                at_least: before.iter().any(|s| s.capped),
                runs,
            })
        };
        let mut median = at(runs / 2)?;
        if runs % 2 == 0 {
            // Not half of the sum, which can overflow.
            median.value = at((runs / 2).checked_sub(1)?)?.value / 2.0 + median.value / 2.0;
        }
        Some(Figures {
            min: at(0)?,
            median,
            p90: at((9 * runs).div_ceil(10).checked_sub(1)?)?,
            max: at(runs.checked_sub(1)?)?,
        })
    }

    /// That one of them.
    pub fn get(self, statistic: Statistic) -> Figure {
        match statistic {
            Statistic::Min => self.min,
            Statistic::Median => self.median,
            Statistic::P90 => self.p90,
            Statistic::Max => self.max,
        }
    }

    /// How far the runs lie apart. Capped ones may lie farther apart than they are known to.
    pub fn spread(self) -> f64 {
        self.max.value - self.min.value
    }

    /// The median.
    pub fn median(self) -> Figure {
        self.median
    }
}

/// Do the runs of one of the sides lie farther apart than the medians of the two? Other runs can show another difference then.
pub fn within_spread(upstream: Option<Figures>, lpatch: Option<Figures>) -> bool {
    let (Some(upstream), Some(lpatch)) = (upstream, lpatch) else {
        return false;
    };
    let difference = (upstream.median.value - lpatch.median.value).abs();
    upstream.spread().max(lpatch.spread()) > difference
}

fn order(a: &Sample, b: &Sample) -> Ordering {
    a.value
        .total_cmp(&b.value)
        .then_with(|| a.capped.cmp(&b.capped))
}

/// How two figures compare. Both have to be positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// lpatch's figure, divided by upstream's.
    pub value: f64,
    /// What is known of the true one.
    pub bound: Bound,
}

/// What a ratio of bounds is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The ratio itself.
    Exact,
    /// At most that, because upstream takes longer.
    AtMost,
    /// At least that, because lpatch takes longer.
    AtLeast,
}

/// lpatch's figure as a part of upstream's; none where there is no such thing.
pub fn ratio(upstream: Option<Figure>, lpatch: Option<Figure>) -> Option<Ratio> {
    let (upstream, lpatch) = (upstream?, lpatch?);
    let bound = match (upstream.at_least, lpatch.at_least) {
        (false, false) => Bound::Exact,
        (true, false) => Bound::AtMost,
        (false, true) => Bound::AtLeast,
        (true, true) => return None,
    };
    let value = lpatch.value / upstream.value;
    (upstream.value > 0.0 && lpatch.value > 0.0 && value.is_finite() && value > 0.0)
        .then_some(Ratio { value, bound })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples(values: &[(f64, bool)]) -> Vec<Sample> {
        let values = values.iter();
        values
            .map(|&(value, capped)| Sample { value, capped })
            .collect()
    }

    fn of(statistic: Statistic, values: &[(f64, bool)]) -> (f64, bool) {
        let figures = Figures::of(&samples(values)).expect("there are runs");
        let figure = figures.get(statistic);
        assert_eq!(figure.runs, values.len());
        (figure.value, figure.at_least)
    }

    fn median(values: &[(f64, bool)]) -> (f64, bool) {
        of(Statistic::Median, values)
    }

    fn figure(value: f64, at_least: bool) -> Option<Figure> {
        Some(Figure {
            value,
            at_least,
            runs: 1,
        })
    }

    #[test]
    fn median_of_runs_that_ended() {
        assert_eq!(median(&[(3.0, false)]), (3.0, false));
        assert_eq!(
            median(&[(9.0, false), (1.0, false), (2.0, false)]),
            (2.0, false)
        );
        assert_eq!(median(&[(4.0, false), (1.0, false)]), (2.5, false));
        assert_eq!(median(&[(f64::MAX, false); 2]), (f64::MAX, false));
        assert_eq!(Figures::of(&[]), None);
    }

    #[test]
    fn percentiles_of_known_lists() {
        let count = |n: u16| -> Vec<_> { (1..=n).rev().map(|v| (f64::from(v), false)).collect() };
        for (runs, p90) in [
            (1, 1.0),
            (2, 2.0),
            (5, 5.0),
            (9, 9.0),
            (10, 9.0),
            (11, 10.0),
            (20, 18.0),
            (21, 19.0),
            (100, 90.0),
        ] {
            let values = count(runs);
            let all = Statistic::ALL.map(|s| of(s, &values).0);
            let median = f64::from(runs + 1) / 2.0;
            assert_eq!(all, [1.0, median, p90, f64::from(runs)], "{runs} runs");
        }
        // One in ten that takes a second does not touch it, one more does.
        let modes = |slow: usize| {
            let mut values = vec![(37.0, false); 20 - slow];
            values.resize(20, (1400.0, false));
            of(Statistic::P90, &values).0
        };
        assert_eq!((modes(2), modes(3)), (37.0, 1400.0));
    }

    #[test]
    fn a_difference_is_within_the_spread_of_one_side_or_beyond_both() {
        let of = |values: &[f64]| {
            let values: Vec<_> = values.iter().map(|v| (*v, false)).collect();
            Figures::of(&samples(&values))
        };
        let within = |u: &[f64], l: &[f64]| within_spread(of(u), of(l));
        assert_eq!(of(&[7.0, 2.0, 3.0]).map(Figures::spread), Some(5.0));
        // Medians 100 and 90, so ten between them.
        assert!(!within(&[95.0, 100.0, 105.0], &[85.0, 90.0, 95.0]));
        assert!(within(&[95.0, 100.0, 105.1], &[90.0]));
        assert!(within(&[100.0], &[85.0, 90.0, 95.1]));
        // The other way round it is the same.
        assert!(within(&[90.0], &[95.0, 100.0, 105.1]));
        assert!(!within(&[90.0], &[95.0, 100.0, 105.0]));
        // No difference, and no spread.
        assert!(!within(&[86.0, 86.0], &[86.0]));
        assert!(!within(&[], &[1.0, 9.0]));
        assert!(!within(&[1.0, 9.0], &[]));
    }

    #[test]
    fn capped_runs_behind_a_figure_do_not_touch_it() {
        let mut values = vec![(5.0, false); 18];
        values.resize(20, (16.0, true));
        let all = |values: &[_]| Statistic::ALL.map(|s| of(s, values));
        let exact = (5.0, false);
        assert_eq!(all(&values), [exact, exact, exact, (16.0, true)]);
        // A short cap in front of all.
        values[0] = (1.0, true);
        assert_eq!(
            all(&values),
            [(1.0, true), (5.0, true), (5.0, true), (16.0, true)]
        );
        assert_eq!(all(&[(16.0, true); 3]), [(16.0, true); 4]);
    }

    #[test]
    fn capped_runs_make_the_median_a_bound_where_they_can_change_it() {
        // Behind the median, wherever they end.
        assert_eq!(
            median(&[(1.0, false), (2.0, false), (60.0, true)]),
            (2.0, false)
        );
        assert_eq!(
            median(&[(1.0, false), (60.0, true), (60.0, true)]),
            (60.0, true)
        );
        // A short cap, and longer runs that ended.
        assert_eq!(
            median(&[(1.0, true), (2.0, false), (3.0, false)]),
            (2.0, true)
        );
        assert_eq!(median(&[(1.0, false), (60.0, true)]), (30.5, true));
        // The one that ended at the very cap is before the one that did not.
        assert_eq!(
            median(&[(60.0, true), (60.0, false), (1.0, false)]),
            (60.0, false)
        );
    }

    #[test]
    fn ratios() {
        let exact = ratio(figure(100.0, false), figure(2.0, false)).expect("both are there");
        assert_eq!((exact.value, exact.bound), (0.02, Bound::Exact));
        let bound = |u, l| ratio(figure(100.0, u), figure(2.0, l)).map(|r| r.bound);
        assert_eq!(bound(true, false), Some(Bound::AtMost));
        assert_eq!(bound(false, true), Some(Bound::AtLeast));
        assert_eq!(bound(true, true), None);
        for (u, l) in [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (-1.0, 1.0), (1.0, -1.0)] {
            assert_eq!(ratio(figure(u, false), figure(l, false)), None);
        }
        assert_eq!(ratio(None, figure(1.0, false)), None);
        assert_eq!(ratio(figure(1.0, false), None), None);
        assert_eq!(
            ratio(figure(f64::MIN_POSITIVE, false), figure(f64::MAX, false)),
            None
        );
    }

    proptest! {
        /// Wherever the capped runs would have ended: the true figure is the one that is told, or above it if that is a bound.
        #[test]
        fn a_bound_is_below_every_true_figure(
            runs in proptest::collection::vec((0u16..200, any::<bool>(), 0u16..200), 1..12),
        ) {
            let told: Vec<_> = runs.iter().map(|&(v, c, _)| (f64::from(v), c)).collect();
            let truth: Vec<_> = runs.iter()
                .map(|&(v, c, more)| (f64::from(v) + if c { f64::from(more) } else { 0.0 }, false))
                .collect();
            for statistic in Statistic::ALL {
                let (value, at_least) = of(statistic, &told);
                let (true_value, _) = of(statistic, &truth);
                if at_least {
                    prop_assert!(value <= true_value);
                } else {
                    prop_assert_eq!(value, true_value);
                }
            }
        }
    }
}
