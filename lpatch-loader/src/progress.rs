// SPDX-License-Identifier: GPL-2.0

//! What is shown of a transition while it is waited for: on a terminal a line that is rewritten, elsewhere a line
//! now and then.

use lpatch_loader::device::name_of;
use lpatch_loader::wait::turned;
use lpatch_model::uapi::{Transition, KIND_ENABLE};
use std::time::Duration;

/// A transition that ends before is not worth a line.
const QUIET: Duration = Duration::from_millis(200);
/// Milliseconds between two looks on a terminal.
const TERMINAL_MS: u32 = 100;
/// The same elsewhere.
const LINES_MS: u32 = 1000;
/// Narrowest terminal that is common; a longer line would wrap, and could not be rewritten.
const WIDTH: usize = 79;
/// Goes to the start of the line and clears it (ECMA-48 CR, EL).
const CLEAR: &str = "\r\x1b[K";

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// One line that is rewritten.
    Terminal,
    /// A line when something changed, at growing distances.
    Lines,
    /// Not at all.
    Silent,
}

/// What was shown last.
#[derive(Debug)]
pub(crate) struct Progress {
    style: Style,
    /// Pending tasks and direction on the last line.
    shown: Option<(u32, bool)>,
    /// Direction at the last look.
    turned: Option<bool>,
    /// Not earlier than this comes the next of the lines.
    next: Duration,
}

/// What goes on: `enabling`, `disabling`, `reversing`.
pub(crate) fn doing(transition: &Transition) -> &'static str {
    match (turned(transition), transition.kind) {
        (true, _) => "reversing",
        (false, KIND_ENABLE) => "enabling",
        (false, _) => "disabling",
    }
}

/// A number of tasks.
pub(crate) fn tasks(count: impl Into<u64>) -> String {
    match count.into() {
        1 => "1 task".into(),
        count => format!("{count} tasks"),
    }
}

/// How long it is until sleeping tasks are interrupted: ", interrupts in 12.3 s"; nothing if that is over, or never comes.
pub(crate) fn interrupts(transition: &Transition, now_ns: u64) -> String {
    match transition.interrupt_ns.saturating_sub(now_ns) {
        0 => String::new(),
        left => format!(
            ", interrupts in {:.1} s",
            Duration::from_nanos(left).as_secs_f64()
        ),
    }
}

/// The line, at most `width` characters if its numbers leave room for that.
fn line(transition: &Transition, elapsed: Duration, now_ns: u64, width: usize) -> String {
    let mut name = name_of(&transition.name);
    let doing = doing(transition);
    let left = tasks(transition.pending);
    let rest = format!(
        ": {left} left, {:.1} s{}",
        elapsed.as_secs_f64(),
        interrupts(transition, now_ns)
    );
    let room = width.saturating_sub(doing.len() + 1 + rest.len());
    // Names are ASCII.
    if name.len() > room {
        name.truncate(room.saturating_sub(1));
        name.push('~');
    }
    format!("{doing} {name}{rest}")
}

/// The first of 1, 2, 5, 10, 20, 50, 100 … seconds that is later.
fn step_after(elapsed: Duration) -> Duration {
    let mut decade = 1;
    loop {
        for factor in [1, 2, 5] {
            let step = Duration::from_secs(decade * factor);
            if step > elapsed {
                return step;
            }
        }
        decade *= 10;
    }
}

impl Progress {
    /// Nothing shown yet.
    pub(crate) fn new(style: Style) -> Self {
        Self {
            style,
            shown: None,
            turned: None,
            next: Duration::from_secs(1),
        }
    }

    /// What to write at this look, and after how many milliseconds the next one comes.
    pub(crate) fn look(
        &mut self,
        transition: &Transition,
        elapsed: Duration,
        now_ns: u64,
    ) -> (Option<String>, u32) {
        match self.style {
            Style::Silent => (None, LINES_MS),
            Style::Terminal => self.terminal(transition, elapsed, now_ns),
            Style::Lines => self.lines(transition, elapsed, now_ns),
        }
    }

    fn terminal(
        &mut self,
        transition: &Transition,
        elapsed: Duration,
        now_ns: u64,
    ) -> (Option<String>, u32) {
        if let Some(left) = QUIET.checked_sub(elapsed).filter(|left| !left.is_zero()) {
            return (None, u32::try_from(left.as_millis()).unwrap_or(0) + 1);
        }
        self.shown = Some((transition.pending, turned(transition)));
        let line = line(transition, elapsed, now_ns, WIDTH);
        (Some(format!("{CLEAR}{line}")), TERMINAL_MS)
    }

    fn lines(
        &mut self,
        transition: &Transition,
        elapsed: Duration,
        now_ns: u64,
    ) -> (Option<String>, u32) {
        let turned = turned(transition);
        let now = (transition.pending, turned);
        // That it turns is news at any time.
        let turns = self.turned.replace(turned).is_some_and(|was| was != turned);
        let text = if turns || (elapsed >= self.next && self.shown != Some(now)) {
            self.shown = Some(now);
            self.next = step_after(elapsed);
            Some(line(transition, elapsed, now_ns, usize::MAX) + "\n")
        } else {
            None
        };
        let until = self.next.saturating_sub(elapsed).as_millis();
        let until = u32::try_from(until).unwrap_or(LINES_MS);
        // Once the time has come, it waits for a change.
        let wait = if until == 0 { LINES_MS } else { until };
        (text, wait.min(LINES_MS))
    }

