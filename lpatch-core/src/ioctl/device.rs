// SPDX-License-Identifier: GPL-2.0

//! `/dev/lpatch`: requests in, replies out.
//!
//! A request is copied in, checked, carried out, and copied out again with its reason. Nothing here knows
//! what a patch is.

use crate::{
    ffi,
    ioctl::user::{call, ranges, write_entries},
    model::refusal::Refusal,
    patch::reserved::Reserved,
    registry::{self, lifecycle, loading, LOOK_MS},
    running::time,
    transition::blockers,
    uapi::{self, Reason},
};
use core::pin::Pin;
use kernel::{
    bindings,
    fs::File,
    miscdevice::{MiscDevice, MiscDeviceOptions, MiscDeviceRegistration},
    new_mutex,
    prelude::*,
    sync::Mutex,
    types::Opaque,
    uaccess::{UserPtr, UserSlice},
};

/// The device, as long as it is registered.
///
/// # Invariants
///
/// `misc` is registered and points to `fops`; neither moves.
#[pin_data(PinnedDrop)]
pub(crate) struct Device {
    fops: bindings::file_operations,
    #[pin]
    misc: Opaque<bindings::miscdevice>,
}

// SAFETY: misc_deregister() may be called from any thread; nothing else is done with the value.
unsafe impl Send for Device {}
// SAFETY: There are no methods that take `&self`.
unsafe impl Sync for Device {}

impl Device {
    /// Creates `/dev/lpatch`.
    ///
    /// `MiscDeviceRegistration` leaves the owner of the file operations empty, so that the module could go
    /// while a file is open. We register the same operations with an owner.
    pub(crate) fn register(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        let options = MiscDeviceOptions { name: c"lpatch" };
        let raw = options.into_raw::<OpenFile>();
        // SAFETY: `into_raw` sets the pointer to operations that live as long as the module.
        let mut fops = unsafe { *raw.fops };
        fops.owner = module.as_ptr();
        let init = move |slot: *mut Self| {
            // SAFETY: `slot` is valid for writes; this is its field.
            let fops_slot = unsafe { &raw mut (*slot).fops };
            // SAFETY: As above.
            let misc_slot = Opaque::cast_into(unsafe { &raw const (*slot).misc });
            // SAFETY: As above.
            unsafe { fops_slot.write(fops) };
            // SAFETY: As above.
            unsafe {
                misc_slot.write(bindings::miscdevice {
                    fops: fops_slot,
                    ..raw
                })
            };
            // SAFETY: Both are initialized and stay where they are until the device is deregistered.
            // INVARIANT: On success it is registered.
            kernel::error::to_result(unsafe { bindings::misc_register(misc_slot) })
        };
        // SAFETY: If the closure returns success, both fields are initialized; it moves nothing.
        unsafe { pin_init::pin_init_from_closure(init) }
    }
}

#[pinned_drop]
impl PinnedDrop for Device {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant it is registered.
        unsafe { bindings::misc_deregister(self.misc.get()) };
    }
}

/// An open file: what it has reserved and not yet used.
#[pin_data(PinnedDrop)]
pub(crate) struct OpenFile {
    #[pin]
    reserved: Mutex<Option<Reserved>>,
}

#[vtable]
impl MiscDevice for OpenFile {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Self::Ptr> {
        // Not before: when our initialization has returned, the kernel goes on to make its own table current.
        let _ = registry::with(|r| {
            r.begin_names();
            Ok(())
        });
        KBox::pin_init(pin_init!(Self { reserved <- new_mutex!(None) }), GFP_KERNEL)
    }

    fn ioctl(me: Pin<&Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            uapi::IOC_QUERY => call(arg, query),
            uapi::IOC_RESERVE => call(arg, |r| me.reserve(r)),
            uapi::IOC_LOAD => call(arg, |l| me.load(l)),
            uapi::IOC_ENABLE => call(arg, enable),
            uapi::IOC_DISABLE => call(arg, disable),
            uapi::IOC_UNLOAD => call(arg, unload),
            uapi::IOC_REVERSE => call(arg, reverse),
            uapi::IOC_FORCE => call(arg, force),
            uapi::IOC_TRANSITION => call(arg, transition),
            uapi::IOC_WAIT => call(arg, wait),
            uapi::IOC_BLOCKERS => call(arg, blockers),
            uapi::IOC_COMPARE => call(arg, compare),
            uapi::IOC_LIST => call(arg, list),
            uapi::IOC_STATUS => call(arg, status),
            _ => Err(ENOTTY),
        }
    }
}

#[pinned_drop]
impl PinnedDrop for OpenFile {
    fn drop(self: Pin<&mut Self>) {
        if let Some(reserved) = self.reserved.lock().take() {
            // The registry exists: the device, and with it every file, is gone before it.
            let _ = registry::with(|r| {
                r.release(reserved);
                Ok(())
            });
        }
    }
}

fn query(request: &mut uapi::Query) -> Result<(), Refusal> {
    registry::with(|r| {
        r.query(request);
        Ok(())
    })
}

