// SPDX-License-Identifier: GPL-2.0

//! Figures as text: three digits, or more before the point.

use crate::figure::{Bound, Figure, Ratio};
use crate::results::Line;

/// `1,379`, `21.4`, `2.98`, `0.013`; whole numbers without a point.
pub fn number(value: f64) -> String {
    // No -0.
    let value = value + 0.0;
    let digits = match value.abs() {
        v if v.fract() == 0.0 || v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        v if v >= 0.0995 => 3,
        v if v >= 0.009_95 => 4,
        _ => return format!("{value:.2e}"),
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text
        .split_once('.')
        .map_or((&*text, None), |(w, f)| (w, Some(f)));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |w| ("-", w));
    let mut out = String::from(sign);
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// The median, with `≥` in front of a bound; `-` where there is none.
pub fn figure(figure: Option<Figure>) -> String {
    figure.map_or_else(
        || "-".to_owned(),
        |f| format!("{}{}", if f.at_least { "≥ " } else { "" }, number(f.value)),
    )
}

/// The median and of how many runs.
pub fn figure_of(of: Option<Figure>) -> String {
    of.map_or_else(
        || "-".to_owned(),
        |f| format!("{} ({})", figure(Some(f)), f.runs),
    )
}

/// Stands where the runs of one side lie farther apart than the two figures.
pub const MARK: &str = "±";
/// The sentence under a table with such a mark.
pub const MARK_MEANS: &str =
    "The runs of one side lie farther apart than the two figures do, so another run can show another difference.";

/// The ratio of a line, with that mark if it is such a one.
pub fn ratio_of(line: &Line) -> String {
    let text = ratio(line.ratio());
    if line.within_spread {
        format!("{text} {MARK}")
    } else {
        text
    }
}

/// lpatch to upstream: `1:64` where lpatch's is the smaller one, `1.4:1` where it is not.
pub fn ratio(ratio: Option<Ratio>) -> String {
    let Some(ratio) = ratio else {
        return "-".to_owned();
    };
    let smaller = ratio.value <= 1.0;
    let times = if smaller {
        1.0 / ratio.value
    } else {
        ratio.value
    };
    // Of the number that is printed, which is upstream's share if lpatch's is the smaller one.
    let bound = match (ratio.bound, smaller) {
        (Bound::Exact, _) => "",
        (Bound::AtMost, true) | (Bound::AtLeast, false) => "≥ ",
        (Bound::AtMost, false) | (Bound::AtLeast, true) => "≤ ",
    };
    let times = if times < 9.95 {
        format!("{times:.1}")
    } else {
        number(times.round())
    };
    if smaller {
        format!("{bound}1:{times}")
    } else {
        format!("{bound}{times}:1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (3.0, "3"),
            (2.98, "2.98"),
            (2.999_9, "3.00"),
            (86.2, "86.2"),
            (99.96, "100"),
            (999.6, "1,000"),
            (1379.2, "1,379"),
            (123_456_789.0, "123,456,789"),
            (-1234.5, "-1,234"),
            (0.5, "0.500"),
            (0.013, "0.0130"),
            (0.000_01, "1.00e-5"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn figures_and_ratios() {
        let f = |value, at_least| {
            Some(Figure {
                value,
                at_least,
                runs: 5,
            })
        };
        assert_eq!(figure(None), "-");
        assert_eq!(figure(f(15000.0, true)), "≥ 15,000");
        assert_eq!(figure_of(f(2.0, false)), "2 (5)");
        let r = |value, bound| ratio(Some(Ratio { value, bound }));
        assert_eq!(r(1.0 / 64.4, Bound::Exact), "1:64");
        assert_eq!(r(1.0 / 7337.2, Bound::Exact), "1:7,337");
        assert_eq!(r(1.0 / 5.25, Bound::AtMost), "≥ 1:5.2");
        assert_eq!(r(1.0, Bound::Exact), "1:1.0");
        assert_eq!(r(1.4, Bound::Exact), "1.4:1");
        assert_eq!(r(20.0, Bound::AtMost), "≤ 20:1");
        assert_eq!(r(20.0, Bound::AtLeast), "≥ 20:1");
        assert_eq!(r(0.1, Bound::AtLeast), "≤ 1:10");
        assert_eq!(ratio(None), "-");
    }

    proptest! {
        #[test]
        fn a_number_is_off_by_less_than_a_hundredth(value in -1e15f64..1e15) {
            let text = number(value).replace(',', "");
            let read: f64 = text.parse().expect("it is a number");
            prop_assert!((read - value).abs() <= value.abs() / 100.0, "{value} is {text}");
        }
    }
}