    /// What to write when there are no more looks.
    pub(crate) fn over(&mut self) -> Option<&'static str> {
        let written = self.shown.take().is_some();
        (written && self.style == Style::Terminal).then_some(CLEAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lpatch_loader::device::name_field;
    use lpatch_model::uapi::{KIND_DISABLE, PHASE_LIVE, PHASE_REVERSING};

    fn transition(phase: u32, pending: u32) -> Transition {
        Transition {
            id: 1,
            phase,
            kind: KIND_ENABLE,
            pending,
            name: name_field("fix-1").expect("it is one"),
            ..Transition::default()
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_line_says_what_who_how_many_and_how_long() {
        let mut now = transition(PHASE_LIVE, 3);
        assert_eq!(
            line(&now, ms(1234), 0, WIDTH),
            "enabling fix-1: 3 tasks left, 1.2 s"
        );
        now.kind = KIND_DISABLE;
        now.pending = 1;
        assert_eq!(
            line(&now, ms(0), 0, WIDTH),
            "disabling fix-1: 1 task left, 0.0 s"
        );
        now.phase = PHASE_REVERSING;
        assert_eq!(
            line(&now, ms(60_049), 0, WIDTH),
            "reversing fix-1: 1 task left, 60.0 s"
        );
    }

    #[test]
    fn a_line_says_when_it_interrupts() {
        let mut now = transition(PHASE_LIVE, 3);
        now.interrupt_ns = 20_000_000_000;
        assert_eq!(
            line(&now, ms(1200), 6_200_000_000, WIDTH),
            "enabling fix-1: 3 tasks left, 1.2 s, interrupts in 13.8 s"
        );
        assert_eq!(
            line(&now, ms(15_000), 20_000_000_000, WIDTH),
            "enabling fix-1: 3 tasks left, 15.0 s"
        );
    }

    #[test]
    fn a_line_does_not_wrap() {
        let mut now = transition(PHASE_LIVE, 1_000_000);
        now.name = name_field(&"x".repeat(63)).expect("it is one");
        let short = line(&now, ms(99_999_900), 0, WIDTH);
        assert_eq!(short.len(), WIDTH, "{short}");
        assert!(
            short.contains("xx~: 1000000 tasks left, 99999.9 s"),
            "{short}"
        );
        assert!(line(&now, ms(0), 0, usize::MAX).contains(&"x".repeat(63)));
    }

    #[test]
    fn a_terminal_has_one_line_that_is_cleared_at_the_end() {
        let mut progress = Progress::new(Style::Terminal);
        let now = transition(PHASE_LIVE, 2);
        let (text, wait) = progress.look(&now, ms(0), 0);
        assert_eq!((text, wait), (None, 201));
        let (text, wait) = progress.look(&now, ms(201), 0);
        assert_eq!(
            text.as_deref(),
            Some("\r\x1b[Kenabling fix-1: 2 tasks left, 0.2 s")
        );
        assert_eq!(wait, 100);
        let (text, _) = progress.look(&now, ms(301), 0);
        assert_eq!(
            text.as_deref(),
            Some("\r\x1b[Kenabling fix-1: 2 tasks left, 0.3 s")
        );
        assert_eq!(progress.over(), Some("\r\x1b[K"));
        assert_eq!(progress.over(), None);
    }

    #[test]
    fn nothing_is_shown_of_what_ends_at_the_first_look() {
        for style in [Style::Terminal, Style::Lines, Style::Silent] {
            let mut progress = Progress::new(style);
            assert_eq!(progress.look(&transition(PHASE_LIVE, 9), ms(0), 0).0, None);
            assert_eq!(progress.over(), None);
        }
    }

    /// Looks as often as it asks for, with as many tasks as `pending` says at a time; the lines with their times.
    fn lines(seconds: u64, pending: impl Fn(u64) -> (u32, u32)) -> Vec<(u64, String)> {
        let mut progress = Progress::new(Style::Lines);
        let (mut now, mut seen) = (0, Vec::new());
        while now <= seconds * 1000 {
            let (phase, count) = pending(now);
            let (text, wait) = progress.look(&transition(phase, count), ms(now), 0);
            seen.extend(text.map(|text| (now, text)));
            assert!((1..=1000).contains(&wait), "{wait}");
            now += u64::from(wait);
        }
        assert_eq!(progress.over(), None);
        seen
    }

    #[test]
    fn lines_come_at_growing_distances() {
        let falling = |now| {
            (
                PHASE_LIVE,
                1000 - u32::try_from(now / 1000).expect("it is small"),
            )
        };
        let times: Vec<u64> = lines(250, falling).iter().map(|(now, _)| *now).collect();
        assert_eq!(
            times,
            [1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000]
        );
    }

    #[test]
    fn lines_come_only_when_something_changed() {
        let once = |now| (PHASE_LIVE, if now < 30_000 { 3 } else { 2 });
        let seen = lines(100, once);
        let texts: Vec<&str> = seen.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "enabling fix-1: 3 tasks left, 1.0 s\n",
                "enabling fix-1: 2 tasks left, 30.0 s\n"
            ]
        );
    }

    #[test]
    fn that_it_turns_is_said_at_once() {
        let turn = |now| {
            let phase = if now < 61_000 {
                PHASE_LIVE
            } else {
                PHASE_REVERSING
            };
            (phase, 3)
        };
        let seen = lines(90, turn);
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert_eq!(
            seen[1],
            (61_000, "reversing fix-1: 3 tasks left, 61.0 s\n".to_owned())
        );
    }
}
