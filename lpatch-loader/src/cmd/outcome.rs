// SPDX-License-Identifier: GPL-2.0

//! What became of a request for a transition: the result, or the failure, that the command ends with.

use super::blockers;
use super::list::state_word;
use super::transition::{self, time, timed_out};
use crate::failure::{signal_code, Failure, INCOMPLETE};
use crate::progress::{doing, tasks};
use lpatch_loader::wait::{turned, End, Limits, Outcome, Side, Verb};
use lpatch_model::uapi::Transition;
use serde_json::{json, Value};

/// What is told about.
pub(crate) struct Told<'o> {
    /// The patch.
    pub(crate) name: &'o str,
    /// What was asked for.
    pub(crate) verb: Verb,
    /// In what time it had to be complete, and when it was to interrupt.
    pub(crate) limits: Limits,
    /// What became of it.
    pub(crate) outcome: &'o Outcome,
    /// If it was reversed: what was done then.
    pub(crate) after: Option<&'o str>,
    /// If it was reversed: whether the patch is still loaded.
    pub(crate) loaded: bool,
    /// How long it took.
    pub(crate) ms: f64,
    /// CLOCK_MONOTONIC.
    pub(crate) now_ns: u64,
}

/// A result.
pub(crate) struct Result {
    /// For people.
    pub(crate) text: String,
    /// The state of the patch.
    pub(crate) state: &'static str,
    /// The transition, for programs.
    pub(crate) transition: Value,
}

/// A side as the state of a patch.
fn side(side: Side) -> &'static str {
    match side {
        Side::Enabled => "enabled",
        Side::Disabled => "disabled",
    }
}

/// The way to a side as the state of a patch.
fn way(transition: &Transition) -> &'static str {
    match Side::of(transition) {
        Side::Enabled => "enabling",
        Side::Disabled => "disabling",
    }
}

impl Told<'_> {
    /// The result, or the failure.
    pub(crate) fn judge(&self) -> std::result::Result<Result, Failure> {
        let Self { name, outcome, .. } = *self;
        let goal = side(outcome.goal);
        match (outcome.end, &outcome.transition) {
            (End::Complete, transition) => Ok(self.complete(transition.as_ref())),
            (End::UnderWay, Some(now)) => {
                let (doing, left) = (doing(now), tasks(now.pending));
                let text = format!("{doing} {name}: {left} left; `lpatch status` tells how it goes, `lpatch reverse {name}` turns it around");
                Ok(self.result(text, way(now)))
            }
            (End::Forced(state), _) => self.other(
                state,
                "ended by force: tasks that had not moved go on in the functions that were left",
            ),
            (End::Overtaken(state), _) => self.other(
                state,
                "followed by another transition before its end was seen",
            ),
            (End::Reversed, _) => Err(self.reversed()),
            (End::Interrupted(signal), Some(now)) => Err(self.interrupted(signal, now)),
            (End::NotBegun(signal) | End::Interrupted(signal), _) => Err(self.failure(
                signal_code(signal),
                format!("interrupted before anything began; {name} is as it was"),
                None,
            )),
            (End::UnderWay, None) => Ok(self.result(format!("{name} {goal}"), goal)),
        }
    }

    fn result(&self, text: String, state: &'static str) -> Result {
        Result {
            text,
            state,
            transition: transition::json(self.outcome.transition.as_ref(), self.now_ns),
        }
    }

    fn failure(&self, code: u8, message: String, state: Option<&str>) -> Failure {
        let transition = transition::json(self.outcome.transition.as_ref(), self.now_ns);
        let mut details = json!({
            "name": self.name,
            "state": state,
            "transition": transition,
        });
        if let (Value::Object(object), Some(Ok(blocking))) = (&mut details, &self.outcome.blocking)
        {
            object.insert("blockers".into(), blockers::json(blocking));
            object.insert("blocker_count".into(), blocking.count.into());
        }
        Failure::Unfinished {
            message,
            code,
            details,
        }
    }

    fn complete(&self, transition: Option<&Transition>) -> Result {
        let (name, state) = (self.name, side(self.outcome.goal));
        let how = match transition {
            None => " (all tasks at once)",
            Some(now) if self.verb == Verb::Reverse && turned(now) => " again",
            Some(_) => "",
        };
        let interrupted = transition.map(transition::interrupted).unwrap_or_default();
        self.result(
            format!("{name} {state}{how} in {}{interrupted}", time(self.ms)),
            state,
        )
    }

    /// An end that others brought about; what counts is the state that the patch is in.
    fn other(&self, state: Option<u32>, what: &str) -> std::result::Result<Result, Failure> {
        let name = self.name;
        let word = state.map_or("unloaded", state_word);
        let message = format!("the transition of {name} was {what}; {name} is {word} now");
        if state.and_then(Side::of_state) == Some(self.outcome.goal) {
            return Ok(self.result(message, side(self.outcome.goal)));
        }
        Err(self.failure(INCOMPLETE, message, Some(word)))
    }

    fn reversed(&self) -> Failure {
        let Self { name, outcome, .. } = *self;
        let state = side(outcome.goal.other());
        let late = outcome.transition.as_ref().is_some_and(timed_out);
        let what = match (self.verb, outcome.goal) {
            (Verb::Reverse, _) => "the way back of",
            (_, Side::Enabled) => "enabling",
            (_, Side::Disabled) => "disabling",
        };
        let how = if late && self.verb != Verb::Reverse {
            let limit = time(f64::from(self.limits.timeout_ms));
            format!("was not complete after {limit} and was reversed")
        } else {
            "was turned around by somebody before it was complete".to_owned()
        };
        let after = match self.after {
            Some(after) => after.to_owned(),
            None => format!("it is {state} as before"),
        };
        let mut message = format!("{what} {name} {how}; {after}");
        match &outcome.blocking {
            None => (),
            Some(Err(error)) => {
                message += &format!("\nwhich tasks were pending is not known: {error}");
            }
            Some(Ok(blocking)) if blocking.count == 0 => {
                message += "\nno task was recorded as pending when the time was over";
            }
            Some(Ok(blocking)) => {
                let were = blockers::count(blocking, "was", "were");
                message += &format!("\n{were} pending when the time was over:");
                message += &blockers::paragraphs(blocking);
                message += "\nnext: end these tasks, or let them go on, and try again; or give them more time (--timeout SECONDS, 0: no limit)";
                if self.limits.never_interrupts() && blockers::any_asleep(blocking) {
                    message += "\nnobody was interrupted: those that are asleep (S) leave if they are (--interrupt-after SECONDS, less than the timeout)";
                }
            }
        }
        let state = if self.loaded { state } else { "unloaded" };
        self.failure(INCOMPLETE, message, Some(state))
    }

    fn interrupted(&self, signal: i32, now: &Transition) -> Failure {
        let name = self.name;
        let (doing, left) = (doing(now), tasks(now.pending));
        let until = match now.deadline_ns.checked_sub(self.now_ns) {
            Some(left) if !turned(now) => {
                let left = std::time::Duration::from_nanos(left).as_secs_f64();
                format!(" (for at most {left:.1} s, then it is reversed)")
            }
            _ => String::new(),
        };
        let turn = if turned(now) {
            "turns it forward again"
        } else {
            "turns it around"
        };
        let message = format!("interrupted, but {doing} {name} goes on{until}: {left} left\n`lpatch status --blockers` shows who is in the way, `lpatch reverse {name}` {turn}");
        self.failure(signal_code(signal), message, Some(way(now)))
    }
}