fn enable(op: &mut uapi::Op) -> Result<(), Refusal> {
    lifecycle::enable(op)
}

fn disable(op: &mut uapi::Op) -> Result<(), Refusal> {
    lifecycle::disable(op)
}

fn unload(op: &mut uapi::Op) -> Result<(), Refusal> {
    loading::unload(&op.name)
}

fn reverse(op: &mut uapi::Op) -> Result<(), Refusal> {
    lifecycle::reverse(op)
}

fn force(op: &mut uapi::Op) -> Result<(), Refusal> {
    lifecycle::force(op)
}

impl OpenFile {
    fn reserve(&self, request: &mut uapi::Reserve) -> Result<(), Refusal> {
        let mut slot = self.reserved.lock();
        if slot.is_some() {
            return Err(Reason::ReservedTwice.into());
        }
        let reserved = loading::reserve(request)?;
        request.text_addr = reserved.runs.text.addr as u64;
        request.rodata_addr = reserved.runs.rodata.addr as u64;
        request.data_addr = reserved.runs.data.addr as u64;
        *slot = Some(reserved);
        Ok(())
    }

    fn load(&self, request: &mut uapi::Load) -> Result<(), Refusal> {
        let mut slot = self.reserved.lock();
        if slot.is_none() {
            return Err(Reason::NoReservation.into());
        }
        if request.image_len > u64::from(uapi::IMAGE_MAX) {
            return Err(Refusal::new(Reason::TooBig).value(uapi::IMAGE_MAX.into()));
        }
        let mut image = KVVec::new();
        let user = UserSlice::new(
            UserPtr::from_addr(request.image as usize),
            request.image_len as usize,
        );
        user.read_all(&mut image, GFP_KERNEL)?;
        loading::load(&mut slot, &image, request.flags)
    }
}

fn list(request: &mut uapi::List) -> Result<(), Refusal> {
    let all = registry::with(|r| r.list())?;
    request.count = all.len() as u32;
    write_entries(request.entries, request.capacity, &all)
}

fn status(request: &mut uapi::Status) -> Result<(), Refusal> {
    let (info, funcs) = registry::with(|r| r.status(&request.name, request.capacity as usize))?;
    request.count = info.funcs;
    request.info = info;
    write_entries(request.entries, request.capacity, &funcs)
}

/// Copies the answer behind the head, which is the caller's.
fn answer(request: &mut uapi::Transition, report: &uapi::Transition) {
    let hdr = request.hdr;
    *request = *report;
    request.hdr = hdr;
}

fn transition(request: &mut uapi::Transition) -> Result<(), Refusal> {
    let report = registry::with(|r| Ok(r.engine().report()))?;
    answer(request, &report);
    Ok(())
}

fn wait(request: &mut uapi::Transition) -> Result<(), Refusal> {
    let id = request.id;
    let end = time::now().saturating_add(u64::from(request.wait_ms) * 1_000_000);
    loop {
        // SAFETY: No requirements.
        let seen = unsafe { ffi::lp_event_count() };
        let report = registry::with(|r| r.engine().report_of(id))?;
        let over = !matches!(report.phase, uapi::PHASE_LIVE | uapi::PHASE_REVERSING);
        let left = end.saturating_sub(time::now()).div_ceil(1_000_000);
        if report.flags & uapi::TRANSITION_DIED != 0 {
            return Err(Reason::Stuck.into());
        }
        if over || (request.wait_ms != 0 && left == 0) {
            answer(request, &report);
            return Ok(());
        }
        let left = if request.wait_ms == 0 {
            LOOK_MS
        } else {
            LOOK_MS.min(left as u32)
        };
        // SAFETY: No requirements; we may sleep.
        let error = unsafe { ffi::lp_event_wait(seen, left) };
        if error == -(bindings::EINTR as i32) {
            return Err(Reason::Interrupted.into());
        }
    }
}

fn blockers(request: &mut uapi::Blockers) -> Result<(), Refusal> {
    let shown = request.capacity as usize;
    let all = if request.range_count == 0 {
        let last = request.flags & uapi::BLOCKERS_LAST != 0;
        registry::with(|r| r.engine().blockers(last, shown))?
    } else {
        blockers::inside(&ranges(request)?, shown)?
    };
    request.count = u32::try_from(all.count).unwrap_or(u32::MAX);
    request.written = request.capacity.min(all.list.len() as u32);
    write_entries(request.entries, request.capacity, &all.list)
}

fn compare(request: &mut uapi::Compare) -> Result<(), Refusal> {
    let shown = request.capacity.min(uapi::DIFFERENCES_MAX) as usize;
    let all = registry::with(|r| r.compare(&request.name, shown))?;
    request.count = u32::try_from(all.count).unwrap_or(u32::MAX);
    request.written = all.list.len() as u32;
    request.text_len = all.len as u32;
    request.bytes = all.bytes as u64;
    write_entries(request.entries, request.capacity, &all.list)
}
