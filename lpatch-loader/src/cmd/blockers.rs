// SPDX-License-Identifier: GPL-2.0

//! Tasks that a transition waits for, in words and as JSON.

use crate::output::table;
use crate::progress::tasks;
use lpatch_loader::device::{name_of, Blocking};
use lpatch_model::uapi::{
    Blocker, TASK_IDLE, TASK_KTHREAD, WHY_FUNCTION, WHY_JUMPED, WHY_NOT_ASKED, WHY_RUNNABLE,
    WHY_UNRELIABLE,
};
use serde_json::{json, Value};

/// Tasks that are described to people; programs get all.
const LISTED: usize = 20;

/// Any process chooses its name: what would move the cursor is not printed.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

fn is_idle(task: &Blocker) -> bool {
    task.flags & TASK_IDLE != 0
}

fn comm(task: &Blocker) -> String {
    printable(&name_of(&task.comm))
}

fn stack(task: &Blocker) -> Vec<String> {
    let text = name_of(&task.stack);
    let lines = text.lines().map(|line| printable(line.trim()));
    lines.filter(|line| !line.is_empty()).collect()
}

/// The letter of /proc/PID/stat.
fn state(task: &Blocker) -> char {
    let letter = char::from(task.state);
    if letter.is_ascii_alphabetic() {
        letter
    } else {
        '?'
    }
}

fn state_word(task: &Blocker) -> &'static str {
    match task.state {
        b'R' => "running",
        b'S' => "asleep",
        b'D' => "asleep, deaf to signals",
        b'T' => "stopped",
        b't' => "traced",
        b'Z' | b'X' => "ending",
        b'I' => "idle kernel thread",
        _ => "in an unknown state",
    }
}

fn why(task: &Blocker) -> &'static str {
    match task.why {
        WHY_FUNCTION => "function",
        WHY_UNRELIABLE => "unreliable",
        WHY_RUNNABLE => "runnable",
        WHY_NOT_ASKED => "not_asked",
        WHY_JUMPED => "jumped",
        _ => "unknown",
    }
}

/// Where it is, or why that is not known.
fn place(task: &Blocker) -> String {
    match task.why {
        WHY_FUNCTION => format!("in {}", printable(&name_of(&task.func))),
        WHY_UNRELIABLE => "its stack cannot be told with certainty now".into(),
        WHY_RUNNABLE => "it waits for a CPU".into(),
        WHY_NOT_ASKED => "it is about to be asked".into(),
        WHY_JUMPED => format!(
            "in {}, which one of the changed functions may have jumped to",
            printable(&name_of(&task.func))
        ),
        _ => "for a reason that this lpatch does not know".into(),
    }
}

/// "pid 7 (cat)", "idle task of CPU 1".
fn who(task: &Blocker) -> String {
    if is_idle(task) {
        return format!("idle task of CPU {}", task.cpu);
    }
    let of = if task.tgid == task.pid {
        String::new()
    } else {
        format!(", thread of {}", task.tgid)
    };
    format!("pid {} ({}){of}", task.pid, comm(task))
}

fn indented(lines: &[String], indent: &str) -> String {
    lines.iter().map(|l| format!("\n{indent}{l}")).collect()
}

/// The line that stands for those that are not shown.
fn rest(blocking: &Blocking) -> String {
    let shown = blocking.list.len().min(LISTED);
    let count = usize::try_from(blocking.count).unwrap_or(usize::MAX);
    match count.saturating_sub(shown) {
        0 => String::new(),
        rest => format!("\n  and {rest} more"),
    }
}

/// A paragraph for each: who, in which state, where, and the stack below.
pub(crate) fn paragraphs(blocking: &Blocking) -> String {
    let mut text = String::new();
    for task in blocking.list.iter().take(LISTED) {
        let (who, state, place) = (who(task), state(task), place(task));
        let word = state_word(task);
        text += &format!("\n  {who}, {state} ({word}), {place}");
        text += &indented(&stack(task), "      ");
    }
    text + &rest(blocking)
}

/// A table of all, then their stacks.
pub(crate) fn overview(blocking: &Blocking) -> String {
    let heading = ["PID", "NAME", "STATE", "CPU", "WHERE"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let shown = || blocking.list.iter().take(LISTED);
    rows.extend(shown().map(|task| {
        vec![
            task.pid.to_string(),
            comm(task),
            state(task).to_string(),
            task.cpu.to_string(),
            place(task),
        ]
    }));
    let mut text = table(&rows) + &rest(blocking);
    for task in shown() {
        let stack = stack(task);
        if !stack.is_empty() {
            let who = who(task);
            text += &format!("\n\nstack of {who}:{}", indented(&stack, "    "));
        }
    }
    text
}

/// Whether one of them would hear a signal.
pub(crate) fn any_asleep(blocking: &Blocking) -> bool {
    blocking.list.iter().any(|task| task.state == b'S')
}

/// "2 tasks were pending": how many, with the right verb.
pub(crate) fn count(blocking: &Blocking, one: &str, many: &str) -> String {
    let verb = if blocking.count == 1 { one } else { many };
    format!("{} {verb}", tasks(blocking.count))
}

/// For programs: a list.
pub(crate) fn json(blocking: &Blocking) -> Value {
    let one = |task: &Blocker| {
        json!({
            "pid": task.pid,
            "tgid": task.tgid,
            "cpu": task.cpu,
            "task_state": state(task).to_string(),
            "kthread": task.flags & TASK_KTHREAD != 0,
            "idle": is_idle(task),
            "why": why(task),
            "comm": name_of(&task.comm),
            "func": name_of(&task.func),
            "stack": stack(task),
        })
    };
    blocking.list.iter().map(one).collect()
}
