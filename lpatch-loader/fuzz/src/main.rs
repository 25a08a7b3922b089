// SPDX-License-Identifier: GPL-2.0

//! The targets as a program that libFuzzer drives. `LPATCH_FUZZ` names the target; `run` gives the arguments.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use lpatch_fuzz::{mutate, target, FuzzTarget, Random};
use std::sync::OnceLock;

fn chosen() -> &'static FuzzTarget {
    static CHOSEN: OnceLock<&FuzzTarget> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var("LPATCH_FUZZ").unwrap_or_default();
        target(&name).unwrap_or_else(|| panic!("LPATCH_FUZZ={name:?} is not the name of a target"))
    })
}

fuzz_target!(|input: &[u8]| chosen().check(input));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = Random(seed.into());
    let target = chosen();
    let mut changed = false;
    // Half of the inputs are left to the engine, which can also make them longer and shorter.
    if random.below(2) == 0 {
        for _ in 0..=random.below(4) {
            let input = data.get_mut(..size).unwrap_or_default();
            let spans = (target.spans)(input);
            changed |= mutate::mutate(input, &spans, &mut random);
        }
    }
    if changed {
        size
    } else {
        fuzzer_mutate(data, size, max_size)
    }
});
