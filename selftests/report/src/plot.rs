// SPDX-License-Identifier: GPL-2.0

//! The plot: one panel for each section and unit. Absolute figures, each beside its number: bars from zero where the axis is linear,
//! points on a logarithmic axis where figures are too far apart for that, since a bar there would begin nowhere. A row with a spread has
//! a line for each side, from the minimum to the maximum, with the median on it and a stroke at the 90th percentile.
//!
//! The colours follow the reader's setting, light or dark, and upstream and lpatch differ in shape as well.

use std::fmt::Write;

use crate::figure::{Figure, Figures, Statistic};
use crate::number;
use crate::plan::Axis;
use crate::results::{Line, Results, RowResult};

const WIDTH: f64 = 960.0;
/// Where the axes begin and end, and where the numbers of both sides end.
const LEFT: f64 = 350.0;
const RIGHT: f64 = 740.0;
const UPSTREAM: f64 = 850.0;
const LPATCH: f64 = 950.0;
const ROW: f64 = 22.0;
const HEAD: f64 = 44.0;
const FOOT: f64 = 36.0;

/// What a row with a spread shows.
const SPREAD: &str = "line: minimum to maximum; stroke: 90th percentile; number: median";

/// What the mark behind a name means.
const WITHIN: &str = "\u{b1}: the runs of one side lie farther apart than the figures";

