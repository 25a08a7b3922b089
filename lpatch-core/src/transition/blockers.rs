// SPDX-License-Identifier: GPL-2.0

//! Who keeps a transition from ending: each task with the function that holds it, and its stack.

use crate::{
    model::{
        refusal::Refusal,
        transition::{
            evidence::Current,
            stack::{Ranges, Span},
            Side, Task,
        },
    },
    redirect::{book, bounds::Bounds, motion},
    running::{calls, names},
    transition::{
        progress::Moving,
        tasks::{self, Found, Held},
        walk::{self, Walked},
    },
    uapi::{self, Blocker},
};
use kernel::prelude::*;

/// Frames of a stack that are shown.
const FRAMES: usize = 24;
/// Tasks that are described, of those that were asked for.
const SHOWN: usize = uapi::BLOCKERS_MAX as usize;
/// Those that are kept for later when a deadline passes.
pub(crate) const KEPT: usize = 64;

/// Tasks that are in the way.
#[derive(Default)]
pub(crate) struct Blockers {
    /// The first of them, described.
    pub(crate) list: KVVec<Blocker>,
    /// How many there are.
    pub(crate) count: usize,
}

impl Blockers {
    /// None yet, with room to describe so many.
    fn new(shown: usize) -> Result<Self, Refusal> {
        Ok(Self {
            list: KVVec::with_capacity(shown.min(SHOWN), GFP_KERNEL)?,
            count: 0,
        })
    }

    pub(crate) fn copy(&self) -> Result<Self, Refusal> {
        let mut copy = Self::new(self.list.len())?;
        copy.list.extend_from_slice(&self.list, GFP_KERNEL)?;
        copy.count = self.count;
        Ok(copy)
    }
}

/// The innermost frames of a stack.
struct Frames {
    addrs: [u64; FRAMES],
    count: usize,
    /// A function of the transition that it is in.
    hit: u64,
    /// One that such a function may have jumped to.
    jumped: u64,
    whole: bool,
}

impl Frames {
    fn none() -> Self {
        Self {
            addrs: [0; FRAMES],
            count: 0,
            hit: 0,
            jumped: 0,
            whole: false,
        }
    }
}

/// Looks at a task.
fn look(held: &Held, bounds: Bounds<'_>) -> (Found, Frames) {
    let mut frames = Frames::none();
    // It moves nobody.
    let evidence = Current::trust(held.task(), &());
    let mut check = bounds.check(&evidence);
    // Of a task that ran meanwhile it is a guess, for people.
    let (found, walked) = walk::visit(held, |addr| {
        if frames.hit == 0 {
            let call = calls::called(addr);
            check.frame(addr, || call);
            // Itself, or the function that was called there, which has jumped on.
            let mut addrs = [Some(addr), call.map(|call| call.target)]
                .into_iter()
                .flatten();
            let hit = addrs.find(|addr| bounds.ranges.hits(*addr).is_some());
            frames.hit = hit.unwrap_or(0);
        }
        if let Some(slot) = frames.addrs.get_mut(frames.count) {
            *slot = addr;
            frames.count += 1;
        }
    });
    frames.whole = walked == Walked::Whole;
    frames.jumped = check.may_act_for().unwrap_or(0);
    (found, frames)
}

/// Counts one more, and adds an empty entry if there is room. A function of its own, since entries are large for a kernel stack.
#[inline(never)]
fn add(all: &mut Blockers) -> Option<&mut Blocker> {
    all.count += 1;
    all.list.push_within_capacity(Blocker::default()).ok()?;
    all.list.last_mut()
}

