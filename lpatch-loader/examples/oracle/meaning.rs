// SPDX-License-Identifier: GPL-2.0

//! Places that the kernel changes at run time by design: what has to be there follows from the state that the kernel had.
//!
//! Each of these puts into our text what belongs there, or what the kernel has if that is one of several right things.
//! Nothing is left out of the comparison of bytes that follows.

use crate::breaks::Break;
use crate::compare::Counts;
use crate::dump::{relative, Dump};
use crate::link::Linked;
use lpatch_loader::elf::Home;
use lpatch_loader::relocate::NOP5;
use lpatch_model::finalize::retpolines::{direct, Form, ITS_THUNK_SIZE};
use lpatch_model::num::wide;
use lpatch_model::uapi::SITE_RETPOLINE;
use object::elf;

/// Bytes of struct jump_entry: code and target, 32 bits each, and the key, 64 bits; all relative.
pub(crate) const JUMP_ENTRY: usize = 16;
/// In the low bits of the key: the branch is the likely one.
const LIKELY: u64 = 1;
/// And: the code is gone after the initialization; only the kernel sets it.
pub(crate) const JUMP_INIT: u64 = 2;
/// What is not the address of the key.
pub(crate) const KEY_FLAGS: u64 = 3;
const NOP2: [u8; 2] = [0x66, 0x90];
const CALL: u8 = 0xe8;
const JMP: u8 = 0xe9;
const JMP8: u8 = 0xeb;
const INT3: u8 = 0xcc;
/// The half of a cache line in which an indirect branch may be.
const UPPER_HALF: u64 = 0x20;

/// A static branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Jump {
    pub(crate) code: u64,
    pub(crate) target: u64,
    /// With its low bits.
    pub(crate) key: u64,
}

/// The entries of a jump table at this address.
pub(crate) fn jumps(addr: u64, table: &[u8]) -> Vec<Jump> {
    let entries = (0..table.len()).step_by(JUMP_ENTRY);
    entries
        .filter_map(|at| {
            let key = i64::from_le_bytes(*table.get(at + 8..)?.first_chunk()?);
            Some(Jump {
                code: relative(table, addr, at)?,
                target: relative(table, addr, at + 4)?,
                key: addr.wrapping_add(wide(at + 8)).wrapping_add_signed(key),
            })
        })
        .collect()
}

/// A branch with one opcode byte and a field of 32 bits, for the address `at`.
pub(crate) fn branch(opcode: u8, at: u64, to: u64) -> Option<[u8; 5]> {
    let distance = i64::from_ne_bytes(to.wrapping_sub(at.wrapping_add(5)).to_ne_bytes());
    let [a, b, c, d] = i32::try_from(distance).ok()?.to_le_bytes();
    Some([opcode, a, b, c, d])
}

fn short_jump(at: u64, to: u64) -> Option<[u8; 2]> {
    let distance = i64::from_ne_bytes(to.wrapping_sub(at.wrapping_add(2)).to_ne_bytes());
    let [byte] = i8::try_from(distance).ok()?.to_le_bytes();
    Some([JMP8, byte])
}

/// What all sites of ftrace, static keys, ITS thunks and counted functions have to be.
pub(crate) fn settle(
    linked: &mut Linked<'_>,
    dump: &Dump,
    bug: Option<Break>,
    counts: &mut Counts,
) -> Result<(), String> {
    fentry(linked, dump, counts);
    static_keys(linked, dump, bug, counts)?;
    its(linked, dump, counts);
    padding(linked, dump, counts);
    Ok(())
}

/// A function that is traced begins with a call of ftrace's, any other with a nop, which we have.
fn fentry(linked: &mut Linked<'_>, dump: &Dump, counts: &mut Counts) {
    for offset in linked.fentry.clone() {
        let at = linked.text_address(offset);
        if linked.offset(at).is_none() {
            continue;
        }
        counts.ftrace += 1;
        let Some([CALL, field @ ..]) = dump.bytes(at, NOP5.len()) else {
            continue;
        };
        let to = field.first_chunk().map(|f| i32::from_le_bytes(*f));
        let to = to.map(|to| at.wrapping_add(5).wrapping_add_signed(to.into()));
        let callers = ["ftrace_caller", "ftrace_regs_caller"];
        if callers.iter().any(|name| dump.symbol(name) == to) {
            let call = [&[CALL][..], field].concat();
            linked.put(offset, &call);
        }
    }
}