const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}
.head{font-weight:600;font-size:13px}
.number,.tick{text-anchor:end}
.tick{text-anchor:middle;font-size:10px;opacity:.75}
.note{font-size:10px;opacity:.75}
.grid{stroke:#8b949e;stroke-opacity:.35}
.between{stroke:#8b949e;stroke-width:2}
.none{stroke:#57606a;stroke-width:2}
.upstream{fill:#b35900}
.lpatch{fill:#0a5fb4}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}
.none{stroke:#adbac7}
.upstream{fill:#f0a35e}
.lpatch{fill:#6cb6ff}
}";

/// Rows of one unit.
struct Panel<'a> {
    title: String,
    scale: Scale,
    rows: Vec<&'a RowResult>,
}

/// From values to places.
#[derive(Clone, Copy, Debug)]
enum Scale {
    /// From 0 to this.
    Linear(f64),
    /// From and to these powers of ten.
    Log(i32, i32),
}

impl Scale {
    /// One that shows all of these. Values that are not positive have no place on a logarithmic axis and lie at its beginning;
    /// what no machine can have measured is not worth an axis.
    fn of(axis: Axis, values: &[f64]) -> Scale {
        let values = || values.iter().copied().filter(|v| *v > 1e-300);
        let most = values().fold(0.0, f64::max).min(1e300);
        if axis == Axis::Linear {
            let most = if most > 0.0 { most } else { 1.0 };
            let step = step(most);
            return Scale::Linear((most / step).ceil() * step);
        }
        let least = values().fold(1e300, f64::min);
        if most <= 0.0 {
            return Scale::Log(0, 1);
        }
        let (from, to) = (power(least, f64::floor), power(most, f64::ceil));
        Scale::Log(from, to.max(from + 1))
    }

    fn x(self, value: f64) -> f64 {
        let part = match self {
            Scale::Linear(most) => value / most,
            Scale::Log(from, to) if value > 0.0 => {
                (value.log10() - f64::from(from)) / f64::from(to - from)
            }
            Scale::Log(..) => 0.0,
        };
        LEFT + part.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    fn ticks(self) -> Vec<f64> {
        match self {
            Scale::Linear(most) => {
                let step = step(most);
                let mut ticks = vec![0.0];
                while let Some(last) = ticks.last().filter(|t| **t + step / 2.0 < most) {
                    ticks.push(last + step);
                }
                ticks
            }
            Scale::Log(from, to) => (from..=to).map(|p| 10f64.powi(p)).collect(),
        }
    }
}

/// 1, 2 or 5 times a power of ten, so that there are 4 to 10 of them up to `most`, which is positive.
fn step(most: f64) -> f64 {
    let ten = 10f64.powi(power(most, f64::floor));
    [ten / 10.0, ten / 5.0, ten / 2.0, ten]
        .into_iter()
        .find(|step| most / step <= 10.0)
        .unwrap_or(ten)
}

/// The power of ten below or above a positive number.
fn power(value: f64, round: fn(f64) -> f64) -> i32 {
    let wanted = round(value.log10());
    // All there are for an f64, smallest first.
    (-330..=310)
        .find(|p| f64::from(*p) >= wanted)
        .unwrap_or_default()
}

fn panels(results: &Results) -> Vec<Panel<'_>> {
    let mut panels: Vec<Panel<'_>> = Vec::new();
    for section in &results.sections {
        let rows = || section.rows.iter().filter(|r| r.sides().next().is_some());
        let mut units: Vec<&str> = Vec::new();
        for row in rows() {
            if !units.contains(&&*row.unit) {
                units.push(&row.unit);
            }
        }
        for unit in units {
            let rows: Vec<_> = rows().filter(|row| row.unit == unit).collect();
            let lines = rows.iter().flat_map(|row| row.lines());
            let figures = lines.flat_map(|line| [line.none, line.upstream, line.lpatch]);
            let values: Vec<_> = figures.flatten().map(|f| f.value).collect();
            panels.push(Panel {
                title: format!("{}, {unit}", section.title),
                scale: Scale::of(section.axis, &values),
                rows,
            });
        }
    }
    panels
}

/// The whole picture, an SVG document. Rows without a figure are left out.
pub fn svg(results: &Results) -> String {
    let mut body = String::new();
    let mut y = 10.0;
    for panel in panels(results) {
        y = draw(&mut body, &panel, y);
    }
    let title = format!(
        "Upstream livepatch and lpatch, Linux {}, lpatch {}",
        escape(&results.machine.kernel),
        escape(&results.machine.commit)
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{WIDTH}\" height=\"{y}\" viewBox=\"0 0 {WIDTH} {y}\">\n\
         <!-- SPDX-License-Identifier: GPL-2.0 -->\n<title>{title}</title>\n<style>\n{STYLE}\n</style>\n{body}</svg>\n"
    )
}

/// Draws a panel from `top` on; returns where it ends.
fn draw(out: &mut String, panel: &Panel<'_>, top: f64) -> f64 {
    let rows = top + HEAD;
    let mut bottom = rows;
    for _ in &panel.rows {
        bottom += ROW;
    }
    let head = top + HEAD - 14.0;
    text(out, "head", 10.0, head, &panel.title);
    text(out, "number upstream", UPSTREAM, head, "upstream \u{25a0}");
    text(out, "number lpatch", LPATCH, head, "lpatch \u{25cf}");
    if panel.rows.iter().any(|row| row.none.is_some()) {
        text(out, "number", RIGHT, head, "without \u{2503}");
    }
    for tick in panel.scale.ticks() {
        let x = panel.scale.x(tick);
        line(out, "grid", (x, rows), (x, bottom));
        text(out, "tick", x, bottom + 14.0, &number::number(tick));
    }
    let has = |what: fn(&RowResult) -> bool| panel.rows.iter().any(|row| what(row));
    if has(|row| row.spread) {
        text(out, "note", 10.0, bottom + 14.0, SPREAD);
    }
    if has(RowResult::within_spread) {
        text(out, "note", 10.0, bottom + 27.0, WITHIN);
    }
    let mut y = rows + ROW / 2.0;
    for row in &panel.rows {
        let medians = row.line(Statistic::Median);
        let mark = if row.within_spread() { " \u{b1}" } else { "" };
        text(out, "", 10.0, y + 4.0, &format!("{}{mark}", row.name));
        text(
            out,
            "number upstream",
            UPSTREAM,
            y + 4.0,
            &number::figure(medians.upstream),
        );
        text(
            out,
            "number lpatch",
            LPATCH,
            y + 4.0,
            &number::figure(medians.lpatch),
        );
        match panel.scale {
            _ if row.spread => ranges(out, panel.scale, row, y),
            Scale::Linear(_) => bars(out, panel.scale, &medians, y),
            Scale::Log(..) => points(out, panel.scale, &medians, y),
        }
        if let Some(none) = medians.none {
            let x = panel.scale.x(none.value);
            line(out, "none", (x, y - 8.0), (x, y + 8.0));
        }
        y += ROW;
    }
    bottom + FOOT
}

fn bars(out: &mut String, scale: Scale, row: &Line, y: f64) {
    for (class, figure, top) in [
        ("upstream", row.upstream, y - 8.0),
        ("lpatch", row.lpatch, y + 1.0),
    ] {
        if let Some(figure) = figure {
            // So that 0 is seen as measured.
            let width = (scale.x(figure.value) - LEFT).max(1.0);
            rect(out, class, (LEFT, top), width, 7.0);
            more(out, class, figure, (LEFT + width, top + 3.5));
        }
    }
}

fn points(out: &mut String, scale: Scale, row: &Line, y: f64) {
    let x = |figure: Option<Figure>| figure.map(|f| scale.x(f.value));
    if let (Some(from), Some(to)) = (x(row.upstream), x(row.lpatch)) {
        line(out, "between", (from, y), (to, y));
    }
    if let (Some(x), Some(figure)) = (x(row.upstream), row.upstream) {
        rect(out, "upstream", (x - 5.0, y - 5.0), 10.0, 10.0);
        more(out, "upstream", figure, (x + 5.0, y));
    }
    if let (Some(x), Some(figure)) = (x(row.lpatch), row.lpatch) {
        circle(out, "lpatch", (x, y), 5.0);
        more(out, "lpatch", figure, (x + 5.0, y));
    }
}

fn ranges(out: &mut String, scale: Scale, row: &RowResult, y: f64) {
    let places = |figures: Figures| Statistic::ALL.map(|s| scale.x(figures.get(s).value));
    // Upstream's is above lpatch's.
    if let Some(upstream) = row.upstream {
        let (y, places) = (y - 4.0, places(upstream));
        range(out, "upstream", upstream, places, y);
        rect(out, "upstream", (places[1] - 3.5, y - 3.5), 7.0, 7.0);
    }
    if let Some(lpatch) = row.lpatch {
        let (y, places) = (y + 4.0, places(lpatch));
        range(out, "lpatch", lpatch, places, y);
        circle(out, "lpatch", (places[1], y), 3.5);
    }
}

/// The line of one side and the stroke on it. The places are those of all its figures.
fn range(out: &mut String, class: &str, figures: Figures, [min, _, p90, max]: [f64; 4], y: f64) {
    rect(out, class, (min, y - 1.0), max - min, 2.0);
    rect(out, class, (p90 - 1.0, y - 3.5), 2.0, 7.0);
    more(out, class, figures.get(Statistic::Max), (max, y));
}

/// An arrow behind a bound: it is there or beyond.
fn more(out: &mut String, class: &str, figure: Figure, (x, y): (f64, f64)) {
    if figure.at_least {
        let (x, top, bottom, tip) = (x + 2.0, y - 5.0, y + 5.0, x + 10.0);
        write(
            out,
            format_args!("<path class=\"{class}\" d=\"M{x:.1} {top:.1}L{tip:.1} {y:.1}L{x:.1} {bottom:.1}z\"/>\n"),
        );
    }
}

fn circle(out: &mut String, class: &str, (x, y): (f64, f64), radius: f64) {
    write(
        out,
        format_args!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>\n"),
    );
}

fn rect(out: &mut String, class: &str, (x, y): (f64, f64), width: f64, height: f64) {
    write(
        out,
        format_args!("<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\"/>\n"),
    );
}

fn line(out: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    write(
        out,
        format_args!(
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>\n",
            from.0, from.1, to.0, to.1
        ),
    );
}

fn text(out: &mut String, class: &str, x: f64, y: f64, text: &str) {
    let class = if class.is_empty() {
        String::new()
    } else {
        format!(" class=\"{class}\"")
    };
    write(
        out,
        format_args!(
            "<text{class} x=\"{x:.1}\" y=\"{y:.1}\">{}</text>\n",
            escape(text)
        ),
    );
}

fn write(out: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(what);
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Runs;
    use crate::plan::Plan;
    use crate::results::tests::{apart, example, two_modes};
    use crate::results::Machine;
    use proptest::prelude::*;

    fn plot(axis: &str, log: &str) -> String {
        let rows = format!(
            "section p {axis} Title\na ms - one\nb ms - two\nc bytes - three\nd ms,spread - four\n"
        );
        let plan = Plan::parse(&rows).expect("it is right");
        let mut runs = Runs::default();
        runs.read(log);
        svg(&Results::new(
            &plan,
            runs,
            &["p".to_owned()],
            Machine::default(),
        ))
    }

    /// Every tag is closed, in order, and no text has a sign of its own.
    fn well_formed(svg: &str) {
        let mut open = Vec::new();
        for part in svg.split('<').skip(1) {
            let (tag, text) = part.split_once('>').expect("each tag has an end");
            assert!(!text.contains('>'), "{part}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') && !tag.starts_with('!') {
                open.push(tag.split(' ').next().expect("the name"));
            }
        }
        assert!(open.is_empty());
    }

    fn count(svg: &str, what: &str) -> usize {
        svg.matches(what).count()
    }

    #[test]
    fn names_are_escaped_and_everything_that_was_measured_is_drawn() {
        let svg = svg(&example(&["a"]));
        well_formed(&svg);
        assert!(svg.contains("enable &amp; wait") && svg.contains("Until &lt;done&gt;"));
        assert!(!svg.contains("nobody did"));
        // One row of points; two of bars, one of them with a mark for what is without.
        assert_eq!(count(&svg, "<circle"), 1);
        assert_eq!(count(&svg, "class=\"between\""), 1);
        assert_eq!(count(&svg, "<rect"), 1 + 4);
        assert_eq!(count(&svg, "class=\"none\""), 1);
        assert_eq!(count(&svg, ">without"), 1);
    }

    #[test]
    fn each_unit_has_an_axis() {
        let svg = plot(
            "log",
            "row a upstream 5\nrow b lpatch 2\nrow c lpatch 4096\n",
        );
        assert_eq!(count(&svg, "class=\"head\""), 2);
        assert!(svg.contains(">Title, ms<") && svg.contains(">Title, bytes<"));
        assert_eq!(count(&plot("log", ""), "class=\"head\""), 0);
    }

    #[test]
    fn a_bound_has_an_arrow_and_zero_a_place() {
        let log = "capped a upstream 60000\nrow a lpatch 0\n";
        for axis in ["log", "linear"] {
            let svg = plot(axis, log);
            well_formed(&svg);
            assert_eq!(count(&svg, "<path"), 1);
            assert!(svg.contains("\u{2265} 60,000"));
        }
        assert!(plot("log", log).contains("cx=\"350.0\""));
        // Nothing but zeros.
        well_formed(&plot("log", "row a lpatch 0\n"));
        well_formed(&plot("linear", "row a lpatch 0\n"));
    }

    #[test]
    fn a_row_with_a_spread_shows_how_its_runs_lie() {
        let svg = svg(&two_modes(20));
        well_formed(&svg);
        // From 10 to 10,000: upstream's line goes from 37 to 2,000 and beyond, its stroke is at 1,400 and its median at 37.
        assert!(svg.contains(
            "<rect class=\"upstream\" x=\"423.9\" y=\"60.0\" width=\"225.3\" height=\"2\"/>"
        ));
        assert!(svg.contains(
            "<rect class=\"upstream\" x=\"628.0\" y=\"57.5\" width=\"2.0\" height=\"7\"/>"
        ));
        assert!(svg.contains(
            "<rect class=\"upstream\" x=\"420.4\" y=\"57.5\" width=\"7.0\" height=\"7\"/>"
        ));
        assert_eq!(count(&svg, "<path class=\"upstream\""), 1);
        // lpatch's from 18 to 25, with both at 20.
        assert!(svg.contains(
            "<rect class=\"lpatch\" x=\"383.2\" y=\"68.0\" width=\"18.5\" height=\"2\"/>"
        ));
        assert!(svg.contains(
            "<rect class=\"lpatch\" x=\"388.1\" y=\"65.5\" width=\"2.0\" height=\"7\"/>"
        ));
        assert!(svg.contains("<circle class=\"lpatch\" cx=\"389.1\" cy=\"69.0\" r=\"3.5\"/>"));
        assert_eq!(count(&svg, ">idle<"), 1);
        assert_eq!(count(&svg, SPREAD), 1);
        assert_eq!(count(&plot("log", "row a lpatch 1\n"), SPREAD), 0);
    }

    #[test]
    fn a_difference_within_the_spread_is_marked_and_the_mark_explained() {
        let svg = svg(&apart());
        well_formed(&svg);
        assert!(svg.contains(">near \u{b1}<") && svg.contains(">far<") && svg.contains(">two<"));
        assert_eq!(count(&svg, WITHIN), 1);
        assert_eq!(count(&super::svg(&two_modes(20)), "\u{b1}"), 0);
    }

    #[test]
    fn scales() {
        let linear = Scale::of(Axis::Linear, &[86.0, 3.0]);
        assert_eq!(
            linear.ticks(),
            [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0]
        );
        assert_eq!((linear.x(0.0), linear.x(90.0)), (LEFT, RIGHT));
        let log = Scale::of(Axis::Log, &[2.0, 1379.0]);
        assert_eq!(log.ticks(), [1.0, 10.0, 100.0, 1000.0, 10000.0]);
        assert_eq!(
            (log.x(1.0), log.x(10000.0), log.x(100.0)),
            (LEFT, RIGHT, (LEFT + RIGHT) / 2.0)
        );
    }

    proptest! {
        #[test]
        fn everything_lies_on_its_axis(a in -1e300f64..1e300, b in any::<f64>(), linear in any::<bool>()) {
            let svg = plot(if linear { "linear" } else { "log" }, &format!("row a upstream {a}\ncapped a lpatch {b}\n\
                row d upstream {a}\nrow d upstream {b}\nrow d lpatch {a}\n"));
            well_formed(&svg);
            prop_assert!(!svg.contains("NaN") && !svg.contains("inf"));
            for x in svg.split(" cx=\"").skip(1) {
                let x: f64 = x.split('"').next().expect("a value").parse().expect("a number");
                prop_assert!((LEFT..=RIGHT).contains(&x));
            }
        }

        #[test]
        fn axes_have_few_ticks(a in 1e-12f64..1e12, b in 1e-12f64..1e12) {
            let ticks = Scale::of(Axis::Linear, &[a, b]).ticks();
            prop_assert!((4..=12).contains(&ticks.len()), "{ticks:?}");
            prop_assert!(Scale::of(Axis::Log, &[a, b]).ticks().len() <= 26);
        }
    }
}
