// SPDX-License-Identifier: GPL-2.0

//! Code that kprobes have changed.
//!
//! A kprobe in the body of a function writes an int3 over the first byte of an instruction. An optimized one writes a jump of 5
//! bytes over it and what follows, into memory that no symbol is in. Neither makes another function of it. The kernel knows what
//! was there, and is asked: so what is compared are the function's own bytes, each of them, with every probe taken out.
//!
//! Only the kernel's answer counts. An int3 or a jump that it knows nothing of is a byte that differs.

use super::super::fentry;
use super::super::num::{index, wide};
use super::super::refusal::Refusal;
use super::{Checker, Kernel};
use crate::uapi::Func;
use core::ops::Range;

/// A breakpoint.
const INT3: u8 = 0xcc;
/// What an optimized kprobe writes, with 4 bytes of displacement.
const JMP: u8 = 0xe9;
/// Bytes of that.
const JMP_LEN: usize = 5;
/// Bytes that are looked at in one step; they are on the stack.
const CHUNK: usize = 128;
/// Probes in one function that are taken out. Who has more at one function has reason to expect that it is noticed.
pub const PROBES_MAX: usize = 24;

/// The probes that were found in a function: the offset of each, and the byte that was there.
pub(super) struct Probes {
    list: [(u32, u8); PROBES_MAX],
    count: usize,
}

impl Probes {
    pub(super) const fn new() -> Self {
        Self {
            list: [(0, 0); PROBES_MAX],
            count: 0,
        }
    }

    fn all(&self) -> &[(u32, u8)] {
        self.list.get(..self.count).unwrap_or_default()
    }

    fn is_full(&self) -> bool {
        self.count >= PROBES_MAX
    }

    fn has(&self, offset: u32) -> bool {
        self.all().iter().any(|(other, _)| *other == offset)
    }

    fn push(&mut self, offset: u32, original: u8) {
        if let Some(slot) = self.list.get_mut(self.count) {
            *slot = (offset, original);
            self.count = self.count.saturating_add(1);
        }
    }

    /// Takes the probes out of a chunk that begins `start` bytes into the function.
    pub(super) fn take_out(&self, chunk: &mut [u8], start: usize) {
        for (offset, original) in self.all() {
            let at = index(*offset).checked_sub(start);
            if let Some(byte) = at.and_then(|at| chunk.get_mut(at)) {
                *byte = *original;
            }
        }
    }
}

impl<K: Kernel> Checker<'_, '_, K> {
    /// Looks for bytes of a function that a probe may have written, and asks the kernel about each. What ftrace writes at the
    /// function's beginning is not a probe's. What it has on the stack is gone when the bytes are compared.
    #[inline(never)]
    pub(super) fn find_probes(
        &self,
        func: &Func,
        masks: &Range<usize>,
        probes: &mut Probes,
    ) -> Result<(), Refusal> {
        let len = index(func.pre_len);
        let mut masks = masks.clone();
        let mut start = self.behind_site(func);
        while start < len && !probes.is_full() {
            let mut buffer = [0; CHUNK];
            let size = len.saturating_sub(start).min(CHUNK);
            let chunk = buffer.get_mut(..size).unwrap_or_default();
            if !self
                .kernel
                .read_text(func.old_addr.wrapping_add(wide(start)), chunk)
            {
                return Ok(());
            }
            let raw = buffer;
            let chunk = buffer.get_mut(..size).unwrap_or_default();
            self.hide(chunk, start, &mut masks);
            for (at, (byte, raw)) in chunk.iter().zip(raw).enumerate() {
                let offset = start.saturating_add(at);
                // A jump can begin in bytes that are masked, and end behind them.
                let suspect = *byte == INT3 || (raw == JMP && self.jumps_away(func, offset));
                let Ok(offset) = u32::try_from(offset) else {
                    return Ok(());
                };
                if !suspect || probes.has(offset) {
                    continue;
                }
                let addr = func.old_addr.wrapping_add(offset.into());
                if let Some(original) = self.kernel.original(addr)? {
                    probes.push(offset, original);
                }
            }
            start = start.saturating_add(size);
        }
        Ok(())
    }

    /// Where the function's code begins that ftrace does not write.
    fn behind_site(&self, func: &Func) -> usize {
        let mut start = [0; 16];
        let site = self.kernel.read_text(func.old_addr, &mut start);
        let site = site.then(|| fentry::site(&start)).flatten();
        site.map_or(0, |site| index(site.offset).saturating_add(JMP_LEN))
    }

