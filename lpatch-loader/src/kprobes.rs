// SPDX-License-Identifier: GPL-2.0

//! Bytes that kprobes put into code, by the kernel's list of them.
//!
//! A line is the address, a letter, where that is, the module in brackets, and remarks in brackets: `[OPTIMIZED]` where the
//! probe has a jump of 5 bytes in the place of its breakpoint (kernel/kprobes.c, arch/x86/kernel/kprobes/opt.c).

const INT3: u8 = 0xcc;
const JMP: u8 = 0xe9;
/// Bytes of such a jump.
const JMP_LEN: u64 = 5;

/// A kprobe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kprobe {
    /// Where it is.
    pub addr: u64,
    /// Whether it may have a jump in the place of its breakpoint.
    pub optimized: bool,
}

/// The kprobes of a list.
pub fn parse(list: &str) -> Vec<Kprobe> {
    let lines = list.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let addr = u64::from_str_radix(words.next()?, 16).ok()?;
        let optimized = words.any(|word| word.contains("[OPTIMIZED]"));
        Some(Kprobe { addr, optimized })
    });
    lines.collect()
}

/// Whether one of them explains that these bytes are at an address, where others were loaded.
pub fn explain(kprobes: &[Kprobe], addr: u64, found: &[u8]) -> bool {
    let by = |probe: &Kprobe| {
        let Some(at) = addr.checked_sub(probe.addr) else {
            return false;
        };
        let len = u64::try_from(found.len()).unwrap_or(u64::MAX);
        let breakpoint = at == 0 && found == [INT3];
        // What is equal by chance splits the jump.
        let jump = probe.optimized
            && at.saturating_add(len) <= JMP_LEN
            && (at > 0 || found.first() == Some(&JMP));
        breakpoint || jump
    };
    kprobes.iter().any(by)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
ffffffffc0401010  k  new_show+0x10  [lpatch_core] 
ffffffffc0402000  k  new_read+0x0  [lpatch_core] [DISABLED][OPTIMIZED]
ffffffff81000000  r  vfs_read+0x0    [FTRACE]
";

    #[test]
    fn lists() {
        let probes = parse(LIST);
        assert_eq!(probes.len(), 3);
        let addr = |at: usize| (probes[at].addr, probes[at].optimized);
        assert_eq!(addr(0), (0xffff_ffff_c040_1010, false));
        assert_eq!(addr(1), (0xffff_ffff_c040_2000, true));
        assert_eq!(parse("nothing here\n"), []);
    }

    #[test]
    fn breakpoints_and_jumps() {
        let probes = parse(LIST);
        let is = |addr: u64, found: &[u8]| explain(&probes, addr, found);
        assert!(is(0xffff_ffff_c040_1010, &[0xcc]));
        // Another byte, or in another place.
        assert!(!is(0xffff_ffff_c040_1010, &[0xcb]));
        assert!(!is(0xffff_ffff_c040_1010, &[0xcc, 0xcc]));
        assert!(!is(0xffff_ffff_c040_1011, &[0xcc]));
        assert!(!is(0xffff_ffff_c040_1010, &[0xe9, 1, 2, 3, 4]));
        assert!(is(0xffff_ffff_c040_2000, &[0xe9, 1, 2, 3, 4]));
        assert!(is(0xffff_ffff_c040_2002, &[3, 4, 5]));
        assert!(!is(0xffff_ffff_c040_2000, &[0xe8, 1, 2, 3, 4]));
        assert!(!is(0xffff_ffff_c040_2000, &[0xe9, 1, 2, 3, 4, 5]));
        assert!(!is(0xffff_ffff_c040_1fff, &[0xcc]));
    }
}
