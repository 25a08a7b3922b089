// SPDX-License-Identifier: GPL-2.0

//! Where the code of a patch lives: in the arena, or in a kernel module.

use crate::{
    arena::memory::Runs,
    patch::{home::Home, reserved::Reserved},
    uapi,
};
use core::ops::Range;
use kernel::{prelude::*, sync::Arc};

/// The code of a patch.
pub(super) enum Body {
    /// A patch object.
    Arena {
        reserved: Reserved,
        /// The image, for when a module that the patch is about is loaded; else empty.
        image: Arc<KVVec<u8>>,
    },
    /// A patch module.
    Module(Home),
}

impl Body {
    pub(super) fn text(&self) -> Range<usize> {
        match self {
            Self::Arena { reserved, .. } => reserved.runs.text.range(),
            Self::Module(home) => home.text.clone(),
        }
    }

    /// The image of a patch object.
    pub(super) fn image(&self) -> Option<Arc<KVVec<u8>>> {
        match self {
            Self::Arena { image, .. } => Some(image.clone()),
            Self::Module(_) => None,
        }
    }

    /// Its memory in the arena, if it has some.
    pub(super) fn runs(&self) -> Option<&Runs> {
        match self {
            Self::Arena { reserved, .. } => Some(&reserved.runs),
            Self::Module(_) => None,
        }
    }

    pub(super) fn into_runs(self) -> Option<Runs> {
        match self {
            Self::Arena { reserved, .. } => Some(reserved.runs),
            Self::Module(_) => None,
        }
    }

    /// Fills in where it is and how much it takes.
    pub(super) fn describe(&self, info: &mut uapi::PatchInfo) {
        info.text_addr = self.text().start as u64;
        match self {
            Self::Arena { reserved, .. } => {
                info.text_len = reserved.request.text_len;
                info.rodata_len = reserved.request.rodata_len;
                info.data_len = reserved.request.data_len;
                info.bugs = reserved.request.bugs;
                info.rodata_addr = reserved.runs.rodata.addr as u64;
                info.data_addr = reserved.runs.data.addr as u64;
            }
            Self::Module(home) => {
                info.text_len = home.text.len() as u32;
                info.rodata_len = home.rodata_len;
                info.data_len = home.data_len;
                info.flags |= uapi::PATCH_MODULE;
            }
        }
    }
}
