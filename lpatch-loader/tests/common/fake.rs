// SPDX-License-Identifier: GPL-2.0

//! A device that plays the core: it verifies what it is given, counts what is left, and follows the script.

use super::script::{Look, State};
use super::{kernel, ARENA};
use lpatch_loader::device::{
    name_field, name_of, Ask, Blocking, Comparison, Device, DeviceError, Refused,
};
use lpatch_loader::image::CRC;
use lpatch_loader::wait::{ended, Limits};
use lpatch_model::image::Image;
use lpatch_model::refusal::Refusal;
use lpatch_model::uapi::*;
use lpatch_model::verify::{verify, Area, Reservation};
use std::cell::RefCell;
use std::rc::Rc;

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
        let mut state = self.state.borrow_mut();
        let lingering = state.lingering.min(1);
        state.lingering -= lingering;
        Ok(Query {
            abi: ABI_VERSION,
            features: state.features,
            lingering,
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

    fn load(&mut self, bytes: &[u8], flags: u64) -> Result<(), DeviceError> {
        self.call("load")?;
        self.state.borrow_mut().load_flags = flags;
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

    fn enable(&mut self, name: &str, limits: Limits) -> Result<(), DeviceError> {
        self.call("enable")?;
        self.named("enable", name)?;
        let mut state = self.state.borrow_mut();
        state.begin(KIND_ENABLE, name, limits);
        Ok(())
    }

    fn disable(&mut self, name: &str, limits: Limits) -> Result<(), DeviceError> {
        self.call("disable")?;
        self.named("disable", name)?;
        let mut state = self.state.borrow_mut();
        state.begin(KIND_DISABLE, name, limits);
        Ok(())
    }

    fn reverse(&mut self, name: &str, interrupt_ms: u32) -> Result<(), DeviceError> {
        self.call("reverse")?;
        self.named("reverse", name)?;
        let mut state = self.state.borrow_mut();
        if ended(&state.now) {
            return Err(error("reverse", Refusal::new(Reason::NoTransition)));
        }
        state.turn();
        state.limits.interrupt_ms = interrupt_ms;
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

    fn compare(&mut self, name: &str) -> Result<Comparison, DeviceError> {
        self.ask("compare")?;
        self.status(name)?;
        Ok(self.state.borrow().comparison.clone())
    }

    fn enabled_functions(&mut self) -> String {
        self.state.borrow().enabled_functions.into()
    }

    fn now_ns(&mut self) -> u64 {
        self.state.borrow().clock_ns
    }
}
