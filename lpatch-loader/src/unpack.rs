// SPDX-License-Identifier: GPL-2.0

//! Kernels and modules as distributions ship them, unpacked: bzImage, .ko.xz, .ko.zst.

use crate::limits::unpacked_max;
use std::io::{Cursor, Read};
use thiserror::Error;

/// Why something cannot be unpacked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum UnpackError {
    /// Neither ELF nor a known container.
    #[error("neither an ELF file nor a format that lpatch unpacks (xz, zstd, bzImage with one of them); unpack it first")]
    Format,
    /// gzip is left to gunzip.
    #[error("compressed with gzip, which lpatch does not unpack; run gunzip on it first")]
    Gzip,
    /// The header of a bzImage is not right.
    #[error("the bzImage is truncated or malformed; copy it again")]
    BzImage,
    /// More than [`unpacked_max`].
    #[error("the {format} data holds more than {max} bytes, the limit for a file of its length; unpack it first")]
    TooLarge {
        /// xz or zstd.
        format: &'static str,
        /// The limit.
        max: usize,
    },
    /// The compressed data is not right.
    #[error("the {format} data is damaged ({why}); copy the file again")]
    Damaged {
        /// xz or zstd.
        format: &'static str,
        /// What the decoder says.
        why: String,
    },
}

/// A Linux boot image says so here (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header").
const HDRS: (usize, &[u8]) = (0x202, b"HdrS");

/// The ELF file in a kernel, module or boot image; an ELF file is its own.
pub fn unpack(file: Vec<u8>) -> Result<Vec<u8>, UnpackError> {
    if file.starts_with(b"\x7fELF") {
        return Ok(file);
    }
    let is_boot_image = file
        .get(HDRS.0..)
        .is_some_and(|rest| rest.starts_with(HDRS.1));
    let unpacked = if is_boot_image {
        decompress(payload(&file).ok_or(UnpackError::BzImage)?)?
    } else {
        decompress(&file)?
    };
    if unpacked.starts_with(b"\x7fELF") {
        Ok(unpacked)
    } else {
        Err(UnpackError::Format)
    }
}

/// The compressed kernel in a boot image.
fn payload(file: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| -> Option<usize> {
        let bytes = file.get(at..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    };
    // Zero means four, for images older than the field.
    let setup_sectors = match usize::from(*file.get(0x1f1)?) {
        0 => 4,
        sectors => sectors,
    };
    let start = (setup_sectors + 1) * 512 + word(0x248)?;
    file.get(start..start.checked_add(word(0x24c)?)?)
}

fn decompress(data: &[u8]) -> Result<Vec<u8>, UnpackError> {
    let max = unpacked_max(data.len());
    let too_large = |format| UnpackError::TooLarge { format, max };
    match data {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            // The decoder has all of a block in memory before it writes any of it.
            if xz_len(data).is_some_and(|len| len > max) {
                return Err(too_large("xz"));
            }
            let mut out = Vec::new();
            lzma_rs::xz_decompress(&mut Cursor::new(data), &mut out)
                .map_err(|error| damaged("xz", &error))?;
            Ok(out)
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            // The decoder makes room for a whole window at once.
            if zstd_window(data).is_some_and(|len| len > max) {
                return Err(too_large("zstd"));
            }
            // In a bzImage the length follows the one frame; the decoder stops before it.
            let decoder = ruzstd::decoding::StreamingDecoder::new(data)
                .map_err(|error| damaged("zstd", &error))?;
            let mut out = Vec::new();
            let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
            decoder
                .take(limit)
                .read_to_end(&mut out)
                .map_err(|error| damaged("zstd", &error))?;
            if out.len() > max {
                return Err(too_large("zstd"));
            }
            Ok(out)
        }
        [0x1f, 0x8b, ..] => Err(UnpackError::Gzip),
        _ => Err(UnpackError::Format),
    }
}

