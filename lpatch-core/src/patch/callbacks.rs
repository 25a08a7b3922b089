// SPDX-License-Identifier: GPL-2.0

//! Callbacks of a patch: functions of its own that are called when an object, the kernel or a module, gets
//! its new functions and when it gets the old ones back.
//!
//! `model/callbacks.rs` says which one is due. A callback may take long, have modules loaded, and go wrong. So none is called with the
//! registry locked. Under the lock it becomes a [`Call`], which is carried out without the lock, and then reported back.

use crate::{
    ffi,
    model::{
        callbacks::{Goal, Kind, Stage},
        image::Image,
        refusal::Refusal,
    },
    running::modules::{self, Pinned, Target, VMLINUX},
    uapi::{self, Reason},
};
use core::{cell::UnsafeCell, ptr};
use kernel::{
    ffi::{c_char, c_void},
    prelude::*,
    types::Opaque,
};

/// An object that callbacks are about.
struct Object {
    /// With NUL.
    name: KVVec<u8>,
    /// The address of the callback of each kind, or 0.
    kinds: [usize; 4],
    /// The index in the image of the pre-patch callback, or of the object in the description, for the refusal.
    index: usize,
    stage: Stage,
    /// What is being called, unless the patch was replaced meanwhile.
    calling: Option<Kind>,
    running: Running,
    /// Whether the object is a module that is there and that the patch is left out of. Then none of its callbacks is called.
    left_out: bool,
}

impl Object {
    fn name(&self) -> &[u8] {
        self.name.strip_suffix(b"\0").unwrap_or_default()
    }

    /// The callback that comes next on the way to a goal.
    fn due(&self, goal: Goal) -> Option<Kind> {
        self.stage.due(goal).filter(|_| !self.left_out)
    }
}

/// The callback that is running for an object, or none.
struct Running(KBox<Opaque<ffi::lp_active>>);

impl Running {
    fn new() -> Result<Self, Refusal> {
        let none = Opaque::new(ffi::lp_active::default());
        Ok(Self(KBox::new(none, GFP_KERNEL)?))
    }

    /// Which task it is in, if there is one, and whether that has died there.
    fn task(&self) -> Option<Task> {
        let mut dead = 0;
        // SAFETY: Both pointers are valid.
        let pid = unsafe { ffi::lp_active_pid(self.0.get(), &mut dead) };
        (pid != 0).then_some(Task {
            pid: pid.unsigned_abs(),
            dead: dead != 0,
        })
    }

    fn leave(&self) {
        // SAFETY: It is in the list, by the current task or by one that is dead.
        unsafe { ffi::lp_active_leave(self.0.get()) };
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.task().is_some() {
            self.leave();
        }
    }
}

/// A task in a callback.
#[derive(Clone, Copy)]
pub(crate) struct Task {
    pub(crate) pid: u32,
    pub(crate) dead: bool,
}

/// A state that a patch declares. Callbacks write its data whenever they like.
struct Declared(UnsafeCell<ffi::lp_state>);

impl Declared {
    fn read(&self) -> ffi::lp_state {
        let state = self.0.get();
        // SAFETY: It is valid, and of these nobody writes any but the last.
        let (id, version) = unsafe { ((*state).id, (*state).version) };
        // SAFETY: A pointer that a callback may be writing: some value of it is read, which nobody here follows.
        let data = unsafe { (&raw const (*state).data).read_volatile() };
        ffi::lp_state {
            id,
            version,
            reserved: 0,
            data,
        }
    }
}

/// The callbacks of a patch, and the states that it declares.
pub(crate) struct Callbacks {
    objects: KVec<Object>,
    states: KVVec<Declared>,
}

// SAFETY: What the data of a state points to is the patch's own business. What is running is in a list with a lock of its own.
unsafe impl Send for Callbacks {}

/// The states of other patches, as callbacks see them.
#[derive(Default)]
pub(crate) struct Others(KVVec<ffi::lp_state>);

// SAFETY: As of `Callbacks`.
unsafe impl Send for Others {}

impl Others {
    /// From the patches that are enabled, the lowest first.
    pub(crate) fn new<'a>(all: impl Iterator<Item = &'a Callbacks>) -> Result<Self, Refusal> {
        let mut states = KVVec::new();
        for state in all.flat_map(|callbacks| callbacks.states.iter()) {
            states.push(state.read(), GFP_KERNEL)?;
        }
        Ok(Self(states))
    }
}

/// A callback that is about to be called: its task is in the list of those that run one.
///
/// # Invariants
///
/// Until [`Callbacks::done`] hears that it was called, the patch is not unloaded, so the function, the name and the states stay.
#[must_use = "it has to be called, and the patch to hear of it"]
pub(crate) struct Call {
    pub(crate) patch: u64,
    pub(crate) at: usize,
    kind: Kind,
    function: usize,
    name: *const c_char,
    module: *mut c_void,
    /// Keeps the module, if nobody else does.
    _pinned: Option<Pinned>,
}

