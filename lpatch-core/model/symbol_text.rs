// SPDX-License-Identifier: GPL-2.0

//! Reading what `sprint_symbol()` writes: `name+0xoffset/0xsize` or `name+0xoffset/0xsize [module]`.

use super::verify::Symbol;

/// The symbol in this text, or `None` if it is something else, as for an address without a name.
pub fn parse(text: &[u8]) -> Option<Symbol<'_>> {
    let (symbol, module) = match text.strip_suffix(b"]") {
        Some(text) => {
            let (symbol, module) = split_last(text, b'[')?;
            (symbol.strip_suffix(b" ")?, Some(module))
        }
        None => (text, None),
    };
    let (name, place) = split_last(symbol, b'+')?;
    let (offset, size) = split_last(place, b'/')?;
    Some(Symbol {
        name: (!name.is_empty()).then_some(name)?,
        offset: hex(offset)?,
        size: hex(size)?,
        module,
    })
}

fn split_last(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let (head, tail) = text.split_at_checked(text.iter().rposition(|&b| b == at)?)?;
    Some((head, tail.get(1..)?))
}

fn hex(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"0x").filter(|d| !d.is_empty())?;
    digits.iter().try_fold(0_u64, |value, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        value.checked_mul(16)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::string::String;

    #[test]
    fn of_the_kernel_and_of_a_module() {
        let symbol = Symbol {
            name: b"cmdline_proc_show",
            offset: 0,
            size: 0x20,
            module: None,
        };
        assert_eq!(parse(b"cmdline_proc_show+0x0/0x20"), Some(symbol));
        let symbol = Symbol {
            name: b"foo.cold",
            offset: 0x1f,
            size: 0x100,
            module: Some(b"dm_mod"),
        };
        assert_eq!(parse(b"foo.cold+0x1f/0x100 [dm_mod]"), Some(symbol));
    }

    #[test]
    fn not_a_symbol() {
        for text in [
            "",
            "0xffffffff81000000",
            "+0x0/0x1",
            "a+0x0",
            "a+0/0x1",
            "a+0x/0x1",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        for text in [
            "a+0x+1/0x1",
            "a+0x0/0x1 [m",
            "a+0x0/0x1[m]",
            "a+0x11111111111111111/0x1",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            parse(&text);
        }

        #[test]
        fn reads_what_the_kernel_writes(
            name in "[A-Za-z_][A-Za-z0-9_.]{0,40}", offset: u64, size: u64, module in "[a-z0-9_]{1,20}",
        ) {
            for suffix in [String::new(), format!(" [{module}]")] {
                let text = format!("{name}+{offset:#x}/{size:#x}{suffix}");
                let symbol = parse(text.as_bytes()).expect("it is a symbol");
                prop_assert_eq!((symbol.name, symbol.offset, symbol.size), (name.as_bytes(), offset, size));
                prop_assert_eq!(symbol.module.is_some(), !suffix.is_empty());
            }
        }
    }
}
