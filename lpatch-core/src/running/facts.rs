// SPDX-License-Identifier: GPL-2.0

//! What this boot's kernel makes of code, learned from the kernel itself.

use crate::{
    ffi,
    model::{
        fentry,
        finalize::{
            calls::{Counting, PADDING},
            facts,
            retpolines::{Form, Retpolines},
            returns::{Example, Returns},
            Facts, Features,
        },
        refusal::{ensure, Refusal},
    },
    running::{
        calls,
        code::{
            bug_func, indirect_call_thunks, indirect_jump_thunks, indirect_thunks, nop_func, read,
            return_thunk,
        },
    },
    uapi::Reason,
};
use core::fmt::{self, Write};
use kernel::prelude::*;

/// More than the text of facts takes.
const FACTS_TEXT: usize = ffi::LP_FACTS_TEXT as usize - 1;

/// A return of ours, as the kernel left it.
fn example(site: *const u8) -> Example {
    let at = site as u64;
    let mut bytes = [0; 5];
    read(at, &mut bytes);
    Example { at, bytes }
}

/// Learns what this boot's kernel makes of code, from what it says about the CPU and from the examples in `examples.S`.
#[inline(never)]
fn learn() -> Result<Facts, Refusal> {
    let lower = example((&raw const ffi::lp_example_lower).cast());
    let upper = example((&raw const ffi::lp_example_upper).cast());
    let mut seal = fentry::ENDBR64;
    if cfg!(CONFIG_X86_KERNEL_IBT) {
        read(lower.at - 4, &mut seal);
    }
    // SAFETY: No requirements.
    let mitigations = unsafe { ffi::lp_mitigations() };
    Ok(Facts {
        returns: Returns::learn(lower, upper, return_thunk())?,
        retpolines: retpolines(mitigations)?,
        calls: if mitigations & ffi::LP_CALL_DEPTH != 0 {
            Some(counting().ok_or(Reason::CallDepth)?)
        } else {
            None
        },
        seal: facts::seal(seal)?,
        features: features().ok_or(Reason::Mitigation)?,
        one_cpu: one_cpu(),
        bug_func: bug_func(),
        nop_func: nop_func(),
    })
}

/// Learns it, and shows what was learned in the module's parameter "facts".
#[inline(never)]
pub(crate) fn known() -> Result<Facts, Refusal> {
    let facts = learn();
    show(&facts);
    facts
}

/// What does not fit is not shown; it all fits.
#[inline(never)]
fn show(facts: &Result<Facts, Refusal>) {
    let mut text = Text {
        bytes: [0; FACTS_TEXT],
        len: 0,
    };
    let _ = match facts {
        Ok(facts) => facts.show(&mut text),
        Err(refusal) => {
            let (reason, value) = (refusal.reason.code(), refusal.value);
            writeln!(text, "refused {reason} {value:x}")
        }
    };
    // SAFETY: The pointer and the length are of one array.
    unsafe { ffi::lp_show_facts(text.bytes.as_ptr().cast(), text.len) };
}

/// Text in the making.
struct Text {
    bytes: [u8; FACTS_TEXT],
    len: usize,
}

impl Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let place = room.get_mut(..more.len()).ok_or(fmt::Error)?;
        place.copy_from_slice(more.as_bytes());
        self.len += more.len();
        Ok(())
    }
}

fn features() -> Option<Features> {
    let mut count = 0;
    // SAFETY: The pointer is valid for writes.
    let words = unsafe { ffi::lp_cpu_features(&raw mut count) };
    // SAFETY: The words are in the kernel's data; they change only while CPUs come up at boot.
    Features::new(unsafe { core::slice::from_raw_parts(words, count as usize) })
}

/// The rules follow from the features of the CPU. The kernel must have done to our branches what the rules say.
fn retpolines(found: u32) -> Result<Retpolines, Refusal> {
    let has = |feature: u32| found & feature != 0;
    let lfence = has(ffi::LP_RETPOLINE_LFENCE);
    let its = (&raw const ffi::lp_its_thunks) as u64;
    let retpolines = Retpolines {
        thunks: indirect_thunks(),
        form: if has(ffi::LP_RETPOLINE) && !lfence && has(ffi::LP_CALL_DEPTH) {
            Form::Counted {
                calls: indirect_call_thunks(),
                jumps: indirect_jump_thunks(),
            }
        } else if has(ffi::LP_RETPOLINE) && !lfence {
            Form::Thunk
        } else {
            Form::Inline {
                lfence,
                its: has(ffi::LP_INDIRECT_ITS).then_some(its),
            }
        },
    };
    // SAFETY: It is constant data of ours.
    let examples = unsafe { &*(&raw const ffi::lp_example_branches) };
    for example in examples.iter().filter(|_| retpolines.thunks != 0) {
        let at = example.site as u64;
        let mut bytes = [0; 6];
        read(at, &mut bytes);
        let agrees = retpolines.agrees(at, example.reg as u8, example.call != 0, &bytes);
        ensure(agrees, || Refusal::new(Reason::Mitigation).value(at))?;
    }
    Ok(retpolines)
}

/// What counts a call.
fn counting() -> Option<Counting> {
    let at = (&raw const ffi::lp_example_count) as u64;
    let end = (&raw const ffi::lp_example_count_end) as u64;
    let mut bytes = [0; PADDING];
    let example = bytes.get_mut(..(end - at) as usize)?;
    let counting = read(at, example).then(|| Counting::new(example, at))?;
    if counting.is_some() {
        calls::set_count_len(example.len() as u8);
    }
    counting
}

/// Whether the kernel took our lock prefix away, and will never put it back.
fn one_cpu() -> bool {
    const DS: u8 = 0x3e;
    let mut prefix = [0];
    read((&raw const ffi::lp_example_lock) as u64, &mut prefix);
    // SAFETY: No requirements.
    let only = unsafe { ffi::lp_one_cpu() != 0 };
    only && prefix == [DS]
}
