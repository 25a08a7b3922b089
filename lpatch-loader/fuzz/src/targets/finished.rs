// SPDX-License-Identifier: GPL-2.0

//! Finalization of a verified image, for several boots: it changes what is recorded, and nothing else.

use lpatch_model::finalize::{calls, finalize, Facts, Records};
use lpatch_model::image::Image;
use lpatch_model::refusal::Refusal;
use lpatch_model::uapi::Reason;
use lpatch_model::verify::Reservation;

/// What is checked behind everything that finalization relies on.
const LATER: &[Reason] = &[
    Reason::Ksym,
    Reason::NoFuncs,
    Reason::FuncNew,
    Reason::FuncSymbol,
    Reason::FuncObject,
    Reason::FuncOurs,
    Reason::FuncFentry,
    Reason::FuncPreimage,
    Reason::FuncTwice,
    Reason::Cold,
    Reason::CallbackTable,
    Reason::StateTable,
];

fn index(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// Finishes the text for each boot, if its records were verified.
pub(super) fn check(
    image: &Image<'_>,
    room: &Reservation,
    verdict: Result<(), Refusal>,
    boots: &[Facts],
) {
    if verdict.is_err_and(|refusal| !LATER.contains(&refusal.reason)) {
        return;
    }
    let records = Records::from(image);
    // Longest site and padding in front of any function, for calls that are counted.
    let mut may_change = vec![false; image.text.len()];
    let mut mark = |start: usize, len: usize| {
        may_change
            .iter_mut()
            .skip(start)
            .take(len)
            .for_each(|byte| *byte = true);
    };
    for site in image.sites.iter() {
        mark(index(site.offset), 6);
    }
    for alt in image.alts.iter() {
        mark(index(alt.offset), usize::from(alt.len));
    }
    for facts in boots {
        let mut text = image.text.to_vec();
        // A kernel in which every pointer leads to its first function, or nowhere.
        let word = |addr: u64| (addr % 3 != 0).then_some(facts.bug_func);
        if finalize(&mut text, room.text.addr, &records, facts, &word).is_err() {
            continue;
        }
        for (at, (old, new)) in image.text.iter().zip(&text).enumerate() {
            let padding = facts.calls.is_some() && is_padding(image.text, at);
            let may = padding || may_change.get(at) == Some(&true);
            assert!(
                old == new || may,
                "finalization changed the byte at {at:#x}"
            );
        }
    }
}

/// Whether the byte is one of nops that can be in front of a function.
fn is_padding(text: &[u8], at: usize) -> bool {
    const NOP: u8 = 0x90;
    const COUNTING: usize = 9;
    let nops = |range: std::ops::Range<usize>| {
        text.get(range)
            .is_some_and(|bytes| bytes.iter().all(|byte| *byte == NOP))
    };
    let first = at.saturating_sub(calls::PADDING);
    (first..=at)
        .any(|start| (start..start + COUNTING).contains(&at) && nops(start..start + COUNTING))
}
