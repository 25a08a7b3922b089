// SPDX-License-Identifier: GPL-2.0

//! Why a command did not succeed, and the exit code for it.

use lpatch_loader::device::{Device, DeviceError, Refused};
use lpatch_loader::install::InstallError;
use lpatch_loader::kallsyms::KallsymsError;
use lpatch_loader::problem::{Problem, Problems};
use lpatch_loader::reason;
use lpatch_loader::target::TargetError;
use lpatch_model::uapi::Reason;
use serde_json::{json, Value};
use std::path::PathBuf;
use thiserror::Error;

/// The transition is not complete.
pub(crate) const INCOMPLETE: u8 = 1;
/// Bad input.
pub(crate) const INPUT: u8 = 2;
/// Refused by the kernel.
pub(crate) const REFUSED: u8 = 3;
/// Signals are added to it, as shells do.
pub(crate) const SIGNAL: u8 = 128;
/// A bug of ours (EX_SOFTWARE of sysexits.h).
pub(crate) const BUG: u8 = 70;

/// Why a command did not succeed.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The file cannot be read.
    #[error("{path}: {error}; give a readable patch object")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The patch object cannot be linked.
    #[error("{path}: {}", indent(.problems))]
    Problems {
        /// The file.
        path: PathBuf,
        /// All that is wrong with it.
        problems: Problems,
    },
    /// The same, with what could be found out.
    #[error("{failure}")]
    Described {
        /// For people.
        text: String,
        /// For programs: an object.
        json: Value,
        /// Why it cannot be linked.
        failure: Box<Failure>,
    },
    /// The object, or a file of a kernel, cannot be used.
    #[error("{path}: {why}")]
    Seal {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// An argument that clap could not check.
    #[error("{0}")]
    Argument(String),
    /// The kernel's symbols cannot be read.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The core.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The core, with the names of what it is about.
    #[error("{message}")]
    Named {
        /// The sentence with the names.
        message: String,
        /// Another patch, or who else is in the way.
        other: Option<String>,
        /// The refusal.
        error: DeviceError,
    },
    /// A transition that did not end as it was asked for, or that was not waited for until its end.
    #[error("{message}")]
    Unfinished {
        /// What happened, and what to do.
        message: String,
        /// The exit code.
        code: u8,
        /// For programs: an object.
        details: Value,
    },
    /// The core, about a patch whose names are known.
    #[error(transparent)]
    Install(InstallError),
    /// Ours.
    #[error("{0}; please report this")]
    Bug(String),
}

fn indent(problems: &Problems) -> String {
    let text = problems.to_string();
    match problems.len() {
        1 => text,
        count => format!("{count} problems\n  {}", text.replace('\n', "\n  ")),
    }
}

/// A refusal for programs.
fn refused(refused: &Refused, other: Option<&str>) -> Value {
    let held = refused.reason() == Some(Reason::FuncOwned);
    json!({
        "op": refused.op,
        "errno": refused.errno,
        "reason": refused.code,
        "reason_name": refused.reason().map(|reason| format!("{reason:?}")),
        "at": refused.at,
        "value": refused.value,
        "other_patch": other.filter(|_| !held),
        "held_by": other.filter(|_| held),
    })
}

/// The exit code after a signal.
pub(crate) fn signal_code(signal: i32) -> u8 {
    u8::try_from(signal).map_or(BUG, |signal| SIGNAL.saturating_add(signal))
}

fn device_code(error: &DeviceError) -> u8 {
    match error {
        DeviceError::Refused(refused) if refused.reason() == Some(Reason::Busy) => INCOMPLETE,
        DeviceError::Name(_) => INPUT,
        DeviceError::Answer { .. } => BUG,
        _ => REFUSED,
    }
}

fn target_code(error: &TargetError) -> u8 {
    match error {
        TargetError::Kallsyms(KallsymsError::Hidden) | TargetError::Read { .. } => REFUSED,
        _ => INPUT,
    }
}

impl Failure {
    /// A failure of the core, which tells who else it is about.
    pub(crate) fn device(core: &mut dyn Device, error: DeviceError) -> Self {
        Self::named(core, None, error)
    }

    /// The same, about a patch that is loaded.
    pub(crate) fn about(core: &mut dyn Device, patch: &str, error: DeviceError) -> Self {
        Self::named(core, Some(patch), error)
    }

    fn named(core: &mut dyn Device, patch: Option<&str>, error: DeviceError) -> Self {
        if let DeviceError::Refused(refused) = &error {
            let function = patch.and_then(|patch| reason::function_of(core, refused, patch));
            let name = function.as_ref().map(|(name, _)| name.as_str());
            let other = reason::other(core, refused, name);
            if function.is_some() || other.is_some() {
                let label = function.map(|(name, object)| format!("{name} of {object}"));
                return Self::Named {
                    message: reason::sentence_of(refused, label.as_deref(), other.as_deref()),
                    other,
                    error,
                };
            }
        }
        Self::Device(error)
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::File { .. } | Self::Problems { .. } | Self::Seal { .. } | Self::Argument(_) => {
                INPUT
            }
            Self::Described { failure, .. } => failure.exit_code(),
            Self::Target(error) => target_code(error),
            Self::Device(error)
            | Self::Named { error, .. }
            | Self::Install(InstallError::Refused { error, .. }) => device_code(error),
            Self::Unfinished { code, .. } => *code,
            Self::Install(InstallError::Interrupted { signal, .. }) => signal_code(*signal),
            Self::Install(InstallError::Problems(_)) => INPUT,
            Self::Install(InstallError::Malformed(_)) => BUG,
            Self::Bug(_) => BUG,
        }
    }

    fn kind(&self) -> &'static str {
        match self.exit_code() {
            INCOMPLETE => "incomplete",
            INPUT => "input",
            REFUSED => "refused",
            code if code > SIGNAL => "interrupted",
            _ => "bug",
        }
    }

    /// The failure for programs.
    pub(crate) fn json(&self) -> Value {
        if let Self::Described { json, failure, .. } = self {
            let (mut all, error) = (json.clone(), failure.json());
            if let (Value::Object(to), Value::Object(from)) = (&mut all, error) {
                to.extend(from);
            }
            return all;
        }
        let mut object = json!({
            "kind": self.kind(),
            "exit_code": self.exit_code(),
            "message": self.to_string(),
        });
        let extra = match self {
            Self::Problems { problems, .. } => {
                let one = |p: &Problem| json!({"step": p.step(), "message": p.to_string()});
                json!({
                    "problems": problems.iter().map(one).collect::<Vec<_>>(),
                    "more": problems.has_more(),
                })
            }
            Self::Device(DeviceError::Refused(r)) => refused(r, None),
            Self::Named {
                error: DeviceError::Refused(r),
                other,
                ..
            } => refused(r, other.as_deref()),
            Self::Install(InstallError::Refused {
                error: DeviceError::Refused(r),
                other,
                ..
            }) => refused(r, other.as_deref()),
            Self::Unfinished { details, .. } => details.clone(),
            _ => json!({}),
        };
        if let (Value::Object(to), Value::Object(from)) = (&mut object, extra) {
            to.extend(from);
        }
        json!({ "error": object })
    }
}
