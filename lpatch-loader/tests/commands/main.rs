// SPDX-License-Identifier: GPL-2.0

//! The commands that talk to the core, on a core that is scripted: what is printed, exit codes, JSON, what is left.
//!
//! The command line is the binary's own code; only the machine under it is another one.
#![expect(
    dead_code,
    reason = "the binary's files are here as they are, without its main"
)]

#[path = "../../src/cli.rs"]
mod cli;
#[path = "../../src/cmd/mod.rs"]
mod cmd;
#[path = "../common/mod.rs"]
mod common;
#[path = "../../src/failure.rs"]
mod failure;
#[path = "../../src/json_keys.rs"]
mod json_keys;
#[path = "../../src/output.rs"]
mod output;
#[path = "../../src/progress.rs"]
mod progress;
#[path = "../../src/signals.rs"]
mod signals;
#[path = "../../src/system.rs"]
mod system;

mod diff_mem;
mod keys;
mod load;
mod ops;
mod show;

use clap::Parser;
use common::fake::Fake;
use common::script::State;
use common::target_without;
use lpatch_loader::device::{Device, DeviceError};
use lpatch_loader::kprobes::{self, Kprobe, Kprobes};
use lpatch_loader::target::{Target, TargetError, Traceable};
use output::{Output, Streams};
use serde_json::Value;
use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use system::System;

/// A stream that can be read afterwards.
#[derive(Clone, Default)]
struct Stream(Rc<RefCell<Vec<u8>>>);

impl Stream {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).expect("it is UTF-8")
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A machine with a core that follows a script.
struct Scripted(Rc<RefCell<State>>);

impl System for Scripted {
    fn core(&mut self) -> Result<Box<dyn Device>, DeviceError> {
        Ok(Box::new(Fake::open(&self.0)))
    }

    fn target(&mut self) -> Result<Target, TargetError> {
        let mut target = target_without(self.0.borrow().gone);
        target.traceable = Some(Box::new(Asked(Rc::clone(&self.0))));
        target.kprobes = Some(Box::new(Asked(Rc::clone(&self.0))));
        Ok(target)
    }

    fn kprobes(&mut self) -> Option<Vec<Kprobe>> {
        Asked(Rc::clone(&self.0)).list()
    }

    fn signals(&mut self) -> io::Result<Box<dyn Fn() -> Option<i32>>> {
        let state = Rc::clone(&self.0);
        Ok(Box::new(move || state.borrow().signal))
    }
}

/// ftrace's list, in which everything is. Notes that somebody wants it.
struct Asked(Rc<RefCell<State>>);

impl Traceable for Asked {
    fn has(&self, _: &str) -> Option<bool> {
        self.0.borrow_mut().list_asked = true;
        Some(true)
    }
}

impl Kprobes for Asked {
    fn list(&self) -> Option<Vec<Kprobe>> {
        self.0.borrow().kprobes.map(kprobes::parse)
    }
}

/// What a command did.
#[derive(Debug)]
struct Ran {
    code: u8,
    out: String,
    err: String,
    state: State,
}

impl Ran {
    /// The one object that --json prints.
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{}", self.out);
        serde_json::from_str(&self.out).expect("it is JSON")
    }

    /// The exit code, and words of the error.
    #[track_caller]
    fn fails(&self, code: u8, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        says(&self.err, words);
    }

    /// Success, and words of the result.
    #[track_caller]
    fn succeeds(&self, words: &[&str]) {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{self:?}");
        says(&self.out, words);
    }
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

fn run_on(state: State, args: &[&str], terminal: bool) -> Ran {
    let args = ["lpatch"].iter().chain(args);
    let args = cli::Cli::try_parse_from(args).expect("the arguments are right");
    let (out, err) = (Stream::default(), Stream::default());
    let streams = Streams {
        out: Box::new(out.clone()),
        err: Box::new(err.clone()),
        terminal,
    };
    let mut output = Output::new(args.json, streams);
    let mut machine = Scripted(Rc::new(RefCell::new(state)));
    let result = cmd::run(&args.command, &mut machine, &mut output);
    let code = output.finish(result).expect("streams can be written");
    let state = Rc::into_inner(machine.0).expect("the device was closed");
    Ran {
        code,
        out: out.text(),
        err: err.text(),
        state: state.into_inner(),
    }
}

/// Runs a command as a script does.
fn run(state: State, args: &[&str]) -> Ran {
    run_on(state, args, false)
}

/// Runs a command as a person does.
fn run_on_terminal(state: State, args: &[&str]) -> Ran {
    run_on(state, args, true)
}
