// SPDX-License-Identifier: GPL-2.0

//! Where functions go on by jumps, in place of returning. `model/transition/stack.rs` says what this is needed for.
//!
//! It is read from the code itself, when a patch is loaded or a module comes: from the original functions, from all functions that these
//! jump on to, and from the patch. Code that cannot be read, or where that would take long, counts as a jump to anywhere. So does a static
//! call in the place of a return, whatever is there now. A static key's branch counts as the jump that it may be.

use crate::{
    model::{
        callee::{self, Call},
        exits::{self, Exit, Target},
        refusal::Refusal,
        routes,
        transition::stack::Span,
    },
    patch::statics::Statics,
    running::{calls, code, names, time::wait_a_moment},
};
use kernel::prelude::*;

/// Functions that are longer are not read. Few are.
const LONGEST: u64 = 64 << 10;
/// From one function, no more functions than these are followed.
const MOST: usize = 2048;
/// How often code with an int3 in it is read, with a moment between two looks.
const LOOKS: usize = 5;

/// Where one piece of code goes on by jumps.
#[derive(Default)]
pub(crate) struct Exits {
    /// Functions.
    funcs: KVVec<Span>,
    /// Which of them jumps to which other one, by index.
    jumps: KVVec<(u32, u32)>,
    /// Whether these are all.
    known: bool,
}

impl Exits {
    /// As the model reads them.
    pub(crate) fn get(&self) -> routes::Exits<'_> {
        routes::Exits {
            funcs: &self.funcs,
            jumps: &self.jumps,
            known: self.known,
        }
    }
}

/// A function that was read, and where it jumps to: a part of [`Finder::edges`].
struct Node {
    start: u64,
    end: u64,
    first: usize,
    len: usize,
    known: bool,
}

/// Finds exits, and remembers what it has read.
#[derive(Default)]
pub(crate) struct Finder {
    /// Sorted by start.
    nodes: KVVec<Node>,
    edges: KVVec<u64>,
    code: KVVec<u8>,
    statics: Statics,
    /// Nothing counts as known of code that is not [plain](exits::is_plain).
    plain_only: bool,
}

impl Finder {
    /// Of the function at this address with this length, whose fentry site is at `site`, and its parts elsewhere.
    pub(super) fn of_function(
        &mut self,
        addr: u64,
        len: u64,
        site: u64,
        colds: impl Iterator<Item = Span>,
    ) -> Result<Exits, Refusal> {
        let mut found = Found::new();
        let begin = site.saturating_sub(addr) + calls::FENTRY_CALL;
        self.read(addr, len, begin as usize, &mut found)?;
        for cold in colds {
            self.read(
                cold.start,
                cold.end.saturating_sub(cold.start),
                0,
                &mut found,
            )?;
        }
        self.follow(found, None)
    }

    /// Of the text of a patch as it is loaded, which is at `base`.
    pub(super) fn of_text(&mut self, text: &[u8], base: u64) -> Result<Exits, Refusal> {
        self.of_code(text, base, true)
    }

    fn of_code(&mut self, text: &[u8], base: u64, fresh: bool) -> Result<Exits, Refusal> {
        let mut found = Found::new();
        found.known = !self.statics.may_turn(base, text.len() as u64)?;
        found.look(text, base, 0, fresh)?;
        self.follow(found, None)
    }

    /// The same for text that is in memory already.
    pub(super) fn of_memory(&mut self, text: core::ops::Range<usize>) -> Result<Exits, Refusal> {
        let mut code = KVVec::from_elem(0u8, text.len(), GFP_KERNEL)?;
        if code::read(text.start as u64, &mut code) {
            self.of_code(&code, text.start as u64, false)
        } else {
            Ok(Exits::default())
        }
    }

    /// Reads code and takes in where it jumps to. If somebody is changing the code at this moment, there is an int3 in it, and what becomes
    /// of that is known soon. The int3 of a probe stays.
    fn read(
        &mut self,
        addr: u64,
        len: u64,
        begin: usize,
        found: &mut Found,
    ) -> Result<(), Refusal> {
        let (before, known) = (found.starts.len(), found.known);
        for look in 1..=LOOKS {
            found.hidden = false;
            self.read_once(addr, len, begin, found)?;
            if !found.hidden || look == LOOKS {
                break;
            }
            found.starts.truncate(before);
            found.known = known;
            wait_a_moment();
        }
        Ok(())
    }

    fn read_once(
        &mut self,
        addr: u64,
        len: u64,
        begin: usize,
        found: &mut Found,
    ) -> Result<(), Refusal> {
        self.code.clear();
        if len <= LONGEST {
            self.code.resize(len as usize, 0, GFP_KERNEL)?;
        }
        if len > LONGEST || !code::read(addr, &mut self.code) {
            found.known = false;
            return Ok(());
        }
        found.known &= !self.statics.may_turn(addr, len)?;
        if !self.plain_only {
            self.branches(addr, len, found)?;
        }
        found.look(&self.code, addr, begin, false)?;
        found.known &= !self.plain_only || exits::is_plain(&self.code);
        Ok(())
    }

    /// Takes in where static keys lead from this code, on or off. Plain code has none.
    fn branches(&mut self, addr: u64, len: u64, found: &mut Found) -> Result<(), Refusal> {
        match self.statics.branches(addr, len)? {
            Some(all) => {
                for to in all {
                    found.take(Exit::To(to))?;
                }
            }
            None => found.known = false,
        }
        Ok(())
    }

