// SPDX-License-Identifier: GPL-2.0

//! A kernel that answers from tables.

use crate::refusal::Refusal;
use crate::uapi;
use crate::verify::{Kernel, Symbol};
use std::cell::RefCell;
use std::ops::Range;
use std::string::String;
use std::vec::Vec;

/// A symbol of a [`FakeKernel`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeSymbol {
    /// Its address.
    pub addr: u64,
    /// Its size.
    pub size: u64,
    /// Its name.
    pub name: String,
    /// Its module.
    pub module: Option<String>,
}

impl FakeSymbol {
    /// A symbol; `objname` as in the ABI.
    pub fn new(addr: u64, size: u64, name: &str, objname: &str) -> Self {
        Self {
            addr,
            size,
            name: name.into(),
            module: (objname != "vmlinux").then(|| objname.into()),
        }
    }

    /// The module's name, or "vmlinux".
    pub fn objname(&self) -> &str {
        self.module.as_deref().unwrap_or("vmlinux")
    }
}

/// A kprobe in the text of a [`FakeKernel`].
#[derive(Clone, Copy, Debug)]
pub struct FakeProbe {
    /// Where it is.
    pub addr: u64,
    /// Whether it is a jump, to no symbol, unless somebody has asked for what was there.
    pub jump: bool,
}

/// A kernel that answers from tables.
#[derive(Clone, Debug, Default)]
pub struct FakeKernel {
    /// Its symbols.
    pub symbols: Vec<FakeSymbol>,
    /// Its text: address and bytes of each piece.
    pub text: Vec<(u64, Vec<u8>)>,
    /// Its release.
    pub release: String,
    /// The hash of its ORC format.
    pub orc_hash: [u8; uapi::ORC_HASH_LEN],
    /// Where `__x86_return_thunk` is.
    pub return_thunk: u64,
    /// Where the first `__x86_indirect_thunk_*` is.
    pub indirect_thunks: u64,
    /// Where `BUG_func` is.
    pub bug_func: u64,
    /// Whether it is built for IBT.
    pub ibt: bool,
    /// Where lpatch_core and its arena are.
    pub ours: Range<u64>,
    /// The names of exported symbols.
    pub exported: Vec<String>,
    /// Probes in its text, which has the bytes of before.
    pub probes: Vec<FakeProbe>,
    /// For how many pieces of text that are read they stay.
    pub probes_go: Option<RefCell<usize>>,
    /// Where somebody has asked for the original byte.
    pub asked: RefCell<Vec<u64>>,
}

impl FakeKernel {
    /// The symbol of this name.
    pub fn find(&self, name: &str) -> &FakeSymbol {
        let found = self.symbols.iter().find(|symbol| symbol.name == name);
        found.expect("the kernel has it")
    }

    /// Whether the probes are still there.
    fn is_probed(&self) -> bool {
        match &self.probes_go {
            Some(left) => {
                let mut left = left.borrow_mut();
                *left = left.saturating_sub(1);
                *left > 0
            }
            None => true,
        }
    }

    /// Puts the probes into bytes that were read from `addr`.
    fn put_probes(&self, addr: u64, out: &mut [u8]) {
        for probe in &self.probes {
            let written = match probe.jump && !self.asked.borrow().contains(&probe.addr) {
                true => &[0xe9, 0x00, 0x00, 0x00, 0x70][..],
                false => &[0xcc],
            };
            for (at, byte) in (probe.addr..).zip(written) {
                let at = at.checked_sub(addr).and_then(|at| usize::try_from(at).ok());
                if let Some(to) = at.and_then(|at| out.get_mut(at)) {
                    *to = *byte;
                }
            }
        }
    }
}

impl Kernel for FakeKernel {
    fn symbol(&self, addr: u64, with: &mut dyn FnMut(Symbol<'_>)) -> bool {
        let found = self.symbols.iter().find(|symbol| {
            let offset = addr.checked_sub(symbol.addr);
            offset.is_some_and(|offset| offset < symbol.size)
        });
        if let Some(symbol) = found {
            with(Symbol {
                name: symbol.name.as_bytes(),
                offset: addr - symbol.addr,
                size: symbol.size,
                module: symbol.module.as_deref().map(str::as_bytes),
            });
        }
        found.is_some()
    }

    fn read_text(&self, addr: u64, out: &mut [u8]) -> bool {
        let found = self.text.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(addr.checked_sub(*start)?).ok()?;
            bytes.get(from..from.checked_add(out.len())?)
        });
        if let Some(bytes) = found {
            out.copy_from_slice(bytes);
            if self.is_probed() {
                self.put_probes(addr, out);
            }
        }
        found.is_some()
    }

    fn original(&self, addr: u64) -> Result<Option<u8>, Refusal> {
        if !self.probes.iter().any(|probe| probe.addr == addr) {
            return Ok(None);
        }
        self.asked.borrow_mut().push(addr);
        let mut byte = [0];
        let clean = Self {
            text: self.text.clone(),
            ..Self::default()
        };
        Ok(clean.read_text(addr, &mut byte).then_some(byte[0]))
    }

    fn forget_originals(&self) {
        self.asked.borrow_mut().clear();
    }

    fn release(&self) -> &[u8] {
        self.release.as_bytes()
    }

    fn orc_hash(&self) -> [u8; uapi::ORC_HASH_LEN] {
        self.orc_hash
    }

    fn return_thunk(&self) -> u64 {
        self.return_thunk
    }

    fn indirect_thunks(&self) -> u64 {
        self.indirect_thunks
    }

    fn bug_func(&self) -> u64 {
        self.bug_func
    }

    fn has_ibt(&self) -> bool {
        self.ibt
    }

    fn is_ours(&self, addr: u64) -> bool {
        self.ours.contains(&addr)
    }

    fn exports(&self, name: &[u8], addr: u64) -> bool {
        let mut exported = self
            .symbols
            .iter()
            .filter(|s| self.exported.contains(&s.name));
        exported.any(|s| s.name.as_bytes() == name && s.addr == addr)
    }
}
