// SPDX-License-Identifier: GPL-2.0

//! The x86-64 relocation kinds that compilers emit for kernel objects: one table for the linker in
//! userspace, which fills the fields, and for the core, which checks them.
//!
//! Numbers, names and calculations: System V ABI, AMD64 Architecture Processor Supplement, section
//! 4.4.1 "Relocation Types". S is the symbol, A the addend, P the address of the field. PLT32 means
//! PC32, because a kernel has no procedure linkage table.

/// What the numbers that fit a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Any: the field is as wide as an address, or has no width.
    Any,
    /// The value is the zero extension of the field.
    Unsigned,
    /// The value is the sign extension of the field.
    Signed,
}

/// A relocation kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The ELF relocation type.
    pub number: u32,
    /// Its name in the ABI document.
    pub name: &'static str,
    /// Bytes of the field: 0, 4 or 8.
    pub size: usize,
    /// The field holds S+A-P, else S+A.
    pub pc_relative: bool,
    /// Which values fit.
    pub range: Range,
}

/// The value does not fit the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// S+A or S+A-P, modulo 2^64.
    pub value: u64,
}

const fn kind(
    number: u32,
    name: &'static str,
    size: usize,
    pc_relative: bool,
    range: Range,
) -> Kind {
    Kind {
        number,
        name,
        size,
        pc_relative,
        range,
    }
}

/// R_X86_64_PC32, the displacement of a direct call or jump.
pub const PC32: u32 = 2;
/// R_X86_64_PLT32, the same as compilers write it today.
pub const PLT32: u32 = 4;

/// PC32, for a linker that makes code of its own.
pub const DISPLACEMENT: Kind = kind(PC32, "R_X86_64_PC32", 4, true, Range::Signed);

/// Every kind that lpatch knows, sorted by number.
pub const KINDS: &[Kind] = &[
    kind(0, "R_X86_64_NONE", 0, false, Range::Any),
    kind(1, "R_X86_64_64", 8, false, Range::Any),
    DISPLACEMENT,
    kind(PLT32, "R_X86_64_PLT32", 4, true, Range::Signed),
    kind(10, "R_X86_64_32", 4, false, Range::Unsigned),
    kind(11, "R_X86_64_32S", 4, false, Range::Signed),
    kind(24, "R_X86_64_PC64", 8, true, Range::Any),
];

/// The kind with this ELF number, or `None` if lpatch does not know it.
pub fn lookup(number: u32) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.number == number)
}

impl Kind {
    /// What the field holds for a symbol at `s`, the addend `a` and a field at address `p`.
    ///
    /// The bits above the field are zero.
    pub fn value(&self, s: u64, a: i64, p: u64) -> Result<u64, OutOfRange> {
        const SIGN_BIT: u64 = 1 << 31;
        const MASK: u64 = (1 << 32) - 1;

        // Addresses are modular: a kernel address plus a negative offset does not overflow.
        let mut value = s.wrapping_add_signed(a);
        if self.pc_relative {
            value = value.wrapping_sub(p);
        }
        let fits = match self.range {
            Range::Any => true,
            Range::Unsigned => value <= MASK,
            // Moves -2^31..2^31 to 0..2^32.
            Range::Signed => value.wrapping_add(SIGN_BIT) <= MASK,
        };
        match (fits, self.size) {
            (false, _) => Err(OutOfRange { value }),
            (true, 8) => Ok(value),
            (true, 4) => Ok(value & MASK),
            (true, _) => Ok(0),
        }
    }

    /// Writes a result of [`Self::value`] to the first [`Self::size`] bytes of `field`.
    ///
    /// Returns `None`, and writes nothing, if `field` is shorter.
    pub fn put(&self, field: &mut [u8], value: u64) -> Option<()> {
        let field = field.get_mut(..self.size)?;
        // The field is at most as long as the value, so the zip covers all of it.
        for (to, from) in field.iter_mut().zip(value.to_le_bytes()) {
            *to = from;
        }
        Some(())
    }