    /// Goes on to where the functions that were found jump to; but not from `end`, if it comes there.
    fn follow(&mut self, mut found: Found, end: Option<u64>) -> Result<Exits, Refusal> {
        let mut next = 0;
        let mut funcs = KVVec::new();
        let mut jumps = KVVec::new();
        // Those of one that goes on where nobody knows, too: who sleeps there is told by that.
        while let Some(start) = found.starts.get(next).copied() {
            let from = next as u32;
            next += 1;
            if Some(start) == end {
                // It keeps its index.
                funcs.push(Span { start, end: start }, GFP_KERNEL)?;
                continue;
            }
            let at = self.node(start)?;
            let Some(node) = self.nodes.get(at) else {
                break;
            };
            found.known &= node.known;
            let Node { start, end, .. } = *node;
            funcs.push(Span { start, end }, GFP_KERNEL)?;
            for to in self.edges.iter().skip(node.first).take(node.len) {
                if let Some(to) = found.add(*to)? {
                    jumps.push((from, to), GFP_KERNEL)?;
                }
            }
        }
        Ok(Exits {
            funcs,
            jumps,
            known: found.known,
        })
    }

    /// The index of a function among those that were read. It is read if it was not.
    fn node(&mut self, start: u64) -> Result<usize, Refusal> {
        let at = self.nodes.partition_point(|node| node.start < start);
        if self.nodes.get(at).is_some_and(|node| node.start == start) {
            return Ok(at);
        }
        let mut found = Found::new();
        let len = names::symbol_size(start).unwrap_or(u64::MAX);
        self.read(start, len, 0, &mut found)?;
        let node = Node {
            start,
            end: start.saturating_add(len),
            first: self.edges.len(),
            len: found.starts.len(),
            known: found.known,
        };
        self.edges.extend_from_slice(&found.starts, GFP_KERNEL)?;
        self.nodes.reserve(1, GFP_KERNEL)?;
        let _ = self.nodes.insert_within_capacity(at, node);
        Ok(at)
    }
}

/// The functions that run one after the other if the call in front of this address comes to `landing` by jumps alone, without `landing`
/// itself. `None`: it does not come there, or it cannot be told what has been called, and where that has gone. May sleep.
///
/// Some task is about to return to that address, so its code stays.
pub(crate) fn way(ret: u64, landing: u64) -> Result<Option<KVVec<Span>>, Refusal> {
    let mut finder = Finder {
        plain_only: true,
        ..Finder::default()
    };
    let Some(call) = calls::called(ret).and_then(Call::proved) else {
        return Ok(None);
    };
    // Another function may have been called there before it was turned to this one.
    if finder.statics.may_turn_call(ret - callee::SITE_LEN)? {
        return Ok(None);
    }
    // The module may go as soon as this is read.
    let Some((start, _module)) = names::held_code(call) else {
        return Ok(None);
    };
    if start == landing || !callee::begins(start, call) {
        return Ok(None);
    }
    let mut found = Found::new();
    found.add(start)?;
    let exits = finder.follow(found, Some(landing))?;
    let mut funcs = exits.funcs;
    let comes_there = funcs.iter().any(|func| func.start == landing);
    funcs.retain(|func| func.start != landing);
    Ok((exits.known && comes_there).then_some(funcs))
}

/// The beginnings of functions that one piece of code jumps to.
struct Found {
    starts: KVVec<u64>,
    known: bool,
    /// Not all is known because somebody has put an int3 over some instruction.
    hidden: bool,
}

impl Found {
    fn new() -> Self {
        Self {
            starts: KVVec::new(),
            known: true,
            hidden: false,
        }
    }

    /// Takes in where this code goes, which is at `base`.
    fn look(&mut self, code: &[u8], base: u64, begin: usize, fresh: bool) -> Result<(), Refusal> {
        let mut result = Ok(());
        exits::each(code, base, begin, fresh, |exit| match self.take(exit) {
            Ok(known) => known,
            Err(refusal) => {
                result = Err(refusal);
                true
            }
        });
        result
    }

    /// Takes in an exit. Returns whether it is known what is there.
    fn take(&mut self, exit: Exit) -> Result<bool, Refusal> {
        let (to, certain) = match exit {
            Exit::To(to) => (to, true),
            Exit::Perhaps(to) => (to, false),
            Exit::Anywhere => {
                self.known = false;
                return Ok(true);
            }
            // Behind a jump to anywhere, compilers fill room with it.
            Exit::Hidden => {
                self.hidden |= self.known;
                self.known = false;
                return Ok(true);
            }
        };
        match names::holder(to) {
            None => {
                self.known &= !certain;
                return Ok(false);
            }
            Some((_, Target::Anywhere)) => self.known &= !certain,
            Some((start, Target::Code)) if certain || start == to => {
                self.add(start)?;
            }
            Some((start, Target::Part)) => {
                self.add(start)?;
            }
            Some(_) => {}
        }
        Ok(true)
    }

    /// The index of this function among them; `None`: there are too many.
    fn add(&mut self, start: u64) -> Result<Option<u32>, Refusal> {
        // They are few, mostly.
        let at = match self.starts.iter().position(|known| *known == start) {
            Some(at) => at,
            None if self.starts.len() < MOST => {
                self.starts.push(start, GFP_KERNEL)?;
                self.starts.len() - 1
            }
            None => {
                self.known = false;
                return Ok(None);
            }
        };
        Ok(Some(at as u32))
    }
}
