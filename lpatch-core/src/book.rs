// SPDX-License-Identifier: GPL-2.0

//! What the ftrace handler answers: the book of all routes, and the transition that is under way in it.
//!
//! There is one current book, or none. It is never changed, only replaced by another, so whoever reads it
//! sees routes and transition of one and the same moment. Readers do so with preemption off or under RCU;
//! a replaced book is kept until they are done.

use crate::{
    ffi,
    model::{
        routes::{self, Route},
        transition::{
            atomic::AtomicUsize,
            stack::{Ranges, Span, Spans},
            Direction, Phase, Side, Task, Transition,
        },
    },
    movers, walk,
};
use core::{
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};
use kernel::{prelude::*, sync::Arc};

/// A transition with what belongs to it for as long as anybody may look at it.
pub(crate) struct Motion {
    pub(crate) transition: Transition<KVVec<AtomicUsize>>,
    /// Kernel threads that were woken so that they can move, as far as there is room.
    woken: [AtomicUsize; 32],
    /// The ticks in which a task last tried in vain to move when it entered a function, by its site.
    failed: [AtomicUsize; 64],
}

/// So many tasks, and those that are born meanwhile.
pub(crate) fn with_room(tasks: usize) -> usize {
    tasks.saturating_add(tasks / 4).saturating_add(256)
}

impl Motion {
    /// A transition that has not begun, with room for at least so many tasks.
    pub(crate) fn new(tasks: usize) -> Result<Self> {
        // Four slots for each task keep searches short; the rest is for births.
        let slots = with_room(tasks)
            .saturating_mul(4)
            .checked_next_power_of_two()
            .ok_or(ENOMEM)?;
        let mut set = KVVec::with_capacity(slots, GFP_KERNEL)?;
        for _ in 0..slots {
            set.push(AtomicUsize::new(0), GFP_KERNEL)?;
        }
        Ok(Self {
            transition: Transition::new(set).ok_or(EINVAL)?,
            woken: [const { AtomicUsize::new(0) }; 32],
            failed: [const { AtomicUsize::new(0) }; 64],
        })
    }

    /// The tick of the last attempt in vain at this site, or at one that shares its place. By site, since a
    /// loop through several functions can be clean at the entry of one of them only.
    pub(crate) fn failed_tick(&self, ip: u64) -> &AtomicUsize {
        // Functions are aligned to 16 bytes.
        &self.failed[(ip >> 4) as usize % self.failed.len()]
    }

    fn woken_slot(&self, task: Task) -> &AtomicUsize {
        // Task structs are some KiB apart.
        &self.woken[(task.addr() >> 9) % self.woken.len()]
    }

    /// Remembers that a task was woken. A collision makes the count of one cause a little wrong.
    pub(crate) fn set_woken(&self, task: Task) {
        self.woken_slot(task).store(task.addr(), Ordering::Relaxed);
    }

    /// It was not, after all.
    pub(crate) fn clear_woken(&self, task: Task) {
        self.woken_slot(task).store(0, Ordering::Relaxed);
    }

    /// Whether a task was woken.
    pub(crate) fn was_woken(&self, task: Task) -> bool {
        self.woken_slot(task).load(Ordering::Relaxed) == task.addr()
    }
}

impl Drop for Motion {
    fn drop(&mut self) {
        // SAFETY: The set owned a reference to each of its members.
        let give_back = |task: Task| unsafe { ffi::lp_task_put(task.addr()) };
        // It was completed, forced or aborted; if it never began, there are no members.
        let _ = self.transition.finish(give_back);
    }
}

/// The routes of all patched functions, and where tasks must not be.
pub(crate) struct Tables {
    /// Sorted by site.
    pub(crate) routes: KVVec<Route>,
    /// Where a task must not be that leaves *from*, or *to*.
    from_spans: Spans<KVVec<Span>>,
    to_spans: Spans<KVVec<Span>>,
}

impl Tables {
    /// `EINVAL` if spans are not sorted or overlap.
    pub(crate) fn new(
        routes: KVVec<Route>,
        from_spans: KVVec<Span>,
        to_spans: KVVec<Span>,
    ) -> Result<Self> {
        Ok(Self {
            routes,
            from_spans: Spans::new(from_spans).map_err(|_| EINVAL)?,
            to_spans: Spans::new(to_spans).map_err(|_| EINVAL)?,
        })
    }

    /// Those in which nothing moves.
    fn still(routes: KVVec<Route>) -> Result<Self> {
        Self::new(routes, KVVec::new(), KVVec::new())
    }

    /// Where a task must not be that leaves this side.
    pub(crate) fn ranges(&self, side: Side) -> Ranges<'_> {
        match side {
            Side::From => self.from_spans.ranges(side),
            Side::To => self.to_spans.ranges(side),
        }
    }
}

