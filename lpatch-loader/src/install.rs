// SPDX-License-Identifier: GPL-2.0

//! The life of a patch on the device: reserve → relocate → load → enable. Whatever fails, nothing stays behind:
//! a reservation ends with the device file, a patch that cannot be enabled is unloaded, and so is one whose
//! transition was reversed.

use crate::device::{Device, DeviceError};
use crate::image::{self, Built};
use crate::kallsyms::Length;
use crate::link::Linked;
use crate::problem::Problems;
use crate::reason;
use crate::relocate::Bases;
use crate::wait::{self, End, Limits, Outcome, Request, Verb, Watch};
use lpatch_model::refusal::Refusal;
use lpatch_model::uapi::{Reason, Reserve};
use thiserror::Error;

/// Granularity of module memory.
const PAGE_SIZE: u64 = 4096;

/// Why a patch was not installed.
#[derive(Debug, Error)]
pub enum InstallError {
    /// It cannot be relocated to these addresses.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// A bug of ours.
    #[error("the linker built an image that is malformed: {0:?}")]
    Malformed(Refusal),
    /// The core refused.
    #[error("{message}; {after}")]
    Refused {
        /// With names from the object.
        message: String,
        /// What state this leaves behind.
        after: String,
        /// The refusal.
        error: DeviceError,
        /// The name of another patch that it is about.
        other: Option<String>,
    },
    /// A signal came before the patch was enabled.
    #[error("interrupted before the patch was enabled; {after}")]
    Interrupted {
        /// The signal.
        signal: i32,
        /// What state this leaves behind.
        after: String,
    },
}

/// How a patch is enabled once it is loaded.
#[derive(Clone, Copy, Debug)]
pub struct Enable {
    /// How long its transition may take, and what it may do.
    pub limits: Limits,
    /// Whether to wait for its end.
    pub wait: bool,
    /// Whether a patch that is not enabled in the end stays loaded.
    pub keep: bool,
}

/// A patch that is loaded; or was, if its transition was reversed.
#[derive(Debug)]
pub struct Installed {
    /// Its room.
    pub room: Reserve,
    /// What became of its transition; `None`: it was only loaded.
    pub outcome: Option<Outcome>,
    /// If its transition was reversed: what state this leaves behind.
    pub after: Option<String>,
    /// Whether it is still loaded.
    pub loaded: bool,
    /// CLOCK_MONOTONIC in ns at the end.
    pub now_ns: u64,
}

