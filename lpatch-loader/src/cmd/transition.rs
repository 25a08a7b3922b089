// SPDX-License-Identifier: GPL-2.0

//! A transition in words and as JSON.

use crate::progress::{doing, interrupts, tasks};
use lpatch_loader::device::name_of;
use lpatch_loader::wait::{ended, turned};
use lpatch_model::uapi::{
    Transition, CAUSES, CAUSE_ASLEEP, CAUSE_BIRTH, CAUSE_ENTERED, CAUSE_EXIT, CAUSE_FORCED,
    CAUSE_RUNNING, CAUSE_SCHEDULED_OUT, CAUSE_USER_MODE, CAUSE_WOKEN, KIND_ENABLE, PHASE_DONE,
    PHASE_FORCED, PHASE_LIVE, PHASE_NONE, PHASE_REVERSED, PHASE_REVERSING, TRANSITION_DEADLINE,
    TRANSITION_DIED, TRANSITION_SETTLING,
};
use serde_json::{json, Map, Value};

/// What moves tasks, as keys of JSON; for people without the underscore.
const CAUSE_NAMES: [(usize, &str); CAUSES] = [
    (CAUSE_ASLEEP, "asleep"),
    (CAUSE_RUNNING, "running"),
    (CAUSE_SCHEDULED_OUT, "scheduled_out"),
    (CAUSE_ENTERED, "entered"),
    (CAUSE_USER_MODE, "user_mode"),
    (CAUSE_WOKEN, "woken"),
    (CAUSE_BIRTH, "birth"),
    (CAUSE_EXIT, "exit"),
    (CAUSE_FORCED, "forced"),
];

fn moved_by(transition: &Transition, cause: usize) -> u64 {
    transition.moved.get(cause).copied().unwrap_or(0)
}

/// `enable`, `disable`.
pub(crate) fn kind(transition: &Transition) -> &'static str {
    if transition.kind == KIND_ENABLE {
        "enable"
    } else {
        "disable"
    }
}

fn phase(transition: &Transition) -> &'static str {
    match transition.phase {
        PHASE_NONE => "none",
        PHASE_LIVE => "live",
        PHASE_REVERSING => "reversing",
        PHASE_DONE => "done",
        PHASE_REVERSED => "reversed",
        PHASE_FORCED => "forced",
        _ => "unknown",
    }
}

/// Whether it was reversed because its time was over.
pub(crate) fn timed_out(transition: &Transition) -> bool {
    turned(transition) && transition.flags & TRANSITION_DEADLINE != 0
}

/// From its start to its end, or to `now_ns`.
pub(crate) fn elapsed_ms(transition: &Transition, now_ns: u64) -> f64 {
    let until = match transition.ended_ns {
        0 => now_ns,
        ended => ended,
    };
    let elapsed = until.saturating_sub(transition.started_ns);
    std::time::Duration::from_nanos(elapsed).as_secs_f64() * 1000.0
}

/// Milliseconds as people read them.
pub(crate) fn time(ms: f64) -> String {
    if ms < 1000.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{:.1} s", ms / 1000.0)
    }
}

/// For programs; null if there was none.
pub(crate) fn json(transition: Option<&Transition>, now_ns: u64) -> Value {
    let Some(t) = transition.filter(|t| t.phase != PHASE_NONE) else {
        return Value::Null;
    };
    let moved: Map<String, Value> = CAUSE_NAMES
        .iter()
        .map(|(cause, name)| ((*name).to_owned(), moved_by(t, *cause).into()))
        .collect();
    json!({
        "id": t.id,
        "patch": name_of(&t.name),
        "kind": kind(t),
        "phase": phase(t),
        "pending": t.pending,
        "replaces": t.replaces,
        "deadline_passed": t.flags & TRANSITION_DEADLINE != 0,
        "callback_died": t.flags & TRANSITION_DIED != 0,
        "settling": t.flags & TRANSITION_SETTLING != 0,
        "started_ns": t.started_ns,
        "ended_ns": t.ended_ns,
        "deadline_ns": t.deadline_ns,
        "interrupt_ns": t.interrupt_ns,
        "interrupted": t.interrupted,
        "elapsed_ms": elapsed_ms(t, now_ns),
        "moved": moved,
    })
}

/// "; 3 tasks interrupted", or nothing.
pub(crate) fn interrupted(transition: &Transition) -> String {
    match transition.interrupted {
        0 => String::new(),
        count => format!("; {} interrupted", tasks(count)),
    }
}

/// How many tasks moved, and by what: "365 tasks moved: 359 asleep, 6 running".
pub(crate) fn moved(transition: &Transition) -> String {
    let mut parts = Vec::new();
    let mut total = 0_u64;
    for (cause, name) in CAUSE_NAMES {
        let count = moved_by(transition, cause);
        if count > 0 {
            parts.push(format!("{count} {}", name.replace('_', " ")));
        }
        if cause != CAUSE_FORCED {
            total = total.saturating_add(count);
        }
    }
    let colon = if parts.is_empty() { "" } else { ": " };
    let parts = parts.join(", ");
    format!(
        "{} moved{colon}{parts}{}",
        tasks(total),
        interrupted(transition)
    )
}

/// One line about it, for `lpatch status`.
pub(crate) fn line(transition: &Transition, now_ns: u64) -> String {
    let name = name_of(&transition.name);
    let elapsed = time(elapsed_ms(transition, now_ns));
    if !ended(transition) {
        let doing = doing(transition);
        if transition.ended_ns != 0 {
            return format!("{doing} {name}: all tasks have moved after {elapsed}, a callback of the patch is running");
        }
        let left = tasks(transition.pending);
        let until = match transition.deadline_ns.checked_sub(now_ns) {
            Some(left) if transition.phase == PHASE_LIVE => {
                let left = std::time::Duration::from_nanos(left).as_secs_f64();
                format!(", reverses by itself in {left:.1} s")
            }
            _ => String::new(),
        };
        let interrupts = interrupts(transition, now_ns);
        return format!("{doing} {name}: {left} left, {elapsed}{interrupts}{until}");
    }
    let what = kind(transition);
    let how = match transition.phase {
        PHASE_NONE => return "none yet".into(),
        PHASE_DONE => "complete",
        PHASE_REVERSED if timed_out(transition) => "reversed because its time was over,",
        PHASE_REVERSED => "reversed",
        PHASE_FORCED => "ended by force",
        _ => "ended, this lpatch does not know how,",
    };
    let settling = if transition.flags & TRANSITION_SETTLING != 0 {
        "; the kernel is tidying up"
    } else {
        ""
    };
    let died = if transition.flags & TRANSITION_DIED != 0 {
        "; a task died in a callback of the patch"
    } else {
        ""
    };
    format!("{what} of {name}, {how} after {elapsed}{settling}{died}")
}
