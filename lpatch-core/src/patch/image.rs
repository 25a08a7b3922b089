// SPDX-License-Identifier: GPL-2.0

//! Reading the image of a patch.

use crate::{
    ffi,
    model::{image::Image, refusal::Refusal},
};
use kernel::prelude::*;

/// The CRC-32 that images carry, computed by the kernel's own code.
fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    // SAFETY: The pointer and the length are of one slice.
    unsafe { ffi::lp_crc32(crc, bytes.as_ptr(), bytes.len()) }
}

/// Reads an image; in memory of its own, as it is too large for a stack.
pub(crate) fn read(bytes: &[u8]) -> Result<KBox<Image<'_>>, Refusal> {
    let mut image = no_image()?;
    image.fill(bytes)?;
    Ok(image)
}

/// A function of its own, so that what it copies from is gone when the image is read.
#[inline(never)]
fn no_image<'a>() -> Result<KBox<Image<'a>>, Refusal> {
    Ok(KBox::new(Image::empty(crc32), GFP_KERNEL)?)
}
