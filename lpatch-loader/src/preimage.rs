// SPDX-License-Identifier: GPL-2.0

//! Pre-images: what the bytes of a function must be before it may be replaced.
//!
//! A pre-image is a length, a list of masked ranges and a CRC-32 over the bytes with the masked ranges read
//! as zero. The masks cover what the kernel itself rewrites, see [`crate::volatile`]; everything else is the
//! same in every boot of the same kernel.

use lpatch_model::uapi::Mask;

/// What the bytes of a function must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preimage {
    /// Bytes that are compared.
    pub len: u32,
    /// Their CRC-32 (as in zlib) with the masked ranges zero.
    pub crc: u32,
    /// Ranges that differ from boot to boot, sorted, not touching each other.
    pub masks: Vec<Mask>,
}

impl Preimage {
    /// The pre-image of a function with these bytes; `None` if it is 4 GiB or longer.
    pub fn new(code: &[u8], masks: Vec<Mask>) -> Option<Self> {
        Some(Self {
            len: u32::try_from(code.len()).ok()?,
            crc: crc(code, &masks),
            masks,
        })
    }

    /// Whether these bytes, at least as many as were recorded, have this pre-image.
    pub fn matches(&self, code: &[u8]) -> bool {
        usize::try_from(self.len)
            .ok()
            .and_then(|len| code.get(..len))
            .is_some_and(|code| crc(code, &self.masks) == self.crc)
    }

    /// How many bytes are compared, that is, not masked.
    pub fn compared(&self) -> u32 {
        self.masks
            .iter()
            .fold(self.len, |left, mask| left.saturating_sub(mask.len))
    }
}

/// CRC-32 of bytes with the masked ranges read as zero; masks are sorted and do not overlap.
pub fn crc(code: &[u8], masks: &[Mask]) -> u32 {
    const ZEROS: [u8; 64] = [0; 64];
    let at = |offset: u32| usize::try_from(offset).map_or(code.len(), |o| o.min(code.len()));

    let mut hasher = crc32fast::Hasher::new();
    let mut done = 0;
    for mask in masks {
        let start = at(mask.offset).max(done);
        let end = at(mask.offset.saturating_add(mask.len)).max(start);
        hasher.update(code.get(done..start).unwrap_or_default());
        for zeros in code.get(start..end).unwrap_or_default().chunks(ZEROS.len()) {
            hasher.update(ZEROS.get(..zeros.len()).unwrap_or_default());
        }
        done = end;
    }
    hasher.update(code.get(done..).unwrap_or_default());
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(offset: u32, len: u32) -> Mask {
        Mask { offset, len }
    }

    #[test]
    fn masked_bytes_do_not_count() {
        let code: Vec<u8> = (0..=255).collect();
        let masks = vec![mask(0, 1), mask(10, 5), mask(100, 80), mask(255, 1)];
        let pre = Preimage::new(&code, masks).unwrap();
        for at in 0..code.len() {
            let mut other = code.clone();
            other[at] ^= 0x55;
            let masked = at == 0 || (10..15).contains(&at) || (100..180).contains(&at) || at == 255;
            assert_eq!(pre.matches(&other), masked, "byte {at}");
        }
        assert_eq!(pre.compared(), 256 - 87);
    }

    #[test]
    fn masked_bytes_read_as_zero() {
        let mut zeroed = b"0123456789".to_vec();
        let crc_masked = crc(&zeroed, &[mask(2, 3)]);
        zeroed[2..5].fill(0);
        assert_eq!(crc_masked, crc32fast::hash(&zeroed));
        assert_eq!(crc(b"123456789", &[]), 0xcbf4_3926);
    }

    #[test]
    fn only_the_recorded_length_counts() {
        let pre = Preimage::new(b"abcd", Vec::new()).unwrap();
        assert!(pre.matches(b"abcdXX"));
        assert!(!pre.matches(b"abc"));
    }
}
