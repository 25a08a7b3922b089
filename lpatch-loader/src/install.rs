// SPDX-License-Identifier: GPL-2.0

//! The life of a patch on the device: reserve → relocate → load → enable. Whatever fails, nothing stays behind:
//! a reservation ends with the device file, a patch that cannot be enabled is unloaded.

use crate::device::{Device, DeviceError};
use crate::image::{self, Built};
use crate::kallsyms::Length;
use crate::link::Linked;
use crate::problem::Problems;
use crate::reason;
use crate::relocate::Bases;
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
    },
}

/// A step that is done, for whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'s> {
    /// Room was taken.
    Reserved(&'s Reserve),
    /// The image was loaded; its bytes.
    Loaded(usize),
    /// The functions are redirected.
    Enabled,
}

const NOTHING: &str = "nothing was loaded";

fn refused(linked: &Linked<'_>, after: impl Into<String>, error: DeviceError) -> InstallError {
    let message = match &error {
        DeviceError::Refused(refused) => reason::sentence_for(refused, linked),
        other => other.to_string(),
    };
    InstallError::Refused {
        message,
        after: after.into(),
        error,
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
fn load(core: &mut dyn Device, linked: &Linked<'_>, bases: &Bases) -> Result<Built, InstallError> {
    let mut extra_pages = vec![0; linked.resolved.funcs.len() + linked.resolved.colds.len()];
    loop {
        let built = build(linked, bases, &extra_pages)?;
        let error = match core.load(&built.bytes) {
            Ok(()) => return Ok(built),
            Err(error) => error,
        };
        match open_ended(linked, &error) {
            // Once for each, so that it ends.
            Some((index, pages)) if extra_pages.get(index) == Some(&0) => {
                extra_pages[index] = pages;
            }
            _ => return Err(refused(linked, NOTHING, error)),
        }
    }
}

/// Installs a linked patch and, if `enable`, enables it. The device is closed when this returns, so that no
/// reservation outlives an error.
pub fn install(
    mut core: impl Device,
    linked: &Linked<'_>,
    enable: bool,
    watch: &mut dyn FnMut(Step<'_>),
) -> Result<Reserve, InstallError> {
    let mut room = linked.reservation();
    core.reserve(&mut room)
        .map_err(|error| refused(linked, NOTHING, error))?;
    watch(Step::Reserved(&room));
    let bases = Bases {
        text: room.text_addr,
        rodata: room.rodata_addr,
        data: room.data_addr,
    };
    let built = load(&mut core, linked, &bases)?;
    watch(Step::Loaded(built.bytes.len()));
    if !enable {
        return Ok(room);
    }
    let name = &linked.info.name;
    if let Err(error) = core.enable(name) {
        let after = match core.unload(name) {
            Ok(()) => "the patch was unloaded again".to_owned(),
            Err(left) => format!("unloading it again failed too ({left}), so it stays loaded and disabled: try `lpatch unload {name}`"),
        };
        return Err(refused(linked, after, error));
    }
    watch(Step::Enabled);
    Ok(room)
}