/// A side of a transition that no task lives in any more, but for some that may be dying unseen.
#[derive(Clone)]
pub(crate) struct Era {
    tables: Arc<Tables>,
    side: Side,
    /// The grace period after which there are none.
    pub(crate) ticket: usize,
}

/// All routes, with what it takes to choose between their sides.
pub(crate) struct Book {
    pub(crate) tables: Arc<Tables>,
    /// The transition between *from* and *to*; without one, both are the same in all routes.
    pub(crate) motion: Option<Arc<Motion>>,
    /// The oldest first.
    pub(crate) eras: KVec<Era>,
}

/// More eras than that are not remembered. There are so many only if a kernel thread that never sleeps keeps all of them
/// open, and then a task would have to be dying during that many transitions.
pub(crate) const ERAS: usize = 32;

impl Book {
    /// Where a task must not be that leaves this side.
    pub(crate) fn ranges(&self, side: Side) -> Ranges<'_> {
        self.tables.ranges(side)
    }

    /// Copies the eras that are not over, with room for one more.
    fn open_eras(&self) -> Result<KVec<Era>> {
        let mut eras = KVec::with_capacity(self.eras.len() + 1, GFP_KERNEL)?;
        // SAFETY: No requirements.
        let open = |era: &&Era| unsafe { ffi::lp_grace_is_over(era.ticket) == 0 };
        let skip = (self.eras.len() + 1).saturating_sub(ERAS);
        for era in self.eras.iter().skip(skip).filter(open) {
            eras.push(era.clone(), GFP_KERNEL)?;
        }
        Ok(eras)
    }
}

/// The eras of the current book that are not over, with room for one more. The caller holds the registry's lock.
pub(crate) fn open_eras() -> Result<KVec<Era>> {
    // SAFETY: Books are replaced under the registry's lock only.
    match unsafe { current() } {
        Some(book) => book.open_eras(),
        None => Ok(KVec::with_capacity(1, GFP_KERNEL)?),
    }
}

/// A book of these routes, in which nothing moves, with the eras of the current one.
pub(crate) fn still(routes: KVVec<Route>) -> Result<Option<KBox<Book>>> {
    let eras = open_eras()?;
    if routes.is_empty() && eras.is_empty() {
        return Ok(None);
    }
    let book = Book {
        tables: Arc::new(Tables::still(routes)?, GFP_KERNEL)?,
        motion: None,
        eras,
    };
    Ok(Some(KBox::new(book, GFP_KERNEL)?))
}

/// The book of after a transition, made before it, so that nothing is missing then: for each side on which it can
/// end.
pub(crate) struct Afterwards {
    from: KBox<Book>,
    to: KBox<Book>,
}

impl Afterwards {
    pub(crate) fn new(tables: &Tables) -> Result<Self> {
        Ok(Self {
            from: settled(tables, Side::From)?,
            to: settled(tables, Side::To)?,
        })
    }

    /// The book of after the current transition, which ended on this side.
    pub(crate) fn pick(self, side: Side, ticket: usize) -> KBox<Book> {
        let (mut book, left) = match side {
            Side::From => (self.from, Side::To),
            Side::To => (self.to, Side::From),
        };
        // SAFETY: Books are replaced under the registry's lock only, which the caller holds.
        if let Some(current) = unsafe { current() } {
            let era = Era {
                tables: current.tables.clone(),
                side: left,
                ticket,
            };
            if book.eras.push_within_capacity(era).is_err() {
                unreachable!("there is room for one more");
            }
        }
        book
    }
}

/// A book in which nothing moves, with the routes of this side.
fn settled(tables: &Tables, side: Side) -> Result<KBox<Book>> {
    let mut routes = KVVec::with_capacity(tables.routes.len(), GFP_KERNEL)?;
    for route in tables.routes.iter() {
        let to = match side {
            Side::From => route.from,
            Side::To => route.to,
        };
        let ip = route.ip;
        if to != 0 {
            routes.push(Route { ip, from: to, to }, GFP_KERNEL)?;
        }
    }
    let book = Book {
        tables: Arc::new(Tables::still(routes)?, GFP_KERNEL)?,
        motion: None,
        eras: open_eras()?,
    };
    Ok(KBox::new(book, GFP_KERNEL)?)
}

/// The current book without the eras that are over: `None` if there is no such era, or no need of a book.
pub(crate) fn without_old_eras() -> Result<Option<Option<KBox<Book>>>> {
    // SAFETY: Books are replaced under the registry's lock only, which the caller holds.
    let Some(book) = (unsafe { current() }) else {
        return Ok(None);
    };
    let eras = book.open_eras()?;
    if eras.len() == book.eras.len() {
        return Ok(None);
    }
    if eras.is_empty() && book.tables.routes.is_empty() {
        return Ok(Some(None));
    }
    let book = Book {
        tables: book.tables.clone(),
        motion: None,
        eras,
    };
    Ok(Some(Some(KBox::new(book, GFP_KERNEL)?)))
}