impl Call {
    /// Calls it; no lock is held. Returns what a pre-patch callback returned.
    pub(crate) fn run(&self) -> i32 {
        let may_refuse = i32::from(self.kind == Kind::PrePatch);
        // SAFETY: It is a function of the patch's text for callbacks of this kind (the image was verified, or the module says so);
        // by the invariant it and the name stay meanwhile. The module does: it is held, or its notifier waits for us.
        unsafe { ffi::lp_callback(self.function, may_refuse, self.name, self.module) }
    }
}

/// What is to be done next on the way to a goal.
#[must_use]
pub(crate) enum Turn {
    Call(Call),
    /// Something is on its way: another callback, or a module. Only for a patient caller.
    Wait,
    Done,
}

impl Callbacks {
    /// None.
    pub(crate) fn new() -> Self {
        Self {
            objects: KVec::new(),
            states: KVVec::new(),
        }
    }

    /// Those of an image whose text is at `base`.
    pub(crate) fn of_image(image: &Image<'_>, base: u64) -> Result<Self, Refusal> {
        let mut all = Self::new();
        // The kernel first, then the modules by name, as the image has them.
        let is_kernel = |objname: u32| image.string(objname).is_ok_and(|name| name == VMLINUX);
        let kernel = image.callbacks.iter().enumerate();
        let kernel = kernel.filter(|(_, callback)| is_kernel(callback.objname));
        let modules = image.callbacks.iter().enumerate();
        let modules = modules.filter(|(_, callback)| !is_kernel(callback.objname));
        for (index, callback) in Iterator::chain(kernel, modules) {
            let addr = base as usize + callback.offset as usize;
            all.add(image.string(callback.objname)?, callback.kind, addr, index)?;
        }
        for state in image.states.iter() {
            all.add_state(state.id, state.version)?;
        }
        Ok(all)
    }

    /// Adds a callback at this address; `kind`: `CALLBACK_*`; `index`: for refusals. `false`: the object has one of the kind.
    /// Objects are called in the order in which they are added.
    pub(crate) fn add(
        &mut self,
        objname: &[u8],
        kind: u32,
        addr: usize,
        index: usize,
    ) -> Result<bool, Refusal> {
        let at = match self.object(objname) {
            Some(at) => at,
            None => {
                let mut with_nul = KVVec::with_capacity(objname.len() + 1, GFP_KERNEL)?;
                with_nul.extend_from_slice(objname, GFP_KERNEL)?;
                with_nul.push(0, GFP_KERNEL)?;
                let object = Object {
                    name: with_nul,
                    kinds: [0; 4],
                    index,
                    stage: Stage::Old,
                    calling: None,
                    running: Running::new()?,
                    left_out: false,
                };
                self.objects.push(object, GFP_KERNEL)?;
                self.objects.len() - 1
            }
        };
        let object = &mut self.objects[at];
        if kind == uapi::CALLBACK_PRE_PATCH {
            object.index = index;
        }
        // Kinds count from 1.
        let slot = object.kinds.get_mut((kind as usize).wrapping_sub(1));
        let Some(slot) = slot.filter(|slot| **slot == 0) else {
            return Ok(false);
        };
        *slot = addr;
        Ok(true)
    }

    /// Adds a state, whose id is higher than those of the others; else `false`.
    pub(crate) fn add_state(&mut self, id: u64, version: u32) -> Result<bool, Refusal> {
        if self.states.last().is_some_and(|last| last.read().id >= id) {
            return Ok(false);
        }
        let state = ffi::lp_state {
            id,
            version,
            reserved: 0,
            data: ptr::null_mut(),
        };
        self.states
            .push(Declared(UnsafeCell::new(state)), GFP_KERNEL)?;
        Ok(true)
    }