#[inline(never)]
fn describe(blocker: &mut Blocker, held: &Held, found: Found, frames: &Frames) {
    let task = held.describe();
    blocker.pid = task.pid;
    blocker.tgid = task.tgid;
    blocker.cpu = task.cpu;
    blocker.state = task.state;
    blocker.why = match found {
        _ if frames.hit != 0 => uapi::WHY_FUNCTION,
        _ if frames.jumped != 0 => uapi::WHY_JUMPED,
        Found::Runnable => uapi::WHY_RUNNABLE,
        _ if frames.count > 0 && !frames.whole => uapi::WHY_UNRELIABLE,
        _ => uapi::WHY_NOT_ASKED,
    };
    if task.kthread != 0 {
        blocker.flags |= uapi::TASK_KTHREAD;
    }
    if task.idle != 0 {
        blocker.flags |= uapi::TASK_IDLE;
    }
    for (to, from) in blocker.comm.iter_mut().zip(task.comm) {
        *to = from as u8;
    }
    let func = if frames.hit != 0 {
        frames.hit
    } else {
        frames.jumped
    };
    if func != 0 {
        names::symbol_text(func, &mut blocker.func);
    }
    let mut at = 0;
    for addr in &frames.addrs[..frames.count] {
        // The last byte stays NUL.
        let Some(rest) = blocker.stack.get_mut(at..uapi::STACK_LEN - 1) else {
            break;
        };
        let len = names::symbol_text(*addr, rest);
        if len + 1 >= rest.len() {
            rest.fill(0);
            break;
        }
        rest[len] = b'\n';
        at += len + 1;
    }
}

/// The tasks of a transition that have not moved, the first `shown` described.
pub(crate) fn pending(moving: &mut Moving, shown: usize) -> Result<Blockers, Refusal> {
    // SAFETY: The registry is locked, and books are replaced under its lock only.
    let book = unsafe { book::current() };
    let side = if moving.reversing {
        Side::To
    } else {
        Side::From
    };
    let mut all = Blockers::new(shown)?;
    if let Some(bounds) = book.map(|book| book.tables.bounds(side)) {
        for held in moving.who() {
            if all.list.len() == all.list.capacity() {
                all.count += 1;
                continue;
            }
            let (found, frames) = look(held, bounds);
            if found != Found::Gone {
                if let Some(blocker) = add(&mut all) {
                    describe(blocker, held, found, &frames);
                }
            }
        }
    }
    moving.forget();
    Ok(all)
}

/// The tasks that are in one of these spans now, the first `shown` described. `spans` are sorted and do not overlap.
pub(crate) fn inside(spans: &[Span], shown: usize) -> Result<Blockers, Refusal> {
    let ranges = Ranges::new(Side::From, spans).map_err(|_| crate::uapi::Reason::RelocOverlap)?;
    let mut count = 0;
    tasks::each(|_| count += 1);
    let mut everybody = KVVec::with_capacity(motion::with_room(count), GFP_KERNEL)?;
    let mut take = |task: Task| {
        // SAFETY: The task is in the kernel's list, under RCU, or is an idle one.
        let _ = everybody.push_within_capacity(unsafe { Held::new(task) });
    };
    tasks::each(&mut take);
    tasks::each_idle(&mut take);
    let bounds = Bounds {
        ranges,
        landings: &[],
        detours: None,
    };
    let mut all = Blockers::new(shown)?;
    for held in everybody.iter() {
        let (found, frames) = look(held, bounds);
        if frames.hit != 0 {
            if let Some(blocker) = add(&mut all) {
                describe(blocker, held, found, &frames);
            }
        }
    }
    Ok(all)
}

/// Says in the log who did not make it.
pub(crate) fn log(blockers: &[Blocker]) {
    let text =
        |field: &[u8]| -> usize { field.iter().position(|b| *b == 0).unwrap_or(field.len()) };
    for blocker in blockers.iter().take(8) {
        let comm = core::str::from_utf8(&blocker.comm[..text(&blocker.comm)]).unwrap_or("?");
        let func = core::str::from_utf8(&blocker.func[..text(&blocker.func)]).unwrap_or("?");
        let func = if func.is_empty() {
            "no function of it"
        } else {
            func
        };
        pr_warn!("task {} ({comm}) is in {func}\n", blocker.pid);
    }
}
