// SPDX-License-Identifier: GPL-2.0

//! Who else changes where a function goes on, from ftrace's list of the functions that have users.
//!
//! A line of the list is the name, the module in brackets, the number of users, letters (`I`: one of them may change the
//! instruction pointer), and, where there is one user only, what it calls: `tramp: ADDRESS (function+0x0/0x10)->...`.

/// Handlers by their names, and what has them.
const KINDS: [(&str, &str); 2] = [
    ("klp_ftrace_handler", "upstream livepatch"),
    ("kprobe_ftrace_handler", "a kprobe with a post_handler"),
];

/// What holds the function, if the list tells.
pub fn holder(list: &str, function: &str) -> Option<&'static str> {
    let users = |line: &str| {
        let rest = line.strip_prefix(function)?;
        rest.starts_with([' ', '\t']).then(|| rest.to_owned())
    };
    let users = list
        .lines()
        .filter_map(users)
        .find(|users| users.split_whitespace().any(|word| word == "I"))?;
    let (_, kind) = KINDS.iter().find(|(handler, _)| users.contains(handler))?;
    Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
version_proc_show (1)           \ttramp: 0xffffffffc0c40000 (kprobe_ftrace_handler+0x0/0x1a0) ->ftrace_ops_assist_func+0x0/0xf0
cmdline_proc_show (1) R I     \ttramp: 0xffffffffc0c40000 (klp_ftrace_handler+0x0/0x2a0) ->klp_ftrace_handler+0x0/0x2a0
show [one] (1) R I     \ttramp: 0xffffffffc0c50000 (kprobe_ftrace_handler+0x0/0x1a0) ->kprobe_ftrace_handler+0x0/0x1a0
show_all (2) R I     \t->ftrace_ops_list_func+0x0/0x1f0
";

    #[test]
    fn by_the_handler() {
        assert_eq!(
            holder(LIST, "cmdline_proc_show"),
            Some("upstream livepatch")
        );
        assert_eq!(holder(LIST, "show"), Some("a kprobe with a post_handler"));
    }

    #[test]
    fn not_told() {
        // One that changes nothing, several, none, a part of a name.
        for function in [
            "version_proc_show",
            "show_all",
            "execdomains_proc_show",
            "cmdline",
        ] {
            assert_eq!(holder(LIST, function), None, "{function}");
        }
        assert_eq!(holder("", "show"), None);
    }
}
