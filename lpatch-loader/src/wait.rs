// SPDX-License-Identifier: GPL-2.0

//! A transition, from the request that begins it to its end.
//!
//! The core keeps one transition, the last. Others may begin another one, turn this one around or end it by force
//! while we wait, so what we report is what the core says of it at the end, not what we asked for.

use crate::device::{name_of, Ask, Blocking, Device, DeviceError};
use lpatch_model::uapi::{
    PatchInfo, Reason, Transition, F_CONSISTENCY, INTERRUPT_MS, KIND_DISABLE, KIND_ENABLE,
    NO_INTERRUPT, PATCH_HOLDS, PHASE_DONE, PHASE_FORCED, PHASE_LIVE, PHASE_REVERSED,
    PHASE_REVERSING, STATE_ENABLED, STATE_LOADED, TRANSITION_DEADLINE, TRANSITION_SETTLING,
};
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often, and after what time each, an unload is tried again while the kernel tidies up.
const SETTLE: (u32, Duration) = (250, Duration::from_millis(20));

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Redirect the functions.
    Enable,
    /// Take the redirection back.
    Disable,
    /// Turn the transition around.
    Reverse,
}

/// How long a transition may take, and from when on it may disturb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The core reverses it after so many milliseconds; 0: never.
    pub timeout_ms: u32,
    /// It interrupts tasks that are asleep after so many; 0: as is usual; [`NO_INTERRUPT`]: never.
    pub interrupt_ms: u32,
}

/// None but the usual ones.
pub const NO_LIMITS: Limits = Limits {
    timeout_ms: 0,
    interrupt_ms: 0,
};

impl Limits {
    /// Whether nobody is interrupted before the transition is reversed.
    pub fn never_interrupts(self) -> bool {
        match (self.interrupt_ms, self.timeout_ms) {
            (NO_INTERRUPT, _) => true,
            (_, 0) => false,
            (0, timeout) => timeout <= INTERRUPT_MS,
            (ms, timeout) => timeout <= ms,
        }
    }
}

/// A request that begins a transition, or turns one.
#[derive(Clone, Copy, Debug)]
pub struct Request<'n> {
    /// Which.
    pub verb: Verb,
    /// The patch.
    pub name: &'n str,
    /// How long it may take, and what it may do. Of reverse, only the interruption means something.
    pub limits: Limits,
    /// Whether to wait for its end.
    pub wait: bool,
}

/// Where tasks go, as the patch sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// To its functions.
    Enabled,
    /// Away from them.
    Disabled,
}

impl Side {
    /// Where the tasks of a transition go, or went. Of a forced one only the state of the patch tells.
    pub fn of(transition: &Transition) -> Self {
        if (transition.kind == KIND_ENABLE) == turned(transition) {
            Self::Disabled
        } else {
            Self::Enabled
        }
    }

    /// The other side.
    pub fn other(self) -> Self {
        match self {
            Self::Enabled => Self::Disabled,
            Self::Disabled => Self::Enabled,
        }
    }

    /// The side of a patch that is not in transition, as LPATCH_STATE_* tells.
    pub fn of_state(state: u32) -> Option<Self> {
        match state {
            STATE_ENABLED => Some(Self::Enabled),
            STATE_LOADED => Some(Self::Disabled),
            _ => None,
        }
    }
}

/// How the wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All tasks have moved.
    Complete,
    /// All tasks are back: the deadline passed, or somebody turned it around.
    Reversed,
    /// Somebody ended it by force; the state of the patch (LPATCH_STATE_*), if it is still there.
    Forced(Option<u32>),
    /// Another transition has begun since, so that the end of ours is not known; the state of the patch now.
    Overtaken(Option<u32>),
    /// It goes on; nobody wanted to wait.
    UnderWay,
    /// It goes on; this signal came.
    Interrupted(i32),
    /// This signal came before anything began.
    NotBegun(i32),
}

