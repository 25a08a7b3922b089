// SPDX-License-Identifier: GPL-2.0

//! Kernels and modules as distributions ship them, unpacked: bzImage, .ko.xz, .ko.zst.

use std::io::{Cursor, Read};
use thiserror::Error;

/// More than any kernel or module unpacks to; bounds what a damaged file can make of itself.
const MAX: u64 = 1 << 30;

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
    match data {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let mut out = Limited::default();
            lzma_rs::xz_decompress(&mut Cursor::new(data), &mut out)
                .map_err(|error| damaged("xz", &error))?;
            Ok(out.bytes)
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            // In a bzImage the length follows the one frame; the decoder stops before it.
            let decoder = ruzstd::decoding::StreamingDecoder::new(data)
                .map_err(|error| damaged("zstd", &error))?;
            let mut out = Vec::new();
            decoder
                .take(MAX)
                .read_to_end(&mut out)
                .map_err(|error| damaged("zstd", &error))?;
            Ok(out)
        }
        [0x1f, 0x8b, ..] => Err(UnpackError::Gzip),
        _ => Err(UnpackError::Format),
    }
}

fn damaged(format: &'static str, why: &dyn std::fmt::Debug) -> UnpackError {
    UnpackError::Damaged {
        format,
        why: format!("{why:?}"),
    }
}

/// A buffer that refuses to grow beyond [`MAX`].
#[derive(Default)]
struct Limited {
    bytes: Vec<u8>,
}

impl std::io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let len = self.bytes.len().saturating_add(bytes.len());
        if u64::try_from(len).unwrap_or(u64::MAX) > MAX {
            return Err(std::io::Error::other("it unpacks to more than 1 GiB"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
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
