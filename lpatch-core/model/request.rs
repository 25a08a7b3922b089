// SPDX-License-Identifier: GPL-2.0

//! What can be said about a request without knowing anything else.

use super::num::{index, wide};
use super::refusal::{ensure, Refusal};
use crate::uapi::{
    self, Blockers, Compare, Hdr, List, Load, Op, Query, Reason, Reserve, Status, Transition, Wire,
    NAME_LEN,
};
use core::mem::offset_of;

/// A struct that an ioctl takes.
pub trait Request: Wire {
    /// Checks the size, the flags and the reserved fields, and the name where there is one.
    fn check(&self) -> Result<(), Refusal>;
}

fn size<T: Wire>(hdr: &Hdr) -> Result<(), Refusal> {
    ensure(index(hdr.size) == T::SIZE, || {
        Refusal::new(Reason::Size).value(wide(T::SIZE))
    })
}

fn zero(field: u64, offset: usize) -> Result<(), Refusal> {
    ensure(field == 0, || Refusal::at(Reason::Reserved, offset))
}

impl Request for Query {
    fn check(&self) -> Result<(), Refusal> {
        size::<Self>(&self.hdr)
    }
}

impl Request for Reserve {
    fn check(&self) -> Result<(), Refusal> {
        size::<Self>(&self.hdr)?;
        zero(self.flags, offset_of!(Self, flags))
    }
}

impl Request for Load {
    fn check(&self) -> Result<(), Refusal> {
        size::<Self>(&self.hdr)?;
        let known = uapi::LOAD_NO_PROMOTE | uapi::LOAD_REFUSE_MODULES;
        zero(self.flags & !known, offset_of!(Self, flags))
    }
}

impl Request for Op {
    fn check(&self) -> Result<(), Refusal> {
        size::<Self>(&self.hdr)?;
        zero(self.flags, offset_of!(Self, flags))?;
        name(&self.name, offset_of!(Self, name)).map(drop)
    }
}

impl Request for List {
    fn check(&self) -> Result<(), Refusal> {
        size::<Self>(&self.hdr)
    }
}

impl Request for Status {
    fn check(&self) -> Result<(), Refusal> {
        size::<Self>(&self.hdr)?;
        name(&self.name, offset_of!(Self, name)).map(drop)
    }
}

impl Request for Compare {
    fn check(&self) -> Result<(), Refusal> {
        size::<Self>(&self.hdr)?;
        name(&self.name, offset_of!(Self, name)).map(drop)
    }
}

impl Request for Transition {
    fn check(&self) -> Result<(), Refusal> {
        size::<Self>(&self.hdr)
    }
}

impl Request for Blockers {
    fn check(&self) -> Result<(), Refusal> {
        size::<Self>(&self.hdr)?;
        zero(self.flags & !uapi::BLOCKERS_LAST, offset_of!(Self, flags))?;
        ensure(self.range_count <= uapi::RANGES_MAX, || {
            Refusal::at(Reason::TooBig, offset_of!(Self, range_count))
                .value(uapi::RANGES_MAX.into())
        })
    }
}

/// The name of a patch, without the padding; `offset` is where the field is, for the refusal.
pub fn name(field: &[u8; NAME_LEN], offset: usize) -> Result<&[u8], Refusal> {
    let name = version(field, offset)?;
    ensure(!name.is_empty(), || Refusal::at(Reason::Name, offset))?;
    Ok(name)
}

/// The version of a patch, which follows the rules of a name but may be empty.
pub fn version(field: &[u8], offset: usize) -> Result<&[u8], Refusal> {
    let refusal = || Refusal::at(Reason::Name, offset);
    let len = field.iter().position(|&b| b == 0).ok_or_else(refusal)?;
    let (name, padding) = field.split_at_checked(len).ok_or_else(refusal)?;
    // A name that differs from another one only behind its end must not exist.
    ensure(padding.iter().all(|&b| b == 0), refusal)?;
    ensure(name.iter().all(|&b| is_name_byte(b)), refusal)?;
    Ok(name)
}

const fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn field<const N: usize>(text: &[u8]) -> [u8; N] {
        let mut field = [0; N];
        field[..text.len()].copy_from_slice(text);
        field
    }

    /// A valid request of this type, as bytes.
    fn valid<T: Request>(named: bool) -> Vec<u8> {
        let mut bytes = vec![0; T::SIZE];
        u32::try_from(T::SIZE)
            .expect("it is small")
            .write(&mut bytes);
        if named {
            bytes[24..27].copy_from_slice(b"fix");
        }
        bytes
    }

    fn check<T: Request>(bytes: &[u8]) -> Result<(), Refusal> {
        T::read(bytes).expect("it is long enough").check()
    }

    /// Which bytes of a struct are refused when they change, and that the reply says where.
    fn only_checked<T: Request>(named: bool, checked: &[(&str, Reason)], fields: &[(&str, usize)]) {
        let good = valid::<T>(named);
        assert_eq!(check::<T>(&good), Ok(()));
        for (i, &(name, start)) in fields.iter().enumerate() {
            let end = fields.get(i + 1).map_or(T::SIZE, |field| field.1);
            let reason = checked.iter().find(|c| c.0 == name).map(|c| c.1);
            for byte in start..end {
                let mut bad = good.clone();
                bad[byte] ^= 0x80;
                let expected = match reason {
                    Some(reason) => Err(Refusal::at(reason, start)),
                    // The head begins with the size, which the kernel reads; it fills in the rest.
                    None if byte < 4 => Err(Refusal::new(Reason::Size).value(wide(T::SIZE))),
                    None => Ok(()),
                };
                assert_eq!(check::<T>(&bad), expected, "{name} byte {byte}");
            }
        }
    }

    #[test]
    fn flags_and_reserved_fields_and_names_are_checked_and_nothing_else() {
        let flags = [("flags", Reason::Reserved)];
        let op = [("flags", Reason::Reserved), ("name", Reason::Name)];
        only_checked::<Query>(false, &[], Query::FIELDS);
        only_checked::<Reserve>(false, &flags, Reserve::FIELDS);
        only_checked::<Load>(false, &flags, Load::FIELDS);
        only_checked::<Op>(true, &op, Op::FIELDS);
        only_checked::<List>(false, &[], List::FIELDS);
        only_checked::<Status>(true, &[("name", Reason::Name)], Status::FIELDS);
        only_checked::<Compare>(true, &[("name", Reason::Name)], Compare::FIELDS);
        only_checked::<Transition>(false, &[], Transition::FIELDS);
    }

    #[test]
    fn questions_about_blockers() {
        let check = |change: fn(&mut Blockers)| {
            let mut request = Blockers::default();
            request.hdr.size = u32::try_from(Blockers::SIZE).expect("it is small");
            change(&mut request);
            request.check()
        };
        let at = |reason, field| Err(Refusal::at(reason, field));
        assert_eq!(check(|_| {}), Ok(()));
        assert_eq!(check(|b| b.flags = uapi::BLOCKERS_LAST), Ok(()));
        assert_eq!(check(|b| b.range_count = uapi::RANGES_MAX), Ok(()));
        let flags = offset_of!(Blockers, flags);
        assert_eq!(check(|b| b.flags = 2), at(Reason::Reserved, flags));
        let count = offset_of!(Blockers, range_count);
        let limit = uapi::RANGES_MAX.into();
        let refused = Refusal::at(Reason::TooBig, count).value(limit);
        assert_eq!(
            check(|b| b.range_count = uapi::RANGES_MAX + 1),
            Err(refused)
        );
    }

    #[test]
    fn sizes_of_other_versions_are_refused() {
        for size in [0, 1, 24, 63, 65, u32::MAX] {
            let mut reserve = valid::<Load>(false);
            size.write(&mut reserve);
            assert_eq!(
                check::<Load>(&reserve),
                Err(Refusal::new(Reason::Size).value(48))
            );
        }
    }

    #[test]
    fn names() {
        let refused = Err(Refusal::at(Reason::Name, 5));
        assert_eq!(name(&field(b"a"), 5), Ok(&b"a"[..]));
        assert_eq!(name(&field(b"Az09._+-"), 5), Ok(&b"Az09._+-"[..]));
        assert_eq!(name(&field(&[b'x'; 63]), 5), Ok(&[b'x'; 63][..]));
        assert_eq!(name(&[b'x'; 64], 5), refused);
        assert_eq!(name(&field(b""), 5), refused);
        assert_eq!(name(&field(b"a\0b"), 5), refused);
        assert_eq!(version(&field::<32>(b""), 5), Ok(&b""[..]));
        assert_eq!(version(&[b'1'; 32], 5), refused);
        assert_eq!(version(&[], 5), refused);
        for byte in 0..=u8::MAX {
            let good = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-";
            let accepted = name(&field(&[byte]), 5).is_ok();
            assert_eq!(accepted, good.contains(&byte), "{byte}");
        }
    }
}
