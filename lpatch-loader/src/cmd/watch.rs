// SPDX-License-Identifier: GPL-2.0

//! Who waits: shows progress, and notes signals.

use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::system::System;
use lpatch_loader::wait::Watch;
use lpatch_model::uapi::Transition;
use std::time::Duration;

/// Shows a transition on the output.
pub(crate) struct Watcher<'o> {
    /// Where results and progress go.
    pub(crate) output: &'o mut Output,
    progress: Progress,
    signal: Box<dyn Fn() -> Option<i32>>,
}

impl<'o> Watcher<'o> {
    /// From now on a signal is only noted.
    pub(crate) fn new(system: &mut dyn System, output: &'o mut Output) -> Result<Self, Failure> {
        let signal = system
            .signals()
            .map_err(|error| Failure::Bug(format!("signals cannot be caught: {error}")))?;
        let progress = Progress::new(output.style());
        Ok(Self {
            output,
            progress,
            signal,
        })
    }
}

impl Watch for Watcher<'_> {
    fn look(&mut self, transition: &Transition, elapsed: Duration, now_ns: u64) -> u32 {
        let (text, wait_ms) = self.progress.look(transition, elapsed, now_ns);
        if let Some(text) = text {
            self.output.progress(&text);
        }
        wait_ms
    }

    fn over(&mut self) {
        if let Some(text) = self.progress.over() {
            self.output.progress(text);
        }
    }

    fn interrupted(&self) -> Option<i32> {
        (self.signal)()
    }
}