    /// Reads the first [`Self::size`] bytes of `field`, as [`Self::value`] gives them.
    pub fn get(&self, field: &[u8]) -> Option<u64> {
        let field = field.get(..self.size)?;
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(field) {
            *to = *from;
        }
        Some(u64::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_name(name: &str) -> &'static Kind {
        KINDS
            .iter()
            .find(|kind| kind.name == name)
            .expect("the table has it")
    }

    #[test]
    fn table_is_sorted_and_found() {
        assert!(KINDS.windows(2).all(|w| w[0].number < w[1].number));
        for kind in KINDS {
            assert_eq!(lookup(kind.number), Some(kind));
        }
        // GOTPCREL needs a table that a kernel does not have.
        assert_eq!(lookup(9), None);
        assert_eq!(lookup(256), None);
    }

    #[test]
    fn known_values() {
        // call at 0xffffffffc0000010, the field 1 byte later, the target 0x100 behind the start.
        let call = by_name("R_X86_64_PLT32");
        assert_eq!(
            call.value(0xffff_ffff_c000_0100, -4, 0xffff_ffff_c000_0011),
            Ok(0xeb)
        );
        assert_eq!(
            call.value(0xffff_ffff_c000_0000, -4, 0xffff_ffff_c000_0011),
            Ok(0xffff_ffeb)
        );
        let abs = by_name("R_X86_64_32S");
        assert_eq!(abs.value(0xffff_ffff_8100_0000, 8, 0), Ok(0x8100_0008));
        let none = by_name("R_X86_64_NONE");
        assert_eq!(none.value(u64::MAX, 1, 7), Ok(0));
    }

    #[test]
    fn limits_of_the_32_bit_kinds() {
        let out = |value| Err(OutOfRange { value });
        let unsigned = by_name("R_X86_64_32");
        assert_eq!(unsigned.value(0xffff_ffff, 0, 0), Ok(0xffff_ffff));
        assert_eq!(unsigned.value(0xffff_ffff, 1, 0), out(1 << 32));
        assert_eq!(unsigned.value(0, -1, 0), out(u64::MAX));
        for name in ["R_X86_64_32S", "R_X86_64_PC32", "R_X86_64_PLT32"] {
            let signed = by_name(name);
            assert_eq!(signed.value(0x7fff_ffff, 0, 0), Ok(0x7fff_ffff));
            assert_eq!(signed.value(0x7fff_ffff, 1, 0), out(0x8000_0000));
            assert_eq!(signed.value(0, -0x8000_0000, 0), Ok(0x8000_0000));
            assert_eq!(signed.value(0, -0x8000_0001, 0), out(0xffff_ffff_7fff_ffff));
        }
    }

    #[test]
    fn short_fields_are_refused_untouched() {
        for kind in KINDS.iter().filter(|kind| kind.size > 0) {
            let mut bytes = [0x5a; 8];
            let short = &mut bytes[..kind.size - 1];
            assert_eq!(kind.get(short), None);
            assert_eq!(kind.put(short, 0), None);
            assert_eq!(bytes, [0x5a; 8]);
        }
    }

    /// The value by the book: in 128 bits, then congruent modulo the field.
    fn by_the_book(kind: &Kind, s: u64, a: i64, p: u64) -> Option<u64> {
        let mut exact = i128::from(s) + i128::from(a);
        if kind.pc_relative {
            exact -= i128::from(p);
        }
        let exact = exact.rem_euclid(1 << 64);
        let signed = if exact >= 1 << 63 {
            exact - (1 << 64)
        } else {
            exact
        };
        let fits = match kind.range {
            Range::Any => true,
            Range::Unsigned => u32::try_from(exact).is_ok(),
            Range::Signed => i32::try_from(signed).is_ok(),
        };
        let modulus = 1_i128 << (8 * kind.size);
        fits.then(|| u64::try_from(exact.rem_euclid(modulus)).expect("below the modulus"))
    }

    /// Numbers near the ends of the ranges as well as any.
    fn address() -> impl Strategy<Value = u64> {
        let near = |center: u64| (0..64_u64).prop_map(move |d| center.wrapping_sub(32) + d);
        prop_oneof![
            any::<u64>(),
            near(1 << 31),
            near(1 << 32),
            near(0xffff_ffff_8000_0000),
            (0..1_u64 << 31).prop_map(|d| 0xffff_ffff_8000_0000 + d),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_exact_arithmetic(
            index in 0..KINDS.len(), s in address(), a in -0x1000..0x1000_i64, p in address(),
        ) {
            let kind = &KINDS[index];
            prop_assert_eq!(kind.value(s, a, p).ok(), by_the_book(kind, s, a, p));
        }

        #[test]
        fn fields_round_trip(
            index in 0..KINDS.len(), s in address(), a in any::<i64>(), p in address(),
        ) {
            let kind = &KINDS[index];
            if let Ok(value) = kind.value(s, a, p) {
                let mut bytes = [0x5a; 12];
                prop_assert_eq!(kind.put(&mut bytes, value), Some(()));
                prop_assert_eq!(kind.get(&bytes), Some(value));
                prop_assert!(bytes[kind.size..].iter().all(|&b| b == 0x5a));
            }
        }
    }
}