/// The current book. Points to a leaked `KBox<Book>`, or nowhere.
static CURRENT: AtomicPtr<Book> = AtomicPtr::new(ptr::null_mut());

/// The current book.
///
/// # Safety
///
/// Preemption is off, or the caller is in an RCU section, for as long as the result is used.
pub(crate) unsafe fn current<'a>() -> Option<&'a Book> {
    // Acquire pairs with Release in `replace()`: the book is complete.
    let book = CURRENT.load(Ordering::Acquire);
    // SAFETY: A book that was current after the caller's section had begun is freed after its end.
    unsafe { book.as_ref() }
}

/// A book that is not current any more. Readers may still be in it, so dropping it waits for them.
pub(crate) struct Retired(Option<KBox<Book>>);

impl Retired {
    /// Makes it current again, and gives the one that was.
    pub(crate) fn republish(mut self) -> Self {
        replace(self.0.take())
    }
}

impl Drop for Retired {
    fn drop(&mut self) {
        if self.0.is_some() {
            // SAFETY: No requirements.
            unsafe { ffi::lp_synchronize() };
        }
    }
}

/// Makes a book current. One caller at a time.
pub(crate) fn replace(book: Option<KBox<Book>>) -> Retired {
    let new = book.map_or(ptr::null_mut(), KBox::into_raw);
    // Release pairs with Acquire in `current()`. The old one was ours already.
    let old = CURRENT.swap(new, Ordering::AcqRel);
    let old = if old.is_null() {
        None
    } else {
        // SAFETY: It comes from `into_raw` above and was taken out of the pointer just now.
        Some(unsafe { KBox::from_raw(old) })
    };
    Retired(old)
}

/// The ftrace handler's question; see `redirect.c` for the context that it runs in.
///
/// # Safety
///
/// Preemption is off.
#[no_mangle]
unsafe extern "C" fn lpatch_redirect(ip: usize, key: usize) -> usize {
    // SAFETY: As this function's.
    let Some(book) = (unsafe { current() }) else {
        return 0;
    };
    let route = routes::find(&book.tables.routes, ip as u64);
    let side = match &book.motion {
        Some(motion) if route.is_some_and(Route::changes) => answer(book, motion, key, ip as u64),
        _ => Side::To,
    };
    // SAFETY: No requirements.
    if !book.eras.is_empty() && unsafe { ffi::lp_unhashed() } != 0 {
        if let Some(to) = earlier(book, ip as u64) {
            return to as usize;
        }
    }
    route.map_or(0, |route| match side {
        Side::From => route.from as usize,
        Side::To => route.to as usize,
    })
}

/// Where a call goes in a transition.
fn answer(book: &Book, motion: &Motion, key: usize, ip: u64) -> Side {
    let transition = &motion.transition;
    let Some(task) = Task::new(key) else {
        return Side::From;
    };
    let side = transition.side(task);
    // After the set was asked: a task is taken out of it unmoved only when it is known to be unhashed.
    // SAFETY: No requirements.
    if unsafe { ffi::lp_unhashed() } != 0 {
        return unhashed(book, transition.phase(), ip);
    }
    if transition.pending(task) == Some(side) && movers::entered(book, motion, task, ip) {
        return transition.side(task);
    }
    side
}

/// The side of a task that is in no list of tasks any more. Nobody could find it to put it into the set, so
/// each of its calls goes by what is on its stack: to where others move to, unless it is still in a function of
/// the other side.
#[cold]
fn unhashed(book: &Book, phase: Phase, ip: u64) -> Side {
    let target = match phase {
        Phase::Idle | Phase::Filling => return Side::From,
        Phase::Live(Direction::Forward) => Side::To,
        Phase::Live(Direction::Reverse) => Side::From,
        Phase::Complete(side) | Phase::Forced(side) => side,
    };
    let other = match target {
        Side::From => Side::To,
        Side::To => Side::From,
    };
    let mut inside = false;
    let ranges = book.ranges(other);
    walk::current_frames(ip, |addr| inside |= ranges.hits(addr).is_some());
    if inside {
        other
    } else {
        target
    }
}

/// Where a call of such a task goes if it is still in a function of an era that is over for all others: to what
/// was in force then; 0: the original function. Of several, the oldest era counts: a function that was
/// in force in both is in the spans of neither.
#[cold]
fn earlier(book: &Book, ip: u64) -> Option<u64> {
    let mut oldest = usize::MAX;
    walk::current_frames(ip, |addr| {
        let hit = |era: &Era| era.tables.ranges(era.side).hits(addr).is_some();
        if let Some(at) = book.eras.iter().position(hit) {
            oldest = oldest.min(at);
        }
    });
    let era = book.eras.get(oldest)?;
    let route = routes::find(&era.tables.routes, ip);
    Some(route.map_or(0, |route| match era.side {
        Side::From => route.from,
        Side::To => route.to,
    }))
}
