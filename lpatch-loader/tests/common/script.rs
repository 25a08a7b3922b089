// SPDX-License-Identifier: GPL-2.0

//! What the fake core has, and the script that its transitions follow.

use lpatch_loader::device::{name_field, name_of, Comparison};
use lpatch_loader::wait::{ended, turned, Limits, NO_LIMITS};
use lpatch_model::refusal::Refusal;
use lpatch_model::uapi::*;
use std::collections::VecDeque;

/// What the core says of a transition at the next look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// So many tasks are left.
    Pending(u32),
    /// The deadline has passed; so many have to go back.
    Late(u32),
    /// Somebody turns it around.
    Turned,
    /// It ends: complete, or all are back.
    End,
    /// Somebody ends it by force.
    Forced,
    /// Somebody disables the patch, as another transition that ends at once.
    Other,
    /// A signal that asks to end.
    Signal(i32),
    /// Another signal.
    Wake,
}

/// What the fake core has at the end.
#[derive(Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) reserved: u32,
    pub(crate) loaded: Vec<String>,
    pub(crate) enabled: Vec<String>,
    /// Requests that change something.
    pub(crate) calls: Vec<&'static str>,
    /// Patches that are not unloaded.
    pub(crate) stuck: bool,
    /// Requests that are refused.
    pub(crate) refuse: Vec<(&'static str, Refusal)>,
    /// The transition that it has.
    pub(crate) now: Transition,
    /// What becomes of the next one; it completes at once if that is empty.
    pub(crate) looks: VecDeque<Look>,
    /// How often it is tidying up when an unload comes.
    pub(crate) settling: u32,
    /// How many more queries find a patch that was unloaded and still has memory.
    pub(crate) lingering: u32,
    /// Who blocks.
    pub(crate) blockers: Vec<Blocker>,
    /// The ranges that were asked about.
    pub(crate) ranges: Vec<Range>,
    /// More patches, for lists.
    pub(crate) others: Vec<(PatchInfo, Vec<FuncInfo>)>,
    /// The flags of a load that came.
    pub(crate) load_flags: u64,
    /// How many tasks are interrupted in the next transition.
    pub(crate) interrupted: u32,
    /// The limits that came.
    pub(crate) limits: Limits,
    /// What ftrace lists.
    pub(crate) enabled_functions: &'static str,
    /// What the text of all patches has become.
    pub(crate) comparison: Comparison,
    /// CLOCK_MONOTONIC.
    pub(crate) clock_ns: u64,
    /// A signal that came.
    pub(crate) signal: Option<i32>,
    /// A signal that comes with that request.
    pub(crate) signal_at: Option<(&'static str, i32)>,
    /// LPATCH_F_*.
    pub(crate) features: u32,
    /// The kernel's list of kprobes.
    pub(crate) kprobes: Option<&'static str>,
    /// A module that is not loaded.
    pub(crate) gone: &'static str,
    /// Whether somebody wanted ftrace's list of all functions.
    pub(crate) list_asked: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            reserved: 0,
            loaded: Vec::new(),
            enabled: Vec::new(),
            calls: Vec::new(),
            stuck: false,
            refuse: Vec::new(),
            now: Transition::default(),
            looks: VecDeque::new(),
            settling: 0,
            lingering: 0,
            enabled_functions: "",
            comparison: Comparison::default(),
            blockers: Vec::new(),
            ranges: Vec::new(),
            others: Vec::new(),
            load_flags: 0,
            interrupted: 0,
            limits: NO_LIMITS,
            clock_ns: 5_000_000_000,
            signal: None,
            signal_at: None,
            features: F_CONSISTENCY,
            kprobes: None,
            gone: "",
            list_asked: false,
        }
    }
}

impl State {
    /// A loaded patch with this script.
    pub(crate) fn script(looks: &[Look]) -> Self {
        Self {
            loaded: vec!["good".into()],
            looks: looks.iter().copied().collect(),
            ..Self::default()
        }
    }

    /// The same, enabled.
    pub(crate) fn enabled(looks: &[Look]) -> Self {
        Self {
            enabled: vec!["good".into()],
            ..Self::script(looks)
        }
    }