/// What became of a request.
#[derive(Debug)]
pub struct Outcome {
    /// How the wait ended.
    pub end: End,
    /// Where the request sends the tasks.
    pub goal: Side,
    /// The transition at the last look; `None` if the core moves all tasks at once, and before it began.
    pub transition: Option<Transition>,
    /// If its deadline passed: who was pending then, or why that is not known.
    pub blocking: Option<Result<Blocking, DeviceError>>,
}

/// Whoever waits.
pub trait Watch {
    /// Sees the transition, so long after the request, at this time; says after how many milliseconds to look again.
    fn look(&mut self, transition: &Transition, elapsed: Duration, now_ns: u64) -> u32;
    /// There are no more looks.
    fn over(&mut self) {}
    /// The signal that asks to end, if one came.
    fn interrupted(&self) -> Option<i32>;
}

/// Whether it is over.
pub fn ended(transition: &Transition) -> bool {
    !matches!(transition.phase, PHASE_LIVE | PHASE_REVERSING)
}

/// Whether its tasks go back, or are back.
pub fn turned(transition: &Transition) -> bool {
    matches!(transition.phase, PHASE_REVERSING | PHASE_REVERSED)
}

/// Whether a signal ended the call.
fn is_interruption(error: &DeviceError) -> bool {
    match error {
        DeviceError::Unexplained { error, .. } => error.kind() == io::ErrorKind::Interrupted,
        other => other.reason() == Some(Reason::Interrupted),
    }
}

fn send(core: &mut dyn Device, request: &Request<'_>) -> Result<(), DeviceError> {
    match request.verb {
        Verb::Enable => core.enable(request.name, request.limits),
        Verb::Disable => core.disable(request.name, request.limits),
        Verb::Reverse => core.reverse(request.name, request.limits.interrupt_ms),
    }
}

