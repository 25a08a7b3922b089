// SPDX-License-Identifier: GPL-2.0

//! An image, as userspace hands it to the core: parsed, verified, finished.
//!
//! Its sizes and its CRC-32 are made right first. The kernel is that of the model's example where the image is
//! for it, else the world's.

use super::finished;
use crate::world;
use lpatch_model::image::Image;
use lpatch_model::testing::{crc32, seal};
use lpatch_model::uapi::{self, Wire};
use lpatch_model::verify::verify;

pub(crate) fn run(input: &[u8]) {
    let _ = Image::parse(input, crc32);
    let mut bytes = input.to_vec();
    let Some(mut header) = uapi::Image::read(&bytes) else {
        return;
    };
    header.magic = uapi::IMAGE_MAGIC;
    header.header_size = u32::try_from(uapi::Image::SIZE).unwrap_or(0);
    header.image_size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let _ = header.write(&mut bytes);
    seal(&mut bytes);
    let Ok(image) = Image::parse(&bytes, crc32) else {
        return;
    };
    world::with(|world| {
        if header.orc_hash == world.example.1.orc_hash {
            let (room, kernel) = &world.example;
            let verdict = verify(&image, room, kernel);
            finished::check(&image, room, verdict, &world.boots);
            return;
        }
        let release = image.string(header.release).unwrap_or_default();
        world.kernel.release = String::from_utf8_lossy(release).into_owned();
        world.kernel.orc_hash = header.orc_hash;
        let len = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        // Some data without contents.
        let data = len(image.data) + 0x1000;
        let room = world::room(len(image.text), len(image.rodata), data, 1 << 20);
        let verdict = verify(&image, &room, &world.kernel);
        finished::check(&image, &room, verdict, &world.boots);
    });
}
