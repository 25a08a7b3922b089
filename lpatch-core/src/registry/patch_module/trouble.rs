// SPDX-License-Identifier: GPL-2.0

//! What keeps a kernel module from registering a patch: the error of insmod, and a line for the log, which is all that the
//! author sees.

use crate::{
    errno::errno,
    log::{Name, Shown},
    model::refusal::Refusal,
    registry::patch_module::description::{Callback, Wanted},
    uapi::{self, Reason},
};
use kernel::{fmt, prelude::*};

/// What keeps a module from registering.
pub(super) enum Trouble<'a> {
    Refused(Refusal),
    Name(&'static str),
    /// The function, and how many of that name its object has.
    NotFound(&'a Wanted<'a>, usize),
    /// The module of this function is being loaded or removed.
    Changing(&'a Wanted<'a>),
    /// It is none.
    Callback(&'a Callback<'a>),
    /// It refused, with this error.
    Vetoed(&'a Callback<'a>, Error),
    CallbackTwice(&'a Callback<'a>),
    StateTwice(u64),
    /// The function, and what is wrong with it.
    Function(Reason, &'a Wanted<'a>),
    /// The other patch.
    InTransition([u8; uapi::NAME_LEN]),
    Conflict(&'a Wanted<'a>, [u8; uapi::NAME_LEN]),
}

impl<T: Into<Refusal>> From<T> for Trouble<'_> {
    fn from(refusal: T) -> Self {
        Self::Refused(refusal.into())
    }
}

impl Trouble<'_> {
    /// The error that insmod ends with. insmod takes ENOENT for a symbol that was not linked, and the kernel warns of EEXIST.
    pub(super) fn errno(&self) -> i32 {
        let error = match self {
            Self::Refused(refusal) => refusal.errno(),
            Self::Function(reason, _) => errno(*reason),
            Self::Changing(_) => EAGAIN,
            Self::Vetoed(_, error) => *error,
            Self::NotFound(..)
            | Self::Name(_)
            | Self::Callback(_)
            | Self::CallbackTwice(_)
            | Self::StateTwice(_) => EINVAL,
            Self::InTransition(_) | Self::Conflict(..) => EBUSY,
        };
        if error == EEXIST || error == ENOENT {
            return EBUSY.to_errno();
        }
        error.to_errno()
    }
}

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_fmt(fmt!("{} of {}", Name(self.name), Name(self.objname)))
    }
}

/// What is wrong, for the author of the module; part of a line in the log.
impl fmt::Display for Trouble<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(what) => f.write_fmt(fmt!(
                "its {what} is too long, or has other than A-Z a-z 0-9 . _ + -"
            )),
            Self::NotFound(func, 0) => f.write_fmt(fmt!("there is no {func}")),
            Self::NotFound(func, count) if func.sympos == 0 => {
                f.write_fmt(fmt!("there are {count} {func}; set sympos"))
            }
            Self::NotFound(func, count) => f.write_fmt(fmt!(
                "sympos is {}, but there is only {count} {func}",
                func.sympos
            )),
            Self::Changing(func) => f.write_fmt(fmt!(
                "module {} is being loaded or removed; try again",
                Name(func.objname)
            )),
            Self::Callback(callback) => f.write_fmt(fmt!(
                "a callback for {} is no function in the text of the module",
                Name(callback.objname)
            )),
            Self::Vetoed(callback, error) => f.write_fmt(fmt!(
                "its pre-patch callback for {} returned {}",
                Name(callback.objname),
                error.to_errno()
            )),
            Self::CallbackTwice(callback) => f.write_fmt(fmt!(
                "there are two callbacks of one kind for {}",
                Name(callback.objname)
            )),
            Self::StateTwice(id) => f.write_fmt(fmt!("state {id} is declared twice")),
            Self::InTransition(other) => f.write_fmt(fmt!(
                "another transition is under way, of patch '{}'",
                Name(other)
            )),
            Self::Conflict(func, other) => f.write_fmt(fmt!(
                "{func} is changed by an enabled patch of another set, '{}'",
                Name(other)
            )),
            Self::Function(reason, func) => match reason {
                Reason::FuncNew => f.write_fmt(fmt!(
                    "the replacement of {func} is no function in the text of the module"
                )),
                Reason::FuncOurs => f.write_fmt(fmt!("{func} is part of lpatch")),
                Reason::FuncTwice => f.write_fmt(fmt!("{func} is replaced twice")),
                Reason::FuncFentry => f.write_fmt(fmt!("{func} has no fentry site")),
                Reason::FuncOffline => {
                    f.write_fmt(fmt!("a CPU that is offline may execute {func}"))
                }
                Reason::FuncOwned => f.write_fmt(fmt!(
                    "{func} is held by upstream livepatch or another IPMODIFY user of ftrace"
                )),
                reason => f.write_fmt(fmt!("{func}: reason {}", reason.code())),
            },
            Self::Refused(refusal) => match refusal.reason {
                Reason::Exists => f.write_fmt(fmt!("a patch of this name is loaded")),
                Reason::State => f.write_fmt(fmt!(
                    "it cannot deal with state {} of an enabled patch of its set",
                    refusal.value
                )),
                Reason::NoFuncs => f.write_fmt(fmt!("it replaces no function")),
                Reason::FtraceOff => f.write_fmt(fmt!("kernel.ftrace_enabled is 0")),
                Reason::FtraceDead => f.write_fmt(fmt!("ftrace has switched itself off; reboot")),
                Reason::Nomem => f.write_fmt(fmt!("out of memory")),
                Reason::Interrupted => f.write_fmt(fmt!("interrupted by a signal")),
                reason => f.write_fmt(fmt!(
                    "reason {}, value {}",
                    reason.code(),
                    Shown(refusal.value)
                )),
            },
        }
    }
}
