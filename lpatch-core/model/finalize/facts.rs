// SPDX-License-Identifier: GPL-2.0

//! What has to be known of a boot to finish code for it.

use super::super::fentry::{ENDBR64, SEALED};
use super::super::refusal::{ensure, Refusal};
use super::calls::Counting;
use super::retpolines::Retpolines;
use super::returns::Returns;
use crate::uapi::Reason;

/// What this boot's kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What becomes of returns.
    pub returns: Returns,
    /// What becomes of indirect branches.
    pub retpolines: Retpolines,
    /// How direct calls are counted, if they are.
    pub calls: Option<Counting>,
    /// What becomes of landing pads that nobody needs.
    pub seal: [u8; 4],
    /// What the boot CPU has.
    pub features: Features,
    /// There is one CPU, and there can never be another.
    pub one_cpu: bool,
    /// Address of `BUG_func`, which a call through an empty pointer becomes a call of.
    pub bug_func: u64,
    /// Address of `nop_func`; a call of it becomes nops.
    pub nop_func: u64,
}

/// The feature and bug bits of the boot CPU, as the kernel numbers them: 32 in each word of
/// `boot_cpu_data.x86_capability`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    words: [u32; Self::WORDS],
    count: usize,
}

impl Features {
    /// More words than any kernel has.
    pub const WORDS: usize = 32;

    /// The bits in these words, or `None` if there are too many.
    pub fn new(words: &[u32]) -> Option<Self> {
        let mut features = Self {
            count: words.len(),
            ..Self::default()
        };
        (words.len() <= Self::WORDS).then_some(())?;
        for (to, from) in features.words.iter_mut().zip(words) {
            *to = *from;
        }
        Some(features)
    }

    /// The words that this kernel has.
    pub fn words(&self) -> &[u32] {
        self.words.get(..self.count).unwrap_or(&[])
    }

    /// Whether the CPU has a feature, or `None` if this kernel has no such number.
    pub fn has(&self, feature: u16) -> Option<bool> {
        let word = usize::from(feature / 32);
        let bits = self.words.get(word).filter(|_| word < self.count)?;
        Some(bits >> (feature % 32) & 1 != 0)
    }
}

/// What the kernel made of a landing pad of ours, or a refusal if it is neither of the known forms.
pub fn seal(found: [u8; 4]) -> Result<[u8; 4], Refusal> {
    ensure(found == ENDBR64 || found == SEALED, || {
        Refusal::new(Reason::Mitigation).value(u32::from_le_bytes(found).into())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_by_number() {
        let features = Features::new(&[1, 0x8000_0000, 0]).expect("they are few");
        for feature in 0..96 {
            let expected = feature == 0 || feature == 63;
            assert_eq!(features.has(feature), Some(expected), "{feature}");
        }
        for feature in [96, 1000, 1024, u16::MAX] {
            assert_eq!(features.has(feature), None, "{feature}");
        }
        assert_eq!(Features::default().has(0), None);
        assert!(Features::new(&[0; Features::WORDS]).is_some());
        assert!(Features::new(&[0; Features::WORDS + 1]).is_none());
    }

    #[test]
    fn seals() {
        for form in [SEALED, ENDBR64] {
            assert_eq!(seal(form), Ok(form));
        }
        let osp_nop = [0x66, 0x0f, 0x1f, 0x00];
        let refused = Refusal::new(Reason::Mitigation).value(0x001f_0f66);
        assert_eq!(seal(osp_nop), Err(refused));
    }
}
