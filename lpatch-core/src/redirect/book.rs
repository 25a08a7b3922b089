// SPDX-License-Identifier: GPL-2.0

//! The book: all routes, and the transition that is under way in them. `transition/handler.rs` reads it for the handler.
//!
//! There is one current book, or none. It is never changed, only replaced by another one. So a reader sees routes and transition of one and
//! the same moment. Readers have preemption off or are under RCU, and a replaced book is kept until they are done.

use crate::{
    ffi,
    model::{
        index::{self, Slot},
        routes::{self, Route},
        transition::{
            detours::Detours,
            stack::{Landing, Span, Spans},
            Phase, Side,
        },
    },
    redirect::{bounds::Bounds, motion::Motion},
};
use core::{
    mem::{offset_of, size_of},
    ops::Range,
    sync::atomic::{AtomicPtr, Ordering},
};
use kernel::{prelude::*, sync::Arc};

/// The routes of all patched functions, and where tasks must not be.
///
/// # Invariants
///
/// `slots` and `multiplier` are the index of `routes`.
pub(crate) struct Tables {
    /// Sorted by site.
    routes: KVVec<Route>,
    slots: KVVec<Slot>,
    multiplier: u64,
    /// Where a task that leaves *from*, or *to*, must not be.
    from_spans: Spans<KVVec<Span>>,
    to_spans: Spans<KVVec<Span>>,
    /// What functions of *from*, or *to*, come to by jumps. Sorted, without overlaps.
    landings: [KVVec<Landing>; 2],
    /// Ways there that lead past all functions of either side.
    pub(crate) detours: Detours,
}

impl Tables {
    /// Of these routes, sorted by site; and the spans of *from* and *to*. `EINVAL` if spans are not sorted or overlap.
    pub(crate) fn new(
        routes: KVVec<Route>,
        from_spans: KVVec<Span>,
        to_spans: KVVec<Span>,
        landings: [KVVec<Landing>; 2],
    ) -> Result<Self> {
        let room = index::room(routes.len()).ok_or(ENOMEM)?;
        let mut slots = KVVec::with_capacity(room, GFP_KERNEL)?;
        for _ in 0..room {
            slots.push(Slot::default(), GFP_KERNEL)?;
        }
        // There is room, and sites and functions are text of the kernel or of modules.
        let multiplier = match index::fill(&mut slots, &routes) {
            Ok(index) => index.multiplier,
            Err(index::Impossible) => return Err(EINVAL),
        };
        // INVARIANT: Filled just now.
        Ok(Self {
            routes,
            slots,
            multiplier,
            from_spans: Spans::new(from_spans).map_err(|_| EINVAL)?,
            to_spans: Spans::new(to_spans).map_err(|_| EINVAL)?,
            landings,
            detours: Detours::default(),
        })
    }

    /// Of routes in which nothing moves.
    fn still(routes: KVVec<Route>) -> Result<Arc<Self>> {
        let tables = Self::new(
            routes,
            KVVec::new(),
            KVVec::new(),
            [KVVec::new(), KVVec::new()],
        )?;
        Ok(Arc::new(tables, GFP_KERNEL)?)
    }

    /// The routes, sorted by site.
    #[inline]
    pub(crate) fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Where a task that leaves this side must not be.
    pub(crate) fn bounds(&self, side: Side) -> Bounds<'_> {
        let [from, to] = &self.landings;
        let (spans, landings) = match side {
            Side::From => (&self.from_spans, from),
            Side::To => (&self.to_spans, to),
        };
        Bounds {
            ranges: spans.ranges(side),
            landings,
            detours: Some(&self.detours),
        }
    }

    /// Whether a function belongs to neither side, and its calls go nowhere else.
    pub(crate) fn knows_nothing_of(&self, func: &Span) -> bool {
        let of = |side: Side| self.bounds(side).ranges.hits(func.start).is_some();
        let routed = routes::sites(&self.routes, func).next().is_some();
        !routed && !of(Side::From) && !of(Side::To)
    }
}

/// A side of a transition that no task lives in any more, but for some that may be dying unseen.
#[derive(Clone)]
pub(crate) struct Era {
    pub(crate) tables: Arc<Tables>,
    pub(crate) side: Side,
    /// The transition, if it was completed forward: it knows who has left *from*.
    pub(crate) motion: Option<Arc<Motion>>,
    /// The grace period after which there are none.
    pub(crate) ticket: usize,
}

/// All routes, with what it takes to choose between their sides.
///
/// In cache lines of its own: the handler reads it, and nobody writes to it once it is current.
///
/// # Invariants
///
/// From when it becomes current, `head` is [`Book::index`].
#[repr(C, align(64))]
pub(crate) struct Book {
    /// All that the handler reads where nothing moves. In front, since C knows nothing of the rest.
    head: ffi::lp_index,
    pub(crate) tables: Arc<Tables>,
    /// The transition between *from* and *to*; without one, both are the same in all routes.
    pub(crate) motion: Option<Arc<Motion>>,
    /// The oldest first.
    pub(crate) eras: KVec<Era>,
}

