// SPDX-License-Identifier: GPL-2.0

//! Between requests and user memory.

use crate::{
    errno::errno,
    model::{refusal::Refusal, request::Request, routes, sort, transition::stack::Span},
    uapi::{self, Hdr, Reason, Wire},
};
use kernel::{
    bindings,
    prelude::*,
    uaccess::{UserPtr, UserSlice},
};

/// Larger than every request, so that one buffer serves all.
const REQUEST_MAX: usize = 512;

/// Carries out a request at the user address `arg`.
///
/// Each request has a frame of its own, and what is there when it is carried out is the request only: below it the kernel may
/// need all that is left of the stack. `qemu/check-frames` looks how much we leave.
#[inline(never)]
pub(super) fn call<T: Request>(
    arg: usize,
    f: impl FnOnce(&mut T) -> Result<(), Refusal>,
) -> Result<isize> {
    let mut request = receive::<T>(arg)?;
    let result = permitted()
        .and_then(|()| request.check())
        .and_then(|()| f(&mut request));
    let (len, refusal) = match result {
        Ok(()) => (T::SIZE, Refusal::new(Reason::Ok)),
        // Only the head changes.
        Err(refusal) => (Hdr::SIZE, refusal),
    };
    reply(arg, &request, &refusal, len)?;
    match refusal.reason {
        Reason::Ok => Ok(0),
        reason => Err(errno(reason)),
    }
}

/// Copies a request in, once.
#[inline(never)]
fn receive<T: Request>(arg: usize) -> Result<T> {
    const { assert!(T::SIZE <= REQUEST_MAX) };
    let mut buffer = [0; REQUEST_MAX];
    let bytes = &mut buffer[..T::SIZE];
    let user = UserSlice::new(UserPtr::from_addr(arg), T::SIZE);
    user.reader().read_slice(bytes)?;
    T::read(bytes).ok_or(EINVAL)
}

/// Copies the first bytes of a request out, its head with what came of it.
#[inline(never)]
fn reply<T: Request>(arg: usize, request: &T, refusal: &Refusal, len: usize) -> Result<()> {
    let mut buffer = [0; REQUEST_MAX];
    let bytes = &mut buffer[..T::SIZE];
    request.write(bytes).ok_or(EINVAL)?;
    let mut hdr = Hdr::read(bytes).ok_or(EINVAL)?;
    refusal.reply(&mut hdr);
    hdr.write(bytes).ok_or(EINVAL)?;
    let user = UserSlice::new(UserPtr::from_addr(arg), T::SIZE);
    user.writer().write_slice(&bytes[..len])
}

fn permitted() -> Result<(), Refusal> {
    // SAFETY: No requirements.
    if unsafe { bindings::capable(bindings::CAP_SYS_MODULE as i32) } {
        Ok(())
    } else {
        Err(Reason::Perm.into())
    }
}

/// Writes the first `capacity` entries to user memory and returns how many there are.
pub(super) fn write_entries<T: Wire>(to: u64, capacity: u32, entries: &[T]) -> Result<(), Refusal> {
    let mut buffer = KVVec::from_elem(0u8, T::SIZE, GFP_KERNEL)?;
    let count = entries.len().min(capacity as usize);
    let mut writer = UserSlice::new(UserPtr::from_addr(to as usize), count * T::SIZE).writer();
    for entry in &entries[..count] {
        entry.write(&mut buffer).ok_or(Reason::Fault)?;
        writer.write_slice(&buffer)?;
    }
    Ok(())
}

/// The ranges that a question about blockers names, in order.
pub(super) fn ranges(request: &uapi::Blockers) -> Result<KVVec<Span>, Refusal> {
    let len = request.range_count as usize * uapi::Range::SIZE;
    let mut bytes = KVVec::new();
    let user = UserSlice::new(UserPtr::from_addr(request.ranges as usize), len);
    user.read_all(&mut bytes, GFP_KERNEL)?;
    let mut spans = KVVec::with_capacity(request.range_count as usize, GFP_KERNEL)?;
    for range in bytes.chunks_exact(uapi::Range::SIZE) {
        if let Some(uapi::Range { start, end }) = uapi::Range::read(range) {
            spans.push(Span { start, end }, GFP_KERNEL)?;
        }
    }
    sort::sort_by_key(&mut spans, |span: &Span| span.start);
    let kept = routes::join(&mut spans);
    spans.truncate(kept);
    Ok(spans)
}