    /// Whether there is a jump at this offset that goes to no function, as that of a probe does.
    fn jumps_away(&self, func: &Func, offset: usize) -> bool {
        let addr = func.old_addr.wrapping_add(wide(offset));
        let mut insn = [0; JMP_LEN];
        if !self.kernel.read_text(addr, &mut insn) {
            return false;
        }
        let [JMP, displacement @ ..] = insn else {
            return false;
        };
        let displacement = i64::from(i32::from_le_bytes(displacement));
        let end = addr.wrapping_add(wide(JMP_LEN));
        let target = end.wrapping_add_signed(displacement);
        let own = target.wrapping_sub(func.old_addr) < u64::from(func.old_len);
        !own && !self.kernel.symbol(target, &mut |_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::image::Image;
    use super::super::{verify, Reservation};
    use super::*;
    use crate::testing::{crc32, example, Draft, FakeKernel, FakeProbe};
    use crate::uapi::Reason;
    use proptest::prelude::*;
    use std::cell::RefCell;
    use std::vec::Vec;

    fn check((draft, room, kernel): &(Draft, Reservation, FakeKernel)) -> Result<(), Reason> {
        let bytes = draft.build();
        let image = Image::parse(&bytes, crc32).expect("it is well-formed");
        let result = verify(&image, room, kernel).map_err(|refusal| refusal.reason);
        assert!(kernel.asked.borrow().is_empty(), "somebody was not let go");
        result
    }

    /// What becomes of the example with probes at these offsets of its function of 600 bytes.
    fn with(probes: &[(u64, bool)]) -> Result<(), Reason> {
        let mut world = example();
        let addr = world.2.text[0].0;
        world.2.probes = probes
            .iter()
            .map(|(offset, jump)| FakeProbe {
                addr: addr + offset,
                jump: *jump,
            })
            .collect();
        check(&world)
    }

    #[test]
    fn a_probe_makes_no_other_function() {
        for jump in [false, true] {
            // At both ends of what is compared, over the ends of chunks, and in what is masked and out of it again.
            for offset in [9, 100, 133, 136, 137, 252, 255, 260, 261, 500, 594] {
                assert_eq!(with(&[(offset, jump)]), Ok(()), "{offset} {jump}");
            }
        }
        assert_eq!(
            with(&[(9, true), (14, false), (15, true), (100, false)]),
            Ok(())
        );
    }

    #[test]
    fn what_no_probe_has_written_counts() {
        for offset in [9, 100, 300] {
            let mut world = example();
            world.2.text[0].1[offset] = INT3;
            assert_eq!(check(&world), Err(Reason::FuncPreimage), "{offset}");
            let mut world = example();
            world.2.text[0].1[offset..offset + 5].copy_from_slice(&[JMP, 0, 0, 0, 0x70]);
            assert_eq!(check(&world), Err(Reason::FuncPreimage), "{offset}");
        }
        // Beside a probe, too, and below it.
        for byte in [100, 103] {
            let mut world = example();
            let addr = world.2.text[0].0 + 100;
            world.2.probes = Vec::from([FakeProbe { addr, jump: true }]);
            assert_eq!(check(&world), Ok(()));
            world.2.text[0].1[byte] ^= 1;
            assert_eq!(check(&world), Err(Reason::FuncPreimage), "{byte}");
        }
    }

    #[test]
    fn so_many_and_no_more() {
        let some = |count: u64| (0..count).map(|i| (12 + 2 * i, false)).collect::<Vec<_>>();
        assert_eq!(with(&some(24)), Ok(()));
        assert_eq!(with(&some(25)), Err(Reason::FuncPreimage));
    }

    #[test]
    fn probes_that_go_while_we_look() {
        for reads in 1..80 {
            let mut world = example();
            let addr = world.2.text[0].0 + 300;
            world.2.probes = Vec::from([FakeProbe { addr, jump: true }]);
            world.2.probes_go = Some(RefCell::new(reads));
            assert_eq!(check(&world), Ok(()), "{reads}");
        }
    }

    proptest! {
        #[test]
        fn any_probes(
            gaps in prop::collection::vec((0..40_u64, any::<bool>()), 0..PROBES_MAX),
            byte in 9..600_usize,
        ) {
            let mut world = example();
            let start = world.2.text[0].0;
            let mut at = 9;
            for (gap, jump) in gaps {
                at += gap;
                if at + 5 <= 600 {
                    world.2.probes.push(FakeProbe { addr: start + at, jump });
                }
                at += if jump { 5 } else { 1 };
            }
            prop_assert_eq!(check(&world), Ok(()));
            world.2.text[0].1[byte] ^= 0x10;
            let masked = (250..262).contains(&byte) || byte == 599;
            prop_assert_eq!(check(&world).is_ok(), masked);
        }
    }
}
