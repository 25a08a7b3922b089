// SPDX-License-Identifier: GPL-2.0

//! The kernel's list of kprobes: whose code they have changed, and which are not hit while a function is replaced.

use crate::resolve::Resolved;
use lpatch_model::uapi::FuncInfo;
use std::ops::Range;

/// A kprobe, as /sys/kernel/debug/kprobes/list has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kprobe {
    /// Its address.
    pub addr: u64,
    /// The same as "function+0x11".
    pub place: String,
    /// Whether ftrace calls it, at the beginning of a function. Such a one is hit whether the function is replaced or not.
    pub by_ftrace: bool,
}

/// Those of a kernel.
pub trait Kprobes {
    /// All of them; `None` if nobody may see them.
    fn list(&self) -> Option<Vec<Kprobe>>;
}

/// Reads the list. Probes in modules that have gone, and those whose addresses are hidden, are left out.
pub fn parse(text: &str) -> Vec<Kprobe> {
    text.lines().filter_map(line).collect()
}

/// Such as "ffffffff8148b651  k  cmdline_proc_show+0x11  [OPTIMIZED]", with the module in front of the flags.
fn line(line: &str) -> Option<Kprobe> {
    let mut words = line.split_ascii_whitespace();
    let addr = u64::from_str_radix(words.next()?, 16).ok()?;
    let _kind = words.next()?;
    let place = words.next()?.to_owned();
    let gone = line.contains("[GONE]");
    (addr != 0 && !gone).then(|| Kprobe {
        addr,
        place,
        by_ftrace: line.contains("[FTRACE]"),
    })
}

/// Whether one that has changed bytes is in a range of code.
pub fn any_in(list: &[Kprobe], code: &Range<u64>) -> bool {
    list.iter()
        .any(|probe| !probe.by_ftrace && code.contains(&probe.addr))
}

/// Those that nobody comes by while these ranges are not executed, by address.
pub fn silent(list: Vec<Kprobe>, unused: &[Range<u64>]) -> Vec<Kprobe> {
    let is_in = |probe: &Kprobe| unused.iter().any(|code| code.contains(&probe.addr));
    let mut all: Vec<Kprobe> = list
        .into_iter()
        .filter(|probe| !probe.by_ftrace && is_in(probe))
        .collect();
    all.sort_by_key(|probe| probe.addr);
    // Several at one place are one place.
    all.dedup();
    all
}

/// The same of functions as the core tells them, which are in force.
pub fn silent_in(list: Vec<Kprobe>, funcs: &[FuncInfo]) -> Vec<Kprobe> {
    let there = funcs.iter().filter(|func| func.old_addr != 0);
    let unused: Vec<_> = there
        .map(|func| func.old_addr..func.old_addr.saturating_add(func.old_len.into()))
        .collect();
    silent(list, &unused)
}

/// The code that nobody enters while a patch is in force: its old functions and their cold parts.
pub fn unused(resolved: &Resolved) -> Vec<Range<u64>> {
    let funcs = resolved.funcs.iter().filter(|func| func.addr != 0);
    let funcs = funcs.map(|func| (func.addr, func.len));
    let colds = resolved.colds.iter().map(|part| (part.addr, part.len));
    funcs
        .chain(colds)
        .map(|(addr, len)| addr..addr.saturating_add(len.at_least()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
ffffffff8148b651  k  cmdline_proc_show+0x11    [OPTIMIZED]
ffffffffc0001013  k  loop_attr_do_show_offset+0x13  loop [DISABLED]
ffffffff8148b644  r  cmdline_proc_show+0x4    [FTRACE]
ffffffffc0002000  k  gone+0x0  other [GONE]
0000000000000000  k  hidden+0x4    
ffffffff8148b651  k  cmdline_proc_show+0x11    [OPTIMIZED]
nonsense
";

    #[test]
    fn what_the_kernel_lists() {
        let list = parse(LIST);
        let of = |place: &str| list.iter().filter(|probe| probe.place == place).count();
        assert_eq!(list.len(), 4);
        assert_eq!(of("cmdline_proc_show+0x11"), 2);
        assert_eq!(of("loop_attr_do_show_offset+0x13"), 1);
        assert_eq!(list[0].addr, 0xffff_ffff_8148_b651);
        let by_ftrace: Vec<bool> = list.iter().map(|probe| probe.by_ftrace).collect();
        assert_eq!(by_ftrace, [false, false, true, false]);
    }

    #[test]
    fn those_in_code_that_is_not_executed() {
        let show = 0xffff_ffff_8148_b640..0xffff_ffff_8148_b700;
        let entry = 0xffff_ffff_8148_b640..0xffff_ffff_8148_b650;
        assert!(any_in(&parse(LIST), &show));
        assert!(!any_in(&parse(LIST), &entry));
        let found = silent(parse(LIST), &[entry, show]);
        let places: Vec<&str> = found.iter().map(|probe| probe.place.as_str()).collect();
        assert_eq!(places, ["cmdline_proc_show+0x11"]);
    }
}