/// The state of a patch, or `None` if it is gone.
fn state(core: &mut dyn Device, name: &str) -> Result<Option<u32>, DeviceError> {
    match core.status(name) {
        Ok((info, _)) => Ok(Some(info.state)),
        Err(error) if error.reason() == Some(Reason::NoSuchPatch) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends the request. While the kernel tidies up after another transition the core may wait, and a signal may
/// end that: the transition that the core has then tells whether ours began. `Some`: it did not.
fn begin(
    core: &mut dyn Device,
    request: &Request<'_>,
    before: &Transition,
    watch: &(impl Watch + ?Sized),
) -> Result<Option<i32>, DeviceError> {
    loop {
        match send(core, request) {
            Err(error) if is_interruption(&error) => (),
            other => return other.map(|()| None),
        }
        let now = core.transition()?;
        let changed = now.id != before.id || turned(&now) != turned(before);
        if changed && name_of(&now.name) == request.name {
            return Ok(None);
        }
        if let Some(signal) = watch.interrupted() {
            return Ok(Some(signal));
        }
    }
}

/// Sends a request and waits for the end of the transition.
///
/// # Errors
///
/// The request was refused. What becomes of a transition that has begun is no error.
pub fn run(
    core: &mut dyn Device,
    request: Request<'_>,
    watch: &mut (impl Watch + ?Sized),
) -> Result<Outcome, DeviceError> {
    let mut outcome = Outcome {
        end: End::Complete,
        goal: match request.verb {
            Verb::Disable => Side::Disabled,
            _ => Side::Enabled,
        },
        transition: None,
        blocking: None,
    };
    if let Some(signal) = watch.interrupted() {
        outcome.end = End::NotBegun(signal);
        return Ok(outcome);
    }
    if core.query()?.features & F_CONSISTENCY == 0 {
        let immediate = Request {
            limits: Limits {
                timeout_ms: 0,
                ..request.limits
            },
            ..request
        };
        send(core, &immediate)?;
        return Ok(outcome);
    }
    let before = core.transition()?;
    if request.verb == Verb::Reverse {
        outcome.goal = Side::of(&before).other();
    }
    let start = core.now_ns();
    if let Some(signal) = begin(core, &request, &before, watch)? {
        outcome.end = End::NotBegun(signal);
        return Ok(outcome);
    }
    let now = core.transition()?;
    let same = now.id == before.id;
    let ours = match request.verb {
        Verb::Enable => !same && now.kind == KIND_ENABLE,
        Verb::Disable => !same && now.kind == KIND_DISABLE,
        Verb::Reverse => same,
    };
    if !ours || name_of(&now.name) != request.name {
        outcome.end = End::Overtaken(state(core, request.name)?);
        return Ok(outcome);
    }
    if request.verb == Verb::Reverse {
        // Somebody may have turned it before us.
        outcome.goal = Side::of(&now);
    }
    let result = follow(core, &request, now, start, &mut outcome, watch);
    watch.over();
    result.map(|()| outcome)
}

/// Looks at the transition until its end.
fn follow(
    core: &mut dyn Device,
    request: &Request<'_>,
    mut now: Transition,
    start: u64,
    outcome: &mut Outcome,
    watch: &mut (impl Watch + ?Sized),
) -> Result<(), DeviceError> {
    let id = now.id;
    loop {
        if now.id != id {
            outcome.end = End::Overtaken(state(core, request.name)?);
            return Ok(());
        }
        outcome.transition = Some(now);
        let late = now.flags & TRANSITION_DEADLINE != 0 && turned(&now);
        // At once: the next deadline that passes replaces them.
        if late && outcome.blocking.is_none() && request.verb != Verb::Reverse {
            outcome.blocking = Some(core.blockers(Ask::AtDeadline));
        }
        match now.phase {
            PHASE_FORCED => outcome.end = End::Forced(state(core, request.name)?),
            PHASE_DONE | PHASE_REVERSED if Side::of(&now) == outcome.goal => {
                outcome.end = End::Complete;
            }
            _ if ended(&now) => outcome.end = End::Reversed,
            _ if !request.wait => outcome.end = End::UnderWay,
            _ => {
                if let Some(signal) = watch.interrupted() {
                    outcome.end = End::Interrupted(signal);
                    return Ok(());
                }
                let now_ns = core.now_ns();
                let elapsed = Duration::from_nanos(now_ns.saturating_sub(start));
                let wait_ms = watch.look(&now, elapsed, now_ns);
                now = match core.wait(id, wait_ms) {
                    // Also for signals that ask for nothing, such as the one that continues a stopped process.
                    Err(error) if is_interruption(&error) => core.transition()?,
                    other => other?,
                };
                continue;
            }
        }
        return Ok(());
    }
}

/// For how long it is waited for memory, and how often it is looked for.
const MEMORY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_millis(10));

/// Unloads a patch. While the kernel tidies up after the last transition it is tried again, for a few seconds. If the patch refers to modules,
/// it waits until they can go, since that may be what comes next. `true`: ten seconds later they still cannot.
pub fn unload(core: &mut dyn Device, name: &str) -> Result<bool, DeviceError> {
    let holds = |info: &PatchInfo| name_of(&info.name) == name && info.flags & PATCH_HOLDS != 0;
    let holds = core.list()?.iter().any(holds);
    let (mut left, pause) = SETTLE;
    loop {
        let error = match core.unload(name) {
            Err(error) if error.reason() == Some(Reason::InTransition) && left > 0 => error,
            Err(error) => return Err(error),
            Ok(()) => break,
        };
        let now = core.transition()?;
        if !ended(&now) || now.flags & TRANSITION_SETTLING == 0 {
            return Err(error);
        }
        left -= 1;
        sleep(pause);
    }
    let (patience, pause) = MEMORY;
    let start = Instant::now();
    // It is unloaded, whatever becomes of the question.
    while holds && core.query().map_or(true, |query| query.lingering > 0) {
        if start.elapsed() > patience {
            return Ok(true);
        }
        sleep(pause);
    }
    Ok(false)
}