    /// The states that it declares, sorted by id.
    pub(crate) fn states(&self) -> Result<KVVec<uapi::State>, Refusal> {
        let mut all = KVVec::with_capacity(self.states.len(), GFP_KERNEL)?;
        for state in self.states.iter().map(Declared::read) {
            let state = uapi::State {
                id: state.id,
                version: state.version,
                reserved: 0,
            };
            all.push(state, GFP_KERNEL)?;
        }
        Ok(all)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// A task that is in one of the callbacks; first one that has died there.
    pub(crate) fn task(&self) -> Option<Task> {
        let tasks = || {
            self.objects
                .iter()
                .filter_map(|object| object.running.task())
        };
        tasks().find(|task| task.dead).or_else(|| tasks().next())
    }

    /// A task that is in the callback of this object.
    pub(crate) fn task_at(&self, at: usize) -> Option<Task> {
        self.objects.get(at)?.running.task()
    }

    /// The next callback of `patch`, whose callbacks these are, on the way to a goal, in the order of the objects. An object is left out if
    /// its module is not there. It is also left out if something is under way about it, unless the caller is patient; the task that does
    /// that catches up.
    pub(crate) fn turn(&mut self, patch: u64, goal: Goal, others: &Others, patient: bool) -> Turn {
        for at in 0..self.objects.len() {
            while let Some(kind) = self.objects[at].due(goal) {
                match self.objects[at].running.task() {
                    Some(task) if patient && !task.dead => return Turn::Wait,
                    Some(_) => break,
                    None => {}
                }
                let Some(module) = module_of(&self.objects[at]) else {
                    if patient && modules::exists(self.objects[at].name()) {
                        return Turn::Wait;
                    }
                    break;
                };
                let pointer = module.as_ref().map_or(ptr::null_mut(), Pinned::as_ptr);
                if let Some(call) = self.call(patch, at, kind, (pointer, module), others) {
                    return Turn::Call(call);
                }
            }
        }
        Turn::Done
    }

    /// Whether `turn()` has something to do for a patient caller.
    pub(crate) fn is_due(&self, goal: Goal) -> bool {
        let due = |object: &Object| {
            let dead = object.running.task().is_some_and(|task| task.dead);
            object.due(goal).is_some() && !dead
        };
        let there = |object: &Object| object.name() == VMLINUX || modules::exists(object.name());
        self.objects
            .iter()
            .any(|object| due(object) && there(object))
    }

    /// The same for a module alone, whose notifier calls us. The caller is patient.
    pub(crate) fn turn_of(
        &mut self,
        patch: u64,
        goal: Goal,
        others: &Others,
        target: &Target<'_>,
    ) -> Turn {
        let Some(at) = self.object(target.name) else {
            return Turn::Done;
        };
        while let Some(kind) = self.objects[at].due(goal) {
            match self.objects[at].running.task() {
                Some(task) if task.dead => break,
                Some(_) => return Turn::Wait,
                None => {}
            }
            let module = (target.as_ptr(), None);
            if let Some(call) = self.call(patch, at, kind, module, others) {
                return Turn::Call(call);
            }
        }
        Turn::Done
    }

    /// The callback of this kind; `None`: there is none, which counts as called.
    fn call(
        &mut self,
        patch: u64,
        at: usize,
        kind: Kind,
        (module, pinned): (*mut c_void, Option<Pinned>),
        others: &Others,
    ) -> Option<Call> {
        let states = ffi::lp_states {
            own: self.states.as_mut_ptr().cast(),
            own_count: self.states.len(),
            others: others.0.as_ptr().cast_mut(),
            other_count: others.0.len(),
        };
        let object = self.objects.get_mut(at)?;
        // Kinds count from 1.
        let slot = object.kinds.get((kind.code() as usize).wrapping_sub(1));
        let Some(function) = slot.copied().filter(|function| *function != 0) else {
            object.stage = Stage::after(kind);
            return None;
        };
        object.calling = Some(kind);
        // SAFETY: No callback of the object is running; the arrays stay until it is over: our own as long as the patch is loaded,
        // the others as the callers of this function see to it.
        unsafe { ffi::lp_active_enter(object.running.0.get(), &states) };
        // INVARIANT: Who unloads asks `task` first.
        Some(Call {
            patch,
            at,
            kind,
            function,
            name: object.name.as_ptr().cast(),
            module,
            _pinned: pinned,
        })
    }

    /// Takes over that a callback was called, by the current task, and returned this.
    pub(crate) fn done(&mut self, call: &Call, returned: i32) -> Result<(), Refusal> {
        let Some(object) = self.objects.get_mut(call.at) else {
            return Ok(());
        };
        object.running.leave();
        let wanted = object.calling.take().is_some();
        if returned != 0 {
            let errno = returned.unsigned_abs().into();
            return Err(Refusal::at(Reason::Callback, object.index).value(errno));
        }
        // What was prepared meanwhile has to be taken back, also if the patch was replaced.
        if wanted || call.kind == Kind::PrePatch {
            object.stage = Stage::after(call.kind);
        }
        Ok(())
    }

    /// Sets whether the patch is left out of a module. If so, none of the callbacks for this module is called.
    pub(crate) fn leave_out(&mut self, name: &[u8], left_out: bool) {
        if let Some(at) = self.object(name) {
            self.objects[at].left_out = left_out;
        }
    }

    fn object(&self, name: &[u8]) -> Option<usize> {
        self.objects.iter().position(|object| object.name() == name)
    }

    /// Another patch has taken the place of this one, and the callbacks of that patch deal with what there is.
    pub(crate) fn replaced(&mut self) {
        for object in self.objects.iter_mut() {
            object.stage = Stage::Old;
            object.calling = None;
        }
    }
}

/// The module of an object, kept from going away; `None` if it is not loaded, or left out. The kernel has none.
fn module_of(object: &Object) -> Option<Option<Pinned>> {
    match object.name() {
        VMLINUX => Some(None),
        name => Pinned::new(name).map(Some),
    }
}
