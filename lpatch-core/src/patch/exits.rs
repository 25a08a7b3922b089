// SPDX-License-Identifier: GPL-2.0

//! Where functions go on by jumps, in place of returning: see `model/transition/stack.rs` for what that is needed for.
//!
//! It is read from the code itself, here, when a patch is loaded or a module comes: of the original functions, of all functions that those
//! jump on to, and of the patch. What cannot be read, or would take long, counts as a jump to anywhere.

use crate::{
    facts,
    model::{
        exits::{self, Exit, Target},
        refusal::Refusal,
        routes,
        transition::stack::Span,
    },
};
use kernel::prelude::*;

/// No function that is longer is read. Few are.
const LONGEST: u64 = 64 << 10;
/// No more functions are followed from one.
const MOST: usize = 64;

/// Where one piece of code goes on by jumps.
#[derive(Default)]
pub(crate) struct Exits {
    /// Functions.
    funcs: KVVec<Span>,
    /// Whether they are all.
    known: bool,
}

impl Exits {
    /// As the model reads them.
    pub(crate) fn get(&self) -> routes::Exits<'_> {
        routes::Exits {
            funcs: &self.funcs,
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
        let begin = site.saturating_sub(addr) + crate::walk::FENTRY_CALL;
        self.read(addr, len, begin as usize, &mut found)?;
        for cold in colds {
            self.read(
                cold.start,
                cold.end.saturating_sub(cold.start),
                0,
                &mut found,
            )?;
        }
        self.follow(found)
    }

    /// Of the text of a patch, which is at `base`.
    pub(super) fn of_text(&mut self, text: &[u8], base: u64) -> Result<Exits, Refusal> {
        let mut found = Found::new();
        let mut result = Ok(());
        exits::each(text, base, 0, |exit| {
            result = result.and_then(|()| found.take(exit));
        });
        result?;
        self.follow(found)
    }

    /// The same for text that is in memory already.
    pub(super) fn of_memory(&mut self, text: core::ops::Range<usize>) -> Result<Exits, Refusal> {
        let mut code = KVVec::from_elem(0u8, text.len(), GFP_KERNEL)?;
        if facts::read(text.start as u64, &mut code) {
            self.of_text(&code, text.start as u64)
        } else {
            Ok(Exits::default())
        }
    }

    /// Reads code and takes in where it jumps to.
    fn read(
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
        if len > LONGEST || !facts::read(addr, &mut self.code) {
            found.known = false;
            return Ok(());
        }
        let mut result = Ok(());
        exits::each(&self.code, addr, begin, |exit| {
            result = result.and_then(|()| found.take(exit));
        });
        result
    }

    /// Goes on to where the functions jump that were found.
    fn follow(&mut self, mut found: Found) -> Result<Exits, Refusal> {
        let mut next = 0;
        let mut funcs = KVVec::new();
        while let Some(start) = found.starts.get(next).copied().filter(|_| found.known) {
            next += 1;
            let at = self.node(start)?;
            let Some(node) = self.nodes.get(at) else {
                break;
            };
            found.known &= node.known && found.starts.len() <= MOST;
            let Node { start, end, .. } = *node;
            funcs.push(Span { start, end }, GFP_KERNEL)?;
            for to in self.edges.iter().skip(node.first).take(node.len) {
                found.add(*to)?;
            }
        }
        Ok(Exits {
            funcs,
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
        let len = facts::symbol_size(start).unwrap_or(u64::MAX);
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

/// The beginnings of functions that one piece of code jumps to.
struct Found {
    starts: KVVec<u64>,
    known: bool,
}

impl Found {
    fn new() -> Self {
        Self {
            starts: KVVec::new(),
            known: true,
        }
    }

    fn take(&mut self, exit: Exit) -> Result<(), Refusal> {
        let (to, certain) = match exit {
            Exit::To(to) => (to, true),
            Exit::Perhaps(to) => (to, false),
            Exit::Anywhere => {
                self.known = false;
                return Ok(());
            }
        };
        match facts::holder(to) {
            None if certain => self.known = false,
            Some((_, Target::Anywhere)) if certain => self.known = false,
            Some((start, Target::Code)) if certain || start == to => self.add(start)?,
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, start: u64) -> Result<(), Refusal> {
        // They are few.
        if !self.starts.contains(&start) {
            self.starts.push(start, GFP_KERNEL)?;
        }
        Ok(())
    }
}
