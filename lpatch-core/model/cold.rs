// SPDX-License-Identifier: GPL-2.0

//! Names of the unlikely code that gcc moves out of functions.

/// Whether `name` is that of a cold part of `function`: `function.cold`, or `function.cold.N` where a number keeps
/// several apart.
pub fn is_part_of(name: &[u8], function: &[u8]) -> bool {
    let number = |rest: &[u8]| {
        rest.strip_prefix(b".")
            .is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
    };
    name.strip_prefix(function)
        .and_then(|rest| rest.strip_prefix(b".cold"))
        .is_some_and(|rest| rest.is_empty() || number(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_function_itself_only() {
        for name in ["foo.cold", "foo.cold.0", "foo.cold.17"] {
            assert!(is_part_of(name.as_bytes(), b"foo"), "{name}");
        }
        assert!(is_part_of(b"foo.isra.0.cold", b"foo.isra.0"));
        for name in [
            "foo",
            "foo.cold.",
            "foo.cold.1a",
            "foo.cold.1.2",
            "foo.colder",
            "foo.cold1",
            "foo.isra.0.cold",
            "foobar.cold",
            "fo.cold",
            ".cold",
        ] {
            assert!(!is_part_of(name.as_bytes(), b"foo"), "{name}");
        }
    }
}
