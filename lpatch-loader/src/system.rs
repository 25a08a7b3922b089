// SPDX-License-Identifier: GPL-2.0

//! What the commands need of the machine, so that tests can give them another one.

use crate::signals;
use lpatch_loader::chardev::Core;
use lpatch_loader::device::{Device, DeviceError};
use lpatch_loader::kernel;
use lpatch_loader::kprobes::{Kprobe, Kprobes};
use lpatch_loader::target::{Target, TargetError};
use std::io;

/// A machine.
pub(crate) trait System {
    /// Opens the device of lpatch_core.
    fn core(&mut self) -> Result<Box<dyn Device>, DeviceError>;
    /// Reads what the running kernel is.
    fn target(&mut self) -> Result<Target, TargetError>;
    /// The probes in the running kernel; `None`: nobody may see them.
    fn kprobes(&mut self) -> Option<Vec<Kprobe>>;
    /// Catches the signals that ask to end; gives a question for the one that came.
    fn signals(&mut self) -> io::Result<Box<dyn Fn() -> Option<i32>>>;
}

/// The one that this runs on.
pub(crate) struct Machine;

impl System for Machine {
    fn core(&mut self) -> Result<Box<dyn Device>, DeviceError> {
        Ok(Box::new(Core::open()?))
    }

    fn target(&mut self) -> Result<Target, TargetError> {
        kernel::running()
    }

    fn kprobes(&mut self) -> Option<Vec<Kprobe>> {
        kernel::Debugfs.list()
    }

    fn signals(&mut self) -> io::Result<Box<dyn Fn() -> Option<i32>>> {
        signals::catch()
    }
}
