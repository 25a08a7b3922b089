// SPDX-License-Identifier: GPL-2.0

//! Names that resemble one that was not found, for messages.

use crate::kallsyms::Kallsyms;

/// Names that a message lists.
const LISTED: usize = 3;

/// How many bytes two names have in common at the start and at the end.
fn common_ends(a: &[u8], b: &[u8]) -> usize {
    let same = |(a, b): &(&u8, &u8)| a == b;
    let head = a.iter().zip(b).take_while(same).count();
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(same).count();
    (head + tail).min(a.len()).min(b.len())
}

/// The names in a kernel that agree with `name` in two thirds of their bytes at both ends, best first.
pub(crate) fn near<'k>(kallsyms: &'k Kallsyms, name: &str) -> Vec<&'k str> {
    let mut list: Vec<(usize, &str)> = Vec::new();
    for found in kallsyms.iter() {
        let other = found.name;
        let longer = name.len().max(other.len());
        let allowed = longer / 3;
        // Most names are told apart by their length.
        if name.len().abs_diff(other.len()) > allowed {
            continue;
        }
        let missing = longer - common_ends(name.as_bytes(), other.as_bytes());
        // Prefix symbols are no answer to anything.
        if missing <= allowed && !other.starts_with("__pfx_") {
            list.push((missing, other));
        }
    }
    list.sort_unstable();
    list.dedup();
    list.into_iter()
        .take(LISTED)
        .map(|(_, name)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen_are_found() {
        let names = [
            "cmdline_proc_show",
            "cmdline_proc_show",
            "cmdline_proc_open",
            "__pfx_cmdline_proc_show",
            "x",
            "loadavg_proc_show",
        ];
        let text = names.map(|n| format!("ffffffff81000000 t {n}\n")).concat();
        let kallsyms = Kallsyms::parse(text).expect("it is well-formed");
        let near = |name| near(&kallsyms, name);
        assert_eq!(
            near("cmdline_proc_shov"),
            ["cmdline_proc_show", "cmdline_proc_open"]
        );
        assert_eq!(near("cmdlin_proc_show")[0], "cmdline_proc_show");
        assert_eq!(near("ext4_fill_super"), [""; 0]);
        // Ends that overlap count once.
        assert_eq!(near("xxxxx"), [""; 0]);
    }
}
