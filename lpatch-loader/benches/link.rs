// SPDX-License-Identifier: GPL-2.0

//! How long it takes to link a large patch, and the share of each step.
//!
//! A patch of 1 MiB that replaces 1,000 functions, for a kernel with 200,000 symbols. Both are files, as in use; they are
//! read anew in each run. What no step names is in the total only. Ends with 1 if the total is over the goal.

#[path = "../tests/common/mod.rs"]
mod common;

use common::large;
use lpatch_loader::image;
use lpatch_loader::kallsyms::Kallsyms;
use lpatch_loader::layout::Layout;
use lpatch_loader::link::link;
use lpatch_loader::meta::Meta;
use lpatch_loader::notes::Notes;
use lpatch_loader::object::Object;
use lpatch_loader::problem::Problems;
use lpatch_loader::relocate::{self, Bases};
use lpatch_loader::resolve::resolve;
use lpatch_loader::tables::{self, Tables};
use lpatch_loader::target::{Memory, Target};
use lpatch_loader::{file, kernel};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const FUNCTIONS: usize = 1000;
const SYMBOLS: usize = 200_000;
const RUNS: usize = 15;
/// For the total, on an ordinary machine.
const GOAL: Duration = Duration::from_millis(50);

const BASES: Bases = Bases {
    text: common::ARENA,
    rodata: common::ARENA + 0x80_0000,
    data: common::ARENA + 0x100_0000,
};

/// Memory in which all functions are the same.
struct Same;

impl Memory for Same {
    fn read(&self, _: u64, out: &mut [u8]) -> bool {
        out.copy_from_slice(&common::code(0, out.len().max(16))[..out.len()]);
        true
    }
}

/// A step with its times.
type Times = Vec<(&'static str, Vec<Duration>)>;

/// Runs a step.
fn timed<T>(times: &mut Times, step: &'static str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = black_box(run());
    let time = start.elapsed();
    match times.iter_mut().find(|(name, _)| *name == step) {
        Some((_, all)) => all.push(time),
        None => times.push((step, vec![time])),
    }
    result
}

fn target(kallsyms: Kallsyms) -> Target {
    Target {
        release: common::RELEASE.into(),
        build_id: Some(common::BUILD_ID.to_vec()),
        kallsyms,
        memory: Some(Box::new(Same)),
        traceable: None,
        kprobes: None,
    }
}

fn read(path: &Path) -> Kallsyms {
    kernel::kallsyms(&path.display().to_string()).expect("it is well-formed")
}

/// Each step by itself.
fn steps(object_path: &Path, kallsyms_path: &Path, times: &mut Times) {
    let kallsyms = timed(times, "kallsyms: read and index", || read(kallsyms_path));
    let target = target(kallsyms);
    let mut problems = Problems::default();
    let mapped = file::map(object_path).expect("it is there");
    let object = timed(times, "parse: sections, symbols", || {
        Object::parse(&mapped).expect("it is good")
    });
    let notes = timed(times, "parse: notes, CRC", || {
        let notes = Notes::read(&object).expect("they are good");
        notes.check_crc(&mapped).expect("it is right");
        notes
    });
    let meta = timed(times, "parse: functions", || {
        Meta::read(&object, &mut problems)
    });
    let layout = timed(times, "layout", || Layout::plan(&object).expect("it fits"));
    let fields = timed(times, "relocate: collect", || {
        let mcount = tables::mcount(&object, &layout, &mut problems);
        relocate::collect(&object, &layout, &mcount, &mut problems)
    });
    timed(times, "tables", || {
        Tables::read(&object, &layout, &fields.nops, &[], &mut problems)
    });
    let seal = notes.seal(&meta.funcs).expect("it is sealed");
    timed(times, "resolve", || {
        resolve(
            &object,
            &meta,
            &fields,
            &target,
            Some(&seal.preimages),
            &mut problems,
        )
    });
    assert!(problems.is_empty(), "{problems}");
    let linked = link(&mapped, &target).expect("it is good");
    let built = timed(times, "relocate: apply, image", || {
        image::build(&linked, &BASES, &[]).expect("it is in range")
    });
    timed(times, "image: check", || {
        image::check(&built.bytes).expect("it is well-formed")
    });
}

/// All that `load` does short of the core.
fn whole(object_path: &Path, kallsyms_path: &Path) {
    let target = target(read(kallsyms_path));
    let mapped = file::map(object_path).expect("it is there");
    let linked = link(&mapped, &target).expect("it is good");
    let built = image::build(&linked, &BASES, &[]).expect("it is in range");
    image::check(&built.bytes).expect("it is well-formed");
    black_box(&built);
}

/// Whatever else the machine does only adds to a time.
fn least(times: &[Duration]) -> Duration {
    *times.iter().min().expect("there are runs")
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn write(name: &str, contents: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, contents).expect("the target directory is writable");
    path
}

fn main() -> ExitCode {
    // `cargo test --benches` wants to know only that it runs.
    let bench = std::env::args().any(|arg| arg == "--bench");
    let (functions, symbols, runs) = if bench {
        (FUNCTIONS, SYMBOLS, RUNS)
    } else {
        (10, 1000, 1)
    };
    let object = large::object(functions, symbols);
    let size = object.len();
    let object = write("large.lpo", &object);
    let text = large::kallsyms(symbols);
    let lines = text.lines().count();
    let kallsyms = write("large.kallsyms", text.as_bytes());

    let mut times = Times::new();
    for _ in 0..runs {
        steps(&object, &kallsyms, &mut times);
        timed(&mut times, "total", || whole(&object, &kallsyms));
    }
    let mut steps: Vec<_> = times
        .iter()
        .map(|(step, all)| (*step, least(all)))
        .collect();
    let (_, total) = steps.pop().expect("there are steps");
    let all: Duration = steps.iter().map(|(_, time)| *time).sum();
    println!(
        "linking {functions} functions ({size} bytes of file) for a kernel with {lines} symbols; the least of {runs} runs\n"
    );
    println!("{:<28} {:>8} {:>7}", "step", "ms", "share");
    for (step, time) in steps {
        let share = 100.0 * time.as_secs_f64() / all.as_secs_f64();
        println!("{step:<28} {:>8.2} {share:>6.1}%", ms(time));
    }
    let verdict = if total <= GOAL { "holds" } else { "missed" };
    println!("{:<28} {:>8.2}\n", "total, in one run", ms(total));
    println!("goal: {verdict}: at most {:.0} ms", ms(GOAL));
    ExitCode::from(u8::from(bench && total > GOAL))
}