/// Bytes that the chunks of an xz file say they hold, as far as they can be followed (The .xz File Format 1.2.1, sections 2
/// and 3; chunks of LZMA2 are those of liblzma).
fn xz_len(data: &[u8]) -> Option<usize> {
    // The header of the stream; its second flag says what is behind a block.
    let mut rest = data.get(12..)?;
    let check = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];
    let check: usize = check[usize::from(*data.get(7)? & 0xf)];
    let mut len: usize = 0;
    while let Some(size @ 1..) = rest.first() {
        let before = rest.len();
        rest = rest.get(usize::from(*size) * 4 + 4..).unwrap_or_default();
        while let Some((unpacked, chunk)) = lzma2_chunk(rest) {
            len = len.saturating_add(unpacked);
            rest = rest.get(chunk..).unwrap_or_default();
        }
        // The end of the chunks, and padding.
        let block = (before - rest.len() + 1).next_multiple_of(4) + check;
        rest = rest
            .get(block - (before - rest.len())..)
            .unwrap_or_default();
    }
    Some(len)
}

/// Bytes that a chunk of LZMA2 holds and that it takes, `None` if there is none.
fn lzma2_chunk(data: &[u8]) -> Option<(usize, usize)> {
    let word = |at: usize| {
        Some(usize::from(u16::from_be_bytes(
            *data.get(at..)?.first_chunk()?,
        )))
    };
    let control = usize::from(*data.first()?);
    match control {
        // Not packed.
        1 | 2 => Some((word(1)? + 1, word(1)? + 4)),
        0x80.. => {
            let properties = usize::from(control >= 0xc0);
            let unpacked = ((control & 0x1f) << 16 | word(1)?) + 1;
            Some((unpacked, word(3)? + 6 + properties))
        }
        _ => None,
    }
}

/// Bytes of the window that a zstd frame asks for (RFC 8878, section 3.1.1.1).
fn zstd_window(data: &[u8]) -> Option<usize> {
    const MAGIC: usize = 4;
    let descriptor = *data.get(MAGIC)?;
    let rest = data.get(MAGIC + 1..)?;
    let single_segment = descriptor & 0x20 != 0;
    if !single_segment {
        let window = *rest.first()?;
        let base = 1_usize.checked_shl(u32::from(window >> 3) + 10)?;
        return base.checked_add(base / 8 * usize::from(window & 7));
    }
    // Then the window is the contents.
    let rest = rest.get([0, 1, 2, 4][usize::from(descriptor & 3)]..)?;
    let len = match descriptor >> 6 {
        0 => u64::from(*rest.first()?),
        1 => u64::from(u16::from_le_bytes(*rest.first_chunk()?)) + 256,
        2 => u64::from(u32::from_le_bytes(*rest.first_chunk()?)),
        _ => u64::from_le_bytes(*rest.first_chunk()?),
    };
    Some(usize::try_from(len).unwrap_or(usize::MAX))
}

