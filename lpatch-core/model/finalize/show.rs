// SPDX-License-Identifier: GPL-2.0

//! Facts as text, one a line, for programs that have to finish code as this boot's kernel does without being in it.
//!
//! ```text
//! returns inline | thunk ADDRESS | lower-half ADDRESS
//! thunks ADDRESS
//! branches thunk | counted CALLS JUMPS | inline LFENCE | its LFENCE ADDRESS
//! calls plain | counted ADDRESS BYTES
//! seal BYTES
//! features WORD…
//! one-cpu 0 | 1
//! bug-func ADDRESS
//! nop-func ADDRESS
//! ```
//!
//! LFENCE is 0 or 1; numbers other than these are hexadecimal without a prefix, bytes are in the order of their addresses.

use super::retpolines::Form;
use super::returns::Returns;
use super::Facts;
use core::fmt::{Result, Write};

impl Facts {
    /// Writes them to `out`; fails only if that does.
    pub fn show(&self, out: &mut dyn Write) -> Result {
        match self.returns {
            Returns::Inline => out.write_str("returns inline\n")?,
            Returns::Thunk(to) => writeln!(out, "returns thunk {to:x}")?,
            Returns::ThunkInLowerHalf(to) => writeln!(out, "returns lower-half {to:x}")?,
        }
        writeln!(out, "thunks {:x}", self.retpolines.thunks)?;
        match self.retpolines.form {
            Form::Thunk => out.write_str("branches thunk\n")?,
            Form::Counted { calls, jumps } => {
                writeln!(out, "branches counted {calls:x} {jumps:x}")?
            }
            Form::Inline { lfence, its: None } => {
                writeln!(out, "branches inline {}", u8::from(lfence))?;
            }
            Form::Inline {
                lfence,
                its: Some(its),
            } => writeln!(out, "branches its {} {its:x}", u8::from(lfence))?,
        }
        match &self.calls {
            None => out.write_str("calls plain\n")?,
            Some(counting) => {
                let (bytes, at) = counting.example();
                write!(out, "calls counted {at:x} ")?;
                hex(out, bytes)?;
                out.write_str("\n")?;
            }
        }
        out.write_str("seal ")?;
        hex(out, &self.seal)?;
        out.write_str("\nfeatures")?;
        for word in self.features.words() {
            write!(out, " {word:x}")?;
        }
        writeln!(out, "\none-cpu {}", u8::from(self.one_cpu))?;
        writeln!(out, "bug-func {:x}", self.bug_func)?;
        writeln!(out, "nop-func {:x}", self.nop_func)
    }
}

fn hex(out: &mut dyn Write, bytes: &[u8]) -> Result {
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::super::calls::Counting;
    use super::super::retpolines::Retpolines;
    use super::super::Features;
    use super::*;
    use std::string::String;

    fn shown(facts: &Facts) -> String {
        let mut text = String::new();
        facts.show(&mut text).expect("a string takes all");
        text
    }

    #[test]
    fn every_form() {
        let mut facts = Facts {
            returns: Returns::Inline,
            retpolines: Retpolines {
                thunks: 0xffff_ffff_8200_0000,
                form: Form::Thunk,
            },
            calls: None,
            seal: [0x0f, 0x1f, 0x40, 0xd6],
            features: Features::new(&[1, 0xabcd]).expect("they are few"),
            one_cpu: false,
            bug_func: 0xb,
            nop_func: 0xc,
        };
        let expected =
            "returns inline\nthunks ffffffff82000000\nbranches thunk\ncalls plain\nseal 0f1f40d6\n\
            features 1 abcd\none-cpu 0\nbug-func b\nnop-func c\n";
        assert_eq!(shown(&facts), expected);

        facts.one_cpu = true;
        for (returns, line) in [
            (Returns::Thunk(0x10), "returns thunk 10\n"),
            (Returns::ThunkInLowerHalf(0x20), "returns lower-half 20\n"),
        ] {
            facts.returns = returns;
            assert!(shown(&facts).starts_with(line));
        }
        let inline = |lfence, its| Form::Inline { lfence, its };
        for (form, line) in [
            (
                Form::Counted { calls: 1, jumps: 2 },
                "\nbranches counted 1 2\n",
            ),
            (inline(true, None), "\nbranches inline 1\n"),
            (inline(false, Some(0x40)), "\nbranches its 0 40\n"),
        ] {
            facts.retpolines.form = form;
            assert!(shown(&facts).contains(line), "{line}");
        }
        // sarq $5, %gs:0x1234(%rip)
        facts.calls = Counting::new(&[0x65, 0x48, 0xc1, 0x3d, 0x34, 0x12, 0, 0, 5], 0x1000);
        let text = shown(&facts);
        assert!(text.contains("\ncalls counted 1000 6548c13d3412000005\n"));
        assert!(text.contains("\none-cpu 1\n"));
    }
}
