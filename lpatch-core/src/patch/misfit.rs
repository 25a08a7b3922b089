// SPDX-License-Identifier: GPL-2.0

//! Why a patch does not fit a module that is being loaded: for the log, which is all that anybody sees of it then.

use crate::{
    log::{Name, Shown},
    model::refusal::Refusal,
    patch::{body::Body, image, Patch},
    running::names,
    uapi::{self, Reason},
};
use core::fmt::Write;
use kernel::{fmt, prelude::*};

/// Longest text. What is longer is cut off.
const TEXT: usize = 400;

/// A patch, and why it does not fit.
struct Misfit<'a> {
    patch: &'a Patch,
    why: Refusal,
}

impl Patch {
    /// Why the patch does not fit a module, as the end of a sentence; empty without memory. It is made before it is logged, because it
    /// looks up symbols, which cannot be done while logging.
    pub(crate) fn misfit(&self, why: Refusal) -> KVVec<u8> {
        let mut text = Text(KVVec::new());
        let misfit = Misfit { patch: self, why };
        // What did not fit is not there.
        let _ = text.write_fmt(fmt!("{misfit}"));
        text.0
    }
}

/// A text in the making.
struct Text(KVVec<u8>);

impl Write for Text {
    fn write_str(&mut self, more: &str) -> core::fmt::Result {
        let room = TEXT.saturating_sub(self.0.len()).min(more.len());
        let more = more.as_bytes().get(..room).unwrap_or_default();
        (self.0)
            .extend_from_slice(more, GFP_KERNEL)
            .map_err(|_| core::fmt::Error)
    }
}

impl Misfit<'_> {
    /// The function that it is about.
    fn func(&self) -> Name<'_> {
        let at = usize::try_from(self.why.at).unwrap_or(usize::MAX);
        let func = self.patch.funcs.get(at);
        Name(func.map_or(&b"?"[..], |func| self.patch.names.get(func.name)))
    }

    /// Writes the symbol that it is about.
    fn symbol(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = usize::try_from(self.why.at).unwrap_or(usize::MAX);
        let Body::Arena { image, .. } = &self.patch.body else {
            return Ok(());
        };
        let Ok(image) = image::read(image) else {
            return Ok(());
        };
        let symbol = image.symbols.get(at);
        match symbol.and_then(|symbol| image.string(symbol.name).ok()) {
            Some(name) => f.write_fmt(fmt!(" {}", Name(name))),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Misfit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.why.value;
        match self.why.reason {
            Reason::FuncSymbol => f.write_fmt(fmt!(
                "it has no function {}, or several",
                self.func()
            )),
            Reason::FuncPreimage => f.write_fmt(fmt!(
                "its function {} is not the one that the patch was made for (its bytes have CRC-32 {value:#010x})",
                self.func()
            )),
            Reason::FuncProbed => f.write_fmt(fmt!(
                "its function {} has a kprobe at {}, and a kernel thread runs without ever sleeping, so nobody can tell what was there",
                self.func(),
                Shown(value)
            )),
            Reason::FuncFentry => {
                f.write_fmt(fmt!("its function {} has no fentry site", self.func()))
            }
            Reason::FuncTwice => {
                f.write_fmt(fmt!("its function {} is replaced twice", self.func()))
            }
            Reason::FuncOwned => {
                let mut text = [0; uapi::SYM_LEN];
                let len = names::symbol_text(value, &mut text);
                f.write_fmt(fmt!(
                    "{} is held by upstream livepatch or another IPMODIFY user of ftrace",
                    Name(&text[..len])
                ))
            }
            Reason::Symbol => {
                f.write_str("it has no symbol")?;
                self.symbol(f)?;
                f.write_str(", or several")
            }
            Reason::RelocRange => f.write_str("it is too far from the patch"),
            Reason::FtraceOff => f.write_str("kernel.ftrace_enabled is 0"),
            Reason::Nomem => f.write_str("out of memory"),
            reason => f.write_fmt(fmt!(
                "reason {}, at {}, value {}",
                reason.code(),
                self.why.at,
                Shown(value)
            )),
        }
    }
}
