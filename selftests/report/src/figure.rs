// SPDX-License-Identifier: GPL-2.0

//! What stands in a cell of the tables: the median of the runs.

use std::cmp::Ordering;

/// One run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// In the unit of the row; finite.
    pub value: f64,
    /// It did not end by itself: it takes this or more.
    pub capped: bool,
}

/// The median of some runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// In the unit of the row.
    pub value: f64,
    /// The value is a lower bound.
    pub at_least: bool,
    /// Of so many runs, 1 or more.
    pub runs: usize,
}

impl Figure {
    /// The median; none if there is no run.
    ///
    /// A run that was capped takes its value or more. The median is exact if all such runs are behind its place, because it stays
    /// what it is wherever they end.
    pub fn median(samples: &[Sample]) -> Option<Figure> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(order);
        let upper = *sorted.get(sorted.len() / 2)?;
        let value = if sorted.len() % 2 == 1 {
            upper.value
        } else {
            let lower = sorted.get(sorted.len() / 2 - 1)?;
            // Not half of the sum, which can overflow.
            lower.value / 2.0 + upper.value / 2.0
        };
        let before = sorted.get(..=sorted.len() / 2)?;
        Some(Figure {
            value,
            at_least: before.iter().any(|s| s.capped),
            runs: sorted.len(),
        })
    }
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

    fn median(values: &[(f64, bool)]) -> (f64, bool) {
        let figure = Figure::median(&samples(values)).expect("there are runs");
        assert_eq!(figure.runs, values.len());
        (figure.value, figure.at_least)
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
        assert_eq!(Figure::median(&[]), None);
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
        /// Wherever the capped runs would have ended: the true median is the one that is told, or above it if that is a bound.
        #[test]
        fn a_bound_is_below_every_true_median(
            runs in proptest::collection::vec((0u16..200, any::<bool>(), 0u16..200), 1..12),
        ) {
            let told: Vec<_> = runs.iter().map(|&(v, c, _)| (f64::from(v), c)).collect();
            let truth: Vec<_> = runs.iter()
                .map(|&(v, c, more)| (f64::from(v) + if c { f64::from(more) } else { 0.0 }, false))
                .collect();
            let (value, at_least) = median(&told);
            let (true_value, _) = median(&truth);
            if at_least {
                prop_assert!(value <= true_value);
            } else {
                prop_assert_eq!(value, true_value);
            }
        }
    }
}
