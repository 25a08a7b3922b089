// SPDX-License-Identifier: GPL-2.0

//! A line of /proc/kallsyms, read in one go.
//!
//! There are 200,000 of them and more, of which the kernel writes nearly all in exactly one form. Each byte of such a line is looked at once.
//! Anything else is read the slow way.

use std::ops::Range;

/// FNV-1a of a name, as far as it has been read.
#[derive(Clone, Copy)]
pub(super) struct Hash(u32);

impl Hash {
    pub(super) const fn new() -> Self {
        Self(0x811c_9dc5)
    }

    pub(super) fn add(&mut self, byte: u8) {
        self.0 = (self.0 ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }

    /// Folded to so many bits.
    pub(super) fn bucket(self, bits: u32) -> u32 {
        (self.0 ^ (self.0 >> bits)) & ((1 << bits) - 1)
    }
}

/// A symbol, with places counted from the line's first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Quick {
    pub(super) addr: u64,
    pub(super) letter: u8,
    /// Where the name ends.
    pub(super) name_end: usize,
    /// Where the name of the module begins and ends.
    pub(super) object: Option<(usize, usize)>,
    /// With the newline.
    pub(super) len: usize,
    pub(super) bucket: u32,
    /// The name has a dot.
    pub(super) dotted: bool,
}

/// Where names begin.
pub(super) const NAME_AT: usize = 19;

const NO_DIGIT: u8 = 0xff;

const fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        _ => NO_DIGIT,
    }
}

/// The values of hexadecimal digits, by byte.
const DIGITS: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let (mut at, mut byte) = (0, 0);
    while at < values.len() {
        values[at] = digit(byte);
        at += 1;
        byte = byte.wrapping_add(1);
    }
    values
};

/// Of an address of 16 digits.
fn address(digits: &[u8; 16]) -> Option<u64> {
    let (mut addr, mut all) = (0, 0);
    for digit in digits {
        let value = DIGITS[usize::from(*digit)];
        all |= value;
        addr = addr << 4 | u64::from(value & 15);
    }
    (all != NO_DIGIT).then_some(addr)
}

/// Reads the line at the start of `text`, if it is in the usual form: an address of 16 digits, a letter, a name, and a module's name
/// in brackets behind a tab, or nothing.
pub(super) fn quick(text: &[u8], bits: u32) -> Option<Quick> {
    let (digits, rest) = text.split_first_chunk()?;
    let addr = address(digits)?;
    let (&[space, letter, and_space], name) = rest.split_first_chunk()?;
    if space != b' ' || and_space != b' ' || !letter.is_ascii_alphabetic() {
        return None;
    }
    let (mut hash, mut dotted) = (Hash::new(), false);
    for (at, &byte) in name.iter().enumerate() {
        if byte.is_ascii_graphic() {
            hash.add(byte);
            dotted |= byte == b'.';
            continue;
        }
        let (object, end) = match byte {
            b'\n' => (None, at),
            b'\t' => {
                let len = brackets(name.get(at + 1..)?)?;
                (
                    Some((NAME_AT + at + 2, NAME_AT + at + 2 + len)),
                    at + 3 + len,
                )
            }
            _ => return None,
        };
        return (at > 0).then_some(Quick {
            addr,
            letter,
            name_end: NAME_AT + at,
            object,
            len: NAME_AT + end + 1,
            bucket: hash.bucket(bits),
            dotted,
        });
    }
    None
}

/// The length of the name in "[name]\n".
fn brackets(text: &[u8]) -> Option<usize> {
    let (b'[', inner) = text.split_first()? else {
        return None;
    };
    let len = inner
        .iter()
        .position(|byte| !byte.is_ascii_graphic() || *byte == b']')?;
    matches!(inner.get(len..len + 2), Some(b"]\n")).then_some(len)
}

/// What a line says, with places in the whole text.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Read {
    pub(super) addr: u64,
    pub(super) letter: u8,
    pub(super) name: Range<usize>,
    pub(super) object: Option<Range<usize>>,
}