    /// A core that refuses a request.
    pub(crate) fn refusing(op: &'static str, refusal: Refusal) -> Self {
        Self {
            refuse: vec![(op, refusal)],
            ..Self::default()
        }
    }

    pub(crate) fn begin(&mut self, kind: u32, name: &str, limits: Limits) {
        self.clock_ns += 1_000_000;
        let after = |ms: u32| self.clock_ns + u64::from(ms) * 1_000_000;
        let deadline_ns = match limits.timeout_ms {
            0 => 0,
            ms => after(ms),
        };
        let interrupt_ns = match limits.interrupt_ms {
            0 => after(INTERRUPT_MS),
            NO_INTERRUPT => 0,
            ms => after(ms),
        };
        self.now = Transition {
            id: self.now.id + 1,
            phase: PHASE_LIVE,
            kind,
            name: name_field(name).expect("the request was checked"),
            started_ns: self.clock_ns,
            deadline_ns,
            interrupt_ns,
            interrupted: self.interrupted,
            ..Transition::default()
        };
        self.now.moved[CAUSE_ASLEEP] = 359;
        self.limits = limits;
        let look = self.looks.pop_front().unwrap_or(Look::End);
        self.apply(look);
    }

    fn settle(&mut self, phase: u32) {
        self.now.phase = phase;
        self.now.pending = 0;
        self.now.ended_ns = self.clock_ns;
        let name = name_of(&self.now.name);
        self.enabled.retain(|n| *n != name);
        let back = phase == PHASE_REVERSED;
        if (self.now.kind == KIND_ENABLE) != back {
            self.enabled.push(name);
        }
    }

    /// Whether the call ends with EINTR.
    pub(crate) fn apply(&mut self, look: Look) -> bool {
        match look {
            Look::Pending(count) => self.now.pending = count,
            Look::Late(count) => {
                self.now.phase = PHASE_REVERSING;
                self.now.flags |= TRANSITION_DEADLINE;
                self.now.pending = count;
            }
            Look::Turned => self.turn(),
            Look::End if turned(&self.now) => self.settle(PHASE_REVERSED),
            Look::End => self.settle(PHASE_DONE),
            Look::Forced => {
                self.now.moved[CAUSE_FORCED] = self.now.pending.into();
                self.settle(PHASE_FORCED);
            }
            Look::Other => {
                self.settle(PHASE_DONE);
                let name = name_of(&self.now.name);
                self.looks.push_front(Look::End);
                self.begin(KIND_DISABLE, &name, NO_LIMITS);
            }
            Look::Signal(signal) => {
                self.signal = Some(signal);
                return true;
            }
            Look::Wake => return true,
        }
        false
    }

    pub(crate) fn turn(&mut self) {
        self.now.phase = if turned(&self.now) {
            PHASE_LIVE
        } else {
            PHASE_REVERSING
        };
    }

    pub(crate) fn state_of(&self, name: &str) -> Option<u32> {
        if !ended(&self.now) && name_of(&self.now.name) == name {
            let forth = (self.now.kind == KIND_ENABLE) != turned(&self.now);
            return Some(if forth {
                STATE_ENABLING
            } else {
                STATE_DISABLING
            });
        }
        if self.enabled.iter().any(|n| n == name) {
            return Some(STATE_ENABLED);
        }
        let loaded = self.loaded.iter().any(|n| n == name);
        loaded.then_some(STATE_LOADED)
    }
}

/// A task that is in a function, with a stack.
pub(crate) fn blocker(pid: i32, comm: &str, state: u8) -> Blocker {
    let mut blocker = Blocker {
        pid,
        tgid: pid,
        cpu: 1,
        state,
        why: WHY_FUNCTION,
        ..Blocker::default()
    };
    let put = |field: &mut [u8], text: &str| {
        field[..text.len()].copy_from_slice(text.as_bytes());
    };
    put(&mut blocker.comm, comm);
    put(&mut blocker.func, "cmdline_proc_show+0x1c/0x200");
    let stack = "schedule+0x27/0xd0\ncmdline_proc_show+0x1c/0x200\nseq_read_iter+0x11c/0x4b0\n";
    put(&mut blocker.stack, stack);
    blocker
}