const _: () = assert!(offset_of!(Book, head) == 0);
const _: () = assert!(size_of::<Slot>() == size_of::<ffi::lp_slot>());
const _: () = assert!(offset_of!(Slot, ip) == offset_of!(ffi::lp_slot, ip));
const _: () = assert!(offset_of!(Slot, to) == offset_of!(ffi::lp_slot, to));

// SAFETY: The pointer in its head is to what it has a share of.
unsafe impl Send for Book {}

/// No more eras than that are remembered. There are so many only if a kernel thread that never sleeps keeps all of them open, and then a
/// task would have to be dying during that many transitions.
pub(crate) const ERAS: usize = 32;

impl Book {
    /// Of these, with the head still to be made.
    pub(crate) fn new(
        tables: Arc<Tables>,
        motion: Option<Arc<Motion>>,
        eras: KVec<Era>,
    ) -> Result<KBox<Self>> {
        let book = Self {
            head: ffi::lp_index::default(),
            tables,
            motion,
            eras,
        };
        Ok(KBox::new(book, GFP_KERNEL)?)
    }

    fn index(&self) -> ffi::lp_index {
        let slots = &self.tables.slots;
        let mut asks = 0;
        if self.motion.is_some() {
            asks |= ffi::LP_ASKS_MOTION;
        }
        if !self.eras.is_empty() {
            asks |= ffi::LP_ASKS_ERA;
        }
        ffi::lp_index {
            multiplier: self.tables.multiplier as usize,
            slots: slots.as_ptr().cast(),
            mask: slots.len() as u32 - 1,
            asks,
        }
    }

    /// Whether one of the eras sends calls to this text.
    pub(crate) fn remembers(&self, text: &Range<usize>) -> bool {
        let inside = |to: u64| text.contains(&(to as usize));
        let leads_there = |route: &Route| inside(route.from) || inside(route.to);
        let mut eras = self.eras.iter();
        eras.any(|era| era.tables.routes.iter().any(leads_there))
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
    Book::new(Tables::still(routes)?, None, eras).map(Some)
}

/// The books for the time after a transition, one for each side on which it can end. They are made before the transition, so that nothing
/// is missing then.
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

    /// Whether an era of one of them sends calls to this text.
    pub(crate) fn remembers(&self, text: &Range<usize>) -> bool {
        self.from.remembers(text) || self.to.remembers(text)
    }

    /// The book for the time after the current transition, which ended on this side.
    pub(crate) fn pick(self, side: Side, ticket: usize) -> KBox<Book> {
        let (mut book, left) = match side {
            Side::From => (self.from, Side::To),
            Side::To => (self.to, Side::From),
        };
        // SAFETY: Books are replaced under the registry's lock only, which the caller holds.
        if let Some(current) = unsafe { current() } {
            let forward = |motion: &&Arc<Motion>| {
                let phase = motion.transition.phase();
                phase == Phase::Complete(Side::To)
            };
            let era = Era {
                tables: current.tables.clone(),
                side: left,
                motion: current.motion.as_ref().filter(forward).cloned(),
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
        let to = route.of(side);
        let ip = route.ip;
        if to != 0 {
            let settled = Route {
                ip,
                from: to,
                to,
                ..Route::default()
            };
            routes.push(settled, GFP_KERNEL)?;
        }
    }
    Book::new(Tables::still(routes)?, None, open_eras()?)
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
    let book = Book::new(book.tables.clone(), None, eras)?;
    Ok(Some(Some(book)))
}

/// The current book: a leaked `KBox<Book>`, or [`none`]. The handler reads it in C.
fn place() -> &'static AtomicPtr<Book> {
    let place = (&raw mut ffi::lp_book).cast();
    // SAFETY: It is a pointer, is there for ever, and is only used as an atomic one.
    unsafe { AtomicPtr::from_ptr(place) }
}

/// What stands for no book. It is never read here, since only the head of one is there.
fn none() -> *mut Book {
    (&raw mut ffi::lp_no_book).cast()
}

/// The current book.
///
/// # Safety
///
/// Preemption is off, or the caller is in an RCU section, for as long as the result is used.
pub(crate) unsafe fn current<'a>() -> Option<&'a Book> {
    // Acquire pairs with Release in `replace()`: the book is complete.
    let book = place().load(Ordering::Acquire);
    if book == none() {
        return None;
    }
    // SAFETY: A book that was current after the caller's section had begun is freed after its end.
    Some(unsafe { &*book })
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
    let new = match book {
        Some(mut book) => {
            // INVARIANT: It is not changed any more.
            book.head = book.index();
            KBox::into_raw(book)
        }
        None => none(),
    };
    // Release pairs with Acquire in `current()` and in the handler. The old one was ours already.
    let old = place().swap(new, Ordering::AcqRel);
    let old = if old == none() {
        None
    } else {
        // SAFETY: It comes from `into_raw` above and was taken out of the pointer just now.
        Some(unsafe { KBox::from_raw(old) })
    };
    Retired(old)
}