fn damaged(format: &'static str, why: &dyn std::fmt::Debug) -> UnpackError {
    UnpackError::Damaged {
        format,
        why: format!("{why:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// xz of "\x7fELF, in short\n", as `xz --check=crc32` writes it.
    const XZ: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22, 0xde, 0x36, 0x02, 0x00, 0x21,
        0x01, 0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x0e, 0x7f, 0x45, 0x4c,
        0x46, 0x2c, 0x20, 0x69, 0x6e, 0x20, 0x73, 0x68, 0x6f, 0x72, 0x74, 0x0a, 0x00, 0x00, 0x44,
        0x56, 0xf1, 0x3a, 0x00, 0x01, 0x23, 0x0f, 0xdb, 0xdf, 0x90, 0x0e, 0x90, 0x42, 0x99, 0x0d,
        0x01, 0x00, 0x00, 0x00, 0x00, 0x01, 0x59, 0x5a,
    ];

    /// zstd of the same.
    const ZSTD: &[u8] = &[
        0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x79, 0x00, 0x00, 0x7f, 0x45, 0x4c, 0x46, 0x2c, 0x20,
        0x69, 0x6e, 0x20, 0x73, 0x68, 0x6f, 0x72, 0x74, 0x0a, 0x21, 0x45, 0x28, 0xd9,
    ];

    const PLAIN: &[u8] = b"\x7fELF, in short\n";

    #[test]
    fn an_elf_file_is_its_own() {
        assert_eq!(unpack(PLAIN.to_vec()).unwrap(), PLAIN);
    }

    #[test]
    fn compressed_files_unpack() {
        assert_eq!(unpack(XZ.to_vec()).unwrap(), PLAIN);
        assert_eq!(unpack(ZSTD.to_vec()).unwrap(), PLAIN);
    }

    #[test]
    fn a_boot_image_unpacks() {
        let mut image = vec![0; 1024 + 16];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248] = 16;
        image[0x24c] = u8::try_from(ZSTD.len() + 4).unwrap();
        image.extend_from_slice(ZSTD);
        image.extend_from_slice(&[15, 0, 0, 0]);
        assert_eq!(unpack(image.clone()).unwrap(), PLAIN);
        image.truncate(1060);
        assert_eq!(unpack(image).unwrap_err(), UnpackError::BzImage);
    }

    /// An xz file whose chunks say that they hold `count` times 2 MiB.
    fn swollen(count: usize) -> Vec<u8> {
        let mut file = XZ[..24].to_vec();
        for _ in 0..count {
            file.extend([0xff, 0xff, 0xff, 0, 0, 0x5d, 0]);
        }
        file
    }

    #[test]
    fn xz_has_a_limit() {
        let max = unpacked_max(24 + 3 * 7);
        let count = max / (2 << 20);
        assert!(matches!(
            unpack(swollen(count)).unwrap_err(),
            UnpackError::Damaged { format: "xz", .. }
        ));
        let max = unpacked_max(24 + 4 * 7);
        let error = UnpackError::TooLarge { format: "xz", max };
        assert_eq!(unpack(swollen(count + 1)), Err(error.clone()));
        // Behind a block that holds nothing.
        let mut file = XZ[..24].to_vec();
        file.extend([0, 0, 0, 0, 0, 0, 0, 0]);
        file.extend(&swollen(count + 1)[12..]);
        let max = unpacked_max(file.len());
        assert_eq!(
            unpack(file),
            Err(UnpackError::TooLarge { format: "xz", max })
        );
    }

    #[test]
    fn zstd_has_a_limit() {
        // A frame that asks for a window of 8 MiB, and one that asks for 4 MiB; a block of no bytes.
        let frame = |window| vec![0x28, 0xb5, 0x2f, 0xfd, 0, window, 1, 0, 0];
        let max = unpacked_max(9);
        let error = UnpackError::TooLarge {
            format: "zstd",
            max,
        };
        assert_eq!(unpack(frame(13 << 3)), Err(error.clone()));
        assert_eq!(unpack(frame(12 << 3)), Err(UnpackError::Format));
        // Contents: blocks of 128 KiB, each of one byte that is repeated.
        let run = |count: usize| {
            let mut file = frame(7 << 3);
            file.truncate(6);
            for number in 1..=count {
                let last = usize::from(number == count);
                let word = u32::try_from((128 << 10) << 3 | 1 << 1 | last).unwrap();
                file.extend(&word.to_le_bytes()[..3]);
                file.push(0);
            }
            file
        };
        assert_eq!(unpack(run(47)), Err(UnpackError::Format));
        let max = unpacked_max(run(49).len());
        assert_eq!(
            unpack(run(49)),
            Err(UnpackError::TooLarge {
                format: "zstd",
                max
            })
        );
    }

    #[test]
    fn damage_is_an_error() {
        for (format, file) in [("xz", XZ), ("zstd", ZSTD)] {
            for len in 6..file.len() {
                let error = unpack(file[..len].to_vec()).unwrap_err();
                assert!(
                    matches!(&error, UnpackError::Damaged { format: f, .. } if *f == format)
                        || error == UnpackError::Format,
                    "{format} {len}: {error:?}"
                );
            }
        }
        assert_eq!(unpack(b"#!/bin/sh\n".to_vec()), Err(UnpackError::Format));
        assert_eq!(unpack(vec![0x1f, 0x8b, 8]), Err(UnpackError::Gzip));
    }
}
