// SPDX-License-Identifier: GPL-2.0

//! The life of a patch on a device that plays the core: it verifies what it is given, and counts what is left.

mod common;

use common::fake::Fake;
use common::script::State;
use common::*;
use lpatch_loader::device::{name_field, DeviceError, Refused};
use lpatch_loader::install::{install, Enable, InstallError, Observe, Step};
use lpatch_loader::link::link;
use lpatch_loader::reason::sentence;
use lpatch_loader::target::Target;
use lpatch_loader::wait::{Limits, Watch};
use lpatch_model::refusal::Refusal;
use lpatch_model::uapi::{Reason, Transition};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Counts the steps.
#[derive(Default)]
struct Steps(usize);

impl Watch for Steps {
    fn look(&mut self, _: &Transition, _: Duration, _: u64) -> u32 {
        1
    }

    fn interrupted(&self) -> Option<i32> {
        None
    }
}

impl Observe for Steps {
    fn step(&mut self, _: Step<'_>) {
        self.0 += 1;
    }
}

/// Installs a file; the steps that were seen, the result, and what is left.
fn run(file: &[u8], enable: bool, state: State) -> (usize, Result<(), InstallError>, State) {
    run_for(file, &target(), enable, state)
}

fn run_for(
    file: &[u8],
    target: &Target,
    enable: bool,
    state: State,
) -> (usize, Result<(), InstallError>, State) {
    let linked = link(file, target).unwrap_or_else(|problems| panic!("{problems}"));
    let state = Rc::new(RefCell::new(state));
    let core = Box::new(Fake::open(&state));
    let mut steps = Steps::default();
    let enable = enable.then_some(Enable {
        limits: Limits {
            timeout_ms: 60_000,
            interrupt_ms: 0,
        },
        wait: true,
        keep: false,
    });
    let result = install(core, &linked, 0, enable, &mut steps);
    let state = Rc::into_inner(state)
        .expect("the device was closed")
        .into_inner();
    (steps.0, result.map(|_| ()), state)
}

fn refusing(op: &'static str, reason: Reason) -> State {
    State::refusing(op, Refusal::new(reason))
}