/// Reads a line of any form that begins at `start`: `None` if it is none, `Some(None)` if there is nothing in it.
pub(super) fn read(line: &str, start: usize) -> Option<Option<Read>> {
    let line = line.trim_ascii_end();
    if line.is_empty() {
        return Some(None);
    }
    let (addr, rest) = line.split_once(' ')?;
    let (letter, rest) = rest.split_once(' ')?;
    let (name, object) = match rest.split_once('\t') {
        Some((name, object)) => (name, Some(object.strip_prefix('[')?.strip_suffix(']')?)),
        None => (rest, None),
    };
    if name.is_empty() {
        return None;
    }
    let place = |part: &str| {
        let from = start + (part.as_ptr().addr() - line.as_ptr().addr());
        from..from + part.len()
    };
    Some(Some(Read {
        addr: hex(addr.as_bytes())?,
        letter: *letter.as_bytes().first()?,
        name: place(name),
        object: object.map(place),
    }))
}

fn hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let mut value = 0;
    for byte in digits {
        let digit = digit(*byte);
        if digit == NO_DIGIT {
            return None;
        }
        value = value << 4 | u64::from(digit);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BITS: u32 = 18;

    fn agree(line: &str) -> bool {
        let Some(quick) = quick(line.as_bytes(), BITS) else {
            return false;
        };
        let first = line.split_inclusive('\n').next().expect("there is one");
        assert_eq!(quick.len, first.len(), "{line:?}");
        let name = NAME_AT..quick.name_end;
        let text = &line[name.clone()];
        let mut hash = Hash::new();
        text.bytes().for_each(|byte| hash.add(byte));
        assert_eq!(
            (quick.bucket, quick.dotted),
            (hash.bucket(BITS), text.contains('.'))
        );
        let expected = Read {
            addr: quick.addr,
            letter: quick.letter,
            name,
            object: quick.object.map(|(from, to)| from..to),
        };
        assert_eq!(read(first, 0), Some(Some(expected)), "{line:?}");
        true
    }

    #[test]
    fn what_is_read_quickly() {
        for line in [
            "ffffffff81000000 T _text\nffffffff81000000 T _stext\n",
            "FFFFFFFF81000010 t foo.cold\n",
            "ffffffffc1000000 t $x\t[mod]\n",
            "0000000000000000 U a\t[]\n",
        ] {
            assert!(agree(line), "{line:?}");
        }
        for line in [
            "",
            "\n",
            "fffffff81000000 T short\n",
            "0ffffffff81000000 T long\n",
            "fffffffg81000000 T digit\n",
            "ffffffff81000000 T \n",
            "ffffffff81000000 T end",
            "ffffffff81000000 T return\r\n",
            "ffffffff81000000 T space \n",
            "ffffffff81000000 Tt name\n",
            "ffffffff81000000 T f\u{fc}r\n",
            "ffffffffc1000000 t x\t[mod\n",
            "ffffffffc1000000 t x\t[mod] \n",
            "ffffffffc1000000 t x\tmod]\n",
            "ffffffffc1000000 t x\t[m]d]\n",
        ] {
            assert!(!agree(line), "{line:?}");
        }
    }

    /// Every byte of usual lines replaced by every other kind of byte, taken away, or doubled.
    #[test]
    fn both_ways_agree() {
        const BYTES: &[u8] = b"\t\n\r !$.09:@AFGZ[]_afgz{~\x00\x7f";
        let mut quickly = 0;
        for line in [
            "ffffffff81000000 T foo.c\nffffffff81000000 T bar\n",
            "ffffffffc1000000 t x\t[mod]\n",
        ] {
            for at in 0..line.len() {
                let (before, rest) = line.split_at(at);
                let (this, behind) = rest.split_at(1);
                let other = BYTES.iter().map(|byte| char::from(*byte).to_string());
                let other = other.chain([String::new(), this.repeat(2), "\u{e9}".into()]);
                for middle in other {
                    quickly += u32::from(agree(&format!("{before}{middle}{behind}")));
                }
            }
        }
        assert!(quickly > 1000, "{quickly}");
    }
}