/// A static branch is a jump to the table's target if its key is in another state than the code expects, else a nop.
fn static_keys(
    linked: &mut Linked<'_>,
    dump: &Dump,
    bug: Option<Break>,
    counts: &mut Counts,
) -> Result<(), String> {
    let Some((addr, table)) = linked.section_named("__jump_table") else {
        return Ok(());
    };
    for jump in jumps(addr, table) {
        let Some(offset) = linked.offset(jump.code) else {
            continue;
        };
        let key = jump.key & !KEY_FLAGS;
        let value = dump
            .word(key)
            .ok_or_else(|| format!("the static key at {key:#x} was not read"))?;
        // The counter is the first half; while a key is being enabled it is negative.
        let [a, b, c, d, ..] = value.to_le_bytes();
        let enabled = u32::from_le_bytes([a, b, c, d]) != 0;
        let likely = jump.key & LIKELY != 0;
        let jumps = (enabled != likely) != (bug == Some(Break::Keys));
        let code = linked.text(offset, 2).unwrap_or_default();
        let long = match code {
            [JMP, ..] => true,
            [0x0f, 0x1f] => true,
            [JMP8, ..] => false,
            _ if code == NOP2 => false,
            _ => return Err(format!("no static branch at text+{offset:#x}: {code:02x?}")),
        };
        let far = || format!("the target of the branch at text+{offset:#x} is out of reach");
        let bytes = match (long, jumps) {
            (true, false) => NOP5.to_vec(),
            (true, true) => branch(JMP, jump.code, jump.target).ok_or_else(far)?.into(),
            (false, false) => NOP2.to_vec(),
            (false, true) => short_jump(jump.code, jump.target).ok_or_else(far)?.into(),
        };
        linked.put(offset, &bytes);
        counts.static_keys += 1;
        counts.static_jumps += u64::from(jumps);
    }
    Ok(())
}

/// Where branches go through thunks for ITS, those of a module are its own: any that jump to where the register
/// points, and are themselves in the right half of a line.
fn its(linked: &mut Linked<'_>, dump: &Dump, counts: &mut Counts) {
    let Form::Inline { its: Some(its), .. } = linked.facts.retpolines.form else {
        return;
    };
    let sites = linked.tables.sites.clone();
    for site in sites.iter().filter(|s| s.kind == SITE_RETPOLINE) {
        let at = linked.text_address(site.offset);
        if linked.offset(at).is_none() {
            continue;
        }
        let goal = |code: &[u8]| {
            let (len, field) = direct(code)?;
            let end = at.wrapping_add(wide(len));
            let to = end.wrapping_add_signed(i32::from_le_bytes(field).into());
            Some((len, to))
        };
        let found = || {
            let (len, ours) = goal(linked.text(site.offset, 6)?)?;
            let register = ours.checked_sub(its)? / ITS_THUNK_SIZE;
            let register = u8::try_from(register).ok().filter(|r| *r < 16)?;
            let memory = dump.bytes(at, len)?;
            let (same, thunk) = goal(memory)?;
            let jump = match register {
                0..8 => vec![0xff, 0xe0 | register, INT3],
                _ => vec![0x41, 0xff, 0xe0 | (register & 7), INT3],
            };
            let last = thunk.wrapping_add(wide(jump.len())).wrapping_sub(2);
            let right = dump.word(thunk)?.to_le_bytes().starts_with(&jump);
            let kept = len == same && right && last & UPPER_HALF != 0;
            kept.then(|| memory.to_vec())
        };
        if let Some(memory) = found() {
            linked.put(site.offset, &memory);
            counts.its_branches += 1;
        }
    }
}

/// Where calls are counted, a function that someone calls has the instruction for it in its padding. Who calls it may be
/// another module, or the initialization.
fn padding(linked: &mut Linked<'_>, dump: &Dump, counts: &mut Counts) {
    const NOP: u8 = 0x90;
    let Some(counting) = linked.facts.calls else {
        return;
    };
    let len = counting.example().0.len();
    let symbols = linked.object.elf.symbols().iter();
    let functions: Vec<u64> = symbols
        .filter(|s| s.kind == elf::STT_FUNC)
        .filter_map(|s| {
            let Home::Section(section) = s.home else {
                return None;
            };
            let section = linked.object.elf.sections().get(section)?;
            Some(linked.address(linked.layout.place(section, s.value)?))
        })
        .collect();
    for function in functions {
        let at = function.wrapping_sub(wide(len));
        let Some(offset) = linked.offset(at) else {
            continue;
        };
        let ours = linked.text(offset, len).unwrap_or_default();
        if ours.is_empty() || ours.iter().any(|byte| *byte != NOP) {
            continue;
        }
        let counted = counting.at(at);
        let counted = counted.as_ref().and_then(|bytes| bytes.get(..len));
        if let Some(counted) = counted.filter(|bytes| dump.bytes(at, len) == Some(bytes)) {
            linked.put(offset, counted);
            counts.counted_functions += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_by_the_book() {
        assert_eq!(branch(JMP, 0x1000, 0x1005), Some([0xe9, 0, 0, 0, 0]));
        let back = [0xe8, 0xfb, 0xff, 0xff, 0xff];
        assert_eq!(branch(CALL, 0x1000, 0x1000), Some(back));
        assert_eq!(branch(CALL, 0, 1 << 33), None);
        assert_eq!(short_jump(0x1000, 0x1012), Some([0xeb, 0x10]));
        assert_eq!(short_jump(0x1000, 0x1002 - 128), Some([0xeb, 0x80]));
        assert_eq!(short_jump(0x1000, 0x1002 + 128), None);
    }

    #[test]
    fn a_jump_table_is_relative() {
        let mut table = vec![0; JUMP_ENTRY];
        table[..4].copy_from_slice(&(-16_i32).to_le_bytes());
        table[4..8].copy_from_slice(&(32_i32).to_le_bytes());
        table[8..].copy_from_slice(&(-8_i64 + 3).to_le_bytes());
        let expected = Jump {
            code: 0xff0,
            target: 0x1024,
            key: 0x1003,
        };
        assert_eq!(jumps(0x1000, &table), [expected]);
        assert_eq!(jumps(0x1000, &table[..15]), []);
    }
}
