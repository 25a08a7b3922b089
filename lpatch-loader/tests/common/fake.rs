// SPDX-License-Identifier: GPL-2.0

//! A device that plays the core: it verifies what it is given, counts what is left, and its transitions follow a script.

use super::{kernel, ARENA};
use lpatch_loader::device::{name_field, name_of, Ask, Blocking, Device, DeviceError, Refused};
use lpatch_loader::image::CRC;
use lpatch_loader::wait::{ended, turned};
use lpatch_model::image::Image;
use lpatch_model::refusal::Refusal;
use lpatch_model::uapi::*;
use lpatch_model::verify::{verify, Area, Reservation};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

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
    /// Who blocks.
    pub(crate) blockers: Vec<Blocker>,
    /// The ranges that were asked about.
    pub(crate) ranges: Vec<Range>,
    /// More patches, for lists.
    pub(crate) others: Vec<(PatchInfo, Vec<FuncInfo>)>,
    /// The timeout that came.
    pub(crate) timeout_ms: u32,
    /// CLOCK_MONOTONIC.
    pub(crate) clock_ns: u64,
    /// A signal that came.
    pub(crate) signal: Option<i32>,
    /// A signal that comes with that request.
    pub(crate) signal_at: Option<(&'static str, i32)>,
    /// LPATCH_F_*.
    pub(crate) features: u32,
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
            blockers: Vec::new(),
            ranges: Vec::new(),
            others: Vec::new(),
            timeout_ms: 0,
            clock_ns: 5_000_000_000,
            signal: None,
            signal_at: None,
            features: F_CONSISTENCY,
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

    fn begin(&mut self, kind: u32, name: &str, timeout_ms: u32) {
        self.clock_ns += 1_000_000;
        let deadline_ns = match timeout_ms {
            0 => 0,
            ms => self.clock_ns + u64::from(ms) * 1_000_000,
        };
        self.now = Transition {
            id: self.now.id + 1,
            phase: PHASE_LIVE,
            kind,
            name: name_field(name).expect("the request was checked"),
            started_ns: self.clock_ns,
            deadline_ns,
            ..Transition::default()
        };
        self.now.moved[CAUSE_ASLEEP] = 359;
        self.timeout_ms = timeout_ms;
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
    fn apply(&mut self, look: Look) -> bool {
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
                self.begin(KIND_DISABLE, &name, 0);
            }
            Look::Signal(signal) => {
                self.signal = Some(signal);
                return true;
            }
            Look::Wake => return true,
        }
        false
    }

    fn turn(&mut self) {
        self.now.phase = if turned(&self.now) {
            PHASE_LIVE
        } else {
            PHASE_REVERSING
        };
    }

    fn state_of(&self, name: &str) -> Option<u32> {
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

/// An open file of the fake core; closing it gives back the reservation.
pub(crate) struct Fake {
    pub(crate) state: Rc<RefCell<State>>,
    room: Option<Reservation>,
}

impl Fake {
    /// Opens it.
    pub(crate) fn open(state: &Rc<RefCell<State>>) -> Self {
        Self {
            state: Rc::clone(state),
            room: None,
        }
    }

    /// Refuses what the script says.
    fn ask(&mut self, op: &'static str) -> Result<(), DeviceError> {
        let mut state = self.state.borrow_mut();
        if let Some((_, signal)) = state.signal_at.filter(|(at, _)| *at == op) {
            state.signal = Some(signal);
        }
        match state.refuse.iter().find(|(name, _)| *name == op) {
            Some((_, refusal)) => Err(error(op, *refusal)),
            None => Ok(()),
        }
    }

    fn call(&mut self, op: &'static str) -> Result<(), DeviceError> {
        self.state.borrow_mut().calls.push(op);
        self.ask(op)
    }

    fn named(&mut self, op: &'static str, name: &str) -> Result<u32, DeviceError> {
        name_field(name)?;
        let state = self.state.borrow().state_of(name);
        state.ok_or_else(|| error(op, Refusal::new(Reason::NoSuchPatch)))
    }
}

pub(crate) fn error(op: &'static str, refusal: Refusal) -> DeviceError {
    DeviceError::Refused(Refused {
        op,
        errno: 22,
        code: refusal.reason.code(),
        at: refusal.at,
        value: refusal.value,
    })
}

impl Drop for Fake {
    fn drop(&mut self) {
        if self.room.is_some() {
            self.state.borrow_mut().reserved -= 1;
        }
    }
}

impl Device for Fake {
    fn query(&mut self) -> Result<Query, DeviceError> {
        self.ask("query")?;
        Ok(Query {
            abi: ABI_VERSION,
            features: self.state.borrow().features,
            ..Query::default()
        })
    }

    fn reserve(&mut self, request: &mut Reserve) -> Result<(), DeviceError> {
        self.call("reserve")?;
        assert!(self.room.is_none(), "one reservation a file");
        let area = |offset, len: u32| Area {
            addr: ARENA + offset,
            len: len.into(),
        };
        let room = Reservation {
            text: area(0x1000, request.text_len),
            rodata: area(0x10_0000, request.rodata_len),
            data: area(0x20_0000, request.data_len),
            orcs: request.orcs.into(),
            exs: request.exs.into(),
            bugs: request.bugs.into(),
        };
        request.text_addr = room.text.addr;
        request.rodata_addr = room.rodata.addr;
        request.data_addr = room.data.addr;
        self.room = Some(room);
        self.state.borrow_mut().reserved += 1;
        Ok(())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), DeviceError> {
        self.call("load")?;
        let room = self.room.expect("something is reserved");
        let image = Image::parse(bytes, CRC).map_err(|refusal| error("load", refusal))?;
        verify(&image, &room, &kernel()).map_err(|refusal| error("load", refusal))?;
        self.room = None;
        let name = String::from_utf8(image.name().to_vec()).expect("it was checked");
        let mut state = self.state.borrow_mut();
        state.reserved -= 1;
        state.loaded.push(name);
        Ok(())
    }

    fn enable(&mut self, name: &str, timeout_ms: u32) -> Result<(), DeviceError> {
        self.call("enable")?;
        self.named("enable", name)?;
        let mut state = self.state.borrow_mut();
        state.begin(KIND_ENABLE, name, timeout_ms);
        Ok(())
    }

    fn disable(&mut self, name: &str, timeout_ms: u32) -> Result<(), DeviceError> {
        self.call("disable")?;
        self.named("disable", name)?;
        let mut state = self.state.borrow_mut();
        state.begin(KIND_DISABLE, name, timeout_ms);
        Ok(())
    }

    fn reverse(&mut self, name: &str) -> Result<(), DeviceError> {
        self.call("reverse")?;
        self.named("reverse", name)?;
        let mut state = self.state.borrow_mut();
        if ended(&state.now) {
            return Err(error("reverse", Refusal::new(Reason::NoTransition)));
        }
        state.turn();
        // What happens before anybody looks.
        if state.looks.front() == Some(&Look::Other) {
            state.looks.pop_front();
            state.apply(Look::Other);
        }
        Ok(())
    }

    fn force(&mut self, name: &str) -> Result<(), DeviceError> {
        self.call("force")?;
        self.named("force", name)?;
        self.state.borrow_mut().apply(Look::Forced);
        Ok(())
    }

    fn unload(&mut self, name: &str) -> Result<(), DeviceError> {
        self.call("unload")?;
        let mut state = self.state.borrow_mut();
        if state.stuck {
            return Err(error("unload", Refusal::new(Reason::Busy).value(7)));
        }
        if state.settling > 0 {
            state.settling -= 1;
            state.now.flags |= TRANSITION_SETTLING;
            return Err(error("unload", Refusal::new(Reason::InTransition).value(1)));
        }
        if !ended(&state.now) {
            return Err(error("unload", Refusal::new(Reason::InTransition).value(1)));
        }
        state.loaded.retain(|n| n != name);
        Ok(())
    }

    fn list(&mut self) -> Result<Vec<PatchInfo>, DeviceError> {
        self.ask("list")?;
        let state = self.state.borrow();
        Ok(state.others.iter().map(|(info, _)| *info).collect())
    }

    fn status(&mut self, name: &str) -> Result<(PatchInfo, Vec<FuncInfo>), DeviceError> {
        self.ask("status")?;
        let other = {
            let state = self.state.borrow();
            let mut others = state.others.iter();
            others
                .find(|(info, _)| name_of(&info.name) == name)
                .cloned()
        };
        match other {
            Some(other) => Ok(other),
            None => Ok((
                PatchInfo {
                    name: name_field(name)?,
                    state: self.named("status", name)?,
                    ..PatchInfo::default()
                },
                Vec::new(),
            )),
        }
    }

    fn transition(&mut self) -> Result<Transition, DeviceError> {
        self.ask("transition")?;
        Ok(self.state.borrow().now)
    }

    fn wait(&mut self, id: u64, wait_ms: u32) -> Result<Transition, DeviceError> {
        self.ask("wait")?;
        assert_ne!(wait_ms, 0, "that is for ever");
        let mut state = self.state.borrow_mut();
        assert_eq!(id, state.now.id);
        state.clock_ns += u64::from(wait_ms) * 1_000_000;
        let look = state.looks.pop_front().expect("the script has an end");
        if state.apply(look) {
            return Err(error("wait", Refusal::new(Reason::Interrupted)));
        }
        Ok(state.now)
    }

    fn blockers(&mut self, ask: Ask<'_>) -> Result<Blocking, DeviceError> {
        self.ask("blockers")?;
        let mut state = self.state.borrow_mut();
        match ask {
            Ask::Ranges(ranges) => state.ranges.extend_from_slice(ranges),
            Ask::UnderWay if ended(&state.now) => {
                return Err(error("blockers", Refusal::new(Reason::NoTransition)));
            }
            _ => (),
        }
        let list = state.blockers.clone();
        let count = u32::try_from(list.len()).expect("they are few");
        Ok(Blocking { list, count })
    }

    fn now_ns(&mut self) -> u64 {
        self.state.borrow().clock_ns
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