/// A step that is done, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub enum Step<'s> {
    /// Room was taken.
    Reserved(&'s Reserve),
    /// The image was loaded; its bytes.
    Loaded(usize),
    /// The transition has ended, goes on, or was reversed.
    Enabled(&'s Outcome),
}

/// Whoever watches an installation.
pub trait Observe: Watch {
    /// A step is done.
    fn step(&mut self, step: Step<'_>);
}

const NOTHING: &str = "nothing was loaded";

fn refused(
    core: &mut dyn Device,
    linked: &Linked<'_>,
    after: impl Into<String>,
    error: DeviceError,
) -> InstallError {
    let (message, other) = match &error {
        DeviceError::Refused(refused) => {
            let at = usize::try_from(refused.at).ok();
            let func = at.and_then(|at| linked.resolved.funcs.get(at));
            let other = reason::other(core, refused, func.map(|func| func.name.as_str()));
            let message = reason::sentence_for(refused, linked, other.as_deref());
            (message, other)
        }
        other => (other.to_string(), None),
    };
    InstallError::Refused {
        message,
        after: after.into(),
        error,
        other,
    }
}

/// Builds the image and has the core's parser look at it.
pub fn build(linked: &Linked<'_>, bases: &Bases, extra: &[u64]) -> Result<Built, InstallError> {
    let built = image::build(linked, bases, extra)?;
    image::check(&built.bytes).map_err(InstallError::Malformed)?;
    Ok(built)
}

/// The function or cold part whose length kallsyms did not tell exactly, as [`image::build`] counts them, and by how
/// many pages the core knows it to be longer.
fn open_ended(linked: &Linked<'_>, error: &DeviceError) -> Option<(usize, u64)> {
    let DeviceError::Refused(refused) = error else {
        return None;
    };
    let resolved = &linked.resolved;
    let at = usize::try_from(refused.at).ok()?;
    let (index, len) = match refused.reason()? {
        Reason::FuncSymbol => (at, resolved.funcs.get(at)?.len),
        Reason::Cold => (
            resolved.funcs.len().checked_add(at)?,
            resolved.colds.get(at)?.len,
        ),
        _ => return None,
    };
    let Length::AtLeast(len) = len else {
        return None;
    };
    let missing = refused.value.checked_sub(len)?;
    (missing > 0 && missing % PAGE_SIZE == 0).then_some((index, missing / PAGE_SIZE))
}

/// Builds and loads. The length of the last function or cold part of a module's text is not in kallsyms: it ends with a page,
/// and only the kernel knows which. The core, asked once, tells.
fn load(
    core: &mut dyn Device,
    linked: &Linked<'_>,
    bases: &Bases,
    flags: u64,
) -> Result<Built, InstallError> {
    let mut extra_pages = vec![0; linked.resolved.funcs.len() + linked.resolved.colds.len()];
    loop {
        let built = build(linked, bases, &extra_pages)?;
        let error = match core.load(&built.bytes, flags) {
            Ok(()) => return Ok(built),
            Err(error) => error,
        };
        match open_ended(linked, &error) {
            // Once for each, so that it ends.
            Some((index, pages)) if extra_pages.get(index) == Some(&0) => {
                extra_pages[index] = pages;
            }
            _ => return Err(refused(core, linked, NOTHING, error)),
        }
    }
}

/// Where things go in a reservation.
fn bases(room: &Reserve) -> Bases {
    Bases {
        text: room.text_addr,
        rodata: room.rodata_addr,
        data: room.data_addr,
    }
}

/// Does everything short of loading: takes room, which goes with the device, and relocates for it.
pub fn rehearse(core: &mut dyn Device, linked: &Linked<'_>) -> Result<(), InstallError> {
    let mut room = linked.reservation();
    if let Err(error) = core.reserve(&mut room) {
        return Err(refused(core, linked, NOTHING, error));
    }
    build(linked, &bases(&room), &[]).map(drop)
}

/// Unloads what is not to stay: whether it is still loaded, and the same as a sentence.
fn clean_up(core: &mut dyn Device, name: &str, keep: bool) -> (bool, String) {
    let hint = format!("`lpatch enable {name}` tries again, `lpatch unload {name}` frees it");
    if keep {
        return (true, format!("the patch stays loaded and disabled: {hint}"));
    }
    match wait::unload(core, name) {
        Ok(_) => (false, "the patch was unloaded again".into()),
        Err(left) => (
            true,
            format!(
                "unloading it again failed too ({left}), so it stays loaded and disabled: {hint}"
            ),
        ),
    }
}

/// Installs a linked patch and, if told so, enables it. The device is closed when this returns, so that no
/// reservation outlives an error. `flags`: `LOAD_*`.
///
/// # Errors
///
/// It was not loaded, or could not begin to be enabled. A transition that was reversed is no error but an outcome.
pub fn install(
    core: Box<dyn Device + '_>,
    linked: &Linked<'_>,
    flags: u64,
    enable: Option<Enable>,
    watch: &mut dyn Observe,
) -> Result<Installed, InstallError> {
    let mut core = core;
    let core = core.as_mut();
    let mut room = linked.reservation();
    if let Err(error) = core.reserve(&mut room) {
        return Err(refused(core, linked, NOTHING, error));
    }
    watch.step(Step::Reserved(&room));
    if let Some(signal) = watch.interrupted() {
        return Err(InstallError::Interrupted {
            signal,
            after: NOTHING.into(),
        });
    }
    let built = load(core, linked, &bases(&room), flags)?;
    watch.step(Step::Loaded(built.bytes.len()));
    let mut installed = Installed {
        room,
        outcome: None,
        after: None,
        loaded: true,
        now_ns: core.now_ns(),
    };
    let Some(enable) = enable else {
        return Ok(installed);
    };
    let name = &linked.info.name;
    let request = Request {
        verb: Verb::Enable,
        name,
        limits: enable.limits,
        wait: enable.wait,
    };
    let outcome = match wait::run(core, request, watch) {
        Ok(outcome) => outcome,
        Err(error) => {
            let (_, after) = clean_up(core, name, enable.keep);
            return Err(refused(core, linked, after, error));
        }
    };
    match outcome.end {
        End::NotBegun(signal) => {
            let (_, after) = clean_up(core, name, false);
            return Err(InstallError::Interrupted { signal, after });
        }
        End::Reversed => {
            let (loaded, after) = clean_up(core, name, enable.keep);
            installed.loaded = loaded;
            installed.after = Some(after);
        }
        _ => (),
    }
    watch.step(Step::Enabled(&outcome));
    installed.outcome = Some(outcome);
    installed.now_ns = core.now_ns();
    Ok(installed)
}