#[track_caller]
fn message(result: Result<(), InstallError>, words: &[&str]) {
    let message = result.expect_err("it is refused").to_string();
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

#[test]
fn load_and_enable() {
    let (steps, result, state) = run(&object(&[]), true, State::default());
    assert!(result.is_ok());
    assert_eq!(steps, 3);
    assert_eq!(state.calls, ["reserve", "load", "enable"]);
    assert_eq!(
        (state.reserved, state.enabled),
        (0, vec!["good".to_owned()])
    );
}

#[test]
fn load_only() {
    let (steps, result, state) = run(&object(&[]), false, State::default());
    assert!(result.is_ok());
    assert_eq!(steps, 2);
    assert_eq!(
        (state.reserved, state.loaded.len(), state.enabled.len()),
        (0, 1, 0)
    );
}

#[test]
fn a_refused_reservation_leaves_nothing() {
    let state = refusing("reserve", Reason::ArenaText);
    let (steps, result, state) = run(&object(&[]), true, state);
    message(
        result,
        &[
            "no room for the patch's text",
            "unload other patches",
            "nothing was loaded",
        ],
    );
    assert_eq!((steps, state.reserved, state.calls.len()), (0, 0, 1));
}

#[test]
fn a_refused_load_leaves_nothing() {
    let state = refusing("load", Reason::FtraceOff);
    let (_, result, state) = run(&object(&[]), true, state);
    message(result, &["kernel.ftrace_enabled", "nothing was loaded"]);
    assert_eq!((state.reserved, state.loaded.len()), (0, 0));
    assert_eq!(state.calls, ["reserve", "load"]);
}

/// An index in a reply becomes the function that the entry is about.
#[test]
fn entries_of_tables_are_named_by_their_function() {
    let file = object_with(".section .return_sites\n.long helper - .\n");
    let (_, result, _) = run(&file, true, State::default());
    message(
        result,
        &["site at helper+0x0", "is not what its kind needs"],
    );
}

#[test]
fn a_patch_that_cannot_be_enabled_is_unloaded() {
    let state = refusing("enable", Reason::FuncOwned);
    let (_, result, state) = run(&object(&[]), true, state);
    // The index is 0: the function by its name.
    message(
        result,
        &["cmdline_proc_show of vmlinux is held by", "unloaded again"],
    );
    assert_eq!((state.reserved, state.loaded.len()), (0, 0));
    assert_eq!(state.calls, ["reserve", "load", "enable", "unload"]);
}

#[test]
fn what_cannot_be_unloaded_either_is_said() {
    let mut state = refusing("enable", Reason::Ftrace);
    state.stuck = true;
    let (_, result, state) = run(&object(&[]), true, state);
    message(
        result,
        &["stays loaded and disabled", "lpatch unload good", "task 7"],
    );
    assert_eq!(state.loaded, ["good"]);
}

#[test]
fn relocations_out_of_range_leave_nothing() {
    let file = object_with(".text\ncall jiffies - 0x7f000000\n");
    let (_, result, state) = run(&file, true, State::default());
    message(result, &["out of range", "jiffies"]);
    assert_eq!((state.reserved, state.loaded.len()), (0, 0));
    assert_eq!(state.calls, ["reserve"]);
}

/// kallsyms does not tell where the text of a module ends: the core tells, once.
#[test]
fn the_last_function_of_a_module() {
    let crc = format!("{:#x}", crc32fast::hash(&code(MODULE + 0x80, 16)));
    let file = object(&[("\"fs_read\"", "\"fs_last\""), ("@read_crc@", &crc)]);
    let (_, result, state) = run(&file, true, State::default());
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(state.calls, ["reserve", "load", "load", "enable"]);
}

#[test]
fn the_last_cold_part_of_a_module() {
    let (_, result, state) = run(&last_object(), true, State::default());
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(state.calls, ["reserve", "load", "load", "enable"]);
}

/// The core's rule for names holds before it is asked.
#[test]
fn names_that_no_patch_can_have() {
    for good in ["a", "Az09._+-", &"x".repeat(63)] {
        assert!(name_field(good).is_ok(), "{good}");
    }
    for bad in ["", "no/body", "a b", "\u{e4}", "a\0", &"x".repeat(64)] {
        let error = name_field(bad).expect_err(bad);
        assert!(matches!(error, DeviceError::Name(_)), "{error}");
    }
}

/// Every reason has a sentence of its own that says what to do next; none prints only a number.
#[test]
fn every_reason_is_a_sentence() {
    let mut seen = std::collections::HashSet::new();
    for (reason, name) in Reason::ALL {
        let refused = Refused {
            op: "load",
            errno: 22,
            code: reason.code(),
            at: 3,
            value: 0x77,
        };
        let text = sentence(&refused, None);
        assert!(
            text.starts_with("load: ") && text.len() > 40,
            "{name}: {text}"
        );
        assert!(
            text.contains(';'),
            "{name} does not say what to do next: {text}"
        );
        assert!(
            seen.insert(text.clone()),
            "{name} is not told apart: {text}"
        );
    }
    let unknown = Refused {
        op: "load",
        errno: 22,
        code: 9999,
        at: 0,
        value: 0,
    };
    assert!(sentence(&unknown, None).contains("9999"));
}

/// Damaged copies through the whole way: nothing is ever left.
#[test]
fn damaged_copies_leave_nothing() {
    let good = object(&[]);
    let crc = crc_offset(&good).expect("it is sealed");
    let mut random = Random(0x1_0ad);
    let target = target();
    let (mut installs, mut loaded) = (0, 0);
    for _ in 0..1000 {
        let mut file = good.clone();
        let at = random.below(file.len());
        file[at] ^= 1 << random.below(8);
        assert!(link(&file, &target).is_err(), "byte {at}");
        seal_at(&mut file, crc);
        if link(&file, &target).is_ok() {
            let (_, result, state) = run_for(&file, &target, true, State::default());
            installs += 1;
            loaded += state.loaded.len();
            assert_eq!(state.reserved, 0);
            assert_eq!(state.loaded.len(), usize::from(result.is_ok()));
        }
    }
    assert!(installs > 100, "only {installs} came so far");
    // Damage that no claim is about is loaded; other damage the core sees.
    assert!((1..installs).contains(&loaded), "{loaded} of {installs}");
}
